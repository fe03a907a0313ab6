"""Comparison of vector environments with single ones that have the same arithmetic."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import Floats, Reading, SimulatedFace, load_spec
from eva_sim.envs.mimic import MimicEnv
from eva_sim.envs.pose import PoseEnv
from eva_sim.randomise import Parameters
from eva_sim.twin.twins import Twins

COPIES = 3
SINGLE = {"EVA/Pose-v0": PoseEnv, "EVA/Mimic-v0": MimicEnv}


class OneOfTwins(SimulatedFace):
    """The one face of a `Twins`, so that a single environment can have the same arithmetic."""

    def __init__(self, style: str = "plain") -> None:
        self.twins, self.varies_material = Twins(1, style=style), True
        self.spec, self.outer_eye = self.twins.spec, self.twins.outer_eye
        self.neutral_landmarks = self.twins.neutral_landmarks

    def reset(self, seed: int | None = None) -> Reading:
        self.twins.reset()
        return self._one(self.twins.read())

    def move(self, command: ArrayLike) -> Reading:
        return self._one(self.twins.move(self.spec.check(command)[None]))

    def set_parameters(self, parameters: Parameters) -> None:
        self.twins.set_parameters(0, parameters)

    def _one(self, r: Any) -> Reading:
        return Reading(r.time[0], r.sent[0], r.position[0], True, r.landmarks[0], faults=r.faults[0])

    def save(self) -> Any:
        return self.twins.save()

    def restore(self, state: Any) -> None:
        self.twins.restore(state)

    def render(self, size: int) -> NDArray[np.uint8]:
        return self.twins.render(size)[0]

    def close(self) -> None:
        self.twins.close()


def make(name: str, copies: int = COPIES, **options: Any) -> Any:
    return gym.make_vec(name, num_envs=copies, vectorization_mode="vector_entry_point", **options)


def walk(steps: int, copies: int = COPIES, seed: int = 0) -> Floats:
    """A calm random walk: violent ones end in faults, where single environments go on or raise."""
    rng, command, path = np.random.default_rng(seed), np.tile(load_spec().neutral, (copies, 1)), []
    for _ in range(steps):
        command = np.clip(command + rng.normal(0, 0.08, command.shape), -1, 1).astype(np.float32)
        path.append(command)
    return np.array(path)


def assert_same(one: Any, two: Any, at: str = "") -> None:
    """Dicts, arrays and masks are equal to 1e-6, kinds of numbers included."""
    if isinstance(one, dict):
        assert one.keys() == two.keys(), at
        for name in one:
            assert_same(one[name], two[name], f"{at}/{name}")
    elif isinstance(one, np.ndarray) and one.dtype == object:
        for each, other in zip(one, two, strict=True):
            assert_same(each, other, at)
    elif one is None or isinstance(one, tuple):
        assert one == two, at
    else:
        assert one.dtype == two.dtype and one.shape == two.shape, at
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6, err_msg=at)


def assert_all_same(many: tuple, alone: tuple, camera: bool = False) -> None:
    """What the native one and single environments give; without pictures only these draw a camera's lines."""
    for info in () if camera else (alone[-1], alone[-1].get("final_info", {})):  # the latter only at an end
        for name in ("parameter_camera", "parameter_light"):
            info.pop(name, None)
            info.pop(f"_{name}", None)
    for one, two in zip(many, alone, strict=True):
        assert_same(one, two)
