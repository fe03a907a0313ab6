"""The physical body, in one page: command -> filter -> calibration -> board; camera -> reading."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.clock import Clock, SimulatedClock
from eva_sim.contract import Face, FaceSpec, Floats, Reading
from eva_sim.errors import CopyError, EvaError, LinkError, MediaError, RenderError, RobotError
from eva_sim.forks import ForkMark
from eva_sim.holding import work_while_held
from eva_sim.priority import RunningAhead
from eva_sim.real.boards.arming import ArmingAct, ArmingActs
from eva_sim.real.boards.interface import TARGETS_STOPPED, Board, BoardIdentity, BoardState, BoardStatus
from eva_sim.real.boards.motion_rules import load_motion_rules
from eva_sim.real.boards.registry import describe_plugged
from eva_sim.real.calibration.model import Calibration, designed_face
from eva_sim.real.safety.command_filter import CLOSED, DISARMED, PROGRAM_ENDS, STOPPED, CommandFilter
from eva_sim.real.safety.cooldown import Cooldown
from eva_sim.real.safety.robot_memory import RobotMemory
from eva_sim.real.safety.shutdown import ShutdownHandler
from eva_sim.real.vision.camera_source import CameraSource
from eva_sim.real.vision.landmark_reader import LandmarkReader, RestView
from eva_sim.real.wire.firmware_table import robot_config

#: Longest time for arming on a busy computer, beyond the gaps between its groups and the way to rest [s].
_ARMING_TIME = 5.0
#: Control periods until the servos are at rest, and number of pictures from which the resting face is learnt.
_SETTLING_STEPS, _NEUTRAL_PICTURES = 4, 5
_FORKED = "this robot belongs to the parent process; open it after the fork, in the process that moves it."


class RobotFace(Face):
    """EVA with servos.

    Opening it connects, checks the calibration, and moves nothing. The first `reset` arms the robot. After a
    stop, after a fault, or after it went limp, only `arm` arms it. Ctrl-C, SIGTERM, SIGHUP and the end of the
    program disarm it.

    In real time, the thread that arms it runs ahead of other programs until `close` (`eva_sim.priority`).

    Control periods begin at whole multiples of `spec.control_dt` of the clock, as long as the caller keeps
    up, so that runs in virtual time repeat.

    Args:
        spec: the face.
        connect: opens the board, wherever it is then; called again by `arm` after the link was lost.
        clock: clock of the robot.
        calibration: returns the calibration for a board with this identity; called again by `arm`.
        camera: the camera before the face; None for a face that moves without landmarks (`found` is False).
        release: called last by `close`, to release what the connection needs.
        memory: what is known of the robot from before; None for nothing.

    Attributes:
        calibration: calibration in use.
        identity: identity of the board.
        late: number of control periods that began late because the caller was slow.

    Raises:
        RobotError: the board refuses, or is not the one the calibration was made for (`LinkError`: no board).
        DataError: there is no calibration, or it is damaged.
    """

    def __init__(
        self,
        spec: FaceSpec,
        connect: Callable[[], Board],
        clock: Clock,
        calibration: Callable[[BoardIdentity], Calibration],
        camera: CameraSource | None = None,
        release: Callable[[], None] | None = None,
        memory: RobotMemory | None = None,
    ) -> None:
        self.spec, self.late, self._made = spec, 0, ForkMark()
        self.clock: Clock = clock
        self._connect, self._find_calibration = connect, calibration
        self._period = robot_config(self.spec)["wire"]["period"]
        self._release, self._memory = release, memory or RobotMemory(SimulatedClock())
        self._lost = self._armed_once = self._closed = False
        limp_after = robot_config(self.spec)["safety"]["limp_after"]
        self._acts, self._ahead = ArmingActs(clock, limp_after), RunningAhead(clock, limp_after)
        self._board = connect()
        try:
            self._get_ready(camera)
        except BaseException:
            self._board.close()
            raise
        self._shutdown = ShutdownHandler(self._go_limp)

    def _get_ready(self, camera: CameraSource | None) -> None:
        self.identity = self._board.identity
        self.calibration = self._find_calibration(self.identity)
        self.calibration.check(self.identity)
        face = designed_face(self.spec)
        self.outer_eye, self.neutral_landmarks = self.calibration.outer_eye, face.neutral.astype(np.float32)
        self._reader = LandmarkReader(self.spec, camera, face.neutral, self.calibration.neutral_landmarks)
        self._filter = CommandFilter(self.spec, self.calibration, self.clock)
        self._cooldown = Cooldown(self.spec, self.clock)
        self._memory.recall(self.identity.robot_id, self._filter, self._cooldown)
        self._status, self._position = self._board.status(), self.spec.neutral
        self._raw = self.calibration.limits.rest
        self._due = self._start = self.clock.now()

    def reset(self, seed: int | None = None) -> Reading:
        """Glides to neutral and reads. The first call arms if the board has no fault; later calls never arm.

        A robot that is limp, stopped or in fault stays so; the reading's `faults` give the reason.
        """
        self._check_open()
        if not self._armed_once and not self._filter.faults:
            self._first_arm()
        if not self._filter.faults:
            self._glide()
        self._start = self.clock.now()
        return self._read()

    def move(self, command: ArrayLike) -> Reading:
        """Sends one command, after the filter's limits, for one control period, and reads.

        Raises:
            CommandError: malformed; nothing was sent.
            RobotError: the robot is not armed, or no longer: look at it, then call `arm`.
        """
        self._check_open()
        if self._filter.faults or not self._armed_once:
            reason = "; ".join(self._filter.faults) or "it was never armed"
            advice = self._ahead.priority_advice if TARGETS_STOPPED in reason else ""
            raise RobotError(f"the robot does not move: {reason}. Look at it, then call arm().{advice}")
        self._go(self._filter.command(command))
        return self._read()

    def __reduce__(self) -> NoReturn:
        """Refuses to be copied or pickled: there is one robot.

        Raises:
            CopyError: always.
        """
        raise CopyError(
            "a robot cannot be copied or pickled, because there is only one; give the other process the "
            "arguments of make_face and open it there."
        )

    def arm(self) -> None:
        """Arms a robot that is limp, stopped or in fault; reconnects if the link was lost.

        This is the only way to move again after a stop or a fault, so look at the robot first. It starts at
        rest.

        Raises:
            RobotError: the board refuses; the cause of a fault is still there; another robot is at the port;
                the calibration has changed; a stop came meanwhile; or a pause after faults is not over.
            DataError: the file of the calibration was removed or damaged.
        """
        self._check_open()
        self._ahead.begin()
        act = self._acts.begin_act()
        if after_fault := self._filter.in_fault or self._cooldown.in_fault:
            self._cooldown.check()
        if self._lost or not self._answers() or not self._board.can_be_armed:
            self._reconnect()
        self.calibration.check_unchanged(self._find_calibration(self.identity))
        self._filter.check_cool()
        self._status = self._exchange(self._arm_board, act)
        self._armed_once = True
        self._cooldown.armed(after_fault)
        self._filter.begin()
        self._raw, self._position = self.calibration.limits.rest, self.spec.neutral
        self._await_armed()

    def disarm(self) -> None:
        """Makes the robot limp at once, until `arm`. May be called at any time, also twice."""
        self._end_act(DISARMED)
        self._status = self._exchange(self._end_motion, self._board.disarm)

    def stop(self) -> None:
        """Emergency stop: limp, and latched on the board as well, until `arm`."""
        self._end_act(STOPPED)
        self._status = self._exchange(self._end_motion, self._board.stop)

    def hold_still(self) -> None:
        """Tells an armed robot to stay where it is. It never arms; the next `move` tells what went wrong.

        A robot is held for `held_for` of robot.toml after its last command; then it goes limp by silence.
        """
        self._check_open()
        held_for = robot_config(self.spec)["safety"]["held_for"]
        if self._armed_once and not self._filter.faults and self.clock.now() < self._due + held_for:
            with contextlib.suppress(LinkError):
                self._send(self._raw)
                self._filter.note_held()
                self._disarm_on_fault()
        self._shutdown.act_on_waiting_signal()

    def render(self, size: int) -> NDArray[np.uint8]:
        """The middle of the newest picture, uint8 (size, size, 3)."""
        self._made.check(RobotError, _FORKED)
        try:
            with self._shutdown:
                return work_while_held(self, lambda: self._reader.render(size))
        except MediaError as error:
            raise RenderError(str(error)) from error

    def describe(self) -> dict[str, Any]:
        identity = self.identity
        return {
            "kind": identity.kind, "robot": identity.robot_id, "version": identity.version,
            "calibration": self.calibration.crc, "calibration_file": self.calibration.to_json(),
        }  # fmt: skip

    def close(self) -> None:
        if self._closed or self._made.crossed:  # a forked child leaves its parent's robot alone
            return
        self._closed = True
        with self._shutdown:
            self._board.close()
        self._shutdown.close()
        self._filter.latch(CLOSED)  # limp from now on
        self._remember()
        self._reader.close()
        self._ahead.end()
        if self._release is not None:
            self._release()

    def _remember(self) -> None:
        self._memory.keep(self.identity.robot_id, self._filter, self._cooldown)

    def _first_arm(self) -> None:
        """Arms at the first reset, unless the board is stopped or in fault already."""
        self._status = self._exchange(self._board.status)
        if self._status.state in (BoardState.STOPPED, BoardState.FAULT):
            self._filter.check_status(self._status)
        else:
            self.arm()

    def _arm_board(self, act: ArmingAct) -> BoardStatus:
        act.check_usable()  # before a latched stop is cleared
        status = self._board.status()
        if status.state in (BoardState.STOPPED, BoardState.FAULT):
            self._board.clear()
        elif status.state != BoardState.LIMP:
            self._board.disarm()
        self._board.configure(self.calibration.limits, self.calibration.crc)
        return self._board.arm(range(len(self.spec)), act)

    def _end_act(self, reason: str) -> None:
        """Ends the act of arming, whichever board it reaches, also while another thread still arms."""
        self._filter.latch(reason)
        self._acts.end(reason)

    def _end_motion(self, end: Callable[[], None]) -> BoardStatus:
        end()
        return self._board.status()

    def _answers(self) -> bool:
        """Whether the board still answers: it may have been unplugged while nothing was sent."""
        with contextlib.suppress(LinkError):
            self._exchange(self._board.status)
        return not self._lost

    def _reconnect(self) -> None:
        """Connects to the same robot again, wherever its port is now. It stays limp."""
        with contextlib.suppress(EvaError):
            self._board.close()
        board = self._connect()
        try:
            self.identity.check_same(board.identity)
        except BaseException:
            board.close()
            raise
        self._board, self.identity, self._lost = board, board.identity, False

    def _await_armed(self) -> None:
        """Sends the rest position until all groups are armed; arming pauses in a hold."""
        safety = robot_config(self.spec)["safety"]
        limits = self.calibration.limits
        way = float(((limits.high - limits.low) / load_motion_rules(self.spec).arming_slew(limits)).max())
        gaps = len(safety["arm_groups"]) * safety["arm_gap"]
        deadline = self.clock.now() + gaps + way * self._period + _ARMING_TIME
        while self._status.state in (BoardState.ARMING, BoardState.HOLD) and self.clock.now() < deadline:
            with self._shutdown:
                self._send(self._raw)
                self.clock.sleep(self._period)
        self._filter.check_status(self._status)
        if self._status.state != BoardState.ACTIVE:
            self._filter.latch(f"not armed: the board is {self._status.state.name.lower()}")
            raise RobotError(f"the robot could not be armed: {'; '.join(self._filter.faults)}.")
        self._due = np.ceil(self.clock.now() / self.spec.control_dt - 1e-6) * self.spec.control_dt
        self.clock.sleep(self._due - self.clock.now())

    def _glide(self) -> None:
        """Moves to neutral and waits for the servos; learns the resting face if it is not known."""
        while not self._filter.faults and np.abs(self._filter.sent - self.spec.neutral).max() > 1e-6:
            self._go(self._filter.command(self.spec.neutral))
        new = not self._reader.knows_neutral
        steps = _SETTLING_STEPS + (_NEUTRAL_PICTURES if new else 0)
        views = [view for left in range(steps, 0, -1) for view in self._rest_step(new or left == 1)]
        if not self._filter.faults:  # the last pictures are of a face that has settled
            self._reader.learn_rest(views[-_NEUTRAL_PICTURES:] if new else views[-1:])

    def _rest_step(self, look: bool) -> list[RestView]:
        """One control period at neutral; returns the face in the camera's picture, if that is asked for."""
        if not self._filter.faults:
            self._go(self._filter.command(self.spec.neutral))
        with self._shutdown:
            return work_while_held(self, self._reader.view_rest) if look and self._reader.has_camera else []

    def _go(self, sent: NDArray[np.float32]) -> None:
        """One control period: one target per wire period, interpolated from the last command to this one."""
        if self._filter.faults:  # the limits found a servo too hot
            self._disarm_on_fault()
        self._keep_pace()
        begin, self._raw = self._raw, self.calibration.to_raw(sent)
        count = round(self.spec.control_dt / self._period)
        for n in range(1, count + 1):
            with self._shutdown:
                if not self._filter.faults:
                    self._send(begin + (self._raw - begin) * (n / count))
                    self._disarm_on_fault()
                self.clock.sleep(self._due + n * self._period - self.clock.now())
        self._due += self.spec.control_dt

    def _keep_pace(self) -> None:
        """Lets a caller that is a little late catch up; for one that is later, a new period begins now."""
        now = self.clock.now()
        if now > self._due + self._period:
            self.late += 1
            self._due = now

    def _send(self, raw: Floats) -> None:
        self._status = self._exchange(self._board.send, raw)

    def _disarm_on_fault(self) -> None:
        """Makes the robot limp if the filter finds a fault in the status."""
        may_move = self._status.state in (BoardState.ACTIVE, BoardState.HOLD)
        was_well = not self._filter.faults
        faults = self._filter.check_status(self._status)
        if faults and may_move:
            self.disarm()
        if faults and (may_move or was_well):
            self._remember()  # the program may end without closing the robot

    def _exchange(self, action: Callable[..., BoardStatus], *arguments: Any) -> BoardStatus:
        """Runs an exchange with the board, which signals do not break off; notes a lost link."""
        self._made.check(RobotError, _FORKED)
        try:
            with self._shutdown, self._ahead.lending_priority():
                return action(*arguments)
        except LinkError as error:
            self._lost = True
            self._filter.latch(f"link lost: {error}")
            raise

    def _read(self) -> Reading:
        with self._shutdown:
            now, sent = self.clock.now(), self._filter.sent
            observation = work_while_held(self, lambda: self._reader.read(now, sent))
        output = self.calibration.to_command(self._status.output)
        back = describe_plugged(self._connect) if self._lost else ()
        faults = (*self._filter.faults, *self._status.faults, *self._filter.slowed, *back)
        known = np.isfinite(output)  # a limp servo keeps its last known position
        self._position = np.where(known, output, self._position).astype(np.float32)
        return Reading(
            time=self.clock.now() - self._start,
            sent=self._filter.sent.copy(),
            position=self._position.copy(),
            measured=self.identity.measured,
            landmarks=observation.landmarks.copy(),
            found=observation.found,
            image=observation.image,
            faults=tuple(dict.fromkeys((*faults, *observation.faults))),
            temperature=self._status.temperature_or(self._filter.temperature),
            telemetry=self._status.to_telemetry(self._raw, observation.time),
        )

    def _go_limp(self) -> None:
        """The action of the shutdown handler; never raises."""
        self._end_act(PROGRAM_ENDS)
        with contextlib.suppress(Exception):
            self._board.disarm()
            self._remember()

    def _check_open(self) -> None:
        self._made.check(RobotError, _FORKED)
        if self._closed:
            raise RobotError("this robot was closed; open it again.")
