"""The base of both environments over any `Face`: spaces, reward, rendering, saving."""

from __future__ import annotations

import copy
import difflib
import inspect
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike, NDArray

import eva_sim
from eva_sim import display
from eva_sim.contract import Face, FaceSpec, Floats, Reading, SimulatedFace
from eva_sim.envs.reset_options import check_names
from eva_sim.envs.target_plan import REACH, landmark_errors, observation, reward_terms
from eva_sim.envs.task import Task
from eva_sim.errors import EvaError
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
        episode_steps: control steps in an episode; None for the task's own.
        randomise: whether each episode's body differs, see `eva_sim.randomise`.
        **options: more of the body's, e.g. `board` and `port` of a robot, see `eva_sim.make_face`.

    Raises:
        EvaError: an argument has no meaning.
        RenderError: `render_mode="human"` without a display.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 25}  # noqa: RUF012
    task: ClassVar[type[Task]]

    def __init__(
        self,
        body: str = "twin",
        skin: str = "full",
        neck: str = "kinematic",
        observe: Observe = "landmarks",
        image_size: int = 96,
        render_mode: str | None = None,
        face: Face | None = None,
        episode_steps: int | None = None,
        randomise: bool = False,
        **options: Any,
    ) -> None:
        check_arguments(observe, image_size, render_mode, episode_steps)
        _check_spelling(options)
        self.render_mode = render_mode
        self.episode_steps = self.task.STEPS if episode_steps is None else episode_steps
        self._window = display.DisplayWindow() if render_mode == "human" else None
        self._image_size = image_size if observe != "landmarks" else None
        self._owned = face is None
        self.face = face or eva_sim.make_face(body, **_twins_own(body, skin, neck), **options)
        if randomise and not isinstance(self.face, SimulatedFace):
            raise EvaError("randomise=True needs the twin; no other body can change its constants.")
        self._randomise, self._parameters = randomise, dict[str, Floats]()
        self._started = False  # whether an episode has begun
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
        """
        super().reset(seed=seed)
        options = options or {}
        check_names(options, self.task.OPTIONS)
        self._draw_body()
        self._plan = self.task.plan(options, self.np_random, self.episode_steps, _OneBody(self.face))
        self._seen = self.face.neutral_landmarks
        self._take(reset_and_hold(self.face, options.get("start"), self._draw_seed()))
        self._step, self._start_time, self._started = 0, self._reading.time, True
        self._look()
        info = self._info()
        if self._randomise:
            info["parameters"] = self._parameters
        return self._observation(), info

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Sends one command and lets one control period pass.

        Raises:
            CommandError: the action is malformed; nothing was sent.
            PhysicsError: the twin diverged; reset before going on.
            ResetNeeded: no episode has begun; the body did not move.
        """
        self._check_started("step")
        before = self._reading.sent
        self._take(self.face.move(action))
        self._step += 1
        self._look()
        valued = reward_terms(self._error(), self._reading.sent, before)
        terms = {name: float(value) for name, value in valued.items()}
        truncated = self._step >= self._plan.steps
        info = {**self._info(), "reward_terms": terms}
        return self._observation(), sum(terms.values()), False, truncated, info

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
        body, random, private = state
        self._simulated().restore(body)
        self._started = True
        self.np_random.bit_generator.state = copy.deepcopy(random)
        for name, value in private.items():
            setattr(self, name, value)

    def render(self) -> Any:
        """The robot's picture, uint8 (480, 480, 3), for `"rgb_array"`; a window for `"human"`."""
        if self.render_mode == "rgb_array":
            return self.face.render(RENDER_SIZE)
        return self._look()

    def close(self) -> None:
        """Closes the window and the face, unless the face was given. May be called twice."""
        if self._window is not None:
            self._window.close()
        if self._owned:
            self.face.close()

    # All state of a running episode besides the face. These values are replaced, never changed in place.
    _EPISODE: ClassVar[tuple[str, ...]] = (
        "_plan", "_reading", "_seen", "_step", "_start_time", "_parameters",
    )  # fmt: skip

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

    def _check_started(self, what: str) -> None:
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
            "landmark_error_mm": float(1000.0 * self.face.outer_eye * self._error()),
            "time": self._reading.time - self._start_time,
            "faults": self._reading.faults,
        }
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


def _check_spelling(options: dict[str, Any]) -> None:
    """Names the environment's own option that is meant, which the body, with other options, cannot.

    Raises:
        EvaError: an option is nearly one of the environment.
    """
    own = [name for name in inspect.signature(FaceEnv.__init__).parameters if name not in ("self", "options")]
    for name in options:
        for meant in difflib.get_close_matches(name, own, n=1, cutoff=0.85):
            raise EvaError(f"there is no option {name}; did you mean {meant}?")


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


def check_arguments(observe: str, image_size: int, render_mode: str | None, steps: int | None) -> None:
    """Checks the arguments that both kinds of environment share.

    Raises:
        EvaError: one has no meaning.
    """
    if observe not in ("landmarks", "image", "both"):
        raise EvaError(f"observe={observe!r}; choose 'landmarks', 'image' or 'both'.")
    if render_mode not in (None, "human", "rgb_array"):
        raise EvaError(f"render_mode={render_mode!r}; choose 'human', 'rgb_array' or None.")
    if image_size < 16:
        raise EvaError(f"image_size={image_size}; a face needs 16 pixels or more.")
    if steps is not None and steps < 1:
        raise EvaError(f"episode_steps={steps}; an episode needs at least one step.")
