"""The limits that twin and robots share: pulls, pose of the neck, reversals and heat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.errors import DataError
from eva_sim.head import neck
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.limits.heat import HeatModel
from eva_sim.limits.neck_poses import load_neck_rules, pose_load, pose_shares
from eva_sim.limits.pulls import load_pull_rules
from eva_sim.robot_config import PullRule, pull_rules, robot_config

Commands = NDArray[np.float32]


@pytest.fixture
def limits(spec: FaceSpec) -> CommandLimits:
    return CommandLimits(spec)


def extremes(spec: FaceSpec, count: int, seed: int = 0) -> Commands:
    rng = np.random.default_rng(seed)
    ends = rng.choice([-1.0, 1.0], (count, len(spec)))
    return np.where(rng.random(ends.shape) < 0.7, ends, rng.uniform(-1, 1, ends.shape)).astype(np.float32)


def sums(spec: FaceSpec, position: Floats) -> dict[str, float]:
    """The sum of each rule, by hand; 1 is the most."""
    pull = (position + 1) / 2
    return {
        f"{rule.protects} {rule.members}": float(np.dot(rule.weights, pull[list(rule.members)]))
        for rule in pull_rules(spec)
    }


@pytest.mark.parametrize(
    "pulls",
    [
        {"brow_inner": 1.0, "corrugator": 1.0},
        {"depressor": 1.0, "jaw": 1.0},
        {"levator_left": 1.0, "depressor_left": 0.9, "jaw": 0.8},
        {"corrugator_right": 1.0, "brow_outer_right": 1.0, "brow_inner_right": 0.2},
    ],
)
def test_pairs_and_triples_are_scaled_down_alike(
    limits: CommandLimits, spec: FaceSpec, pulls: dict[str, float]
) -> None:
    wanted = spec.command(**pulls)
    within = limits.within(wanted.astype(float))
    assert 0.99 < max(sums(spec, within).values()) <= 1
    moved = (wanted + 1) > 1e-6
    moved &= np.isin(np.arange(len(spec)), [*spec.where("cable"), *spec.where("jaw")])
    assert (within[moved] < wanted[moved]).any() and (within[~moved] == wanted[~moved]).all()


def test_a_cable_alone_may_go_to_its_end(limits: CommandLimits, spec: FaceSpec) -> None:
    for name in spec.names:
        if spec.actuators[spec.index(name)].kind != "leg":
            alone = spec.command(**{name: 1.0})
            assert np.array_equal(limits.within(alone.astype(float)), alone), name


def test_what_is_within_the_limits_reaches_the_servos_bit_for_bit(
    limits: CommandLimits, spec: FaceSpec
) -> None:
    for step in range(200):
        wave = np.float32(0.5 * np.sin(step / 9))
        wanted = spec.command(
            zygomaticus=float(wave - 0.5), jaw=-0.6, lid=float(-wave), neck_leg_2=float(0.4 * wave)
        )
        assert np.array_equal(limits.step(wanted), wanted)


@pytest.mark.parametrize("faces", [None, 3])
def test_no_step_breaks_a_limit(spec: FaceSpec, faces: int | None) -> None:
    limits, neck_rules = CommandLimits(spec, faces), load_neck_rules(spec)
    fastest = 2 * spec.column("rate") * spec.control_dt / (spec.column("high") - spec.column("low"))
    for wanted in np.repeat(extremes(spec, 60), 4, axis=0):
        before = limits.position
        limits.step(np.broadcast_to(wanted, before.shape).astype(np.float32))
        assert (np.abs(limits.position - before) <= fastest + 1e-9).all()
        for position in np.atleast_2d(limits.position):
            assert max(sums(spec, position).values()) <= 1
            assert pose_load(position, neck_rules) <= 1 + 1e-6


def test_many_faces_do_as_each_alone(spec: FaceSpec) -> None:
    wanted = extremes(spec, 90).reshape(30, 3, len(spec))
    many, alone = CommandLimits(spec, 3), [CommandLimits(spec) for _ in range(3)]
    for commands in wanted:
        together = many.step(commands)
        assert np.array_equal(together, [one.step(own) for one, own in zip(alone, commands, strict=True)])


@pytest.mark.parametrize(
    "legs", [[1, -1, 1, -1, 1, -1], [1, 1, -1, -1, 1, -1], [1] * 6, [-1, 1, 1, 1, -1, -1]]
)
def test_true_poses_of_the_neck_stay_within_the_table(
    limits: CommandLimits, spec: FaceSpec, legs: list[int]
) -> None:
    wanted = spec.neutral
    wanted[spec.where("leg")] = legs
    for _ in range(20):
        limits.step(wanted)
        metres = spec.to_physical(limits.position)[spec.where("leg")]
        shares = pose_shares(spec, neck.pose_matrix(neck.solve_pose(metres, neck.NEUTRAL)))
        assert np.hypot.reduce(shares) <= 1
    metres = spec.to_physical(wanted)[spec.where("leg")]
    shares = pose_shares(spec, neck.pose_matrix(neck.solve_pose(metres, neck.NEUTRAL)))
    assert np.hypot.reduce(shares) > 1, "the limits are not needed"


@pytest.mark.parametrize("turn", [[0, 24, 0], [0, -24, 0], [13, 0, 0], [0, 0, -13], [8, 10, 4]])
def test_turns_of_the_head_that_people_make_are_not_touched(
    limits: CommandLimits, spec: FaceSpec, turn: list[float]
) -> None:
    wanted = spec.column("neutral")
    wanted[spec.where("leg")] += neck.leg_extensions(np.radians(turn))
    command = spec.to_command(wanted).clip(-1, 1)
    assert np.array_equal(limits.within(command.astype(float)), command)


@pytest.mark.parametrize("amplitude", [1.0, 0.1])
def test_a_servo_turns_round_once_a_second_or_slower_when_its_reserve_is_used_up(
    limits: CommandLimits, spec: FaceSpec, amplitude: float
) -> None:
    """Slower turns are as many more."""
    table, jaw = robot_config(spec)["reversals"], spec.index("jaw")
    row = spec.actuators[jaw]
    pace = min(1.0, amplitude * (row.high - row.low) / (row.rate * spec.control_dt))
    seconds, turns, last, sense = 90, 0, limits.position[jaw], 0.0
    for step in range(round(seconds / spec.control_dt)):
        limits.step(spec.command(jaw=amplitude * (-1) ** step))
        now = limits.position[jaw]
        if now != last:
            turns += np.sign(now - last) == -sense
            sense, last = np.sign(now - last), now
    most = (table["reserve"] + table["per_second"] * seconds) / pace
    assert 0.9 * most < turns <= most + 1


@pytest.mark.parametrize(("amplitude", "turns_a_second"), [(0.3, 5), (0.5, 3)])
def test_a_jaw_may_speak_for_minutes(
    limits: CommandLimits, spec: FaceSpec, amplitude: float, turns_a_second: float
) -> None:
    for time in np.arange(0, 300, spec.control_dt):
        wanted = spec.command(jaw=amplitude * np.sin(np.pi * turns_a_second * time))
        assert np.array_equal(limits.step(wanted), wanted) or time < 0.4


def test_a_servo_may_not_tremble_for_ever(limits: CommandLimits, spec: FaceSpec) -> None:
    """Each reversal wears gears, however slow it is."""
    table, jaw = robot_config(spec)["reversals"], spec.index("jaw")
    turns, sense = 0, 0.0
    for step in range(round(120 / spec.control_dt)):
        before = limits.position[jaw]
        limits.step(spec.command(jaw=0.02 * (-1) ** step))
        moved = np.sign(limits.position[jaw] - before)
        turns += moved == -sense != 0
        sense = moved or sense
    assert turns <= (table["reserve"] + table["per_second"] * 120) / table["least"] + 1


def test_tremor_below_the_smallest_reversal_is_no_reversal(limits: CommandLimits, spec: FaceSpec) -> None:
    for step in range(2000):
        wanted = spec.command(jaw=0.008 * (-1) ** step)
        assert np.array_equal(limits.step(wanted), wanted) or step < 10


@pytest.mark.parametrize(("noise", "most"), [(0.02, 0.06), (0.05, 0.16), (0.1, 0.32)])
def test_noise_does_not_use_up_the_reversals_of_a_motion(
    limits: CommandLimits, spec: FaceSpec, noise: float, most: float
) -> None:
    """A servo comes within about three standard deviations of noise of a slow motion, for minutes."""
    rng, jaw, missed = np.random.default_rng(0), spec.index("jaw"), []
    for time in np.arange(0, 180, spec.control_dt):
        asked = 0.6 * np.sin(2 * np.pi * 0.2 * time)
        limits.step(spec.command(jaw=asked + noise * rng.normal()))
        missed.append(abs(limits.position[jaw] - asked))
    last_minute = missed[-round(60 / spec.control_dt) :]
    assert np.percentile(last_minute, 95) < most


def test_heat_slows_down_then_lets_go(limits: CommandLimits, spec: FaceSpec) -> None:
    corrugator, table = spec.index("corrugator_left"), robot_config(spec)
    load = limits.heat.holding.copy()
    load[corrugator] = 0.9
    slowed_at = None
    for step in range(10_000):
        before = limits.position[corrugator]
        limits.step(spec.command(corrugator_left=(-1.0) ** (step // 25)))
        moved = abs(limits.position[corrugator] - before)
        limits.warm(load)
        degrees = limits.heat.temperature[corrugator]
        if slowed_at is None and degrees > table["heat"]["slow_from"] + 5 and 0 < moved < 0.2:
            slowed_at = degrees
        if limits.limp:
            break
    assert slowed_at and limits.limp and degrees == pytest.approx(table["safety"]["too_hot"], abs=0.5)
    assert "corrugator_left is too hot" in limits.faults()[0] and "reset" in limits.faults()[0]
    at = limits.position.copy()
    limits.step(spec.command(jaw=1.0))
    assert np.array_equal(limits.position, at)
    limits.reset()
    assert limits.faults() == () and limits.heat.temperature.max() == table["heat"]["ambient"]


@pytest.mark.parametrize("load", [0.5, -0.5])
def test_heat_settles_where_the_ratings_say(spec: FaceSpec, load: float) -> None:
    """The sign of a load does not count."""
    heat, table = HeatModel(spec, (len(spec),)), robot_config(spec)["heat"]
    heat.warm(np.full(len(spec), load), seconds=20 * table["time_constant"])
    assert heat.temperature == pytest.approx(table["ambient"] + 0.25 * table["rise"], abs=0.01)


def test_a_saved_state_repeats(limits: CommandLimits, spec: FaceSpec) -> None:
    for wanted in extremes(spec, 60, seed=1):
        limits.step(wanted)
        limits.warm(limits.heat.holding + 0.5)
    state, after = limits.save(), []
    for _ in range(2):
        limits.restore(state)
        for wanted in extremes(spec, 60, seed=2):
            limits.step(wanted)
            limits.warm(limits.heat.holding + 0.5)
        after.append((limits.position.copy(), limits.heat.temperature.copy()))
    assert all(np.array_equal(one, other) for one, other in zip(*after, strict=True))


def test_a_pair_of_a_rule_may_pull_as_much_as_the_rule_allows() -> None:
    rule = PullRule("cable", (2, 5, 7), (0.5, 0.8, 0.3))
    assert rule.pair_limit(2, 5) == pytest.approx(1 + 0.5 / 0.8)
    assert rule.pair_limit(2, 7) == 2.0
    assert rule.pair_limit(2, 3) == 2.0


@pytest.mark.parametrize(
    "row",
    [
        '[[exclusions]]\npair = ["grin"]\nlimit = 1.2',
        '[[exclusions]]\npair = ["zygomaticus", "depressor"]\nlimit = 0.5',
        '[[overloads]]\nprotects = "skin"\nweights = { jaw = 1.2, levator = 0.4 }',
        '[[overloads]]\nprotects = "skin"\nweights = { jaw = 0.5 }',
        "[[overloads]]\nweights = { jaw = 0.5, levator = 0.5 }",
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(row: str, another_table: Callable[[str], FaceSpec]) -> None:
    spec = another_table(row)
    with pytest.raises(DataError, match=r"robot\.toml"):
        pull_rules(spec)


@pytest.mark.parametrize(
    ("row", "meant"),
    [
        ('[[overloads]]\nprotects = "skin"\nweights = { jaw = 0.5, levater = 0.4 }', "levator"),
        ('[[overloads]]\nprotects = "skin"\nweights = { jaaw = 0.5, levator = 0.4 }', "jaw"),
        ('[[exclusions]]\npair = ["zygomaticus", "depresor"]\nlimit = 1.2', "depressor"),
        ('[[exclusions]]\npair = ["Corrugator", "brow_inner"]\nlimit = 1.2', "corrugator"),
    ],
)
def test_a_misspelt_actuator_is_no_rule(
    row: str, meant: str, another_table: Callable[[str], FaceSpec]
) -> None:
    """It would leave a cable without protection; an actuator that the face lacks needs none."""
    spec = another_table(row)
    with pytest.raises(DataError, match=rf"did you mean {meant}"):
        pull_rules(spec)


def test_a_face_without_a_robot_has_no_limits(simulated_only: FaceSpec) -> None:
    limits, ends = CommandLimits(simulated_only), np.ones(len(simulated_only), np.float32)
    assert np.array_equal(limits.step(ends), ends)
    assert load_pull_rules(simulated_only).members.size == 0


def test_no_rule_of_eva_names_an_actuator_that_it_lacks() -> None:
    """A face may lack some; here it would be a slip of the pen that leaves a cable without protection."""
    spec, config = load_spec(), robot_config(load_spec())
    named = [name for row in config["exclusions"] for name in row["pair"]]
    named += [name for row in config["overloads"] for name in row["weights"]]
    assert set(named) <= {*spec.names, *spec.two_sided_names}
    assert len(pull_rules(spec)) == 2 * (len(config["exclusions"]) + len(config["overloads"]))
