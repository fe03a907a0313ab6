"""The firmware's rules in Python, as in docs/protocol.md; `MockBoard` puts them behind a port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eva_sim.contract import FaceSpec
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.firmware_table import NO_PARTNER, board_timing, channel_rows, robot_config, table_crc
from eva_sim.real.wire.protocol import Answer, Fault, Message

_DRIVEN = (BoardState.ARMING, BoardState.ACTIVE, BoardState.HOLD)


@dataclass
class _Channel:
    """One output; pulses are in quarters of a microsecond."""

    low: int = 0
    high: int = 0
    rest: int = 0
    slew: int = 0
    aim: int = 0
    out: int = 0
    armed: bool = False

    @property
    def travel(self) -> int:
        """Travel from rest to the far end, with its sign."""
        up, down = self.high - self.rest, self.rest - self.low
        return up if up >= down else -down

    def pull(self, pulse: float) -> float:
        """Share of that travel at which a pulse is."""
        return max(0.0, (pulse - self.rest) / self.travel) if pulse and self.travel else 0.0

    def next(self) -> int:
        """The pulse after one more period of slew."""
        return self.out + max(-self.slew, min(self.slew, self.aim - self.out))


class FirmwareRules:
    """The rules of docs/protocol.md. Times are in ms since power-up.

    Args:
        spec: the face.
        robot_id: id of the board, 8 bytes.
        emit: called with time [ms], channel and pulse [quarters of a us, 0 for limp] at every change.

    Attributes:
        supply: voltage of the servos [mV]; `set_supply` changes it.
    """

    def __init__(self, spec: FaceSpec, robot_id: bytes, emit: Callable[[int, int, int], None]) -> None:
        self._robot_id, self._emit = robot_id, emit
        self._rows, self._timing, self._table_crc = channel_rows(spec), board_timing(spec), table_crc(spec)
        self._group_count = len(robot_config(spec)["safety"]["arm_groups"])
        # The EEPROM: limits of each channel, their number, and the last session.
        self._stored, self._stored_number, self._sessions = [(0, 0, 0, 0)] * len(spec), 0, 0
        self._shown = [0] * len(spec)
        self.supply = 5000  # mV
        self.boot()

    def boot(self) -> None:
        """Powers up; only the EEPROM is remembered."""
        self._channels = [_Channel() for _ in self._rows]
        self._state, self._latched, self._passing = BoardState.LIMP, Fault(0), Fault(0)
        self._session = self._last = self._stale = self._now = self._life = 0
        self._supply_at, self._strain = 0, 0
        self._wanted = self._group = self._group_at = 0
        self._restore()
        self._show()

    def tick(self, now: int) -> None:
        """Does the work of one wire period."""
        self._now = now
        self._watch_supply()
        self._watch_silence()
        self._move()
        if self._state == BoardState.ARMING and now >= self._group_at:
            self._arm_group()
        self._show()

    def set_supply(self, millivolts: int, now: int) -> None:
        """From now on the servos have another voltage."""
        self._now = now
        self._watch_supply()
        self.supply = millivolts
        self._show()

    def receive(self, message: Message, sequence: int, now: int, bad: int) -> Message:
        """Acts on a message and returns the answer."""
        self._now = now
        self._watch_supply()
        self._watch_silence()  # not only once a period
        answer = self._act(message, sequence)
        self._show()
        return answer if isinstance(answer, Message) else self._status(answer, bad)

    def _act(self, message: Message, sequence: int) -> Answer | Message:
        if isinstance(message, wire.Hello):
            return self._hello(message)
        if isinstance(message, wire.Read):
            return self._read(message.channel)
        if isinstance(message, wire.Disarm):
            self._disarm()
        if isinstance(message, wire.Stop):
            self._limp(BoardState.STOPPED)
        if isinstance(message, wire.Disarm | wire.Stop | wire.Query):
            return Answer.TAKEN
        return self._guarded(message, sequence)

    def _hello(self, message: wire.Hello) -> Message:
        before = self._state
        if message.version == wire.VERSION:
            self._disarm()
            self._restore()
            self._sessions += 1
            self._session, self._last = self._sessions, 0
        return wire.Ident(
            wire.VERSION,
            robot=self._robot_id,
            session=self._session,
            channels=len(self._rows),
            table=self._table_crc,
            calibration=self._calibration,
            reset=1,
            before=before,
            chip=b"mock".ljust(16, b"\0"),
        )

    def _restore(self) -> None:
        """Restores the limits as last committed."""
        self._calibration = self._stored_number
        for channel, row in zip(self._channels, self._stored, strict=True):
            channel.low, channel.high, channel.rest, channel.slew = row

    def _read(self, number: int) -> Answer | Message:
        if number >= len(self._rows):
            return Answer.BAD_VALUE
        c = self._channels[number]
        return wire.Channel(number, c.low, c.high, c.rest, c.slew, self._rows[number].partner)

    def _guarded(self, message: Any, sequence: int) -> Answer:
        """Acts on a message that begins with a session number."""
        if not self._session or message.session != self._session:
            return Answer.WRONG_SESSION
        if sequence <= self._last:
            self._stale = min(self._stale + 1, 0xFFFF)
            return Answer.STALE
        self._last = sequence
        acts: dict[type[Message], Callable[[Any], Answer]] = {
            wire.Targets: self._targets,
            wire.Arm: self._arm,
            wire.Clear: self._clear,
            wire.Limits: self._limits,
            wire.Commit: self._commit,
        }
        return acts[type(message)](message)

    def _targets(self, message: wire.Targets) -> Answer:
        if self._state not in _DRIVEN:
            return Answer.WRONG_STATE
        clamped = [self._aim(c, p) for c, p in zip(self._channels, message.pulses, strict=True) if c.armed]
        if self._group == self._group_count and not any(c.armed for c in self._channels):
            self._limp(BoardState.LIMP)  # the host has made all channels limp
        clamped.append(self._exclude())
        self._passing = self._passing & ~Fault.CLAMPED | (Fault.CLAMPED if any(clamped) else Fault(0))
        self._life = self._now
        if self._state == BoardState.HOLD:
            self._state = BoardState.ARMING if self._group < self._group_count else BoardState.ACTIVE
        return Answer.TAKEN

    def _aim(self, channel: _Channel, pulse: int) -> bool:
        """Sets a target and returns whether it was clamped; 0 makes a channel limp until the next `ARM`."""
        if pulse == 0:
            channel.armed, channel.out, channel.aim = False, 0, 0
            return False
        channel.aim = max(channel.low, min(channel.high, pulse))
        return channel.aim != pulse

    def _arm(self, message: wire.Arm) -> Answer:
        if self._state != BoardState.LIMP:
            return Answer.WRONG_STATE
        if not message.channels or message.channels >> len(self._rows):
            return Answer.BAD_VALUE
        if not self._calibration:
            return Answer.NOT_CALIBRATED
        if not self._is_supplied():
            return Answer.BAD_SUPPLY
        self._wanted, self._group, self._group_at = message.channels, 0, self._now
        self._state, self._life, self._passing = BoardState.ARMING, self._now, Fault(0)
        return Answer.TAKEN

    def _disarm(self) -> None:
        self._limp(self._state if self._state in (BoardState.STOPPED, BoardState.FAULT) else BoardState.LIMP)

    def _is_supplied(self) -> bool:
        return self._timing.supply_low <= self.supply <= self._timing.supply_high

    def _clear(self, message: wire.Clear) -> Answer:
        if message.key != wire.CLEAR_KEY:
            return Answer.BAD_VALUE
        unsupplied = self._latched & (Fault.SUPPLY | Fault.OVERVOLTAGE) and not self._is_supplied()
        if self._state in _DRIVEN or unsupplied:
            return Answer.WRONG_STATE
        self._latched = Fault(0)
        self._limp(BoardState.LIMP)
        return Answer.TAKEN

    def _limits(self, message: wire.Limits) -> Answer:
        if self._state != BoardState.LIMP:
            return Answer.WRONG_STATE
        if message.channel >= len(self._rows):
            return Answer.BAD_VALUE
        low, high, rest, slew = message.low, message.high, message.rest, message.slew
        row = self._rows[message.channel]
        if not (row.low <= low <= rest <= high <= row.high and low < high and 0 < slew <= row.slew):
            return Answer.BAD_VALUE
        self._channels[message.channel] = _Channel(low, high, rest, slew)
        self._calibration = 0  # until it is committed
        return Answer.TAKEN

    def _commit(self, message: wire.Commit) -> Answer:
        if self._state != BoardState.LIMP:
            return Answer.WRONG_STATE
        if not message.calibration:
            return Answer.BAD_VALUE
        if not all(channel.slew for channel in self._channels):
            return Answer.NOT_CALIBRATED
        self._stored = [(c.low, c.high, c.rest, c.slew) for c in self._channels]
        self._calibration = self._stored_number = message.calibration
        return Answer.TAKEN

    def _exclude(self) -> bool:
        """Scales both targets of each pair down to its limit; returns whether one was beyond it."""
        scaled = False
        for one, other, limit in self._pairs():
            pulls = one.pull(one.aim) + other.pull(other.aim)
            if pulls <= limit:
                continue
            scaled = True
            for c in (one, other):
                if c.pull(c.aim):
                    c.aim = c.rest + int((c.aim - c.rest) * limit / pulls)
        return scaled

    def _move(self) -> None:
        """Moves by a period of slew; a pair beyond its limit on the way waits where it would pull more."""
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
            for n, row in enumerate(self._rows)
            if row.partner != NO_PARTNER and n < row.partner
        ]

    def _arm_group(self) -> None:
        for number, c in enumerate(self._channels):
            if self._wanted >> number & 1 and self._rows[number].group == self._group:
                c.armed, c.aim, c.out = True, c.rest, c.rest
        self._group, self._group_at = self._group + 1, self._now + self._timing.arm_gap
        if self._group == self._group_count:
            self._state = BoardState.ACTIVE

    def _watch_silence(self) -> None:
        silence = self._now - self._life
        if self._state not in _DRIVEN or silence < self._timing.hold:
            return
        self._passing |= Fault.SILENCE
        if silence >= self._timing.limp:
            self._limp(BoardState.LIMP)
        elif self._state != BoardState.HOLD:
            self._state = BoardState.HOLD
            for c in self._channels:
                c.aim = c.out

    def _watch_supply(self) -> None:
        """A leaky sum, so that short dips count together; see `board_supply` of real/firmware/board.c."""
        passed, self._supply_at = self._now - self._supply_at, self._now
        if self._is_supplied():
            self._strain = max(0, self._strain - passed)
            return
        most = self._timing.sag * self._timing.recovery
        self._strain = min(most, self._strain + passed * self._timing.recovery)
        fault = Fault.SUPPLY if self.supply < self._timing.supply_low else Fault.OVERVOLTAGE
        if self._strain == most and not self._latched & fault:
            self._latched |= fault
            self._limp(BoardState.STOPPED if self._state == BoardState.STOPPED else BoardState.FAULT)

    def _limp(self, state: BoardState) -> None:
        self._state = state
        for c in self._channels:
            c.armed, c.aim, c.out = False, 0, 0

    def _show(self) -> None:
        """Emits every output that has changed."""
        for number, c in enumerate(self._channels):
            if c.out != self._shown[number]:
                self._shown[number] = c.out
                self._emit(self._now, number, c.out)

    def _status(self, answer: Answer, bad: int) -> Message:
        armed = sum(1 << number for number, c in enumerate(self._channels) if c.armed)
        faults = self._latched | self._passing | (Fault(0) if self._calibration else Fault.UNCALIBRATED)
        pulses = tuple(c.out for c in self._channels)
        counters = (0, min(bad, 0xFFFF), self._stale, 0)
        return wire.Status(
            answer, self._state, faults, armed, self._session, self.supply, self._now, *counters, pulses
        )
