"""The host's guard: what it bends, what it latches, and that nothing gets past it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.errors import CommandError
from eva_sim.real.boards.interface import BoardState, BoardStatus
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.safety.command_filter import CommandFilter, fastest_step
from eva_sim.real.wire.firmware_table import exclusion_pairs, firmware_pairs
from eva_sim.robot_config import pull_rules
from eva_sim.testing.pulse_watcher import ROBOT

NOMINAL = Calibration.nominal(load_spec())
FAR = st.lists(st.floats(-1, 1, width=32), min_size=25, max_size=25)
UNKNOWN = np.full(25, np.nan)
WELL = BoardStatus(BoardState.ACTIVE, NOMINAL.limits.rest, (), 5.0, UNKNOWN, UNKNOWN)


@pytest.fixture
def guard(spec: FaceSpec) -> CommandFilter:
    return CommandFilter(spec, NOMINAL)


def pulls(command: np.ndarray) -> dict[str, float]:
    """Sums of the pulls of the pairs of robot.toml, cables only, whose rest is -1."""
    spec = load_spec()
    return {
        f"{rule['pair'][0]} {side}": sum(
            (float(command[spec.index(f"{name}_{side}")]) + 1) / 2 for name in rule["pair"]
        )
        - rule["limit"]
        for rule in ROBOT["exclusions"]
        for side in ("left", "right")
    }


def test_the_firmware_keeps_the_pairs_that_a_person_chose(spec: FaceSpec) -> None:
    names = [(spec.names[one], spec.names[other]) for one, other, _ in firmware_pairs(spec)]
    assert sorted(names) == [
        ("brow_outer_left", "corrugator_left"),
        ("brow_outer_right", "corrugator_right"),
        ("zygomaticus_left", "depressor_left"),
        ("zygomaticus_right", "depressor_right"),
    ]


def test_pairs_and_triples_of_the_scan_are_in_the_table(spec: FaceSpec) -> None:
    pairs = {(spec.names[one], spec.names[other]) for one, other, _ in exclusion_pairs(spec)}
    assert {("brow_inner_left", "corrugator_left"), ("depressor_right", "jaw")} <= pairs
    triple = {spec.index(name) for name in ("levator_left", "zygomaticus_left", "jaw")}
    assert any(triple <= set(rule.members) for rule in pull_rules(spec))


def test_both_pulls_are_scaled_alike_until_they_may(guard: CommandFilter, spec: FaceSpec) -> None:
    wanted = spec.command(zygomaticus=1.0, depressor=0.5)
    for _ in range(30):
        sent = guard.command(wanted)
    shares = [(float(sent[spec.index(n)]) + 1) / 2 for n in ("zygomaticus_left", "depressor_left")]
    assert sum(shares) == pytest.approx(1.2, abs=0.015)  # the table's 1.2 in 64ths, rounded down
    assert shares[1] / shares[0] == pytest.approx(0.75, abs=0.001)


def test_what_is_allowed_is_sent_as_it_is(guard: CommandFilter, spec: FaceSpec) -> None:
    wanted = spec.command(zygomaticus=1.0, jaw=0.3, eye_left_yaw=-0.7, lid=-1.0)
    for _ in range(30):
        sent = guard.command(wanted)
    assert np.abs(sent - wanted).max() < 1e-6


@settings(max_examples=60, deadline=None)
@given(st.lists(FAR, min_size=1, max_size=8), st.integers(1, 6))
def test_no_commands_get_past_limits_speed_and_pairs(asked: list[list[float]], held: int) -> None:
    spec = load_spec()
    guard = CommandFilter(spec, NOMINAL)
    rate = 2 * spec.column("rate") * spec.control_dt / (spec.column("high") - spec.column("low"))
    for command in [c for c in asked for _ in range(held)]:
        before = guard.sent
        sent = guard.command(command)
        assert (np.abs(sent) <= 1).all()
        assert (np.abs(sent - before) <= rate + 1e-6).all()
        assert max(pulls(sent).values()) <= 1e-6


def test_after_arming_it_begins_slowly(guard: CommandFilter, spec: FaceSpec) -> None:
    wanted, steps = spec.command(neck_leg_1=1.0), []
    leg = spec.index("neck_leg_1")
    fastest = fastest_step(spec, NOMINAL)[leg]
    for _ in range(3):
        before = guard.sent[leg]
        steps.append((guard.command(wanted)[leg] - before) / fastest)
    assert steps == pytest.approx([0.25, 0.325, 0.4], abs=1e-3)
    for _ in range(20):
        guard.command(wanted)
    before = guard.sent[leg]
    assert before - guard.command(spec.neutral)[leg] == pytest.approx(fastest, rel=1e-4)
    guard.begin()
    assert np.array_equal(guard.sent, spec.neutral)
    assert guard.command(wanted)[leg] == pytest.approx(0.25 * fastest, rel=1e-3)


def test_a_calibration_can_only_slow_it_down(spec: FaceSpec) -> None:
    joints = dict(NOMINAL.actuators)
    joints["jaw"] = replace(joints["jaw"], slew=joints["jaw"].slew / 2)
    slow, whole = (fastest_step(spec, c) for c in (replace(NOMINAL, actuators=joints), NOMINAL))
    assert slow[spec.index("jaw")] == pytest.approx(whole[spec.index("jaw")] / 2, rel=0.01)
    assert np.delete(slow, spec.index("jaw")) == pytest.approx(np.delete(whole, spec.index("jaw")))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.01, -2.0])
def test_a_malformed_command_changes_nothing(guard: CommandFilter, spec: FaceSpec, value: float) -> None:
    guard.command(spec.command(jaw=1.0))
    before, command = guard.sent, spec.neutral
    command[7] = value
    with pytest.raises(CommandError, match="levator_right"):
        guard.command(command)
    assert guard.sent is before


def test_heat_is_latched(guard: CommandFilter, spec: FaceSpec) -> None:
    warm = np.full(25, 40.0)
    assert guard.check_status(replace(WELL, temperature=warm)) == ()
    warm[3] = ROBOT["safety"]["too_hot"] + 1
    assert guard.check_status(replace(WELL, temperature=warm)) == (
        "brow_outer_right is too hot (71 degrees)",
    )
    assert guard.check_status(WELL) != ()
    guard.begin()
    assert guard.check_status(WELL) == ()


def test_a_stall_is_told_only_if_it_lasts(guard: CommandFilter) -> None:
    load = np.zeros(25)
    load[12] = 0.95
    steps = round(ROBOT["safety"]["stall_for"] / ROBOT["wire"]["period"])
    assert not any(guard.check_status(replace(WELL, load=load)) for _ in range(steps - 1))
    assert guard.check_status(WELL) == ()  # it moved on
    assert not any(guard.check_status(replace(WELL, load=load)) for _ in range(steps - 1))
    assert [*map(guard.check_status, [replace(WELL, load=load)] * 3)][-1] == ("jaw is stalled",)


@pytest.mark.parametrize("state", [BoardState.LIMP, BoardState.STOPPED, BoardState.FAULT])
def test_a_board_that_went_limp_is_latched(guard: CommandFilter, state: BoardState) -> None:
    message = guard.check_status(replace(WELL, state=state, faults=("the servo supply sagged",)))
    assert message == (f"{state.name.lower()}: the servo supply sagged",)
    assert guard.check_status(WELL) == message


def test_a_board_that_holds_is_not(guard: CommandFilter) -> None:
    assert guard.check_status(replace(WELL, state=BoardState.HOLD, faults=("targets stopped coming",))) == ()
