"""A board serves any face: another number of actuators, other names, another order."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.errors import RobotError
from eva_sim.files import asset
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import BoardLimits, BoardState
from eva_sim.real.boards.motion_rules import load_motion_rules
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.simulation.virtual_board import SimulatedBoard
from eva_sim.real.wire.firmware_table import NO_PARTNER, channel_rows, exclusion_pairs
from eva_sim.real.wire.link import Link

#: Actuators of the other face, in its order, and the actuators of EVA whose rows they take.
OTHERS = {
    "chin": "jaw",
    "grin_right": "zygomaticus_right",
    "sulk_right": "depressor_right",
    "gaze_left": "eye_left_yaw",
    "grin_left": "zygomaticus_left",
    "stewart_1": "neck_leg_1",
    "sulk_left": "depressor_left",
}


def write_face(folder: Path) -> FaceSpec:
    """Writes the tables of a face of seven actuators; their channels run backwards."""
    text = asset("face.toml").read_text()
    rows = {name: row for row, name in re.findall(r'(?m)^( +\{ name = "(\w+)".*\n)', text)}
    table = ""
    for number, (name, original) in enumerate(OTHERS.items()):
        row = rows[original].replace(f'name = "{original}"', f'name = "{name}"')
        table += re.sub(r"channel = \d+", f"channel = {len(OTHERS) - 1 - number}", row)
    (folder / "face.toml").write_text(text.replace("".join(rows.values()), table))
    robot = asset("robot.toml").read_text().split("[[exclusions]]")[0]
    (folder / "robot.toml").write_text(robot + '[[exclusions]]\npair = ["grin", "sulk"]\nlimit = 1.2\n')
    return load_spec(folder)


@pytest.fixture
def other(tmp_path: Path) -> FaceSpec:
    return write_face(tmp_path)


def limits_of(spec: FaceSpec) -> BoardLimits:
    """The widest limits, no two rests alike."""
    rows = [channel_rows(spec)[a.channel] for a in spec.actuators]
    low, high, slew = (np.array([getattr(row, name) / 4 for row in rows]) for name in ("low", "high", "slew"))
    rest = low + (high - low) * np.linspace(0.2, 0.4, len(spec))
    return BoardLimits(low, high, rest, slew)


def test_the_tables_are_those_of_the_face(other: FaceSpec, spec: FaceSpec) -> None:
    assert len(other) == 7 and len(channel_rows(other)) == 7 and len(channel_rows(spec)) == 25
    names = [(other.names[one], other.names[partner]) for one, partner, _ in exclusion_pairs(other)]
    assert names == [("grin_left", "sulk_left"), ("grin_right", "sulk_right")]
    assert channel_rows(other)[6].partner == NO_PARTNER
    groups = [[other.names[i] for i in group] for group in load_motion_rules(other).groups]
    assert groups[:2] == [["stewart_1"], ["chin"]]


def test_a_board_of_another_face_arms_moves_holds_and_goes_limp(other: FaceSpec) -> None:
    mock = MockBoard(other)
    board, limits = FirmwareBoard(other, Link(mock.port, mock.clock)), limits_of(other)
    board.configure(limits, 7)
    assert board.arm(range(len(other))).state is BoardState.ARMING
    for _ in range(30):
        mock.clock.sleep(0.02)
        status = board.send(limits.rest)
    assert status.state is BoardState.ACTIVE
    np.testing.assert_allclose(status.output, limits.rest, atol=0.25)

    target = limits.rest + np.where(np.arange(len(other)) == other.index("grin_left"), 200.0, 0.0)
    for _ in range(60):
        mock.clock.sleep(0.02)
        status = board.send(target)
    np.testing.assert_allclose(status.output, target, atol=0.25)
    channels = other.column("channel").astype(int)
    np.testing.assert_allclose(mock.pulses[channels], target, atol=0.25)  # the right servo moved

    mock.clock.sleep(0.5)
    assert board.status().state is BoardState.HOLD
    np.testing.assert_allclose(board.status().output, target, atol=0.25)
    mock.clock.sleep(0.6)
    assert board.status().state is BoardState.LIMP and np.isnan(mock.pulses).all()


def test_a_board_of_another_face_keeps_its_exclusions(other: FaceSpec) -> None:
    mock = MockBoard(other)
    board, limits = FirmwareBoard(other, Link(mock.port, mock.clock)), limits_of(other)
    board.configure(limits, 7)
    board.arm(range(len(other)))
    for _ in range(120):
        mock.clock.sleep(0.02)
        status = board.send(limits.high)
    pulls = (status.output - limits.rest) / (limits.high - limits.rest)
    for one, partner, limit in exclusion_pairs(other):
        assert pulls[one] + pulls[partner] == pytest.approx(limit, abs=0.03)
    assert "the board clamped a target" in status.faults


def test_a_board_refuses_the_tables_of_another_face(other: FaceSpec, spec: FaceSpec) -> None:
    mock = MockBoard(spec)
    with pytest.raises(RobotError, match="compiled for other tables"):
        FirmwareBoard(other, Link(mock.port, mock.clock))


def test_the_firmware_is_compiled_for_eva_alone(other: FaceSpec) -> None:
    with pytest.raises(RobotError, match="compiled for EVA's tables"):
        SimulatedBoard(other)
