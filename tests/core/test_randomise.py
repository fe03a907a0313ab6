"""Domain randomisation: drawn by seed, off by default, and every line does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import eva_sim
from eva_sim.actuators import ActuatorParameters
from eva_sim.contract import load_spec
from eva_sim.envs.pose import PoseEnv
from eva_sim.errors import EvaError
from eva_sim.randomise import (
    RandomisedParameter,
    actuator_parameters,
    draw_parameters,
    landmark_noise,
    load_randomisation,
    material_scales,
)
from eva_sim.testing.fake_face import FakeRobotFace
from eva_sim.twin import Twin, Twins

LINES = {line.name: line for line in load_randomisation(load_spec())}
DRAWN = [line for line in LINES.values() if line.acts_on != "robot"]


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin() as face:
        yield face


def extreme(line: RandomisedParameter) -> dict[str, Any]:
    return {line.name: np.full(line.shape(load_spec()), float(line.high))}


def held(twin: Twin, parameters: dict[str, Any]) -> np.ndarray:
    """Landmarks on the way to a smile with an open jaw, after each of some steps, and a small move."""
    twin.set_parameters(parameters)
    twin.reset()
    smile = twin.spec.command(zygomaticus=0.6, levator=0.3, jaw=0.0)
    seen = [twin.move(smile).landmarks for _ in range(8)]
    nudged = twin.spec.command(zygomaticus=0.6, levator=0.3, jaw=-0.038)  # 2.5 dead-bands
    for aim in (nudged, smile, twin.spec.neutral):
        seen += [twin.move(aim).landmarks for _ in range(2)]
    return np.array(seen)


@pytest.mark.parametrize("name", [n for n, line in LINES.items() if line.acts_on in ("skin", "drive")])
def test_every_line_of_skin_and_drive_changes_the_motion(twin: Twin, name: str) -> None:
    nominal = held(twin, {})
    assert not np.array_equal(held(twin, extreme(LINES[name])), nominal)
    assert np.array_equal(held(twin, {}), nominal)


@pytest.mark.parametrize("name", ["camera", "light"])
def test_a_camera_line_changes_the_picture(twin: Twin, name: str) -> None:
    twin.set_parameters({})
    twin.reset()
    nominal = twin.render(64)
    twin.set_parameters(extreme(LINES[name]))
    assert not np.array_equal(twin.render(64), nominal)
    twin.set_parameters({})
    assert np.array_equal(twin.render(64), nominal)


def test_noise_is_on_what_is_observed_and_on_nothing_else(twin: Twin) -> None:
    nominal = held(twin, {})
    assert np.array_equal(held(twin, extreme(LINES["landmark_noise"])), nominal)
    noise = landmark_noise(extreme(LINES["landmark_noise"]), np.random.default_rng(0), (1000, 3))
    assert np.std(noise) == pytest.approx(LINES["landmark_noise"].high, rel=0.05)
    assert not landmark_noise({}, np.random.default_rng(0), (4, 3)).any()


def test_each_line_is_one_of_those_tested_here_or_not_drawn() -> None:
    assert {line.acts_on for line in DRAWN} == {"skin", "drive", "camera", "reading"}
    assert {line.name for line in DRAWN if line.acts_on in ("camera", "reading")} == {
        "camera",
        "light",
        "landmark_noise",
    }


def test_what_only_a_robot_has_is_drawn_only_for_one_and_after_the_rest() -> None:
    face, robot = (
        draw_parameters(load_spec(), np.random.default_rng(0)),
        draw_parameters(load_spec(), np.random.default_rng(0), robot=True),
    )
    assert set(robot) - set(face) == {line.name for line in LINES.values() if line.acts_on == "robot"}
    assert len(robot) > len(face)
    assert all(np.array_equal(face[name], robot[name]) for name in face)


@pytest.mark.parametrize("line", DRAWN, ids=lambda line: line.name)
def test_values_are_in_their_range_and_vary(line: RandomisedParameter) -> None:
    rng = np.random.default_rng(1)
    values = np.array([line.draw(load_spec(), rng) for _ in range(200)])
    assert values.shape == (200, *line.shape(load_spec()))
    assert (values >= line.low).all() and (values <= line.high).all()
    if line.distribution == "log-uniform":
        assert np.median(values) == pytest.approx(np.sqrt(line.low * line.high), rel=0.2)
    if line.distribution == "integer":
        assert set(values.ravel()) == set(range(int(line.low), int(line.high) + 1))
    else:
        assert len(np.unique(values)) == values.size
    assert len(line.reason) > 20


def test_no_parameters_are_the_tables() -> None:
    assert np.array_equal(material_scales({}), np.ones(5))
    for mine, table in zip(
        actuator_parameters(load_spec(), {}), ActuatorParameters.of(load_spec()), strict=True
    ):
        assert np.array_equal(mine, table)


def test_thickness_bends_with_its_third_power() -> None:
    membrane, bending, *others = material_scales({"thickness": np.asarray(1.1), "stiffness": np.asarray(2.0)})
    assert membrane == pytest.approx(2.2)
    assert bending == pytest.approx(2 * 1.1**3)
    assert others == [1, 1, 1]


def test_what_is_left_out_changes_nothing_else() -> None:
    whole, part = (
        draw_parameters(load_spec(), np.random.default_rng(3)),
        draw_parameters(load_spec(), np.random.default_rng(3), ["skin", "camera"]),
    )
    assert set(whole) - set(part) == {line.name for line in DRAWN if line.acts_on in ("skin", "camera")}
    assert all(np.array_equal(whole[name], part[name]) for name in part)


def drawn(info: dict[str, Any]) -> dict[str, Any]:
    """The parameters in the info of a reset."""
    prefix = "parameter_"
    return {name.removeprefix(prefix): value for name, value in info.items() if name.startswith(prefix)}


def test_an_environment_is_randomised_by_its_seed_and_only_if_asked() -> None:
    def play(seed: int, **options: Any) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        env: Any = PoseEnv(max_episode_steps=6, **options)
        seen, info = env.reset(seed=seed)
        first = seen["landmarks"]
        for _ in range(5):
            env.step(load_spec().command(zygomaticus=0.7))
        true = env._seen
        env.close()
        return drawn(info), first, true

    one, again, other = (play(seed, randomise=True) for seed in (1, 1, 2))
    assert set(one[0]) == {line.name for line in DRAWN}
    assert all(np.array_equal(one[0][name], again[0][name]) for name in one[0])
    assert np.array_equal(one[1], again[1]) and np.array_equal(one[2], again[2])
    assert not np.array_equal(one[2], other[2])
    plain, same = play(1), play(2)
    assert plain[0] == {}
    assert np.array_equal(plain[1], same[1]) and np.array_equal(plain[2], same[2])


def test_a_new_episode_is_another_body_and_restore_brings_the_old_one_back() -> None:
    env: Any = PoseEnv(max_episode_steps=6, randomise=True)
    _, first = env.reset(seed=1)
    action = load_spec().command(zygomaticus=0.7)
    env.step(action)
    state = env.save()
    seen = [env.step(action)[0]["landmarks"] for _ in range(4)]
    _, second = env.reset()
    assert drawn(second)["stiffness"] != drawn(first)["stiffness"]
    env.step(action)
    env.restore(state)
    assert np.array_equal(seen, [env.step(action)[0]["landmarks"] for _ in range(4)])
    env.close()


def test_a_body_that_cannot_change_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EvaError, match="needs the twin"):
        gym.make("EVA/Pose-v0", face=FakeRobotFace(), randomise=True)
    assert not hasattr(eva_sim.Face, "set_parameters")


def test_a_skin_of_one_material_keeps_it() -> None:
    twins, twin = Twins(1, "reduced"), Twin("reduced")
    for vary in (lambda p: twins.set_parameters(0, p), twin.set_parameters):
        vary({"friction": np.full(12, 1.2)})
        with pytest.raises(EvaError, match="one material"):
            vary({"stiffness": np.asarray(1.2)})
    twins.close()
