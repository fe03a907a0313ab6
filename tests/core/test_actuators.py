"""The actuator chain against closed-form answers."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from eva_sim.actuators import ActuatorParameters, Actuators
from eva_sim.contract import FaceSpec, load_spec
from eva_sim.errors import EvaError
from eva_sim.horns import cable_drawn_in

LOOSE = np.zeros(12)


def changed(cable: dict[str, float] | None = None, **row: Any) -> FaceSpec:
    """The real table with some cable constants, or some columns of every row, replaced."""
    spec = load_spec()
    return replace(
        spec,
        actuators=tuple(replace(a, **row) for a in spec.actuators),
        cable=MappingProxyType({**spec.cable, **(cable or {})}),
    )


def drive(chain: Actuators, command: np.ndarray, steps: int, tension: np.ndarray = LOOSE) -> None:
    for _ in range(steps):
        chain.step(command, tension)


def wind_to(chain: Actuators, target: np.ndarray, tension: np.ndarray) -> None:
    """Turns all cable servos to `target` [rad] and waits until they are there."""
    physical = chain.spec.column("neutral")
    physical[:12] = target
    drive(chain, chain.spec.to_command(physical), 12, tension)


def back_by(chain: Actuators, line: float) -> np.ndarray:
    """Angles [rad] at which the horns have let out `line` [m] more than where they are."""
    spec = chain.spec
    low, high = spec.column("low")[:12], spec.column("high")[:12]
    middle, there = 0.5 * (low + high), chain.position[:12]
    lever: np.ndarray = np.sin(there - middle) - line / spec.cable["horn_radius"]
    return middle + np.arcsin(lever)


def test_rest_is_neutral_and_stays() -> None:
    chain = Actuators(load_spec())
    drive(chain, chain.spec.neutral, 20)
    assert np.array_equal(chain.position, chain.spec.column("neutral"))
    assert np.array_equal(chain.take_up, np.zeros(12))


def test_delay_is_whole_control_steps() -> None:
    for delay in (0, 1, 3):
        chain = Actuators(changed(delay=delay))
        command = np.ones(25, dtype=np.float32)
        drive(chain, command, delay)
        assert np.array_equal(chain.position, chain.spec.column("neutral"))
        drive(chain, command, 1)
        assert np.all(chain.position > chain.spec.column("neutral"))


def test_actuators_may_have_different_delays() -> None:
    spec = load_spec()
    rows = tuple(replace(a, delay=i % 3) for i, a in enumerate(spec.actuators))
    chain = Actuators(replace(spec, actuators=rows))
    neutral = spec.column("neutral")
    for step in range(3):
        drive(chain, np.ones(25, dtype=np.float32), 1)
        assert np.array_equal(chain.position != neutral, np.arange(25) % 3 <= step)


def test_rate_limit_sets_the_travel_time() -> None:
    spec = changed(delay=0)
    chain = Actuators(spec)
    command = np.ones(25, dtype=np.float32)
    travel = spec.column("rate") * spec.control_dt
    distance = spec.column("high") - spec.column("neutral")
    for step in range(1, 12):
        drive(chain, command, 1)
        expected = spec.column("neutral") + np.minimum(step * travel, distance)
        np.testing.assert_allclose(chain.position, expected, rtol=0, atol=1e-12)
    drive(chain, command, 20)
    np.testing.assert_allclose(chain.position, spec.column("high"), rtol=0, atol=1e-12)


def test_position_never_leaves_the_range() -> None:
    rng = np.random.default_rng(0)
    chain = Actuators(load_spec())
    low, high = chain.spec.column("low"), chain.spec.column("high")
    for _ in range(300):
        chain.step(rng.choice([-1, 1], 25).astype(np.float32), rng.uniform(0, 8, 12))
        assert np.all(chain.position >= low) and np.all(chain.position <= high)


def test_dead_band_ignores_small_changes_of_the_target() -> None:
    spec = changed(delay=0)
    chain = Actuators(spec)
    middle = 0.5 * (spec.column("low") + spec.column("high"))
    drive(chain, spec.to_command(middle), 20)
    before = chain.position.copy()
    drive(chain, spec.to_command(before + 0.9 * spec.column("dead_band")), 5)
    assert np.array_equal(chain.position, before)
    drive(chain, spec.to_command(before + 1.2 * spec.column("dead_band")), 5)
    np.testing.assert_allclose(chain.position - before, 1.2 * spec.column("dead_band"), rtol=1e-2)


def test_small_creeping_changes_add_up_through_the_dead_band() -> None:
    spec = changed(delay=0)
    chain = Actuators(spec)
    band = spec.column("dead_band")
    start = 0.5 * (spec.column("low") + spec.column("high"))
    drive(chain, spec.to_command(start), 20)
    for step in range(1, 41):
        drive(chain, spec.to_command(start + 0.3 * step * band), 1)
        assert np.all(np.abs(chain.position - (start + 0.3 * step * band)) <= 1.01 * band)


def test_a_horn_draws_in_by_the_sine_of_its_angle_from_the_middle_of_its_arc() -> None:
    spec = load_spec()
    middle = 0.5 * (spec.column("low") + spec.column("high"))
    across, drawn = cable_drawn_in(spec, middle), cable_drawn_in(spec, spec.column("high"))
    assert np.array_equal(cable_drawn_in(spec, spec.column("low")), np.zeros(12))
    np.testing.assert_allclose(across, spec.cable["horn_radius"] * np.sin(middle[:12]), rtol=1e-12)
    np.testing.assert_allclose(drawn, 2 * across, rtol=1e-12)


def test_a_horn_moves_its_cable_less_the_backlash() -> None:
    chain = Actuators(load_spec())
    wind_to(chain, np.full(12, 1.5), LOOSE)
    expected = cable_drawn_in(chain.spec, chain.position) - chain.spec.cable["backlash"]
    np.testing.assert_allclose(chain.line, expected, rtol=0, atol=1e-15)
    assert np.array_equal(chain.take_up, chain.line)


def test_play_loop_is_as_wide_as_the_backlash() -> None:
    chain = Actuators(load_spec())
    wind_to(chain, np.full(12, 1.5), LOOSE)
    drawn = chain.line.copy()
    wind_to(chain, back_by(chain, 0.9 * chain.spec.cable["backlash"]), LOOSE)
    assert np.array_equal(chain.line, drawn)
    wind_to(chain, back_by(chain, 2.1 * chain.spec.cable["backlash"]), LOOSE)
    np.testing.assert_allclose(drawn - chain.line, 2.0 * chain.spec.cable["backlash"], rtol=1e-3)
    wind_to(chain, np.zeros(12), LOOSE)
    assert np.array_equal(chain.line, np.zeros(12))


@pytest.mark.parametrize("friction, wrap", [(0.12, 1.57), (0.15, np.pi), (0.0, 1.0)])
def test_capstan_ratio_pulling_in_and_paying_out(friction: float, wrap: float) -> None:
    chain = Actuators(changed({"friction": friction, "wrap_angle": wrap}))
    tension = np.linspace(1.0, 7.0, 12)
    stiffness = chain.spec.cable["bowden_stiffness"]
    wind_to(chain, np.full(12, 1.5), tension)
    proximal = stiffness * (chain.line - chain.take_up)
    np.testing.assert_allclose(proximal / tension, np.exp(friction * wrap), rtol=1e-9)
    wind_to(chain, np.full(12, 0.5), tension)
    proximal = stiffness * (chain.line - chain.take_up)
    np.testing.assert_allclose(proximal / tension, np.exp(-friction * wrap), rtol=1e-9)


def test_cable_sticks_between_the_two_capstan_tensions() -> None:
    chain = Actuators(changed({"backlash": 0.0}))
    tension = np.full(12, 5.0)
    wind_to(chain, np.full(12, 1.5), tension)
    held = chain.take_up.copy()
    ratio = np.exp(chain.spec.cable["friction"] * chain.spec.cable["wrap_angle"])
    band = 5.0 * (ratio - 1.0 / ratio) / chain.spec.cable["bowden_stiffness"]
    wind_to(chain, back_by(chain, 0.7 * band), tension)
    np.testing.assert_allclose(chain.take_up, held, rtol=0, atol=1e-15)
    wind_to(chain, back_by(chain, 2.0 * band), tension)
    np.testing.assert_allclose(held - chain.take_up, 1.7 * band, rtol=1e-4)


def test_friction_holds_against_the_skin_until_its_pull_is_far_greater() -> None:
    chain = Actuators(load_spec())
    ratio = np.exp(chain.spec.cable["friction"] * chain.spec.cable["wrap_angle"])
    wind_to(chain, np.full(12, 1.5), np.full(12, 5.0))
    command = chain.spec.to_command(chain.target)
    held = chain.take_up.copy()
    drive(chain, command, 3, np.full(12, 0.99 * 5.0 * ratio**2))
    np.testing.assert_allclose(chain.take_up, held, rtol=0, atol=1e-15)
    drive(chain, command, 3, np.full(12, 5.0 * ratio**2 + 1.0))
    drawn_out = 1.0 / ratio / chain.spec.cable["bowden_stiffness"]
    np.testing.assert_allclose(held - chain.take_up, drawn_out, rtol=1e-9)


def test_hysteresis_loop_is_open_and_closes_on_itself() -> None:
    """Against a linear skin of 400 N/m: the second and third loops are the same loop."""
    chain = Actuators(load_spec())
    angles = 1.1 - 0.9 * np.cos(np.linspace(0, 2 * np.pi, 101)[:-1])
    loops = []
    for _ in range(3):
        loop = []
        for angle in angles:
            physical = chain.spec.column("neutral")
            physical[:12] = angle
            chain.step(chain.spec.to_command(physical), 400.0 * np.maximum(0.0, chain.take_up))
            loop.append(chain.take_up[0])
        loops.append(np.array(loop))
    np.testing.assert_allclose(loops[2], loops[1], rtol=0, atol=1e-12)
    winding, unwinding = loops[1][25], loops[1][75]
    assert unwinding - winding > chain.spec.cable["backlash"]


def test_explicit_tension_settles_with_the_stiffest_possible_skin() -> None:
    chain = Actuators(load_spec())
    stiffness = chain.spec.cable["stiffness"]
    command = chain.spec.command(**dict.fromkeys(chain.spec.names[:12], 1.0))
    trace = []
    for _ in range(60):
        chain.step(command, stiffness * np.maximum(0.0, chain.take_up))
        trace.append(chain.take_up.copy())
    np.testing.assert_allclose(trace[-1], trace[-2], rtol=0, atol=1e-12)
    assert np.all(trace[-1] < chain.line)


def test_left_and_right_are_the_same() -> None:
    rng = np.random.default_rng(1)
    chain = Actuators(load_spec())
    for _ in range(100):
        command = chain.spec.neutral
        command[0:12:2] = command[1:12:2] = rng.uniform(-1, 1, 6)
        tension = np.repeat(rng.uniform(0, 7, 6), 2)
        chain.step(command, tension)
        assert np.array_equal(chain.take_up[0::2], chain.take_up[1::2])


def test_save_and_restore_repeat_bit_for_bit() -> None:
    rng = np.random.default_rng(2)
    chain = Actuators(changed(delay=2))
    moves = [(rng.uniform(-1, 1, 25).astype(np.float32), rng.uniform(0, 7, 12)) for _ in range(60)]
    for move in moves[:20]:
        chain.step(*move)
    state = chain.save()
    first = []
    for move in moves[20:]:
        chain.step(*move)
        first.append((chain.position.copy(), chain.take_up.copy()))
    fresh = Actuators(chain.spec)
    for other in (chain, fresh):
        other.restore(state)
        for move, (position, take_up) in zip(moves[20:], first, strict=True):
            other.step(*move)
            assert np.array_equal(other.position, position)
            assert np.array_equal(other.take_up, take_up)


def test_saved_state_does_not_follow_later_moves() -> None:
    chain = Actuators(load_spec())
    state = chain.save()
    drive(chain, np.ones(25, dtype=np.float32), 5, np.full(12, 3.0))
    for name, value in Actuators(chain.spec).save().items():
        assert np.array_equal(state[name], value)


def mixed(seed: int, faces: int) -> list[ActuatorParameters]:
    """Different parameters for each face."""
    rng, table = np.random.default_rng(seed), ActuatorParameters.of(load_spec())

    def one() -> ActuatorParameters:
        scaled = [value * rng.uniform(0.5, 2.0, value.shape) for value in table[:5]]
        return ActuatorParameters._make([*scaled, rng.integers(0, 3, 25).astype(float)])

    return [one() for _ in range(faces)]


def test_many_faces_are_each_face_alone_to_the_bit() -> None:
    spec, rng = load_spec(), np.random.default_rng(4)
    together, alone = Actuators(spec, 5), [Actuators(spec) for _ in range(5)]
    for face, parameters in enumerate(mixed(3, 5)[:4]):  # the fifth is the table's
        together.set_parameters(parameters, face)
        alone[face].set_parameters(parameters)
    for step in range(60):
        commands = rng.uniform(-1, 1, (5, 25)).astype(np.float32)
        tension = rng.uniform(0, 7, (5, 12))
        if step == 30:
            together.reset(2)
            alone[2].reset()
        together.step(commands, tension)
        for face, chain in enumerate(alone):
            chain.step(commands[face], tension[face])
            assert np.array_equal(together.drawn[face], chain.drawn)
            for name, value in chain.save().items():
                assert np.array_equal(together.save()[name][face], value)


@pytest.mark.parametrize("name", ActuatorParameters._fields)
def test_every_figure_has_its_effect(name: str) -> None:
    chain, other = Actuators(load_spec()), Actuators(load_spec())
    changed = getattr(chain.parameters, name) * 2.0
    other.set_parameters(other.parameters._replace(**{name: changed}))
    rng = np.random.default_rng(0)
    differs = False
    for _ in range(20):
        command, tension = rng.uniform(-0.01, 0.01, 25).astype(np.float32), rng.uniform(1, 5, 12)
        for each in (chain, other):
            each.step(command if name == "dead_band" else 100 * command, tension)
        differs |= not np.array_equal(chain.drawn, other.drawn)
    assert differs


def test_more_slack_is_cable_not_yet_drawn() -> None:
    chain = Actuators(load_spec())
    chain.set_parameters(chain.parameters._replace(slack=chain.parameters.slack + 0.002))
    wind_to(chain, np.full(12, 1.5), LOOSE)
    np.testing.assert_allclose(chain.take_up - chain.drawn, 0.002, rtol=1e-9)


def test_a_delay_beyond_the_queue_is_refused() -> None:
    chain = Actuators(load_spec())
    with pytest.raises(EvaError, match="control steps"):
        chain.set_parameters(chain.parameters._replace(delay=np.full(25, 9.0)))
