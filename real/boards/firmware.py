"""Our firmware on a microcontroller with two PCA9685: `Board` over the wire protocol."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import SEE_DOCTOR, LinkError, NoAnswerError, RobotError
from eva_sim.real.boards.arming import ArmingAct
from eva_sim.real.boards.interface import (
    DRIVEN,
    TARGETS_STOPPED,
    Board,
    BoardIdentity,
    BoardLimits,
    BoardState,
    BoardStatus,
)
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.firmware_table import robot_config, table_crc
from eva_sim.real.wire.link import Link
from eva_sim.real.wire.protocol import Answer, Fault

#: Longest time that an answer may take [s]: to a message that may be repeated, and to targets, which are sent
#: every wire period.
PATIENCE, TARGETS_PATIENCE = 0.1, 0.014
#: Writing all limits to EEPROM takes a few milliseconds a byte [s].
WRITING = 3.0
#: A board that resets when its port is opened is in its boot loader for a second or two.
HELLO_TRIES, HELLO_PATIENCE = 20, 0.2

_FAULTS = {
    Fault.SUPPLY: "the servo supply sagged",
    Fault.BUS: "a servo driver does not answer",
    Fault.WATCHDOG: "the board's last reset came from its watchdog",
    Fault.SILENCE: f"{TARGETS_STOPPED} coming",
    Fault.UNCALIBRATED: "the board holds no calibration",
    Fault.CLAMPED: "the board clamped a target",
}
_REFUSALS = {
    Answer.WRONG_SESSION: "the board was reset, which ended its session",
    Answer.STALE: "the board rejected a message as an old one",
    Answer.WRONG_STATE: "the board is in another state",
    Answer.BAD_VALUE: "a value is outside the limits in the board's flash",
    Answer.NOT_CALIBRATED: "the board holds no calibration",
}
#: Reports of a takeover, to the program that took the board over and to the one that lost it.
TOOK_OVER = (
    "the board was moving when this program connected: another program had it, or this one a moment ago"
)
TAKEN_OVER = "another program has taken the board over; end one of the two, then arm again"
NOISY_BUS = (
    "a write to the servo drivers had to be repeated: keep the I2C wires short and away from servo leads"
)
#: A new board keeps its first session numbers before it opens a session [s].
_SESSION_PAUSE, _SESSION_TRIES = 0.05, 40


class FirmwareBoard(Board):
    """A board with our firmware.

    Args:
        spec: the face.
        link: link to the board; `close` closes it.

    Raises:
        LinkError: no board answers.
        RobotError: other firmware, or firmware that was compiled for other tables.
    """

    def __init__(self, spec: FaceSpec, link: Link) -> None:
        safety = robot_config(spec)["safety"]
        super().__init__(link.clock, safety["hold_after"], safety["limp_after"])
        self._tries = math.ceil(
            safety["limp_after"] / PATIENCE
        )  # of a message, until the board counts as gone
        self._spec, self._link = spec, link
        self._channels = spec.column("channel").astype(int).tolist()
        self._unknown = np.full(len(spec), np.nan)
        self._supply = safety["supply_low"], safety["supply_high"]
        #: For each channel, once configured: index of its actuator, and its limits in quarters of a us.
        self._limits: list[tuple[int, int, int]] | None = None
        self._repeats, self._closed, self._took_over = 0, False, False
        link.expect_channels(len(spec))
        self._open_session()

    def _open_session(self) -> None:
        """Opens a session, which makes the board limp."""
        hello = wire.Hello()
        for _ in range(_SESSION_TRIES):
            self._ident = self._link.demand(hello, wire.Ident, HELLO_PATIENCE, HELLO_TRIES)
            _check_firmware(self._spec, self._ident)
            if self._ident.session:
                break
            self._link.clock.sleep(_SESSION_PAUSE)
        else:
            raise RobotError("the board cannot keep session numbers; its EEPROM is worn out, so replace it.")
        self._session = self._ident.session
        self._took_over = self._took_over or self._ident.before in DRIVEN
        self.identity = BoardIdentity(
            kind="firmware",
            robot_id=self._ident.robot.hex(),
            version=_describe_version(self._ident),
            calibration=self._ident.calibration or None,
            unit="us",
            measured=False,
            watchdog="board",
        )

    def configure(self, limits: BoardLimits, calibration: int) -> None:
        low, high = (np.ceil(4 * limits.low - 1e-6), np.floor(4 * limits.high + 1e-6))
        rest, slew = np.clip(np.round(4 * limits.rest), low, high), np.floor(4 * limits.slew + 1e-6)
        table = [self._by_channel(column) for column in (low, high, rest, slew)]
        if self.identity.calibration != calibration:  # EEPROM wears out, so only new limits are written
            self._write(np.stack(table, axis=1), calibration)
        ends = (column.astype(int).tolist() for column in table[:2])
        self._limits = list(zip(np.argsort(self._channels).tolist(), *ends, strict=True))

    def _write(self, table: Floats, calibration: int) -> None:
        for channel, row in enumerate(table.astype(int).tolist()):
            self._request(wire.Limits(self._session, channel, *row), "take its limits")
        self._request_once(wire.Commit(self._session, calibration), "keep its limits", WRITING)
        deadline = self._link.clock.now() + WRITING
        while self._stored_calibration() != calibration:
            if self._link.clock.now() > deadline:
                raise RobotError("the board did not keep its calibration; is its EEPROM worn out?")
            self._link.clock.sleep(0.05)

    def _stored_calibration(self) -> int | None:
        """CRC of the calibration that the board holds; reading it opens a new session."""
        self._open_session()
        return self.identity.calibration

    def _arm(self, actuators: Collection[int], act: ArmingAct) -> BoardStatus:
        if self._limits is None:
            raise RobotError("the board has no limits yet; give it a calibration before arming.")
        bits = sum(1 << self._channels[i] for i in set(actuators))
        self._use(act)
        return self._request_once(wire.Arm(self._session, bits), "arm", self.limp_after)

    def _send(self, raw: Floats, began: float) -> BoardStatus:
        if self._limits is None:
            raise RobotError("the board has no limits yet; give it a calibration before moving.")
        wanted = np.asarray(raw, dtype=float).tolist()  # lists cost less than arrays for so few numbers
        try:
            pulses = [min(max(round(4 * wanted[i]), low), high) for i, low, high in self._limits]
        except (ValueError, OverflowError):  # NaN and infinity have no nearest pulse
            raise RobotError("targets must be numbers; nothing was sent.") from None
        if self._act:
            self._act.renew(began)
        message = wire.Targets(self._session, tuple(pulses))
        patience = self._silence.patience(TARGETS_PATIENCE)
        answer = self._link.ask(message, wire.Status, patience, late=self.limp_after)
        if answer is None:
            raise NoAnswerError("the board did not answer the last targets in time.")
        return self._update(answer)

    def status(self) -> BoardStatus:
        return self._update(self._link.demand(wire.Query(), wire.Status, PATIENCE, self._tries))

    def _disarm(self) -> None:
        if not self._closed:
            self._make_limp(wire.Disarm())

    def _stop(self) -> None:
        self._make_limp(wire.Stop())

    def _make_limp(self, message: wire.Message) -> None:
        """Also makes a board limp that another program has taken over; that program learns of it."""
        answer = self._link.demand(message, wire.Status, PATIENCE, self._tries)
        if answer.state in DRIVEN:
            raise RobotError(
                f"the board does not obey {type(message).__name__.upper()}: it is "
                f"{BoardState(answer.state).name}; switch the servo supply off."
            )
        self._describe(answer)

    def clear(self) -> BoardStatus:
        return self._request(wire.Clear(self._session), "clear its fault")

    def close(self) -> None:
        if self._closed:
            return
        try:
            if self._is_mine():  # a board that another program has taken over is left to it
                self.disarm()
        except LinkError:  # it goes limp by itself
            pass
        finally:
            self._closed = True
            self._link.close()

    def _is_mine(self) -> bool:
        """Whether no other program is known to have taken the board over."""
        answer = self._link.ask(wire.Query(), wire.Status, PATIENCE)
        return answer is None or answer.session in (self._session, 0)

    def _request(self, message: wire.Message, action: str) -> BoardStatus:
        """Sends a message that may arrive twice, until the board answers or counts as gone."""
        return self._demand(message, action, PATIENCE, self._tries)

    def _request_once(self, message: wire.Message, action: str, patience: float) -> BoardStatus:
        """Sends a message that may not arrive twice."""
        return self._demand(message, action, patience, 1)

    def _demand(self, message: wire.Message, action: str, patience: float, tries: int) -> BoardStatus:
        answer = self._link.demand(message, wire.Status, patience, tries)
        if not answer.session and isinstance(message, wire.Arm | wire.Clear):
            self._open_session()  # the board was reset; only arming and clearing may begin a new session
            message = replace(message, session=self._session)
            answer = self._link.demand(message, wire.Status, patience, tries)
        status = self._update(answer)
        if answer.answer != Answer.TAKEN:
            reasons = "; ".join(dict.fromkeys([self._refusal(answer), *status.faults]))
            raise RobotError(f"the board refuses to {action}: {reasons}. It is {status.state.name}.")
        return status

    def _update(self, answer: wire.Status) -> BoardStatus:
        """The status of an answer.

        Raises:
            LinkError: the answer belongs to the session of another program.
        """
        if answer.session not in (self._session, 0):
            raise LinkError(f"{TAKEN_OVER}.")
        return self._describe(answer)

    def _describe(self, answer: wire.Status) -> BoardStatus:
        faults = self._describe_faults(answer)
        if answer.answer not in (Answer.TAKEN, Answer.WRONG_STATE):
            faults.append(self._refusal(answer))
        output = np.array([answer.pulses[channel] / 4 or np.nan for channel in self._channels])
        state, supply, time = BoardState(answer.state), answer.supply / 1000, answer.uptime / 1000
        return BoardStatus(state, output, tuple(faults), supply, self._unknown, self._unknown, time)

    def _describe_faults(self, status: wire.Status) -> list[str]:
        faults = [description for bit, description in _FAULTS.items() if status.faults & bit]
        if status.faults & Fault.OVERVOLTAGE:
            faults.append(f"the servo supply was above {self._supply[1]:g} V")
        if self._took_over:
            faults.append(TOOK_OVER)
        if status.repeats > self._repeats:
            faults.append(NOISY_BUS)
        self._repeats = status.repeats
        return faults

    def _refusal(self, status: wire.Status) -> str:
        if status.answer == Answer.BAD_SUPPLY:
            low, high = self._supply
            return f"the servo supply is {status.supply / 1000:.2f} V and must be {low:g} to {high:g} V"
        try:
            return _REFUSALS.get(Answer(status.answer), "")
        except ValueError:
            return f"answer {status.answer}, which this version does not know"

    def _by_channel(self, values: Floats) -> Floats:
        out = np.empty(len(self._spec))
        out[self._channels] = values
        return out


def _describe_version(ident: wire.Ident) -> str:
    chip = ident.chip.rstrip(b"\0").decode("ascii", "replace")
    return f"{ident.major}.{ident.minor} on {chip}, build {ident.build:08x}"


def _check_firmware(spec: FaceSpec, ident: wire.Ident) -> None:
    if ident.version != wire.VERSION:
        raise RobotError(
            f"the board uses version {ident.version} of the protocol, and this package {wire.VERSION}; "
            f"flash the firmware of this package, see real/firmware/README.md. {SEE_DOCTOR}"
        )
    if ident.table != table_crc(spec) or ident.channels != len(spec):
        raise RobotError(
            "the board's firmware was compiled for other tables than those of this face; "
            f"flash the firmware of this package, see real/firmware/README.md. {SEE_DOCTOR}"
        )
