"""Our firmware on a microcontroller with two PCA9685: `Board` over the wire protocol."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards.interface import Board, BoardIdentity, BoardLimits, BoardState, BoardStatus
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.firmware_table import robot_config, table_crc
from eva_sim.real.wire.link import Link
from eva_sim.real.wire.protocol import Answer, Fault

#: How long an answer may take [s]: of anything, and of targets, which come every wire period.
PATIENCE, BRISK = 0.1, 0.014
#: Answers that may be missing in a row before the board counts as gone.
_MISSES = 3
#: Writing 25 limits to EEPROM takes a few milliseconds a byte [s].
WRITING = 3.0
#: A board that resets when its port is opened is in its boot loader for a second or two.
HELLO_TRIES, HELLO_PATIENCE = 20, 0.2

_WORDS = {
    Fault.SUPPLY: "the servo supply sagged",
    Fault.BUS: "a servo driver does not answer",
    Fault.WATCHDOG: "the board's last reset was the watchdog's",
    Fault.SILENCE: "targets stopped coming",
    Fault.UNCALIBRATED: "the board holds no calibration",
    Fault.CLAMPED: "the board clamped a target",
}
_REFUSALS = {
    Answer.SESSION: "the board has begun another session: it was reset, or another program took it",
    Answer.STALE: "the board took a message for an old one",
    Answer.STATE: "the board is in another state",
    Answer.VALUE: "a value is outside what the board's flash allows",
    Answer.UNCALIBRATED: "the board holds no calibration",
}
_UNKNOWN = np.full(wire.CHANNELS, np.nan)


class FirmwareBoard(Board):
    """A board with our firmware.

    Args:
        link: to it.

    Raises:
        LinkError: nobody answers.
        RobotError: other firmware, or firmware of another actuator table.
    """

    def __init__(self, link: Link) -> None:
        self._link, self._channels = link, load_spec().column("channel").astype(int).tolist()
        #: Of each channel, once configured: whose it is, and its ends in quarters of us.
        self._limits: list[tuple[int, int, int]] | None = None
        self._told: BoardStatus | None = None
        self._heard, self._missed, self._closed = 0.0, 0, False
        self._greet()

    def _greet(self) -> None:
        """Opens a session; the board is limp then."""
        hello = wire.Hello()
        self._ident = self._link.demand(hello, wire.Ident, HELLO_PATIENCE, HELLO_TRIES)
        _check_firmware(self._ident)
        self._session = self._ident.session
        self._heard = self._link.clock.now()
        self.identity = BoardIdentity(
            kind="firmware",
            robot=self._ident.robot.hex(),
            version=f"{self._ident.major}.{self._ident.minor}",
            calibration=self._ident.calibration or None,
            unit="us",
            measured=False,
            dead_man="board",
        )

    def configure(self, limits: BoardLimits, calibration: int) -> None:
        low, high = (np.ceil(4 * limits.low - 1e-6), np.floor(4 * limits.high + 1e-6))
        rest, slew = np.clip(np.round(4 * limits.rest), low, high), np.floor(4 * limits.slew + 1e-6)
        table = [self._by_channel(column) for column in (low, high, rest, slew)]
        if self.identity.calibration != calibration:  # EEPROM wears out, so only what is new
            self._write(np.stack(table, axis=1), calibration)
        ends = (column.astype(int).tolist() for column in table[:2])
        self._limits = list(zip(np.argsort(self._channels).tolist(), *ends, strict=True))

    def _write(self, table: Floats, calibration: int) -> None:
        for channel, row in enumerate(table.astype(int).tolist()):
            self._order(wire.Limits(self._session, channel, *row), "take its limits", tries=3)
        self._order(wire.Commit(self._session, calibration), "keep its limits", WRITING)
        deadline = self._link.clock.now() + WRITING
        while self._kept() != calibration:
            if self._link.clock.now() > deadline:
                raise RobotError("the board did not keep its calibration; is its EEPROM worn out?")
            self._link.clock.sleep(0.05)

    def _kept(self) -> int | None:
        """What calibration the board says it holds; asking opens a new session."""
        self._greet()
        return self.identity.calibration

    def arm(self, actuators: Collection[int]) -> BoardStatus:
        if self._limits is None:
            raise RobotError("the board has no limits yet; give it a calibration before arming.")
        bits = sum(1 << self._channels[i] for i in set(actuators))
        return self._order(wire.Arm(self._session, bits), "arm")

    def send(self, raw: Floats) -> BoardStatus:
        if self._limits is None:
            raise RobotError("the board has no limits yet; give it a calibration before moving.")
        wanted = np.asarray(raw, dtype=float).tolist()  # lists: 25 numbers are too few for arrays
        try:
            pulses = [min(max(round(4 * wanted[i]), low), high) for i, low, high in self._limits]
        except (ValueError, OverflowError):  # NaN and infinity have no nearest pulse
            raise RobotError("targets must be numbers; nothing was sent.") from None
        message = wire.Targets(self._session, tuple(pulses))
        told = self._link.ask(message, wire.Status, BRISK)
        return self._silent() if told is None else self._hear(told)

    def status(self) -> BoardStatus:
        return self._hear(self._link.demand(wire.Query(), wire.Status, PATIENCE, tries=3))

    def disarm(self) -> None:
        if not self._closed:
            self._hear(self._link.demand(wire.Disarm(self._session), wire.Status, PATIENCE, tries=3))

    def stop(self) -> None:
        self._hear(self._link.demand(wire.Stop(), wire.Status, PATIENCE, tries=3))

    def clear(self) -> BoardStatus:
        return self._order(wire.Clear(self._session), "clear its fault", tries=3)

    def close(self) -> None:
        if self._closed:
            return
        try:
            self.disarm()
        except LinkError:  # it goes limp by itself
            pass
        finally:
            self._closed = True
            self._link.close()

    def _order(
        self, message: wire.Message, what: str, patience: float = PATIENCE, tries: int = 1
    ) -> BoardStatus:
        told = self._link.demand(message, wire.Status, patience, tries)
        if told.answer == Answer.SESSION and isinstance(message, wire.Arm | wire.Clear):
            self._greet()  # the board was reset; only who arms or clears may begin anew
            message = replace(message, session=self._session)
            told = self._link.demand(message, wire.Status, patience, tries)
        status = self._hear(told)
        if told.answer != Answer.TAKEN:
            why = "; ".join(dict.fromkeys([_refusal(told), *status.faults]))
            raise RobotError(f"the board refuses to {what}: {why}. It is {status.state.name}.")
        return status

    def _hear(self, told: wire.Status) -> BoardStatus:
        self._heard, self._missed = self._link.clock.now(), 0
        faults = _words(told.faults) if told.faults else []
        if told.answer not in (Answer.TAKEN, Answer.STATE):
            faults.append(_refusal(told))
        output = np.array([told.pulses[channel] / 4 or np.nan for channel in self._channels])
        supply = told.supply / 1000
        self._told = BoardStatus(BoardState(told.state), output, tuple(faults), supply, _UNKNOWN, _UNKNOWN)
        return self._told

    def _silent(self) -> BoardStatus:
        """One lost answer is no reason to stop; but as long as the board holds without us is."""
        quiet = self._link.clock.now() - self._heard
        self._missed += 1  # counted as well, since a busy computer may sleep through one answer
        if self._missed >= _MISSES and quiet > robot_config()["safety"]["hold_after"]:
            raise LinkError(f"the board has not answered for {quiet:.2f} s; look at its cable and its power.")
        told = self._told or self.status()
        faults = (*told.faults, "the board did not answer the last targets")
        return BoardStatus(told.state, told.output, faults, told.supply, told.temperature, told.load)

    def _by_channel(self, values: Floats) -> Floats:
        out = np.empty(wire.CHANNELS)
        out[self._channels] = values
        return out


def _words(faults: int) -> list[str]:
    return [words for bit, words in _WORDS.items() if faults & bit]


def _refusal(told: wire.Status) -> str:
    try:
        return _REFUSALS.get(Answer(told.answer), "")
    except ValueError:
        return f"answer {told.answer}, which this version does not know"


def _check_firmware(ident: wire.Ident) -> None:
    if ident.version != wire.VERSION:
        raise RobotError(
            f"the board speaks version {ident.version} of the protocol and this package {wire.VERSION}; "
            "flash the firmware of this package, see real/firmware/README.md."
        )
    if ident.table != table_crc() or ident.channels != wire.CHANNELS:
        raise RobotError(
            "the board's firmware was built from other actuator tables than this package has; "
            "flash the firmware of this package, see real/firmware/README.md."
        )
