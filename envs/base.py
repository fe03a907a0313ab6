"""The base of both environments over any `Face`: spaces, reward, rendering, saving."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from numpy.typing import ArrayLike, NDArray

import eva_sim
from eva_sim import display
from eva_sim.contract import Face, Floats, Reading, SimulatedFace
from eva_sim.envs.action_modes import ActionMap, ActionMode, check_action_mode
from eva_sim.envs.arguments import check_render_mode, checked_weight, earliest, step_limit
from eva_sim.envs.observations import Observe, Observer, check_observe
from eva_sim.envs.reset_options import check_mapping, check_names
from eva_sim.envs.target_faces import BabbledCommands, TargetFaces, Targets, atlas_faces, check_targets
from eva_sim.envs.target_plan import CHANGE_WEIGHT, landmark_errors, reward_terms
from eva_sim.envs.task import Task
from eva_sim.envs.time_limit import time_limit
from eva_sim.errors import ArgumentError, CommandError, EvaError, check_keywords
from eva_sim.faces import face_options
from eva_sim.randomise import check_randomise, draw_parameters, landmark_noise
from eva_sim.settling import reset_and_hold

Observation = dict[str, Any]
Action = NDArray[np.float32]

#: Side of `render()` [pixels].
RENDER_SIZE = 480


class FaceEnv(gym.Env[Observation, Action]):
    """Base of `PoseEnv` and `MimicEnv`, which say what the target is. See their pages.

    Args:
        body: `"twin"`, `"robot"`, `"virtual"` or `"mock"`, see `eva_sim.make_face`.
        skin: the twin's: `"full"`, `"fine"`, `"dynamic"`, `"reduced"` or `"reference"`, see `Twin`.
        neck: the twin's: `"kinematic"`, or `"legs"` for jaw and neck as rigid bodies in PyBullet.
        observe: whether the robot's landmarks, its picture, or both are observed; or the landmarks' features.
        image_size: side of the observed picture [pixels].
        render_mode: None, `"rgb_array"` or `"human"`.
        face: an open face to use instead of opening one; the caller closes it.
        max_episode_steps: control steps after which an episode is truncated; None or -1 for no limit.
            `gym.make` takes it, too, and has the limit of the id by default.
        randomise: whether each episode's body differs, see `eva_sim.randomise`.
        action_mode: what an action is: the command, the way from rest, or a change; see `ActionMap`.
        targets: whether faces to reach come from the atlas, or are drawn anew for each episode by babbling.
        change_weight: weight of the change of command in the reward.
        **options: more of the body's, e.g. `board` and `port` of a robot, see `eva_sim.make_face`.

    Raises:
        ArgumentError: there is no such argument.
        EvaError: an argument has no meaning.
        RenderError: `render_mode="human"` without a display.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 25}  # noqa: RUF012
    task: ClassVar[type[Task]]
    _closed = False

    def __init__(
        self,
        body: str = "twin",
        skin: str = "full",
        neck: str = "kinematic",
        observe: Observe = "landmarks",
        image_size: int = 96,
        render_mode: str | None = None,
        face: Face | None = None,
        max_episode_steps: int | None = None,
        randomise: bool = False,
        action_mode: ActionMode = "absolute",
        targets: Targets = "atlas",
        change_weight: float = CHANGE_WEIGHT,
        **options: Any,
    ) -> None:
        self._check_names(options, body if face is None else None)
        check_observe(observe, image_size)
        check_render_mode(render_mode)
        check_action_mode(action_mode)
        check_targets(targets)
        randomise = check_randomise(randomise)
        if not isinstance(face, Face | None):
            raise ArgumentError(f"face is an open face, as make_face returns it, not {face!r}.")
        self.render_mode, self._limit = render_mode, step_limit(max_episode_steps)
        self._window = display.DisplayWindow() if render_mode == "human" else None
        self._targets, self._change_weight = targets, checked_weight(change_weight)
        self._owned = face is None
        self.face = face or eva_sim.make_face(body, **_twins_own(body, skin, neck), **options)
        with self._closed_on_error():
            if randomise and not isinstance(self.face, SimulatedFace):
                raise EvaError("randomise=True needs the twin; no other body can change its constants.")
            self._observer = Observer(self.face.spec, observe, image_size)
        self._randomise, self._parameters = randomise, dict[str, Floats]()
        self._running = self._started = False  # whether an episode has not ended, and whether one has begun
        # An open environment lists what works here, so that generic tools do not try a window
        # on a machine without a screen; the class lists all.
        here = ["human", "rgb_array"] if display.display_available() else ["rgb_array"]
        self.metadata = {"render_modes": here, "render_fps": round(1 / self.face.spec.control_dt)}
        self.action_space = spaces.Box(-1.0, 1.0, (len(self.face.spec),), np.float32)
        self._commands = ActionMap(action_mode, self.face.spec)
        self.observation_space = self._observer.space
        self._babbled: BabbledCommands | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Goes to the starting face and draws or takes a target, see the class page.

        Raises:
            EvaError: an option is unknown or malformed (`CommandError`, `DataError` among them).
            ClosedEnvironmentError: it was closed.
        """
        self._check_open()
        super().reset(seed=seed)
        if seed is not None:
            self._babbled = None
        options = check_mapping(options)
        check_names(options, self.task.options())
        self._draw_body()
        faces = self._target_faces(options)
        self._plan = self.task.plan(options, self.np_random, faces, self.face.spec.control_dt)
        self._last_step = earliest(self._plan.steps, self._limit, time_limit(self))
        self._seen = self.face.neutral_landmarks
        self._take(reset_and_hold(self.face, options.get("start"), self._draw_seed()))
        self._step, self._start_time, self._running, self._started = 0, self._reading.time, True, True
        self._look()
        return self._observation(), self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Sends one command and lets one control period pass.

        Raises:
            CommandError: the action is malformed; nothing was sent.
            PhysicsError: the twin diverged; reset before going on.
            ResetNeeded: no episode has begun, or it has ended; the body did not move.
            ClosedEnvironmentError: it was closed; the body did not move.
        """
        self._check_started("step")
        if not self._running:
            raise ResetNeeded("the episode has ended; call reset before step.")
        before = self._reading.sent
        with clip_advice(action, "gymnasium.wrappers.ClipAction"):
            checked = self.face.spec.check(action)
        self._take(self.face.move(self._commands(checked, before)))
        self._step += 1
        self._look()
        terms = reward_terms(self._error(), self._reading.sent, before, self._change_weight)
        truncated = self._step == self._last_step
        self._running = not truncated
        info = {**self._info(), **prefixed("reward_", terms)}
        return self._observation(), float(sum(terms.values())), False, truncated, info

    def save(self) -> Any:
        """Returns an opaque copy of the episode: body, target, clock and random generator.

        Raises:
            EvaError: the body is no `SimulatedFace`.
            ResetNeeded: no episode has begun.
        """
        face = self._simulated()
        self._check_started("save")
        body = face.save()
        private = {name: getattr(self, name) for name in self._EPISODE}
        return body, copy.deepcopy(self.np_random.bit_generator.state), private

    def restore(self, state: Any) -> None:
        """Goes back to a saved state; the same actions then repeat bit for bit."""
        self._check_open()
        body, random, private = state
        self._simulated().restore(body)
        self.np_random.bit_generator.state = copy.deepcopy(random)
        for name, value in private.items():
            setattr(self, name, value)

    def render(self) -> Any:
        """The robot's picture, uint8 (480, 480, 3), for `"rgb_array"`; a window for `"human"`.

        Raises:
            ClosedEnvironmentError: it was closed.
        """
        self._check_open()
        if self.render_mode == "rgb_array":
            return self.face.render(RENDER_SIZE)
        return self._look()

    def close(self) -> None:
        """Closes the window and the face, unless the face was given. May be called twice."""
        self._closed = True
        if self._window is not None:
            self._window.close()
        if self._owned:
            self.face.close()

    # All state of a running episode besides the face. These values are replaced, never changed in place.
    _EPISODE: ClassVar[tuple[str, ...]] = (
        "_plan", "_last_step", "_started", "_running",
        "_reading", "_seen", "_step", "_start_time", "_parameters", "_babbled",
    )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a copy takes over; its face is its own, also where this one was given."""
        return {**vars(self), "_owned": True}

    @classmethod
    def _check_names(cls, options: dict[str, Any], body: str | None) -> None:
        """Refuses options that neither the environment has nor the body, if it opens one."""
        own = [name for name in inspect.signature(cls).parameters if name != "options"]
        passed_on = [] if body is None else [name for name in face_options(body) if name not in own]
        check_keywords(f"{cls.__name__}(...)", options, [*own, *passed_on])

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """Closes an own face if the environment cannot be made of it."""
        try:
            yield
        except EvaError:
            if self._owned:
                self.face.close()
            raise

    def _simulated(self) -> SimulatedFace:
        """Returns the face as one in simulation, the only kind whose state can be set."""
        if isinstance(self.face, SimulatedFace):
            return self.face
        raise EvaError(
            "the state of a robot cannot be saved or restored, since it cannot go back in time; use the twin."
        )

    def _draw_body(self) -> None:
        if self._randomise:
            face = self._simulated()
            without = () if face.varies_material else ("skin",)
            self._parameters = draw_parameters(face.spec, self.np_random, without)
            face.set_parameters(self._parameters)

    def _target_faces(self, options: dict[str, Any]) -> TargetFaces:
        """Finds the faces that an episode's targets are made of."""
        spec, goal = self.face.spec, self.task.goal(options, self.face.spec)
        if goal is not None:
            return self._settled(goal[None])
        if self._targets == "atlas" or self.task.holds_landmarks(options):
            return atlas_faces(spec)
        if self._babbled is None:
            self._babbled = BabbledCommands.drawn(self.np_random)
        commands, self._babbled = self._babbled.take(spec, self.task.DRAWN)
        if not self._randomise:
            return self._settled(commands)
        face = self._simulated()
        face.set_parameters({})  # as in the atlas: no other body makes the face that is wanted
        faces = self._settled(commands)
        face.set_parameters(self._parameters)
        return faces

    def _settled(self, commands: NDArray[np.float32]) -> TargetFaces:
        """Tries out commands (K, 25) on the body, each from neutral."""
        settled = [reset_and_hold(self.face, command) for command in commands]
        landmarks, sent = (
            np.stack([getattr(each, name) for each in settled]) for name in ("landmarks", "sent")
        )
        neutral = self.face.neutral_landmarks, self.face.spec.neutral
        return TargetFaces.after_neutral(neutral, landmarks, sent)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("the environment is closed; make a new one.")

    def _check_started(self, what: str) -> None:
        self._check_open()
        if not self._started:
            raise ResetNeeded(f"call reset before {what}.")

    def _take(self, reading: Reading) -> None:
        self._reading = reading
        if reading.found:
            self._seen = reading.landmarks

    def _draw_seed(self) -> int:
        return int(self.np_random.integers(2**31))

    def _observation(self) -> Observation:
        noise = landmark_noise(self._parameters, self.np_random, self._seen.shape)
        seen = self._observer(self._reading.position, self._plan.target(self._step), self._seen, noise)
        if self._observer.image_size:
            seen["image"] = self.face.render(self._observer.image_size)
        return {name: seen[name] for name in self._observer.space}

    def _error(self) -> Floats:
        return landmark_errors(self._seen, self._plan.target(self._step))

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {
            "landmark_error_mm": 1000.0 * self.face.outer_eye * self._error(),
            "time": np.float64(self._reading.time - self._start_time),
        }
        info |= prefixed("parameter_", self._parameters)
        if self._reading.faults:
            info["faults"] = self._reading.faults
        command = self._plan.command(self._step)
        if command is not None:
            info["target_command"] = command
        return info

    def _look(self) -> None:
        if self._window is not None:
            self._window.show(self.face.render(RENDER_SIZE))


def _twins_own(body: str, skin: str, neck: str) -> dict[str, str]:
    """Returns the options that only the twin takes.

    Raises:
        EvaError: another body was given it.
    """
    if body == "twin":
        return {"skin": skin, "neck": neck}
    if (skin, neck) != ("full", "kinematic"):
        raise EvaError(f"skin and neck apply to the twin only; leave them out for body={body!r}.")
    return {}


def prefixed(prefix: str, values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Returns copies of values under names with a prefix; libraries read only infos that are flat."""
    return {f"{prefix}{name}": value.copy() for name, value in values.items()}


@contextmanager
def clip_advice(action: ArrayLike, wrapper: str) -> Iterator[None]:
    """Names the wrapper that helps where numbers of an action are out of range.

    Raises:
        CommandError: the one that the block raised.
    """
    try:
        yield
    except CommandError as error:
        if _only_too_far(action):
            raise CommandError(f"{error} {wrapper} clips actions.") from error
        raise


def _only_too_far(action: ArrayLike) -> bool:
    try:
        distance = np.abs(np.asarray(action, dtype=float))
    except (TypeError, ValueError):
        return False
    return bool(np.isfinite(distance).all() and (distance > 1).any())
