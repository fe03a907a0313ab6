"""`RobotFace` over the mock: what it does when all is well, on every body.

A watcher on the plant's side of the board asserts limits, slew and rest in every test.
"""

# fixtures by import

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import gymnasium as gym
import numpy as np
import pytest

from eva_sim import make_face
from eva_sim.contract import Face, FaceSpec, SimulatedFace, load_spec
from eva_sim.envs.mimic import MimicEnv
from eva_sim.errors import CommandError, CopyError, DataError, EvaError, RenderError, RobotError
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_hidden
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.testing.pulse_watcher import ROBOT, PulseWatcher
from eva_sim.testing.robot_fixtures import BODIES, moments, open_body, play, wild

# When all is well.


def test_opening_moves_nothing_and_reset_arms(
    face: RobotFace, mock: MockBoard, watcher: PulseWatcher
) -> None:
    assert watcher.events == 0
    reading = face.reset()
    assert reading.faults == ()
    assert reading.time == 0
    assert np.array_equal(reading.sent, face.spec.neutral)
    assert reading.position == pytest.approx(face.spec.neutral, abs=1e-3)
    assert not reading.measured
    assert mock.pulses == pytest.approx(watcher.rest, abs=0.25)


def test_groups_are_armed_apart(face: RobotFace, mock: MockBoard, watcher: PulseWatcher) -> None:
    starts: dict[int, float] = {}
    kinds = [a.kind for a in sorted(face.spec.actuators, key=lambda a: a.channel)]

    def note(time: float, channel: int, width: float) -> None:
        starts.setdefault(channel, time)

    mock.listen(note)
    face.reset()
    by_group = [
        {round(starts[c], 3) for c, kind in enumerate(kinds) if kind in group}
        for group in ROBOT["safety"]["arm_groups"]
    ]
    assert [len(times) for times in by_group] == [1, 1, 1, 1]
    gaps = np.diff([*map(min, by_group)])
    assert (gaps >= ROBOT["safety"]["arm_gap"] - 1e-6).all()


def test_any_commands_keep_limits_slew_and_pairs(
    face: RobotFace, mock: MockBoard, watcher: PulseWatcher
) -> None:
    before = face.reset()
    for reading in play(face, wild(150)):
        assert reading.faults == ()  # the board never had to clamp
        # The board reported its pulses in the middle of the period.
        assert reading.position == pytest.approx((before.sent + reading.sent) / 2, abs=5e-3)
        before = reading
    assert face.late == 0
    assert reading.time == pytest.approx(150 * face.spec.control_dt)


def test_targets_come_every_wire_period(face: RobotFace, mock: MockBoard) -> None:
    sent = moments(mock, "_targets")
    face.reset()
    sent.clear()
    play(face, wild(10))
    assert np.diff(sent) == pytest.approx(np.full(19, ROBOT["wire"]["period"]))


def test_reset_glides_back(face: RobotFace, watcher: PulseWatcher) -> None:
    face.reset()
    play(face, wild(20))
    reading = face.reset()
    assert reading.position == pytest.approx(face.spec.neutral, abs=1e-3)
    assert reading.time == 0


def test_a_malformed_command_sends_nothing(face: RobotFace, mock: MockBoard) -> None:
    face.reset()
    before = mock.clock.now()
    for bad in (np.full(25, np.nan), np.full(25, 1.5), np.zeros(24), "joy"):
        with pytest.raises(CommandError):
            face.move(bad)
    assert mock.clock.now() == before  # not even time has passed
    assert face.move(face.spec.neutral).faults == ()


def test_a_robot_has_no_past_to_go_back_to(face: RobotFace) -> None:
    face.reset()
    assert not isinstance(face, SimulatedFace)
    env = MimicEnv(face=face)
    for ask in (env.save, lambda: env.restore((None, None, {}))):
        with pytest.raises(EvaError, match="back in time"):
            ask()
    with pytest.raises(RenderError, match="without a camera"):
        face.render(64)


@pytest.mark.parametrize("copier", [copy.deepcopy, pickle.dumps, cloudpickle.dumps])
def test_there_is_one_robot_so_it_is_not_copied(face: RobotFace, copier: Callable[[Any], Any]) -> None:
    face.reset()
    for whole in (face, MimicEnv(face=face)):
        with pytest.raises(TypeError, match="a robot cannot be copied or pickled") as error:
            copier(whole)
        assert isinstance(error.value, CopyError)


