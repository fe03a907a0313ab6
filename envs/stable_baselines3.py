"""Native vector environments for Stable-Baselines3, which has a vector interface of its own.

    from eva_sim.envs.stable_baselines3 import make_sb3_vec_env
    model = PPO("MultiInputPolicy", make_sb3_vec_env("EVA/Pose-v0", num_envs=256, skin="reduced"))

A single environment, `gym.make(id)`, needs nothing of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import eva_sim  # noqa: F401 - registers the ids
from eva_sim.contract import Floats
from eva_sim.envs.residual_actions import ResidualActions
from eva_sim.errors import ArgumentValueError, EvaError

try:
    from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
except ModuleNotFoundError:
    raise EvaError(
        "this adapter needs Stable-Baselines3; install it with: pip install stable-baselines3"
    ) from None

Indices = int | Iterable[int] | None


def make_sb3_vec_env(name: str, num_envs: int, **options: Any) -> NativeVecEnv:
    """Makes N environments, stepped together, for Stable-Baselines3.

    Args:
        name: id of the environment.
        num_envs: number of environments, N.
        **options: of `gym.make_vec`, see `eva_sim.envs.vector.FaceVectorEnv`.

    Raises:
        EvaError: an option is unknown or has no meaning.
    """
    return NativeVecEnv(
        gym.make_vec(
            name,
            num_envs,
            vectorization_mode="vector_entry_point",
            autoreset_mode=AutoresetMode.SAME_STEP,
            **options,
        )
    )


class NativeVecEnv(VecEnv):
    """A `VecEnv` of Stable-Baselines3 over a Gymnasium vector environment with same-step autoreset.

    Attributes that it is asked for by name are those of the whole vector environment.

    Args:
        envs: the vector environment; `close` closes it.

    Raises:
        ArgumentValueError: it has another autoreset.
    """

    def __init__(self, envs: gym.vector.VectorEnv) -> None:
        if envs.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            raise ArgumentValueError("Stable-Baselines3 needs autoreset_mode='SameStep'.")
        self.envs = envs
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> Any:
        """Begins an episode in every copy; `seed` and `set_options` before it take effect now."""
        observations, info = self.envs.reset(seed=self._seeds, options={"copies": self._options})
        self.reset_infos = rows_of(info, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray) -> None:
        """Takes the actions of the next step, and clips them: policies draw some beyond the range."""
        self._actions = np.clip(actions, self.action_space.low, self.action_space.high)

    def step_wait(self) -> tuple[Any, Floats, NDArray[np.bool_], list[dict[str, Any]]]:
        """Steps. The info of a copy whose episode has ended is that of the end."""
        observations, rewards, terminated, truncated, info = self.envs.step(self._actions)
        done, infos = terminated | truncated, rows_of(info, self.num_envs)
        ends = rows_of(info.get("final_info", {}), self.num_envs)
        for copy in np.flatnonzero(done).tolist():
            last = infos[copy].pop("final_obs")
            self.reset_infos[copy] = infos[copy]
            infos[copy] = ends[copy]
            infos[copy]["terminal_observation"] = last
            infos[copy]["TimeLimit.truncated"] = bool(truncated[copy] and not terminated[copy])
        return observations, np.asarray(rewards, np.float32), done, infos

    def get_images(self) -> Sequence[NDArray[np.uint8]]:
        """Returns a picture of each face."""
        pictures: Any = self.envs.render()
        return list(pictures or ())

    def close(self) -> None:
        """Closes the vector environment."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """Returns an attribute of the vector environment, once for each copy."""
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Sets an attribute of the vector environment."""
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Indices = None, **options: Any) -> list[Any]:
        """Calls a method of the vector environment once, and returns its result for each copy."""
        result = getattr(self.envs, method_name)(*args, **options)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Indices = None) -> list[bool]:
        """Says of each copy that it is not wrapped."""
        return [False for _ in self._get_indices(indices)]


class ResidualVecEnv(VecEnvWrapper):
    """Environments whose actions correct the commands of a model.

    Args:
        envs: with `observe="features"` and absolute actions.
        residual: adds the model's commands to observations, and corrections to commands.
    """

    def __init__(self, envs: VecEnv, residual: ResidualActions) -> None:
        super().__init__(envs, residual.observation_space(envs.observation_space), residual.action_space)
        self._residual = residual

    def reset(self) -> Any:
        """Begins an episode in every copy."""
        return self._residual.observe(self.venv.reset(), begins=True)

    def step_async(self, actions: NDArray) -> None:
        """Takes the corrections of the next step, and clips them: policies draw some beyond the range."""
        self.venv.step_async(self._residual.command(np.clip(actions, -1, 1)))

    def step_wait(self) -> tuple[Any, Floats, NDArray[np.bool_], list[dict[str, Any]]]:
        """Steps. The last observation of an ended episode has what the model says, too."""
        observations, rewards, done, infos = self.venv.step_wait()
        ended = np.flatnonzero(done).tolist()
        if ended:
            lasts = [infos[copy]["terminal_observation"] for copy in ended]
            together = {name: np.array([last[name] for last in lasts]) for name in observations}
            whole = self._residual.complete(together, np.array(ended))
            for row, copy in enumerate(ended):
                infos[copy]["terminal_observation"] = {name: value[row] for name, value in whole.items()}
        return self._residual.observe(observations, begins=done), rewards, done, infos


class ImprovementVecEnv(VecEnvWrapper):
    """Environments that are rewarded for what they do better than equal copies whose actions are all 0.

    Copies with equal seeds have equal bodies and targets, whatever the actions. What both lose alike, on a
    target that jumps or on a stiff body, tells nothing of a policy, but hides what its actions change.
    Rewards of the others do not depend on the actions, so the best policy stays the same: they are a control
    variate.

    Args:
        envs: to be trained on, with `observe="features"`.
        others: opened with the same arguments.
    """

    def __init__(self, envs: VecEnv, others: VecEnv) -> None:
        super().__init__(envs)
        self._others = others
        self._no_action = np.zeros((envs.num_envs, *envs.action_space.shape), np.float32)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds both alike with the next reset."""
        self._others.seed(seed)
        return self.venv.seed(seed)

    def reset(self) -> Any:
        """Begins an episode in every copy."""
        self._others.reset()
        return self.venv.reset()

    def step_async(self, actions: NDArray) -> None:
        """Takes the actions of the next step."""
        self._others.step_async(self._no_action)
        self.venv.step_async(actions)

    def step_wait(self) -> tuple[Any, Floats, NDArray[np.bool_], list[dict[str, Any]]]:
        """Steps both. A copy that is no longer equal, after a fault of one, gets no reward."""
        seen, rewards, done, infos = self.venv.step_wait()
        other_seen, other_rewards, _, _ = self._others.step_wait()
        equal = (seen["target_features"] == other_seen["target_features"]).all(1)
        return seen, np.where(equal, rewards - other_rewards, 0.0).astype(np.float32), done, infos

    def close(self) -> None:
        """Closes both."""
        self._others.close()
        self.venv.close()


def rows_of(info: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Returns the info of each copy, from one in Gymnasium's form (`_name` says which have `name`)."""
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for name in [name for name in info if f"_{name}" in info and name != "final_info"]:
        for copy in np.flatnonzero(info[f"_{name}"]).tolist():
            rows[copy][name] = info[name][copy]
    return rows
