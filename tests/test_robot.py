"""`RobotFace` over the mock: what it does when all is well, and all that may go wrong.

A watcher on the plant's side of the board asserts limits, slew and rest in every test.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from eva_sim import make_face
from eva_sim.contract import Face, FaceSpec
from eva_sim.errors import CommandError, DataError, EvaError, LinkError, MediaError, RenderError, RobotError
from eva_sim.real import protocol as wire
from eva_sim.real.bodies import open_on
from eva_sim.real.boards.base import State
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.calibration import Calibration
from eva_sim.real.camera import Eye, Sight
from eva_sim.real.link import Link
from eva_sim.real.mock import Mock
from eva_sim.real.robot import RobotFace
from tests.test_link import Filter
from tests.watch import ROBOT, Watcher


@pytest.fixture
def mock() -> Mock:
    return Mock()


@pytest.fixture
def watcher(mock: Mock) -> Iterator[Watcher]:
    """Fails the test if a pulse did what it must not."""
    watching = Watcher(mock)
    yield watching
    assert watching.wrong == []
    assert watching.events > 0


@pytest.fixture
def face(mock: Mock, watcher: Watcher) -> Iterator[RobotFace]:
    """A robot without a camera."""
    with open_on(mock, size=None) as opened:
        yield opened


@pytest.fixture
def board(mock: Mock, watcher: Watcher) -> FirmwareBoard:
    return armed(FirmwareBoard(Link(mock.port, mock.clock)), mock)


def armed(board: FirmwareBoard, mock: Mock) -> FirmwareBoard:
    calibration = Calibration.nominal(board.identity.robot)
    board.configure(calibration.limits, calibration.crc)
    board.arm(range(25))
    for _ in range(20):
        mock.clock.sleep(0.02)
        board.send(calibration.limits.rest)
    assert board.status().state == State.ACTIVE
    return board


REST = Calibration.nominal().limits.rest


def play(face: Face, commands: np.ndarray) -> list[Any]:
    return [face.move(command) for command in commands]


def wild(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 25)).astype(np.float32)


# When all is well.


def test_opening_moves_nothing_and_reset_arms(face: RobotFace, mock: Mock, watcher: Watcher) -> None:
    assert watcher.events == 0
    reading = face.reset()
    assert reading.faults == ()
    assert reading.time == 0
    assert np.array_equal(reading.sent, face.spec.neutral)
    assert reading.position == pytest.approx(face.spec.neutral, abs=1e-3)
    assert not reading.measured
    assert mock.pulses == pytest.approx(watcher.rest, abs=0.25)


def test_groups_are_armed_apart(face: RobotFace, watcher: Watcher) -> None:
    starts: dict[int, float] = {}
    kinds = [a.kind for a in sorted(face.spec.actuators, key=lambda a: a.channel)]

    def note(time: float, channel: int, width: float) -> None:
        starts.setdefault(channel, time)

    face_machine(face).listen(note)
    face.reset()
    by_group = [
        {round(starts[c], 3) for c, kind in enumerate(kinds) if kind in group}
        for group in ROBOT["safety"]["arm_groups"]
    ]
    assert [len(times) for times in by_group] == [1, 1, 1, 1]
    gaps = np.diff([*map(min, by_group)])
    assert (gaps >= ROBOT["safety"]["arm_gap"] - 1e-6).all()


def face_machine(face: RobotFace) -> Any:
    """The mock under a face that `open_on` opened."""
    return face._release.__self__  # type: ignore[union-attr]


def test_any_commands_keep_limits_slew_and_pairs(face: RobotFace, mock: Mock, watcher: Watcher) -> None:
    before = face.reset()
    for reading in play(face, wild(150)):
        assert reading.faults == ()  # the board never had to clamp
        # The board told its pulses in the middle of the period.
        assert reading.position == pytest.approx((before.sent + reading.sent) / 2, abs=5e-3)
        before = reading
    assert face.late == 0
    assert reading.time == pytest.approx(150 * face.spec.control_dt)


def test_targets_come_every_wire_period(face: RobotFace, mock: Mock) -> None:
    sent: list[float] = []
    whole = mock.firmware._targets
    mock.firmware._targets = lambda m: (sent.append(mock.clock.now()), whole(m))[1]  # type: ignore[method-assign]
    face.reset()
    sent.clear()
    play(face, wild(10))
    assert np.diff(sent) == pytest.approx(np.full(19, ROBOT["wire"]["period"]))


def test_reset_glides_back(face: RobotFace, watcher: Watcher) -> None:
    face.reset()
    play(face, wild(20))
    reading = face.reset()
    assert reading.position == pytest.approx(face.spec.neutral, abs=1e-3)
    assert reading.time == 0


def test_a_malformed_command_sends_nothing(face: RobotFace) -> None:
    face.reset()
    before = face_machine(face).clock.now()
    for bad in (np.full(25, np.nan), np.full(25, 1.5), np.zeros(24), "joy"):
        with pytest.raises(CommandError):
            face.move(bad)
    assert face_machine(face).clock.now() == before  # not even time has passed
    assert face.move(face.spec.neutral).faults == ()


def test_a_robot_has_no_past_to_go_back_to(face: RobotFace) -> None:
    face.reset()
    for ask in (face.save, lambda: face.restore(None)):
        with pytest.raises(RobotError, match="back in time"):
            ask()
    with pytest.raises(RenderError, match="without a camera"):
        face.render(64)


def test_closing_leaves_it_limp(face: RobotFace, watcher: Watcher) -> None:
    face.reset()
    assert not watcher.limp
    face.close()
    face.close()
    assert watcher.limp
    with pytest.raises(RobotError, match="closed"):
        face.move(face.spec.neutral)


def test_runs_repeat_to_the_bit(spec: FaceSpec) -> None:
    def run() -> list[tuple[float, int, float]]:
        events: list[tuple[float, int, float]] = []
        mock = Mock()
        mock.listen(lambda *event: events.append(event))
        with open_on(mock, size=None) as face:
            face.reset()
            play(face, wild(40))
        return [(time, channel, width if width == width else 0.0) for time, channel, width in events]

    assert run() == run() == run()


def test_it_works_without_physics_and_torch() -> None:
    code = (
        "import sys; sys.modules.update(pybullet=None, torch=None, numba=None, pyrender=None)\n"
        "from eva_sim import make_face\n"
        "with make_face('mock', size=None) as face:\n"
        "    face.reset(); print(face.move(face.spec.command(jaw=1.0)).faults)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "()", done.stderr


# One script, every body.


BODIES = ["mock", "virtual"]


def open_body(body: str, **options: Any) -> Face:
    if body == "virtual":
        pytest.importorskip("eva_sim.real.virtual", reason="the virtual robot is not built yet")
        try:
            return make_face(body, **options)
        except RobotError as error:
            pytest.skip(f"the virtual robot cannot be built here: {error}")
    return make_face(body, **options)


def far(spec: FaceSpec, index: int) -> float:
    """A command well away from rest."""
    return -0.8 if spec.neutral[index] > 0.3 else 0.6


@pytest.fixture(scope="module")
def twin_run(spec: FaceSpec) -> dict[str, np.ndarray]:
    with make_face("twin") as twin:
        return each_actuator(twin)


def each_actuator(face: Face) -> dict[str, np.ndarray]:
    """Where all actuators are, and the picture, while each in turn is held away from rest."""
    found = {}
    face.reset()
    for index, name in enumerate(face.spec.names):
        command = face.spec.neutral
        command[index] = far(face.spec, index)
        for _ in range(14):
            reading = face.move(command)
        found[name] = reading.position
        for _ in range(14):
            face.move(face.spec.neutral)
    return found


@pytest.mark.parametrize("body", BODIES)
def test_each_actuator_has_the_same_order_sign_and_range(
    spec: FaceSpec, twin_run: dict[str, np.ndarray], body: str
) -> None:
    with open_body(body, size=None) as face:
        robot_run = each_actuator(face)
    for index, name in enumerate(spec.names):
        moved = robot_run[name] - spec.neutral
        assert np.flatnonzero(np.abs(moved) > 0.01).tolist() == [index], name
        assert robot_run[name] == pytest.approx(twin_run[name], abs=0.01), name


@pytest.mark.parametrize("body", ["twin", *BODIES])
def test_the_same_script_and_policy_run_on_every_body(body: str) -> None:
    """Only `body` changes. The policy looks at what it observes."""
    options = {} if body == "twin" else {"size": 160}
    if body == "virtual":
        open_body(body, size=None).close()
    env = gym.make("EVA/Mimic-v0", body=body, episode_steps=8, **options)
    weights = np.random.default_rng(0).normal(0, 0.05, (25, 25 + 3 * 113))
    observation, info = env.reset(seed=4, options={"expression": "joy"})
    for _ in range(8):
        seen = np.concatenate([observation["position"], observation["landmarks"].ravel()])
        action = np.tanh(np.resize(weights, (25, len(seen))) @ seen).astype(np.float32)
        observation, reward, _, truncated, info = env.step(action)
        assert env.observation_space.contains(observation)
        assert np.isfinite(reward)
        assert info["faults"] == ()
    assert truncated
    assert info["time"] == pytest.approx(0.32)
    env.close()


# What may go wrong.


def test_silence_holds_and_then_is_limp(board: FirmwareBoard, mock: Mock, watcher: Watcher) -> None:
    """As after SIGKILL of the host: nothing is sent any more."""
    aim = REST + 100 * np.sign(1500 - REST + 0.1)
    for _ in range(3):
        board.send(aim)
        mock.clock.sleep(0.02)
    last, widths = mock.clock.now() - 0.02, None
    for _ in range(130):
        mock.clock.sleep(0.01)
        silence, pulses = mock.clock.now() - last, mock.pulses
        if silence > 0.25 and not np.isnan(pulses).any():
            assert widths is None or np.array_equal(widths, pulses)  # it holds
            widths = pulses
    assert widths is not None
    assert watcher.limp
    assert 1.0 <= watcher.moved_at - last <= 1.1
    for _ in range(50):  # targets that come again do not arm it
        assert board.send(REST).state == State.LIMP
        mock.clock.sleep(0.02)
    assert watcher.limp
    board.arm(range(25))


def test_a_short_silence_is_forgiven(face: RobotFace, mock: Mock) -> None:
    face.reset()
    play(face, wild(3))
    mock.clock.sleep(0.5)
    reading = face.move(face.spec.neutral)
    assert reading.faults == ("targets stopped coming",)
    assert face.late == 1
    assert mock.firmware._state == State.ACTIVE


def test_a_robot_that_went_limp_stays_so_until_armed(face: RobotFace, mock: Mock, watcher: Watcher) -> None:
    face.reset()
    play(face, wild(5))
    mock.clock.sleep(1.5)
    reading = face.move(face.spec.neutral)
    assert "limp: targets stopped coming" in reading.faults
    with pytest.raises(RobotError, match=r"limp: .*Look at it, then call arm\(\)"):
        face.move(face.spec.neutral)
    assert "limp: targets stopped coming" in face.reset().faults
    assert watcher.limp
    face.arm()
    assert not watcher.limp
    assert face.move(face.spec.neutral).faults == ()


@pytest.mark.parametrize("how", ["disarm", "stop"])
def test_nothing_but_arm_ends_a_stop(face: RobotFace, watcher: Watcher, how: str) -> None:
    face.reset()
    getattr(face, how)()
    assert watcher.limp
    with pytest.raises(RobotError, match="Look at it"):
        face.move(face.spec.neutral)
    assert face.reset().faults != ()
    assert watcher.limp
    face.arm()
    assert face.move(face.spec.neutral).faults == ()


def test_a_stop_from_before_is_not_ended_by_reset(mock: Mock, watcher: Watcher) -> None:
    other = Link(mock.port, mock.clock)
    assert other.demand(wire.Stop(), wire.Status, 0.1).state == State.STOPPED
    with open_on(mock, size=None) as face:
        assert face.reset().faults[0].startswith("stopped")
        assert watcher.limp
        face.arm()
        assert face.reset().faults == ()


def test_brown_out_is_a_fault_until_the_supply_is_back(
    face: RobotFace, mock: Mock, watcher: Watcher
) -> None:
    face.reset()
    mock.supply(4.0)
    readings = play(face, wild(2))
    assert readings[-1].faults[0] == "fault: the servo supply sagged"
    assert watcher.limp
    with pytest.raises(RobotError, match="refuses to clear"):
        face.arm()
    mock.supply(5.0)
    assert watcher.limp
    face.arm()
    assert face.move(face.spec.neutral).faults == ()


def test_a_board_that_was_reset_is_limp_until_armed(face: RobotFace, mock: Mock, watcher: Watcher) -> None:
    face.reset()
    play(face, wild(5))
    mock.power_cycle()
    assert watcher.limp
    assert any("another session" in fault for fault in face.move(face.spec.neutral).faults)
    for _ in range(3):
        assert face.reset().faults
        mock.clock.sleep(1)
    assert watcher.limp
    face.arm()
    assert face.move(face.spec.neutral).faults == ()


def test_a_second_host_takes_over_only_the_session(face: RobotFace, mock: Mock, watcher: Watcher) -> None:
    face.reset()
    Link(mock.port, mock.clock).demand(wire.Hello(), wire.Ident, 0.1)
    assert watcher.limp
    assert any("another program" in fault for fault in face.move(face.spec.neutral).faults)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_unplugged_in_the_middle_of_a_frame(mock: Mock, watcher: Watcher, part: float) -> None:
    """Some bytes of a frame arrive and then none; with the plug back, only `arm` connects and arms."""
    pulled: list[int] = []

    def cut(data: bytes) -> bytes:
        if len(pulled) == 1:
            pulled.append(mock.port._mock.port.write(data[: int(part * len(data))]))
            mock.port.unplug()
        return data

    calibrated = Calibration.nominal(mock.firmware._robot.hex())
    face = RobotFace(
        lambda: FirmwareBoard(Link(Filter(mock.port, out=cut), mock.clock)),
        mock.clock,
        lambda identity: calibrated,
    )
    face.reset()
    play(face, wild(4))
    pulled.append(0)
    with pytest.raises(LinkError, match="link is lost"):
        face.move(wild(1)[0])
    with pytest.raises(RobotError, match="link lost"):
        face.move(face.spec.neutral)
    mock.clock.sleep(1.1)
    mock.advance()
    assert watcher.limp
    with pytest.raises(LinkError):
        face.arm()
    mock.port.replug()
    assert face.reset().faults[0].startswith("link lost")
    assert watcher.limp
    face.arm()
    assert face.move(face.spec.neutral).faults == ()
    face.close()


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("way", ["out", "back"])
def test_a_flipped_bit_anywhere_does_no_harm(mock: Mock, watcher: Watcher, way: str) -> None:
    """Every bit of `TARGETS` and of `STATUS`, one at a time, while the face moves."""
    port = Filter(mock.port)
    board = armed(FirmwareBoard(Link(port, mock.clock)), mock)
    bits = 8 * (59 if way == "out" else 77)
    aims = REST + 120 * np.sign(1500 - REST + 0.1) * np.random.default_rng(0).uniform(0, 1, (bits, 25))
    for bit, aim in enumerate(aims):
        setattr(port, way, lambda data, bit=bit: flipped(data, bit) if data else data)
        told = board.send(aim)
        setattr(port, way, bytes)
        assert "the board did not answer the last targets" in told.faults
        mock.clock.sleep(0.006)
        for _ in range(2):  # a frame without its 00 takes the next one along
            told = board.send(aim)
            mock.clock.sleep(0.02)
        assert told.state == State.ACTIVE
        assert "the board did not answer the last targets" not in told.faults
    told = board.status()
    assert set(told.faults) <= {"the board clamped a target"}


def shuffled(how: str) -> Callable[[bytes], bytes]:
    """What a bad line may do to whole frames."""
    held: list[bytes] = []

    def pass_on(data: bytes) -> bytes:
        if how == "twice":
            return data + data
        if how == "late":
            held.append(data)
            return held.pop(0) if len(held) > 3 else b""
        if how == "swapped":
            held.append(data)
            return b"".join(reversed(held)) + (held.clear() or b"") if len(held) == 2 else b""
        return data[: len(data) // 2] if len(data) % 2 else data

    return pass_on


@pytest.mark.parametrize("how", ["twice", "late", "swapped", "truncated"])
def test_frames_twice_late_swapped_or_cut_do_no_harm(mock: Mock, watcher: Watcher, how: str) -> None:
    port = Filter(mock.port)
    board = armed(FirmwareBoard(Link(port, mock.clock)), mock)
    port.out = shuffled(how)
    aims = REST + 120 * np.sign(1500 - REST + 0.1) * np.random.default_rng(0).uniform(0, 1, (60, 25))
    lost = 0
    for aim in aims:
        try:
            board.send(aim)
        except LinkError:  # after 0.2 s without an answer
            lost += 1
        mock.clock.sleep(0.02)
    port.out = bytes
    assert board.status().state in (State.ACTIVE, State.HOLD, State.LIMP)
    assert (mock.firmware._stale > 0) == (how in ("twice", "swapped"))
    assert (lost > 0) == (how in ("late", "truncated"))


def test_nothing_recorded_earlier_moves_the_face(mock: Mock, watcher: Watcher) -> None:
    recorded: list[bytes] = []
    port = Filter(mock.port, out=lambda data: (recorded.append(data), data)[1])
    board = armed(FirmwareBoard(Link(port, mock.clock)), mock)
    board.send(REST)
    tape = [*recorded]
    board.disarm()
    for frame in tape:  # in the same session: every number has been used
        if wire.Decoder(wire.TO_BOARD).feed(frame)[:1] and wire.Hello not in map(
            type, [f.message for f in wire.Decoder(wire.TO_BOARD).feed(frame)]
        ):
            mock.port.write(frame)
            mock.clock.sleep(0.02)
    assert watcher.limp
    for frame in tape:  # and again, with the old HELLO: another session
        mock.port.write(frame)
        mock.clock.sleep(0.02)
    assert mock.advance() is None
    assert watcher.limp


def test_random_bytes_move_nothing(board: FirmwareBoard, mock: Mock, watcher: Watcher) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        mock.port.write(rng.bytes(500))
        mock.clock.sleep(0.02)
    assert watcher.limp  # noise is no sign of life
    assert mock.firmware._state == State.LIMP
    mock.port.read(10**6)
    with pytest.raises(RobotError):
        board.configure(Calibration.nominal().limits, 0)  # 0 is no number of a calibration


def test_the_board_refuses_what_flash_does_not_allow(mock: Mock) -> None:
    board = FirmwareBoard(Link(mock.port, mock.clock))
    limits = Calibration.nominal().limits
    with pytest.raises(RobotError, match="outside what the board's flash allows"):
        board.configure(replace(limits, slew=limits.slew * 2), 7)
    with pytest.raises(RobotError, match="give it a calibration"):
        board.arm(range(25))


def test_limits_are_written_once(mock: Mock) -> None:
    written: list[wire.Commit] = []
    whole = mock.firmware._commit
    mock.firmware._commit = lambda m: (written.append(m), whole(m))[1]  # type: ignore[method-assign]
    for _ in range(3):
        with open_on(mock, size=None) as face:
            assert face.reset().faults == ()
    assert len(written) == 1


@pytest.mark.parametrize("field, told", [("table", "other actuator tables"), ("version", "version 9")])
def test_other_firmware_is_refused(mock: Mock, field: str, told: str) -> None:
    whole = mock.firmware._hello

    def other(message: wire.Hello, sequence: int) -> Any:
        return replace(whole(message, sequence), **{field: 9})  # type: ignore[type-var]

    mock.firmware._hello = other  # type: ignore[method-assign]
    with pytest.raises(RobotError, match=told):
        open_on(mock, size=None)


def test_the_calibration_of_another_robot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match="for robot feed"):
        make_face("mock", size=None, calibration=Calibration.nominal("feed"))
    path = Calibration.nominal("feed").save(tmp_path / "feed.json")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="damaged"):
        make_face("mock", size=None, calibration=path)


def test_a_hot_servo_makes_it_limp(face: RobotFace, watcher: Watcher) -> None:
    face.reset()
    whole = face._board.send
    hot = np.full(25, np.nan)
    hot[12] = 85.0
    face._board.send = lambda raw: replace(whole(raw), temperature=hot)  # type: ignore[method-assign]
    assert face.move(face.spec.neutral).faults[0] == "jaw is too hot (85 degrees)"
    assert watcher.limp
    with pytest.raises(RobotError, match="jaw is too hot"):
        face.move(face.spec.neutral)


# Signals.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_makes_it_limp_and_goes_on(
    face: RobotFace, watcher: Watcher, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    ours = signal.getsignal(number)
    face._will._before[number] = lambda n, frame: heard.append(n)
    face.reset()
    signal.raise_signal(number)
    assert heard == [number]
    assert watcher.limp
    with pytest.raises(RobotError, match="disarmed by a signal"):
        face.move(face.spec.neutral)
    assert signal.getsignal(number) == ours
    face.arm()


def test_a_signal_in_the_middle_of_a_frame_waits_for_its_end(
    face: RobotFace, mock: Mock, watcher: Watcher
) -> None:
    face.reset()
    face._will._before[signal.SIGINT] = signal.default_int_handler  # whatever the shell began with
    asked: list[float] = []

    def interrupt(time: float, channel: int, width: float) -> None:
        """Called while a frame is being answered."""
        if not asked:
            asked.append(time)
            signal.raise_signal(signal.SIGINT)
            assert not np.isnan(mock._pulses).any()  # not yet limp

    mock.listen(interrupt)
    with pytest.raises(KeyboardInterrupt):
        play(face, wild(3))
    assert asked
    assert watcher.limp


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with make_face("mock", size=None):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


EXITS = """
import signal, sys
from eva_sim.real.bodies import open_on
from eva_sim.real.mock import Mock
mock = Mock()
face = open_on(mock, size=None)
face.reset()
mock.listen(lambda time, channel, width: print(width) if channel == 3 else None)
{end}
"""


@pytest.mark.parametrize(
    "end, code", [("sys.exit(3)", 3), ("signal.raise_signal(signal.SIGTERM)", -15), ("1 / 0", 1)]
)
def test_the_end_of_the_program_makes_it_limp(end: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXITS.format(end=end)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["nan"], done.stderr
    assert done.returncode == code


# The camera, and the ways in.


class Blink(Eye):
    """An eye that may be closed or lost."""

    def __init__(self) -> None:
        self.time, self.error = 0.0, ""

    def look(self) -> Sight:
        if self.error:
            raise MediaError(self.error)
        self.time += 0.04
        return Sight(self.time, np.full((120, 160, 3), 90, np.uint8))


def test_a_lost_camera_is_told_and_the_face_goes_on(mock: Mock, watcher: Watcher) -> None:
    eye = Blink()
    calibrated = Calibration.nominal(mock.firmware._robot.hex())
    with RobotFace(
        lambda: FirmwareBoard(Link(mock.port, mock.clock)), mock.clock, lambda identity: calibrated, eye
    ) as face:
        assert face.reset().faults == ("no face in the picture",)
        assert face.render(64).shape == (64, 64, 3)
        eye.error = "camera 0 stopped."
        reading = face.move(face.spec.command(jaw=0.5))
        assert reading.faults == ("camera lost: camera 0 stopped.",)
        assert not reading.found
        assert reading.image is None
        assert not reading.landmarks.any()
        with pytest.raises(RenderError, match="stopped"):
            face.render(64)
        eye.error = ""
        assert face.move(face.spec.neutral).faults == ("no face in the picture",)
    assert watcher.limp


def test_wrong_bodies_and_options_are_told() -> None:
    with pytest.raises(EvaError, match="no option tempo"):
        make_face("mock", tempo=3)
    with pytest.raises(EvaError, match="no option port; it has skin"):
        make_face("twin", port="/dev/x")
    with pytest.raises(EvaError, match="skin and neck are the twin's"):
        gym.make("EVA/Pose-v0", body="mock", skin="fine")
    with pytest.raises(EvaError, match="no option size"):
        gym.make("EVA/Pose-v0", body="robot", size=3)
    with pytest.raises(EvaError, match="one face, not many"):
        gym.make_vec("EVA/Pose-v0", 2, vectorization_mode="vector_entry_point", body="robot", port="x")
    with pytest.raises(EvaError, match="needs the twin"):
        gym.make("EVA/Pose-v0", body="mock", size=None, randomise=True)
    with pytest.raises(LinkError, match="/dev/nowhere cannot be opened"):
        make_face("robot", port="/dev/nowhere", camera=None)


# The command line.


def test_the_tour_writes_a_strip_and_ends_limp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image
    from typer.testing import CliRunner

    from eva_sim.cli import app
    from eva_sim.real import tour

    monkeypatch.setattr(tour, "HOLD", 8)
    run = CliRunner().invoke(app, ["robot", "--mock", "--seed", "1", "--out", str(tmp_path)])
    assert run.exit_code == 0, run.output
    with Image.open(tmp_path / "strip.png") as strip:
        assert strip.width == 5 * 320
        shown = np.asarray(strip, dtype=float)
    tiles = [shown[26:, n * 320 : (n + 1) * 320] for n in range(5)]
    assert min(np.abs(tiles[0] - tile).mean() for tile in tiles[1:]) > 0.3
    told = json.loads((tmp_path / "tour.json").read_text())
    assert min(told["moved_mm"].values()) > 1


@pytest.mark.parametrize("options", [[], ["--mock", "--virtual"], ["--port", "x", "--mock"]])
def test_the_command_wants_one_robot(options: list[str]) -> None:
    from typer.testing import CliRunner

    from eva_sim.cli import app

    assert isinstance(CliRunner().invoke(app, ["robot", *options]).exception, EvaError)