def test_closing_leaves_it_limp(face: RobotFace, watcher: PulseWatcher) -> None:
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
        mock = MockBoard(load_spec())
        mock.listen(lambda *event: events.append(event))
        with open_hidden(mock, camera_size=None) as face:
            face.reset()
            play(face, wild(40))
        return [(time, channel, width if width == width else 0.0) for time, channel, width in events]

    assert run() == run() == run()


def test_it_works_without_physics_and_torch() -> None:
    code = (
        "import sys; sys.modules.update(pybullet=None, torch=None, numba=None, pyrender=None)\n"
        "from eva_sim import make_face\n"
        "with make_face('mock', camera_size=None) as face:\n"
        "    face.reset(); print(face.move(face.spec.command(jaw=1.0)).faults)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "()", done.stderr


# One script, every body.


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
    with open_body(body, camera_size=None) as face:
        robot_run = each_actuator(face)
    for index, name in enumerate(spec.names):
        moved = robot_run[name] - spec.neutral
        assert np.flatnonzero(np.abs(moved) > 0.01).tolist() == [index], name
        assert robot_run[name] == pytest.approx(twin_run[name], abs=0.01), name


# A port of the operating system.


def serve(master: int) -> None:
    """A mock at the other end of a terminal, until that is closed.

    Its time passes with each message, so that a busy machine is no silence.
    """
    mock = MockBoard(load_spec())
    with contextlib.suppress(OSError):
        while data := os.read(master, 4096):
            mock.clock.sleep(0.02)
            mock.port.write(data)
            os.write(master, mock.port.read(4096))


@pytest.fixture
def terminal() -> Iterator[str]:
    master, slave = os.openpty()
    tty.setraw(slave)
    board = threading.Thread(target=serve, args=(master,), daemon=True)
    board.start()
    yield os.ttyname(slave)
    os.close(slave)  # the last one: reading the other end fails
    board.join(timeout=10)
    os.close(master)


def test_a_robot_at_a_serial_port(
    terminal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: FaceSpec
) -> None:
    """`body="robot"` as users have it: pyserial, the wall's clock, a calibration in the user's folder."""
    monkeypatch.setenv("EVA_CONFIG", str(tmp_path))
    with pytest.raises(DataError, match="eva calibrate") as error:
        make_face("robot", port=terminal, camera=None)
    robot = re.search(r"(\w{16})\.json", str(error.value))
    assert robot is not None
    Calibration.nominal(spec, robot[1]).save()
    env = gym.make("EVA/Pose-v0", body="robot", port=terminal, camera=None, max_episode_steps=5)
    env.reset(seed=0)
    for _ in range(5):
        observation, *_, info = env.step(spec.command(jaw=1.0))
    assert observation["position"][spec.index("jaw")] > -0.9
    assert not [fault for fault in info.get("faults", ()) if "limp" in fault or "lost" in fault]
    env.close()


# The command line.


def test_the_tour_writes_a_strip_and_ends_limp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image
    from typer.testing import CliRunner

    from eva_sim.cli import tour
    from eva_sim.cli.app import app

    monkeypatch.setattr(tour, "HOLD", 6)
    run = CliRunner().invoke(app, ["robot", "--body", "mock", "--out", str(tmp_path)])
    assert run.exit_code == 0, run.output
    with Image.open(tmp_path / "strip.png") as strip:
        assert strip.width == 5 * 320
        shown = np.asarray(strip, dtype=float)
    tiles = [shown[26:, n * 320 : (n + 1) * 320] for n in range(5)]
    assert min(np.abs(tiles[0] - tile).mean() for tile in tiles[1:]) > 0.3
    message = json.loads((tmp_path / "tour.json").read_text())
    assert min(message["moved_mm"].values()) > 0.5


@pytest.mark.parametrize(
    "options", ["", "--port x", "--port x --body mock", "--board maestro --body mock", "--body twin"]
)
def test_the_command_wants_one_robot(options: str) -> None:
    from typer.testing import CliRunner

    from eva_sim.cli.app import app

    assert isinstance(CliRunner().invoke(app, ["robot", *options.split()]).exception, EvaError)


@pytest.mark.parametrize("option", ["--mock", "--virtual", "--name desk", "--robot 3"])
def test_old_spellings_of_options_are_refused(option: str) -> None:
    from typer.testing import CliRunner

    from eva_sim.cli.app import app

    run = CliRunner().invoke(app, ["robot", *option.split()])
    assert run.exit_code == 2 and f"No such option: {option.split()[0]}" in run.output
