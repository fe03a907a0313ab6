"""`RobotFace` and its board in trouble: the host's part of the fault table.

A watcher on the plant's side of the board asserts limits, slew and rest in every test.
"""

# ruff: noqa: F811  # fixtures by import

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from eva_sim import make_face
from eva_sim.contract import load_spec
from eva_sim.errors import DataError, EvaError, LinkError, RenderError, RobotError
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import UNANSWERED, BoardIdentity, BoardState
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_hidden
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.link import Link
from eva_sim.testing.fault_injection import (
    FailingCamera,
    LineFilter,
    disturb_exchange,
    disturb_frames,
    flip_bit,
    plug_in,
    pull_plug,
)
from eva_sim.testing.pulse_watcher import PulseWatcher
from eva_sim.testing.robot_fixtures import (  # noqa: F401
    REST,
    armed,
    face,
    guarded,
    machine,
    mock,
    moments,
    play,
    watcher,
    wild,
)

# What may go wrong.


def test_silence_holds_and_then_is_limp(machine: Any, guarded: PulseWatcher) -> None:
    """As after SIGKILL of the host: nothing is sent any more."""
    mock, watcher = machine, guarded
    board = armed(FirmwareBoard(load_spec(), Link(mock.port, mock.clock)), mock)
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
    assert 0.99 <= watcher.moved_at - last <= 1.1  # the board counts from when the targets came
    for _ in range(50):  # targets that come again do not arm it
        assert board.send(REST).state == BoardState.LIMP
        mock.clock.sleep(0.02)
    assert watcher.limp
    board.arm(range(25))


def test_a_short_silence_is_forgiven(face: RobotFace, mock: MockBoard) -> None:
    face.reset()
    play(face, wild(3))
    mock.clock.sleep(0.5)
    reading = face.move(face.spec.neutral)
    assert reading.faults == ("targets stopped coming",)
    assert face.late == 1
    assert mock.firmware._state == BoardState.ACTIVE


def test_a_robot_that_went_limp_stays_so_until_armed(
    face: RobotFace, mock: MockBoard, watcher: PulseWatcher
) -> None:
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
def test_nothing_but_arm_ends_a_stop(face: RobotFace, watcher: PulseWatcher, how: str) -> None:
    face.reset()
    getattr(face, how)()
    assert watcher.limp
    with pytest.raises(RobotError, match="Look at it"):
        face.move(face.spec.neutral)
    assert face.reset().faults != ()
    assert watcher.limp
    face.arm()
    assert face.move(face.spec.neutral).faults == ()


def test_a_stop_from_before_is_not_ended_by_reset(mock: MockBoard, watcher: PulseWatcher) -> None:
    other = Link(mock.port, mock.clock)
    assert other.demand(wire.Stop(), wire.Status, 0.1).state == BoardState.STOPPED
    with open_hidden(mock, camera_size=None) as face:
        assert face.reset().faults[0].startswith("stopped")
        assert watcher.limp
        face.arm()
        assert face.reset().faults == ()


