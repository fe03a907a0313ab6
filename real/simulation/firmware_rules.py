"""The firmware's rules in Python, as docs/protocol.md has them; `mock.py` puts them behind a port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eva_sim.real.boards.interface import BoardState
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.firmware_table import NO_PARTNER, board_timing, channel_rows, robot_config, table_crc
from eva_sim.real.wire.protocol import Answer, Fault, Message

_ROWS, _TIMES = channel_rows(), board_timing()
_GROUPS = len(robot_config()["safety"]["arm_groups"])
_MOVING = (BoardState.ARMING, BoardState.ACTIVE, BoardState.HOLD)
_ALL = (1 << wire.CHANNELS) - 1


@dataclass
class _Channel:
    """One output; pulses in quarters of a microsecond."""

    low: int = 0
    high: int = 0
    rest: int = 0
    slew: int = 0
    aim: int = 0
    out: int = 0
    armed: bool = False

    @property
    def travel(self) -> int:
        """From rest to the far end, with its sign."""
        up, down = self.high - self.rest, self.rest - self.low
        return up if up >= down else -down

    def pull(self, pulse: float) -> float:
        """The share of that travel which a pulse is."""
        return max(0.0, (pulse - self.rest) / self.travel) if pulse and self.travel else 0.0

    def next(self) -> int:
        """Where a period of slew leads."""
        return self.out + max(-self.slew, min(self.slew, self.aim - self.out))


class FirmwareRules:
    """The rules of docs/protocol.md. Times in ms since power came.

    Args:
        robot: its id, 8 bytes.
        emit: called with time [ms], channel and pulse [quarters of a us, 0 for limp] at every change.
    """

    def __init__(self, robot: bytes, emit: Callable[[int, int, int], None]) -> None:
        self._robot, self._emit = robot, emit
        self._kept, self._kept_as, self._sessions = [(0, 0, 0, 0)] * wire.CHANNELS, 0, 0  # the EEPROM
        self._shown = [0] * wire.CHANNELS
        self.supply = 5000  # mV
        self.boot()

    def boot(self) -> None:
        """Power comes; what is not in EEPROM is forgotten."""
        self._channels = [_Channel() for _ in range(wire.CHANNELS)]
        self._state, self._latched, self._passing = BoardState.LIMP, Fault(0), Fault(0)
        self._session = self._last = self._stale = self._now = self._life = self._sag = 0
        self._wanted = self._group = self._group_at = 0
        self._restore()
        self._show()

    def tick(self, now: int) -> None:
        """One wire period."""
        self._now = now
        self._watch_supply()
        self._watch_silence()
        self._move()
        if self._state == BoardState.ARMING and now >= self._group_at:
            self._arm_group()
        self._show()

    def hear(self, message: Message, sequence: int, now: int, bad: int) -> Message:
        """The answer to a message."""
        self._now = now
        self._watch_silence()  # not only once a period
        answer = self._act(message, sequence)
        self._show()
        return answer if isinstance(answer, Message) else self._status(answer, bad)

    def _act(self, message: Message, sequence: int) -> Answer | Message:
        if isinstance(message, wire.Hello):
            return self._hello(message, sequence)
        if isinstance(message, wire.Read):
            return self._read(message.channel)
        if isinstance(message, wire.Stop):
            self._limp(BoardState.STOPPED)
        if isinstance(message, wire.Stop | wire.Query):
            return Answer.TAKEN
        return self._guarded(message, sequence)

    def _hello(self, message: wire.Hello, sequence: int) -> Message:
        if message.version == wire.VERSION:
            self._disarm()
            self._restore()
            self._sessions = self._sessions % 0xFFFF + 1
            self._session, self._last = self._sessions, sequence
        return wire.Ident(
            wire.VERSION, 0, 0, self._robot, self._session, wire.CHANNELS, table_crc(), self._calibration, 1
        )

    def _restore(self) -> None:
        """The limits as last committed."""
        self._calibration = self._kept_as
        for channel, row in zip(self._channels, self._kept, strict=True):
            channel.low, channel.high, channel.rest, channel.slew = row

    def _read(self, number: int) -> Answer | Message:
        if number >= wire.CHANNELS:
            return Answer.VALUE
        c = self._channels[number]
        return wire.Channel(number, c.low, c.high, c.rest, c.slew, _ROWS[number].partner)

    def _guarded(self, message: Any, sequence: int) -> Answer:
        """Messages that begin with a session."""
        if not self._session or message.session != self._session:
            return Answer.SESSION
        if not 1 <= (sequence - self._last) & 0xFFFF <= 0x7FFF:
            self._stale = min(self._stale + 1, 0xFFFF)
            return Answer.STALE
        self._last = sequence
        acts: dict[type[Message], Callable[[Any], Answer]] = {
            wire.Targets: self._targets,
            wire.Arm: self._arm,
            wire.Disarm: lambda _: self._disarm(),
            wire.Clear: self._clear,
            wire.Limits: self._limits,
            wire.Commit: self._commit,
        }
        return acts[type(message)](message)

    def _targets(self, message: wire.Targets) -> Answer:
        if self._state not in _MOVING:
            return Answer.STATE
        clamped = [self._aim(c, p) for c, p in zip(self._channels, message.pulses, strict=True) if c.armed]
        if self._group == _GROUPS and not any(c.armed for c in self._channels):
            self._limp(BoardState.LIMP)  # the host let go of all of them
        clamped.append(self._exclude())
        self._passing = self._passing & ~Fault.CLAMPED | (Fault.CLAMPED if any(clamped) else Fault(0))
        self._life = self._now
        if self._state == BoardState.HOLD:
            self._state = BoardState.ARMING if self._group < _GROUPS else BoardState.ACTIVE
        return Answer.TAKEN

    def _aim(self, channel: _Channel, pulse: int) -> bool:
        """Says whether the pulse had to be clamped; 0 takes a channel out until the next `ARM`."""
        if pulse == 0:
            channel.armed, channel.out, channel.aim = False, 0, 0
            return False
        channel.aim = max(channel.low, min(channel.high, pulse))
        return channel.aim != pulse

    def _arm(self, message: wire.Arm) -> Answer:
        if self._state != BoardState.LIMP:
            return Answer.STATE
        if not message.channels or message.channels & ~_ALL:
            return Answer.VALUE
        if not self._calibration:
            return Answer.UNCALIBRATED
        self._wanted, self._group, self._group_at = message.channels, 0, self._now
        self._state, self._life, self._passing = BoardState.ARMING, self._now, Fault(0)
        return Answer.TAKEN

    def _disarm(self) -> Answer:
        self._limp(self._state if self._state in (BoardState.STOPPED, BoardState.FAULT) else BoardState.LIMP)
        return Answer.TAKEN

    def _clear(self, message: wire.Clear) -> Answer:
        if message.key != wire.CLEAR_KEY:
            return Answer.VALUE
        if self._state in _MOVING or (self._latched & Fault.SUPPLY and self.supply < _TIMES.supply):
            return Answer.STATE
        self._latched = Fault(0)
        self._limp(BoardState.LIMP)
        return Answer.TAKEN

    def _limits(self, message: wire.Limits) -> Answer:
        if self._state != BoardState.LIMP:
            return Answer.STATE
        if message.channel >= wire.CHANNELS:
            return Answer.VALUE
        low, high, rest, slew = message.low, message.high, message.rest, message.slew
        row = _ROWS[message.channel]
        if not (row.low <= low <= rest <= high <= row.high and low < high and 0 < slew <= row.slew):
            return Answer.VALUE
        self._channels[message.channel] = _Channel(low, high, rest, slew)
        self._calibration = 0  # until it is committed
        return Answer.TAKEN

    def _commit(self, message: wire.Commit) -> Answer:
        if self._state != BoardState.LIMP:
            return Answer.STATE
        if not message.calibration:
            return Answer.VALUE
        if not all(channel.slew for channel in self._channels):
            return Answer.UNCALIBRATED
        self._kept = [(c.low, c.high, c.rest, c.slew) for c in self._channels]
        self._calibration = self._kept_as = message.calibration
        return Answer.TAKEN

    def _exclude(self) -> bool:
        """Scales the aims of both of a pair down to its limit; says whether it had to."""
        had_to = False
        for one, other, limit in self._pairs():
            pulls = one.pull(one.aim) + other.pull(other.aim)
            if pulls <= limit:
                continue
            had_to = True
            for c in (one, other):
                if c.pull(c.aim):
                    c.aim = c.rest + int((c.aim - c.rest) * limit / pulls)
        return had_to

    def _move(self) -> None:
        """A period of slew; of a pair that would be beyond its limit on the way, who pulls more waits."""
        following = {id(c): c.next() for c in self._channels}
        for one, other, limit in self._pairs():
            if one.pull(following[id(one)]) + other.pull(following[id(other)]) > limit:
                for c in (one, other):
                    if c.pull(following[id(c)]) > c.pull(c.out):
                        following[id(c)] = c.out
        for c in self._channels:
            c.out = following[id(c)]

    def _pairs(self) -> list[tuple[_Channel, _Channel, float]]:
        return [
            (self._channels[n], self._channels[row.partner], row.limit / 64)
            for n, row in enumerate(_ROWS)
            if row.partner != NO_PARTNER and n < row.partner
        ]

    def _arm_group(self) -> None:
        for number, c in enumerate(self._channels):
            if self._wanted >> number & 1 and _ROWS[number].group == self._group:
                c.armed, c.aim, c.out = True, c.rest, c.rest
        self._group, self._group_at = self._group + 1, self._now + _TIMES.arm_gap
        if self._group == _GROUPS:
            self._state = BoardState.ACTIVE

    def _watch_silence(self) -> None:
        silence = self._now - self._life
        if self._state not in _MOVING or silence < _TIMES.hold:
            return
        self._passing |= Fault.SILENCE
        if silence >= _TIMES.limp:
            self._limp(BoardState.LIMP)
        elif self._state != BoardState.HOLD:
            self._state = BoardState.HOLD
            for c in self._channels:
                c.aim = c.out

    def _watch_supply(self) -> None:
        if self.supply >= _TIMES.supply:
            self._sag = self._now
        elif self._now - self._sag >= _TIMES.sag and not self._latched & Fault.SUPPLY:
            self._latched |= Fault.SUPPLY
            self._limp(BoardState.STOPPED if self._state == BoardState.STOPPED else BoardState.FAULT)

    def _limp(self, state: BoardState) -> None:
        self._state = state
        for c in self._channels:
            c.armed, c.aim, c.out = False, 0, 0

    def _show(self) -> None:
        """Tells of every output that has changed."""
        for number, c in enumerate(self._channels):
            if c.out != self._shown[number]:
                self._shown[number] = c.out
                self._emit(self._now, number, c.out)

    def _status(self, answer: Answer, bad: int) -> Message:
        armed = sum(1 << number for number, c in enumerate(self._channels) if c.armed)
        faults = self._latched | self._passing | (Fault(0) if self._calibration else Fault.UNCALIBRATED)
        pulses = tuple(c.out for c in self._channels)
        return wire.Status(
            answer, self._state, faults, armed, self.supply, self._now, 0, bad & 0xFFFF, self._stale, pulses
        )
