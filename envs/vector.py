"""N environments stepped together over `Twins`, with the plans, observations and rewards of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.envs.base import check_arguments, observed_space
from eva_sim.envs.reset_options import check_names
from eva_sim.envs.target_plan import (
    TargetPlan,
    batch_noise,
    batch_targets,
    landmark_errors,
    observation,
    reward_terms,
)
from eva_sim.envs.task import Task
from eva_sim.errors import EvaError
from eva_sim.randomise import Parameters, draw_parameters
from eva_sim.settling import settling_steps
from eva_sim.twin.twins import Readings, Twins

Batch = dict[str, NDArray]


class FaceVectorEnv(VectorEnv[Batch, Floats, NDArray]):
    """N copies of `PoseEnv` or `MimicEnv` (whose pages say what they are), stepped together.

    `gym.make_vec(id, num_envs=N, vectorization_mode="vector_entry_point", ...)`. Spaces,
    observations, rewards and infos are those of the single environments, stacked; copy i of
    `reset(seed=s)` is a single environment reset with `seed=s + i`, to rounding. Differences:

    - Landmarks only. For pictures, make the single environment, or sync or async copies of it.
    - A face whose skin does not settle is put back to neutral, its `faults` say so and its episode is
      truncated, where a single environment tries Newton's method, for seconds, and then raises.
    - Autoreset is next-step: the step after an episode's last ignores its action, gives reward 0 and
      observes the new episode's start.

    Args:
        num_envs: number of environments, N.
        body: `"twin"`.
        skin: `"full"`, in lanes on all cores; or `"reduced"`.
        neck: `"kinematic"`.
        observe: `"landmarks"`.
        render_mode: None.
        episode_steps: control steps in an episode; None for the task's own.
        randomise: whether each episode's body differs, see `eva_sim.randomise`; the reduced skin
            keeps its material.
        spec: the face, in a folder of tables and meshes; by default EVA.
        **options: none; those of a robot are for the single environment.

    Raises:
        EvaError: an argument has no meaning, or only in the single environment.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": [],
        "render_fps": 25,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    task: ClassVar[type[Task]]

    def __init__(
        self,
        num_envs: int = 1,
        body: str = "twin",
        skin: str = "full",
        neck: str = "kinematic",
        observe: str = "landmarks",
        render_mode: str | None = None,
        episode_steps: int | None = None,
        randomise: bool = False,
        spec: FaceSpec | None = None,
        **options: Any,
    ) -> None:
        _check_single(body, options, neck=neck, observe=observe, render_mode=render_mode)
        check_arguments(observe, 96, render_mode, episode_steps)
        self.num_envs, self.randomise = num_envs, randomise
        self.episode_steps = self.task.STEPS if episode_steps is None else episode_steps
        self.twins = Twins(num_envs, skin, spec)
        self.single_observation_space = observed_space(self.twins.spec, "landmarks", None)
        self._observed = tuple(self.single_observation_space)
        self.single_action_space = spaces.Box(-1.0, 1.0, (len(self.twins.spec),), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators = [seeding.np_random()[0] for _ in range(num_envs)]
        self._parameters: list[Parameters] = [{}] * num_envs
        self._plans: dict[int, TargetPlan] = {}  # by copy; all of them after the first reset

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Batch, dict[str, Any]]:
        """Begins an episode in every copy.

        Args:
            seed: seed of copy 0, copy i gets `seed + i`; or one seed per copy. None keeps the generators.
            options: as in the single environment, for all copies alike.

        Raises:
            EvaError: an option is unknown or malformed.
        """
        for face, own in enumerate(_seeds(seed, self.num_envs)):
            if own is not None:
                self._generators[face] = seeding.np_random(own)[0]
        options = options or {}
        check_names(options, self.task.OPTIONS)
        everyone = np.ones(self.num_envs, bool)
        self._begin(everyone, options)
        self._readings = self._settle(options.get("start"))
        self._start_time, self._steps = self._readings.time, np.zeros(self.num_envs, int)
        self._over = ~everyone
        target, command = batch_targets(self._all_plans(), self._steps)
        info = self._info(landmark_errors(self._readings.landmarks, target), command)
        return self._observe(target), {**info, **self._parameter_info(everyone)}

    def step(self, actions: ArrayLike) -> tuple[Batch, Floats, NDArray, NDArray, dict[str, Any]]:
        """Sends one command to each face; copies whose episode has ended begin the next.

        Raises:
            CommandError: an action is malformed; nothing was sent.
            ResetNeeded: nothing has begun.
        """
        if len(self._plans) < self.num_envs:
            raise ResetNeeded("call reset before step.")
        begun, before = self._over, self._readings.sent
        self._move(actions, begun)
        target, command = batch_targets(self._all_plans(), self._steps)
        error = landmark_errors(self._readings.landmarks, target)
        terms = reward_terms(error, self._readings.sent, before)
        terms = {name: np.where(begun, 0.0, value) for name, value in terms.items()}
        last = np.array([plan.steps for plan in self._all_plans()])
        broken = np.array([bool(faults) for faults in self._readings.faults])
        self._over = ~begun & ((self._steps >= last) | broken)
        info = {**self._info(error, command), **self._parameter_info(begun)}
        if not begun.all():
            info |= _masked({"reward_terms": _masked(terms, ~begun)}, ~begun)
        rewards = np.sum(list(terms.values()), axis=0)
        return self._observe(target), rewards, np.zeros(self.num_envs, bool), self._over.copy(), info

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the threads."""
        self.twins.close()

    def _move(self, actions: ArrayLike, begun: NDArray[np.bool_]) -> None:
        """Moves all faces, and those that begin an episode back to neutral."""
        given = np.asarray(actions, dtype=np.float32)
        if begun.any() and given.shape == self.action_space.shape:
            given = np.where(begun[:, None], self.twins.spec.neutral, given)
        commands = self.twins.check(given)
        if begun.any():
            self._begin(begun, {})
        self._readings = self.twins.move(commands)
        for face in np.flatnonzero(begun).tolist():
            self.twins.reset(face)
        if begun.any():
            self._readings = self.twins.read(self._readings.faults)
        self._steps = np.where(begun, 0, self._steps + 1)
        self._start_time = np.minimum(self._start_time, self._readings.time)  # a face was reset

    def _all_plans(self) -> list[TargetPlan]:
        return [self._plans[face] for face in range(self.num_envs)]

    def _begin(self, which: NDArray[np.bool_], options: dict[str, Any]) -> None:
        """Draws body and targets of new episodes, and rests these faces."""
        faces = np.flatnonzero(which).tolist()
        without = ["camera"] if self.twins.varies_material else ["camera", "skin"]
        for face in faces if self.randomise else ():
            self._parameters[face] = draw_parameters(self.twins.spec, self._generators[face], without)
            self.twins.set_parameters(face, self._parameters[face])
        trials = _Trials(self)
        for face in faces:
            rng = self._generators[face]
            self._plans[face] = self.task.plan(options, rng, self.episode_steps, _OneOfMany(trials, face))
            rng.integers(2**31)  # what a single environment seeds its body with
        for face in faces:
            self.twins.reset(face)

    def _settle(self, command: ArrayLike | None) -> Readings:
        """Resets all faces and, with a command, holds that until they have arrived."""
        spec = self.twins.spec
        held = spec.neutral if command is None else spec.check(command)
        self.twins.reset()
        readings = self.twins.read()
        for _ in range(0 if command is None else settling_steps(spec)):
            readings = self.twins.move(np.tile(held, (self.num_envs, 1)))
        return readings

    def _observe(self, target: Floats) -> Batch:
        landmarks = self._readings.landmarks
        shaken = (
            batch_noise(self._parameters, self._generators, landmarks.shape[1:]) if self.randomise else 0.0
        )
        seen = observation(self._readings.position, target, landmarks, shaken)
        return {name: seen[name] for name in self._observed}

    def _info(self, error: Floats, command: Floats | None) -> dict[str, Any]:
        faults = np.empty(self.num_envs, object)
        faults[:] = self._readings.faults
        info: dict[str, Any] = {
            "landmark_error_mm": 1000.0 * self.twins.outer_eye * error,
            "time": self._readings.time - self._start_time,
            "faults": faults,
        }
        if command is not None:
            info["target_command"] = command
        return _masked(info, np.ones(self.num_envs, bool))

    def _parameter_info(self, which: NDArray[np.bool_]) -> dict[str, Any]:
        """Returns the parameters of the faces that begin an episode, in the form of an info."""
        if not (self.randomise and which.any()):
            return {}
        first = self._parameters[int(np.argmax(which))]
        stacked = {}
        for name, value in first.items():
            stacked[name] = np.zeros((self.num_envs, *value.shape))
            for face in np.flatnonzero(which).tolist():
                stacked[name][face] = self._parameters[face][name]
        return _masked({"parameters": _masked(stacked, which)}, which)


class _Trials:
    """Faces that commands settle to. One trial moves all faces, so each command is tried only once."""

    def __init__(self, envs: FaceVectorEnv) -> None:
        self.spec, self.neutral_landmarks = envs.twins.spec, envs.twins.neutral_landmarks
        self._settle = envs._settle
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def landmarks(self, command: ArrayLike) -> NDArray[np.float32]:
        """Returns the landmarks (B, N, 3) of all faces after the command was held from neutral."""
        key = np.asarray(command, np.float32).tobytes()
        if key not in self._known:
            self._known[key] = self._settle(command).landmarks
        return self._known[key]


class _OneOfMany:
    """Presents one face of a vector environment as a `TaskFace`."""

    def __init__(self, trials: _Trials, face: int) -> None:
        self.spec, self.neutral_landmarks = trials.spec, trials.neutral_landmarks
        self._trials, self._face = trials, face

    def settle(self, command: ArrayLike) -> NDArray[np.float32]:
        return self._trials.landmarks(command)[self._face]


def _masked(info: dict[str, Any], which: NDArray[np.bool_]) -> dict[str, Any]:
    """Adds Gymnasium's masks to an info: `_name` says which copies have `name`."""
    masks = {f"_{name}": which.copy() for name in info}
    return {**info, **masks}


def _seeds(seed: int | Sequence[int | None] | None, count: int) -> Sequence[int | None]:
    if seed is None:
        return [None] * count
    seeds = list(range(seed, seed + count)) if isinstance(seed, int) else seed
    if len(seeds) != count:
        raise EvaError(f"{count} environments take one seed or {count}, not {len(seeds)}.")
    return seeds


def _check_single(body: str, options: dict[str, Any], **given: str | None) -> None:
    """Refuses options that only the single environment has."""
    if body != "twin":
        raise EvaError(f"body={body!r} is a single face; use the single environment, gym.make.")
    if options:
        raise EvaError(f"{', '.join(sorted(options))}: options of a robot are for the single environment.")
    able = {"neck": "kinematic", "observe": "landmarks", "render_mode": None}
    for name, value in given.items():
        if value != able[name]:
            raise EvaError(
                f"{name}={value!r} is for the single environment: gym.make, or make_vec with"
                f" vectorization_mode='sync'; N faces at once take {able[name]!r}."
            )
