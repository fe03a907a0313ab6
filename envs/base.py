"""The base of both environments over any `Face`: spaces, reward, rendering, saving."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from numpy.typing import ArrayLike, NDArray

import eva_sim
from eva_sim import display
from eva_sim.contract import Face, FaceSpec, Floats, Reading, SimulatedFace
from eva_sim.envs.reset_options import check_mapping, check_names
from eva_sim.envs.target_plan import REACH, landmark_errors, observation, reward_terms
from eva_sim.envs.task import Task
from eva_sim.envs.time_limit import time_limit
from eva_sim.errors import ArgumentError, ArgumentValueError, CommandError, EvaError, check_keywords
from eva_sim.faces import face_options
from eva_sim.landmarks import POINTS
from eva_sim.randomise import draw_parameters, landmark_noise
from eva_sim.settling import reset_and_hold

Observation = dict[str, Any]
Action = NDArray[np.float32]
Observe = Literal["landmarks", "image", "both"]

#: Side of `render()` [pixels].
RENDER_SIZE = 480


class FaceEnv(gym.Env[Observation, Action]):
    """Base of `PoseEnv` and `MimicEnv`, which say what the target is. See their pages.

    Args:
        body: `"twin"`, `"robot"`, `"virtual"` or `"mock"`, see `eva_sim.make_face`.
        skin: the twin's: `"full"`, `"fine"`, `"dynamic"`, `"reduced"` or `"reference"`, see `Twin`.
        neck: the twin's: `"kinematic"`, or `"legs"` for jaw and neck as rigid bodies in PyBullet.
        observe: whether the robot's landmarks, its picture, or both are observed.
        image_size: side of the observed picture [pixels].
        render_mode: None, `"rgb_array"` or `"human"`.
        face: an open face to use instead of opening one; the caller closes it.
        max_episode_steps: control steps after which an episode is truncated; None or -1 for no limit.
            `gym.make` takes it, too, and has the limit of the id by default.
        randomise: whether each episode's body differs, see `eva_sim.randomise`.
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
        **options: Any,
    ) -> None:
        self._check_names(options, body if face is None else None)
        check_arguments(observe, image_size, render_mode)
        if not isinstance(face, Face | None):
            raise ArgumentError(f"face is an open face, as make_face returns it, not {face!r}.")
        self.render_mode, self._limit = render_mode, step_limit(max_episode_steps)
        self._window = display.DisplayWindow() if render_mode == "human" else None
        self._image_size = image_size if observe != "landmarks" else None
        self._owned = face is None
        self.face = face or eva_sim.make_face(body, **_twins_own(body, skin, neck), **options)
        if randomise and not isinstance(self.face, SimulatedFace):
            raise EvaError("randomise=True needs the twin; no other body can change its constants.")
        self._randomise, self._parameters = randomise, dict[str, Floats]()
        self._running = self._started = False  # whether an episode has not ended, and whether one has begun
        # An open environment lists what works here, so that generic tools do not try a window
        # on a machine without a screen; the class lists all.
        here = ["human", "rgb_array"] if display.display_available() else ["rgb_array"]
        self.metadata = {"render_modes": here, "render_fps": round(1 / self.face.spec.control_dt)}
        self.action_space = spaces.Box(-1.0, 1.0, (len(self.face.spec),), np.float32)
        self.observation_space = observed_space(self.face.spec, observe, self._image_size)
        self._observed = tuple(self.observation_space)

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
        options = check_mapping(options)
        check_names(options, self.task.OPTIONS)
        self._draw_body()
        self._plan = self.task.plan(options, self.np_random, _OneBody(self.face))
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
            self._take(self.face.move(action))
        self._step += 1
        self._look()
        terms = reward_terms(self._error(), self._reading.sent, before)
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
        "_reading", "_seen", "_step", "_start_time", "_parameters",
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
        seen = observation(self._reading.position, self._plan.target(self._step), self._seen, noise)
        if self._image_size:
            seen["image"] = self.face.render(self._image_size)
        return {name: seen[name] for name in self._observed}

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


class _OneBody:
    """Presents one face as a `TaskFace`."""

    def __init__(self, face: Face) -> None:
        self.spec, self.neutral_landmarks, self._face = face.spec, face.neutral_landmarks, face

    def settle(self, command: ArrayLike) -> NDArray[np.float32]:
        return reset_and_hold(self._face, command).landmarks


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


def observed_space(spec: FaceSpec, observe: Observe, image_size: int | None) -> spaces.Dict:
    """Returns the observation space of one environment."""
    points = spaces.Box(-REACH, REACH, (len(POINTS), 3), np.float32)
    found: dict[str, spaces.Space[Any]] = {
        "position": spaces.Box(-1.0, 1.0, (len(spec),), np.float32),
        "target": points,
    }
    if observe != "image":
        found["landmarks"] = points
    if image_size:
        found["image"] = spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
    return spaces.Dict(found)


def check_arguments(observe: str, image_size: int, render_mode: str | None) -> None:
    """Checks the arguments that both kinds of environment share.

    Raises:
        ArgumentValueError: one has no meaning.
    """
    if observe not in ("landmarks", "image", "both"):
        raise ArgumentValueError(f"observe={observe!r}; choose 'landmarks', 'image' or 'both'.")
    if render_mode not in (None, "human", "rgb_array"):
        raise ArgumentValueError(f"render_mode={render_mode!r}; choose 'human', 'rgb_array' or None.")
    if not isinstance(image_size, int | np.integer) or image_size < 16:
        raise ArgumentValueError(f"image_size={image_size!r}; a face needs 16 pixels or more.")


def step_limit(given: int | None) -> int | None:
    """Returns the steps that an episode may have, None for any number.

    Raises:
        ArgumentValueError: not a number of steps.
    """
    if given is None or given == -1:  # as in gym.make
        return None
    if not isinstance(given, int | np.integer) or given < 1:
        raise ArgumentValueError(f"max_episode_steps={given!r}; an episode needs at least one step.")
    return int(given)


def prefixed(prefix: str, values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Returns copies of values under names with a prefix; libraries read only infos that are flat."""
    return {f"{prefix}{name}": value.copy() for name, value in values.items()}


def earliest(*limits: int | None) -> int | None:
    """Returns the least of some numbers of steps, of which None is no limit."""
    return min((limit for limit in limits if limit is not None), default=None)


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