def test_brown_out_is_a_fault_until_the_supply_is_back(
    face: RobotFace, mock: MockBoard, watcher: PulseWatcher
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


def test_a_board_that_was_reset_is_limp_until_armed(
    face: RobotFace, mock: MockBoard, watcher: PulseWatcher
) -> None:
    face.reset()
    play(face, wild(5))
    mock.power_cycle()
    assert watcher.limp
    assert any("was reset" in fault for fault in face.move(face.spec.neutral).faults)
    for _ in range(3):
        assert face.reset().faults
        mock.clock.sleep(1)
    assert watcher.limp
    face.arm()
    assert face.move(face.spec.neutral).faults == ()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_unplugged_in_the_middle_of_a_frame(mock: MockBoard, watcher: PulseWatcher, part: float) -> None:
    """Some bytes of a frame arrive and then none; with the plug back, only `arm` connects and arms."""
    pulled: list[int] = []

    def cut(data: bytes) -> bytes:
        if len(pulled) == 1:
            pulled.append(int(part * len(data)))
            pull_plug(mock, data, pulled[-1])
        return data

    calibrated = Calibration.nominal(load_spec(), mock.firmware._robot_id.hex())
    face = RobotFace(
        load_spec(),
        lambda: FirmwareBoard(load_spec(), Link(LineFilter(mock.port, out=cut), mock.clock)),
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
    plug_in(mock)
    assert face.reset().faults[0].startswith("link lost")
    assert watcher.limp
    face.arm()
    assert face.move(face.spec.neutral).faults == ()
    face.close()


@pytest.mark.parametrize("way", ["out", "back"])
def test_a_flipped_bit_anywhere_does_no_harm(machine: Any, guarded: PulseWatcher, way: str) -> None:
    """Every bit of `TARGETS` and of `STATUS`, one at a time, while the face moves."""
    port = LineFilter(machine.port)
    board = armed(FirmwareBoard(load_spec(), Link(port, machine.clock)), machine)
    bits = 8 * (59 if way == "out" else 77)
    aims = REST + 120 * np.sign(1500 - REST + 0.1) * np.random.default_rng(0).uniform(0, 1, (bits, 25))
    for bit, aim in enumerate(aims):
        output, after = disturb_exchange(board, port, machine.clock, way, flip_bit(bit), aim)
        assert UNANSWERED in output.faults
        assert after.state == BoardState.ACTIVE
        assert UNANSWERED not in after.faults
    output = board.status()
    assert set(output.faults) <= {"the board clamped a target"}


@pytest.mark.parametrize("how", ["twice", "late", "swapped", "truncated"])
def test_frames_twice_late_swapped_or_cut_do_no_harm(
    mock: MockBoard, watcher: PulseWatcher, how: str
) -> None:
    port = LineFilter(mock.port)
    board = armed(FirmwareBoard(load_spec(), Link(port, mock.clock)), mock)
    port.out = disturb_frames(how)
    aims = REST + 120 * np.sign(1500 - REST + 0.1) * np.random.default_rng(0).uniform(0, 1, (60, 25))
    lost = 0
    for aim in aims:
        try:
            board.send(aim)
        except LinkError:  # after a second without an answer, also to earlier targets
            lost += 1
        mock.clock.sleep(0.02)
    port.out = bytes
    assert board.status().state in (BoardState.ACTIVE, BoardState.HOLD, BoardState.LIMP)
    assert (mock.firmware._stale > 0) == (how in ("twice", "swapped"))
    assert (lost > 0) == (how == "truncated")


def test_nothing_recorded_earlier_moves_the_face(mock: MockBoard, watcher: PulseWatcher) -> None:
    recorded: list[bytes] = []

    def record(data: bytes) -> bytes:
        recorded.append(data)
        return data

    port = LineFilter(mock.port, out=record)
    board = armed(FirmwareBoard(load_spec(), Link(port, mock.clock)), mock)
    board.send(REST)
    tape = [*recorded]
    board.disarm()
    hello = [n for n, data in enumerate(tape) if data[1:2] == b"\x01"][-1]  # the last one of them
    for frame in tape[hello + 1 :]:  # in the same session: every number has been used
        mock.port.write(frame)
        mock.clock.sleep(0.02)
    assert mock.firmware._stale == len(tape) - hello - 2  # all but a QUERY
    assert watcher.limp
    for frame in tape:  # and again, with the old HELLO: another session
        mock.port.write(frame)
        mock.clock.sleep(0.02)
    mock.advance()
    assert watcher.limp


def test_random_bytes_move_nothing(machine: Any, guarded: PulseWatcher) -> None:
    mock, watcher = machine, guarded
    board = armed(FirmwareBoard(load_spec(), Link(mock.port, mock.clock)), mock)
    rng = np.random.default_rng(0)
    for _ in range(200):
        mock.port.write(rng.bytes(500))
        mock.clock.sleep(0.02)
    assert watcher.limp  # noise is no sign of life
    mock.port.read(10**6)
    assert board.status().state == BoardState.LIMP
    with pytest.raises(RobotError):
        board.configure(Calibration.nominal(load_spec()).limits, 0)  # 0 is no number of a calibration


def test_the_board_refuses_what_flash_does_not_allow(mock: MockBoard) -> None:
    board = FirmwareBoard(load_spec(), Link(mock.port, mock.clock))
    limits = Calibration.nominal(load_spec()).limits
    with pytest.raises(RobotError, match="outside the limits in the board's flash"):
        board.configure(replace(limits, slew=limits.slew * 2), 7)
    with pytest.raises(RobotError, match="give it a calibration"):
        board.arm(range(25))


def test_limits_are_written_once(mock: MockBoard) -> None:
    written = moments(mock, "_commit")
    for _ in range(3):
        with open_hidden(mock, camera_size=None) as face:
            assert face.reset().faults == ()
    assert len(written) == 1


@pytest.mark.parametrize("field, output", [("table", "compiled for other tables"), ("version", "version 9")])
def test_other_firmware_is_refused(mock: MockBoard, field: str, output: str) -> None:
    whole = mock.firmware._hello

    def other(message: wire.Hello) -> Any:
        return replace(whole(message), **{field: 9})  # type: ignore[type-var]

    mock.firmware._hello = other  # type: ignore[method-assign]
    with pytest.raises(RobotError, match=output):
        open_hidden(mock, camera_size=None)


def test_the_calibration_of_another_robot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match="for robot feed"):
        make_face("mock", camera_size=None, calibration=Calibration.nominal(load_spec(), "feed"))
    path = Calibration.nominal(load_spec(), "feed").save(tmp_path / "feed.json")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="damaged"):
        make_face("mock", camera_size=None, calibration=path)


