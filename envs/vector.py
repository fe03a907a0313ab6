"""N environments stepped together over `Twins`, with the plans, observations and rewards of one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.envs.action_modes import ActionMap, ActionMode, check_action_mode
from eva_sim.envs.arguments import check_render_mode, checked_weight, earliest, step_limit
from eva_sim.envs.base import RENDER_SIZE, clip_advice, prefixed
from eva_sim.envs.observations import Observe, Observer, check_observe
from eva_sim.envs.reset_options import check_mapping, options_of_copies, reset_mask
from eva_sim.envs.target_faces import Targets, check_targets
from eva_sim.envs.target_plan import (
    CHANGE_WEIGHT,
    TargetPlan,
    batch_targets,
    landmark_errors,
    reward_terms,
)
from eva_sim.envs.task import Task
from eva_sim.envs.vector_arguments import (
    check_vector_body,
    check_vector_values,
    first_limits,
    known_mode,
    seeds_of_copies,
)
from eva_sim.envs.vector_info import fault_info, masked, select
from eva_sim.envs.vector_targets import VectorTargets, settle
from eva_sim.errors import ArgumentValueError, check_keywords
from eva_sim.faces import check_spec
from eva_sim.randomise import Parameters, check_randomise, draw_parameters, landmark_noise
from eva_sim.twin.twins import Twins

Batch = dict[str, NDArray]


class FaceVectorEnv(VectorEnv[Batch, Floats, NDArray]):
    """N copies of `PoseEnv` or `MimicEnv` (whose pages say what they are), stepped together.

    `gym.make_vec(id, num_envs=N, vectorization_mode="vector_entry_point", ...)`. Spaces, observations,
    rewards, infos and the three modes of autoreset are those of Gymnasium's `SyncVectorEnv` over single
    environments; copy i of `reset(seed=s)` is a single environment reset with `seed=s + i`, to rounding.
    Differences:

    - A face whose skin does not settle is put back to neutral, its `faults` say so and its episode is
      truncated, where a single environment tries Newton's method, for seconds, and then raises.
    - An action of a copy that begins an episode in this step is not checked.

    Args:
        num_envs: number of environments, N.
        body: `"twin"`.
        skin: `"full"`, in lanes on all cores; or `"reduced"`.
        neck: `"kinematic"`.
        observe: `"landmarks"`, `"image"`, `"both"` or `"features"`.
        image_size: side of the observed pictures [pixels].
        render_mode: None or `"rgb_array"`.
        max_episode_steps: control steps after which an episode is truncated; None or -1 for no limit.
            `gym.make_vec` gives the limit of the id by default.
        randomise: whether each episode's body differs, see `eva_sim.randomise`; the reduced skin
            keeps its material.
        action_mode: `"absolute"`, `"from_rest"` or `"relative"`, see `eva_sim.envs.action_modes.ActionMap`.
        targets: `"atlas"`, or `"babbling"` for faces that are drawn anew for each episode.
        change_weight: weight of the change of command in the reward.
        stagger: whether the first episodes after a `reset` are cut short, copy by copy, so that copies do not
            all begin anew in one step: that of copy i ends after (i + 1) / N of the steps. It needs a limit.
        autoreset_mode: when the episode after an ended one begins, a `gymnasium.vector.AutoresetMode`.
            `NEXT_STEP`: the step after the last ignores its action, gives reward 0 and observes the new
            start. `SAME_STEP`: the last step observes the new start; `info["final_obs"]` and
            `info["final_info"]` have the end. `DISABLED`: `reset` with `options={"reset_mask": mask}`
            begins episodes where the mask (N,) is True.
        spec: the face, in a folder of tables and meshes; by default EVA.
        style: of pictures, as of `Twin`: `"plain"`, `"fast"`, ten times as many a second, or `"fine"`.
        material: of the skin, as of `Twin`.

    Raises:
        ArgumentError: there is no such argument.
        EvaError: an argument has no meaning, or only in the single environment.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
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
        observe: Observe = "landmarks",
        image_size: int = 96,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        randomise: bool = False,
        action_mode: ActionMode = "absolute",
        targets: Targets = "atlas",
        change_weight: float = CHANGE_WEIGHT,
        stagger: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        spec: FaceSpec | None = None,
        style: str = "plain",
        material: str = "blue",
        **unknown: Any,
    ) -> None:
        known = [name for name in inspect.signature(type(self)).parameters if name != "unknown"]
        check_vector_body(body)
        check_keywords(f"{type(self).__name__}(...)", unknown, known)
        check_observe(observe, image_size)
        check_render_mode(render_mode)
        check_action_mode(action_mode)
        check_targets(targets)
        check_vector_values(neck=neck, render_mode=render_mode)
        if not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ArgumentValueError(f"num_envs={num_envs!r}; choose a whole number from 1 on.")
        check_spec(spec)
        self.num_envs, self.randomise, self.render_mode = num_envs, check_randomise(randomise), render_mode
        self.autoreset_mode, self._limit = known_mode(autoreset_mode), step_limit(max_episode_steps)
        self.max_episode_steps = self._limit
        self._first_limits = first_limits(self._limit, num_envs, stagger)
        self._limits = [self._limit] * num_envs
        self._change_weight = checked_weight(change_weight)
        self.twins = Twins(num_envs, skin, spec, style, material)
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": round(1 / self.twins.spec.control_dt),
            "autoreset_mode": self.autoreset_mode,
        }
        self._observer = Observer(self.twins.spec, observe, image_size)
        self._commands = ActionMap(action_mode, self.twins.spec)
        self._faces = VectorTargets(self.twins, self.task, targets)
        self.single_observation_space = self._observer.space
        self.single_action_space = spaces.Box(-1.0, 1.0, (len(self.twins.spec),), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators = [seeding.np_random()[0] for _ in range(num_envs)]
        self._parameters: list[Parameters] = [{}] * num_envs
        self._drawn: dict[str, Floats] = {}  # the same, stacked
        self._plans: list[TargetPlan | None] = [None] * num_envs
        self._steps, self._start_time = np.zeros(num_envs, int), np.zeros(num_envs)
        self._seen: Batch = {}
        self._readings = self.twins.read()
        self._over = np.zeros(num_envs, bool)  # copies whose episode ended with the last step

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Batch, dict[str, Any]]:
        """Begins an episode in every copy, or in those of `options["reset_mask"]`.

        Args:
            seed: seed of copy 0, copy i gets `seed + i`; or one seed per copy. None keeps the generators.
            options: as in the single environment, for all copies alike; or `copies`, a sequence of N such
                dicts, one for each; and `reset_mask`, bool (N,).

        Raises:
            EvaError: an option is unknown or malformed, or there are too few seeds.
            ResetNeeded: a mask was given, and no episode has begun in the other copies.
            ClosedEnvironmentError: it was closed.
        """
        self._check_open()
        options = {**check_mapping(options)}
        which = reset_mask(options.pop("reset_mask", None), self.num_envs)
        of_copies = options_of_copies(options, self.task.options(), self.num_envs)
        if any(plan is None for plan, begins in zip(self._plans, which, strict=True) if not begins):
            raise ResetNeeded("reset all copies once before some of them.")
        for face, own in enumerate(seeds_of_copies(seed, self.num_envs)):
            if own is not None and which[face]:
                self._generators[face] = seeding.np_random(own)[0]
                self._faces.forget(face)
        self._begin(which, of_copies, self._first_limits)
        self._over = self._over & ~which
        return self._observe(which), select(self._info({}, ~which), which)

    def step(self, actions: ArrayLike) -> tuple[Batch, Floats, NDArray, NDArray, dict[str, Any]]:
        """Sends one command to each face; copies whose episode has ended begin the next as the mode says.

        Raises:
            CommandError: an action is malformed; nothing was sent.
            ResetNeeded: no episode has begun, or one has ended and the mode is `DISABLED`; nothing moved.
            ClosedEnvironmentError: it was closed.
        """
        self._check_running()
        begun = self._over if self.autoreset_mode == AutoresetMode.NEXT_STEP else np.zeros_like(self._over)
        before = self._readings.sent
        self._move(actions, begun)
        everyone, live = np.ones(self.num_envs, bool), ~begun
        terms = reward_terms(self._error, self._readings.sent, before, self._change_weight)
        terms = {name: np.where(live, value, 0.0) for name, value in terms.items()}
        rewards = np.sum(list(terms.values()), axis=0)
        self._over = over = live & self._has_ended()
        seen, info = self._observe(everyone), self._info(terms, live)
        if self.autoreset_mode == AutoresetMode.SAME_STEP and over.any():
            final = {"final_obs": _rows(seen, over), "final_info": select(info, over)}
            self._begin_next(over)
            seen, info = self._observe(over), {**self._info(terms, ~over), **masked(final, over)}
        return seen, rewards, np.zeros(self.num_envs, bool), over.copy(), info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Draws each face, one after the other; None without a render mode.

        Returns:
            N pictures, uint8 (480, 480, 3), of 0.7 MB each.

        Raises:
            RenderError: no OpenGL library.
            ClosedEnvironmentError: it was closed.
        """
        self._check_open()
        return self.twins.render(RENDER_SIZE) if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the threads."""
        self.twins.close()

    @property
    def sent(self) -> NDArray[np.float32]:
        """The commands that were sent last, (N, 25)."""
        return self._readings.sent

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("the vector environment is closed; make a new one.")

    def _check_running(self) -> None:
        self._check_open()
        if any(plan is None for plan in self._plans):
            raise ResetNeeded("call reset before step.")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._over.any():
            ended = ", ".join(map(str, np.flatnonzero(self._over)[:8]))
            raise ResetNeeded(
                f"the episodes of copies {ended} have ended; call reset with options={{'reset_mask': ...}}."
            )

    def _move(self, actions: ArrayLike, begun: NDArray[np.bool_]) -> None:
        """Moves all faces; those that begin an episode stay at rest, whatever their action."""
        given = np.asarray(actions, dtype=np.float32)
        if begun.any() and given.shape == self.action_space.shape:
            given = np.where(begun[:, None], np.float32(0), given)
        with clip_advice(given, "gymnasium.wrappers.vector.ClipAction"):
            checked = self.twins.check(given)
        commands = self._commands(checked, self._readings.sent)
        commands[begun] = self.twins.spec.neutral
        for face in np.flatnonzero(begun).tolist():
            self.twins.reset(face)
        self._readings = self.twins.move(commands)
        self._steps += 1
        # A face that did not settle was reset, and its time with it.
        self._start_time = np.minimum(self._start_time, self._readings.time)
        if begun.any():
            self._begin_next(begun)
        else:
            self._aim()

    def _begin_next(self, which: NDArray[np.bool_]) -> None:
        """Begins the episodes that follow ended ones."""
        self._begin(which, [{}] * self.num_envs, [self._limit] * self.num_envs)

    def _begin(
        self, which: NDArray[np.bool_], options: Sequence[dict[str, Any]], limits: Sequence[int | None]
    ) -> None:
        """Begins episodes: draws bodies and targets, and puts these faces at their start."""
        faces = np.flatnonzero(which).tolist()
        without = [] if self.twins.varies_material else ["skin"]
        without += [] if self._observer.image_size else ["camera"]
        for face in faces if self.randomise else ():
            drawn = draw_parameters(self.twins.spec, self._generators[face], without)
            self.twins.set_parameters(face, drawn)
            self._parameters[face] = drawn
            for name, value in drawn.items():
                self._drawn.setdefault(name, np.zeros((self.num_envs, *value.shape)))[face] = value
        found = self._faces.find({face: options[face] for face in faces}, self._generators)
        for face in faces:
            rng = self._generators[face]
            self._plans[face] = self.task.plan(options[face], rng, found[face], self.twins.spec.control_dt)
            self._limits[face] = limits[face]
            rng.integers(2**31)  # what a single environment seeds its body with
        self._put_at_start(which, {face: own["start"] for face in faces if "start" in (own := options[face])})
        self._steps[which] = 0
        self._start_time[which] = self._readings.time[which]
        self._aim()

    def _put_at_start(self, which: NDArray[np.bool_], starts: dict[int, ArrayLike]) -> None:
        """Rests these faces, or lets them hold a command until they have arrived; the others stay."""
        if starts:
            held = np.tile(self.twins.spec.neutral, (self.num_envs, 1))
            for face, command in starts.items():
                held[face] = self.twins.spec.check(command)
            state = self.twins.save()
            settle(self.twins, held)
            self.twins.restore(state, [face for face in range(self.num_envs) if face not in starts])
        for face in np.flatnonzero(which).tolist():
            if face not in starts:
                self.twins.reset(face)
        faults = [() if begins else self._faults(face) for face, begins in enumerate(which)]
        self._readings = self.twins.read(faults)

    def _faults(self, face: int) -> tuple[str, ...]:
        return self._readings.faults[face]

    def _has_ended(self) -> NDArray[np.bool_]:
        """Returns whether each episode is over, (N,): at its last step, or with a fault."""
        plans = zip(self._running_plans(), self._limits, strict=True)
        limits = [earliest(plan.steps, limit) for plan, limit in plans]
        last = np.array([np.inf if limit is None else limit for limit in limits])
        return (self._steps >= last) | np.array([bool(faults) for faults in self._readings.faults])

    def _running_plans(self) -> list[TargetPlan]:
        return [plan for plan in self._plans if plan is not None]

    def _aim(self) -> None:
        """Looks up the targets of this step, and how far the faces are from them."""
        self._target, self._command = batch_targets(self._running_plans(), self._steps)
        self._error = landmark_errors(self._readings.landmarks, self._target)

    def _observe(self, which: NDArray[np.bool_]) -> Batch:
        """Observes these copies; the others keep what was observed of them last."""
        landmarks = self._readings.landmarks.copy()
        if self.randomise:
            for face in np.flatnonzero(which).tolist():
                landmarks[face] += landmark_noise(
                    self._parameters[face], self._generators[face], landmarks.shape[1:]
                )
        seen = self._observer(self._readings.position, self._target, landmarks)
        if self._observer.image_size:
            seen["image"] = self._pictures(which, self._observer.image_size)
        if not which.all():
            for name, value in self._seen.items():
                seen[name][~which] = value[~which]
        self._seen = {name: seen[name] for name in self._observer.space}
        return {name: value.copy() for name, value in self._seen.items()}

    def _pictures(self, which: NDArray[np.bool_], size: int) -> NDArray[np.uint8]:
        """Draws these copies, (N, size, size, 3); the others stay black."""
        faces = np.flatnonzero(which).tolist()
        pictures = np.zeros((self.num_envs, size, size, 3), np.uint8)
        for face, picture in zip(faces, self.twins.render(size, faces), strict=True):
            pictures[face] = picture
        return pictures

    def _info(self, terms: dict[str, Floats], live: NDArray[np.bool_]) -> dict[str, Any]:
        """Returns the infos: of a step of the `live` copies, with reward terms; of a reset of the others."""
        command = {} if self._command is None else {"target_command": self._command.copy()}
        info = masked(
            {
                "landmark_error_mm": 1000.0 * self.twins.outer_eye * self._error,
                "time": self._readings.time - self._start_time,
                **command,
            },
            np.ones(self.num_envs, bool),
        )
        if live.any():
            rows = {name: np.where(live, value, 0.0) for name, value in terms.items()}
            info |= masked(prefixed("reward_", rows), live)
        if self.randomise:
            info |= masked(prefixed("parameter_", self._drawn), np.ones(self.num_envs, bool))
        return {**info, **fault_info(self._readings.faults)}


def _rows(batch: Batch, which: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Returns the observations of some copies, each as a single environment gives it, None for the others."""
    rows = np.full(len(which), None, object)
    for face in np.flatnonzero(which).tolist():
        rows[face] = {name: value[face].copy() for name, value in batch.items()}
    return rows
