"""The physical body, in one page: command -> guard -> calibration -> board; camera -> reading."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.clock import Clock
from eva_sim.contract import Face, Floats, Reading, load_spec
from eva_sim.errors import EvaError, LinkError, MediaError, RenderError, RobotError
from eva_sim.real.boards.interface import Board, BoardIdentity, BoardState, BoardStatus
from eva_sim.real.calibration.model import Calibration, designed_face
from eva_sim.real.safety.command_filter import CommandFilter
from eva_sim.real.safety.shutdown import ShutdownHandler
from eva_sim.real.vision.camera_source import CameraSource
from eva_sim.real.vision.landmark_reader import LandmarkReader
from eva_sim.real.wire.firmware_table import robot_config

#: How long arming may take beyond the gaps between its groups [s].
_ARMING = 1.0
#: Control periods until a servo that was told to rest does, and sights that teach what rest looks like.
_SETTLE, _SIGHTS = 4, 5


class RobotFace(Face):
    """EVA with servos.

    Opening it connects, checks the calibration, and moves nothing. The first `reset` arms: whoever opens a
    robot and resets it wants it to move. After a stop, a fault or whenever it went limp, only `arm` arms.
    Ctrl-C, SIGTERM and the end of the program disarm it.

    Time is that of `clock`. Control periods begin at whole multiples of `spec.control_dt` of it, while the
    caller keeps up, so that runs in virtual time repeat.

    Args:
        connect: opens the board; called again when the link was lost and `arm` is called.
        clock: by which the robot lives.
        calibration: of a board with this identity.
        eye: the camera; None for a face that moves but sees nothing (`found` is False then).
        release: called last by `close`, to let go of what the connection needs.

    Attributes:
        calibration: in use.
        identity: of the board.
        late: control periods that began late because the caller was slow.

    Raises:
        RobotError: the board refuses, or is not the one the calibration was made for (`LinkError`: no board).
        DataError: there is no calibration, or it is damaged.
    """

    def __init__(
        self,
        connect: Callable[[], Board],
        clock: Clock,
        calibration: Callable[[BoardIdentity], Calibration],
        eye: CameraSource | None = None,
        release: Callable[[], None] | None = None,
    ) -> None:
        self.spec, self.late = load_spec(), 0
        self.clock: Clock = clock
        self._connect, self._find, self._period = (
            connect,
            calibration,
            robot_config(self.spec)["wire"]["period"],
        )
        self._release = release
        self._lost = self._armed_once = self._closed = False
        self._board = connect()
        try:
            self._get_ready(eye)
        except BaseException:
            self._board.close()
            raise
        self._will = ShutdownHandler(self._go_limp)

    def _get_ready(self, eye: CameraSource | None) -> None:
        self.calibration = self._find(self._board.identity)
        self.identity = self._board.identity
        self.calibration.check(self.identity)
        face = designed_face()
        self.outer_eye, self.neutral_landmarks = self.calibration.outer_eye, face.neutral.astype(np.float32)
        self._gaze = LandmarkReader(eye, face.neutral, self.calibration.neutral_landmarks)
        self._guard = CommandFilter(self.spec, self.calibration)
        self._status, self._position = self._board.status(), self.spec.neutral
        self._raw = self.calibration.limits.rest
        self._due = self._start = self.clock.now()

    def reset(self, seed: int | None = None) -> Reading:
        """Glides to neutral and reads. The first one arms, if the board is well; later ones never do.

        A robot that is limp, stopped or in fault stays so: the reading's `faults` say why.
        """
        self._check_open()
        if not self._armed_once and not self._guard.faults:
            self._first_arm()
        if not self._guard.faults:
            self._glide()
        self._start = self.clock.now()
        return self._read()

    def move(self, command: ArrayLike) -> Reading:
        """Sends one command, as the guard lets it through, for one control period, and reads.

        Raises:
            CommandError: malformed; nothing was sent.
            RobotError: the robot is not armed, or no longer: look at it, then call `arm`.
        """
        self._check_open()
        if self._guard.faults or not self._armed_once:
            why = "; ".join(self._guard.faults) or "it was never armed"
            raise RobotError(f"the robot does not move: {why}. Look at it, then call arm().")
        self._go(self._guard.command(command))
        return self._read()

    def arm(self) -> None:
        """Arms, wherever it was limp, stopped or in fault before; connects anew if the link was lost.

        The one way back after anything happened, so look at the robot first. It starts at rest.

        Raises:
            RobotError: the board refuses, for example because the cause of a fault is still there.
        """
        self._check_open()
        if self._lost:
            self._reconnect()
        self._status = self._talk(self._arm_board)
        self._armed_once = True
        self._guard.begin()
        self._raw, self._position = self.calibration.limits.rest, self.spec.neutral
        self._await_armed()

    def disarm(self) -> None:
        """Limp at once, until `arm`. May be called at any time, also twice."""
        self._guard.latch("disarmed")
        self._status = self._talk(self._ended_by, self._board.disarm)

    def stop(self) -> None:
        """Emergency stop: limp, and latched on the board too, until `arm`."""
        self._guard.latch("stopped")
        self._status = self._talk(self._ended_by, self._board.stop)

    def render(self, size: int) -> NDArray[np.uint8]:
        """The middle of the newest picture, uint8 (size, size, 3)."""
        try:
            with self._will:
                return self._gaze.render(size)
        except MediaError as error:
            raise RenderError(str(error)) from error

    def describe(self) -> dict[str, Any]:
        identity = self.identity
        return {
            "kind": identity.kind, "robot": identity.robot_id, "version": identity.version,
            "calibration": self.calibration.crc,
        }  # fmt: skip

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._will.close()
        self._board.close()
        self._gaze.close()
        if self._release is not None:
            self._release()

    def _first_arm(self) -> None:
        """Opening was consent, but not to end a stop or a fault that was there before."""
        self._status = self._board.status()
        if self._status.state in (BoardState.STOPPED, BoardState.FAULT):
            self._guard.watch(self._status)
        else:
            self.arm()

    def _arm_board(self) -> BoardStatus:
        status = self._board.status()
        if status.state in (BoardState.STOPPED, BoardState.FAULT):
            self._board.clear()
        elif status.state != BoardState.LIMP:
            self._board.disarm()
        self._board.configure(self.calibration.limits, self.calibration.crc)
        return self._board.arm(range(len(self.spec)))

    def _ended_by(self, end: Callable[[], None]) -> BoardStatus:
        end()
        return self._board.status()

    def _reconnect(self) -> None:
        with contextlib.suppress(EvaError):
            self._board.close()
        self._board = self._connect()
        self.calibration.check(self._board.identity)
        self._lost = False

    def _await_armed(self) -> None:
        """Keeps telling the board to rest until all groups are armed."""
        safety = robot_config(self.spec)["safety"]
        deadline = self.clock.now() + len(safety["arm_groups"]) * safety["arm_gap"] + _ARMING
        while self._status.state == BoardState.ARMING and self.clock.now() < deadline:
            with self._will:
                self._send(self._raw)
                self.clock.sleep(self._period)
        self._guard.watch(self._status)
        if self._status.state != BoardState.ACTIVE:
            self._guard.latch(f"not armed: the board is {self._status.state.name.lower()}")
            raise RobotError(f"the robot could not be armed: {'; '.join(self._guard.faults)}.")
        # Periods begin at whole multiples from here on.
        self._due = np.ceil(self.clock.now() / self.spec.control_dt - 1e-6) * self.spec.control_dt
        self.clock.sleep(self._due - self.clock.now())

    def _glide(self) -> None:
        """To neutral, however far, then until the servos are there; learns what rest looks like."""
        while not self._guard.faults and np.abs(self._guard.sent - self.spec.neutral).max() > 1e-6:
            self._go(self._guard.command(self.spec.neutral))
        for _ in range(_SETTLE):
            self._rest()
        if not (self._gaze.knows_rest or self._guard.faults):
            self._gaze.learn([points for _ in range(_SIGHTS) for points in self._rest()])

    def _rest(self) -> list[Floats]:
        """One control period at neutral; what the camera saw then, if anything."""
        if not self._guard.faults:
            self._go(self._guard.command(self.spec.neutral))
        if self._gaze.knows_rest:
            return []
        with self._will:
            points = self._gaze.points()
        return [] if points is None else [points]

    def _go(self, sent: NDArray[np.float32]) -> None:
        """One control period: targets between the last command and this one, one each wire period."""
        self._keep_pace()
        begin, self._raw = self._raw, self.calibration.to_raw(sent)
        count = round(self.spec.control_dt / self._period)
        for n in range(1, count + 1):
            with self._will:
                if not self._guard.faults:
                    self._send(begin + (self._raw - begin) * (n / count))
                    self._obey()
                self.clock.sleep(self._due + n * self._period - self.clock.now())
        self._due += self.spec.control_dt

    def _keep_pace(self) -> None:
        """A caller a little late catches up; one that is later begins a new count."""
        now = self.clock.now()
        if now > self._due + self._period:
            self.late += 1
            self._due = now

    def _send(self, raw: Floats) -> None:
        self._status = self._talk(self._board.send, raw)

    def _obey(self) -> None:
        """What the guard cannot allow ends in a limp robot."""
        if self._guard.watch(self._status) and self._status.state in (BoardState.ACTIVE, BoardState.HOLD):
            self.disarm()

    def _talk(self, action: Callable[..., BoardStatus], *given: Any) -> BoardStatus:
        """Asks the board something, not broken off by signals; remembers it if the link is lost."""
        try:
            with self._will:
                return action(*given)
        except LinkError as error:
            self._lost = True
            self._guard.latch(f"link lost: {error}")
            raise

    def _read(self) -> Reading:
        with self._will:
            seen = self._gaze()
        output = self.calibration.to_command(self._status.output)
        known = np.isfinite(output)  # a limp servo is where it was, as far as one knows
        self._position = np.where(known, output, self._position).astype(np.float32)
        return Reading(
            time=self.clock.now() - self._start,
            sent=self._guard.sent.copy(),
            position=self._position.copy(),
            measured=self.identity.measured,
            landmarks=seen.landmarks.copy(),
            found=seen.found,
            image=seen.image,
            faults=tuple(dict.fromkeys([*self._guard.faults, *self._status.faults, *seen.faults])),
        )

    def _go_limp(self) -> None:
        """The last will: never raises, since nobody is there to hear it."""
        self._guard.latch("disarmed by a signal, or because the program ends")
        with contextlib.suppress(Exception):
            self._board.disarm()

    def _check_open(self) -> None:
        if self._closed:
            raise RobotError("this robot was closed; open it again.")