def test_a_hot_servo_makes_it_limp(face: RobotFace, watcher: PulseWatcher) -> None:
    face.reset()
    whole = face._board.send
    hot = np.full(25, np.nan)
    hot[12] = 85.0
    face._board.send = lambda raw: replace(whole(raw), temperature=hot)  # type: ignore[method-assign]
    assert face.move(face.spec.neutral).faults[0] == "jaw is too hot (85 degrees)"
    assert watcher.limp
    with pytest.raises(RobotError, match="jaw is too hot"):
        face.move(face.spec.neutral)


# The camera, and the ways in.


def test_a_lost_camera_is_told_and_the_face_goes_on(mock: MockBoard, watcher: PulseWatcher) -> None:
    eye = FailingCamera()
    calibrated = Calibration.nominal(load_spec(), mock.firmware._robot_id.hex())
    with RobotFace(
        load_spec(),
        lambda: FirmwareBoard(load_spec(), Link(mock.port, mock.clock)),
        mock.clock,
        lambda identity: calibrated,
        eye,
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
    with pytest.raises(EvaError, match="unexpected keyword argument 'tempo'"):
        make_face("mock", tempo=3)
    with pytest.raises(EvaError, match="unexpected keyword argument 'port'; there are skin"):
        make_face("twin", port="/dev/x")
    with pytest.raises(EvaError, match="skin and neck apply to the twin only"):
        gym.make("EVA/Pose-v0", body="mock", skin="fine")
    with pytest.raises(EvaError, match="unexpected keyword argument 'camera_size'"):
        gym.make("EVA/Pose-v0", body="robot", camera_size=3)
    with pytest.raises(EvaError, match="is a single face"):
        gym.make_vec("EVA/Pose-v0", 2, vectorization_mode="vector_entry_point", body="robot", port="x")
    with pytest.raises(EvaError, match="needs the twin"):
        gym.make("EVA/Pose-v0", body="mock", camera_size=None, randomise=True)
    with pytest.raises(LinkError, match="no port /dev/nowhere"):
        make_face("robot", port="/dev/nowhere", camera=None)


@pytest.mark.parametrize("how", ["stop", "disarm"])
def test_a_stop_by_a_person_in_mid_motion_is_no_fault(face: RobotFace, how: str) -> None:
    """Another thread presses the button while targets are on their way; arming again needs no pause."""
    face.reset()
    send = face._board.send

    def pressed(raw: Any) -> Any:
        getattr(face, how)()
        return send(raw)

    for _ in range(3):
        face._board.send = pressed  # type: ignore[method-assign]
        assert len(face.move(face.spec.neutral).faults) > 1  # the board says, too, that it is limp
        face._board.send = send  # type: ignore[method-assign]
        face.arm()


@pytest.mark.parametrize("how", ["stop", "disarm"])
def test_a_stop_ends_every_call_of_arm_that_is_under_way(
    face: RobotFace, watcher: PulseWatcher, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first call waits for a slow disk; a second one arms, and is stopped, before the first goes on."""
    find, calls = face._find_calibration, list[int]()

    def slow(identity: BoardIdentity) -> Calibration:
        calls.append(1)
        if len(calls) == 1:
            face.arm()
            getattr(face, how)()
        return find(identity)

    monkeypatch.setattr(face, "_find_calibration", slow)
    with pytest.raises(RobotError, match="another call of arm came later"):
        face.arm()
    assert watcher.limp and len(calls) == 2
    with pytest.raises(RobotError, match="stopped" if how == "stop" else "disarmed"):
        face.move(face.spec.neutral)
