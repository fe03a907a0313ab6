"""What both environments share: spaces, reward, rendering, saving, over any `Face`."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

import eva_sim
from eva_sim.contract import Face, Floats, Reading, load_spec
from eva_sim.envs.options import check_names
from eva_sim.envs.settle import settle_at
from eva_sim.envs.window import Window
from eva_sim.errors import EvaError
from eva_sim.landmarks import POINTS

Observation = dict[str, Any]
Action = NDArray[np.float32]
Observe = Literal["landmarks", "image", "both"]

#: Bound of every landmark coordinate [outer-eye distances]. A head is 2.5 of them high and the
#: origin is between the eyes, so only invented points lie outside.
REACH = 2.0
#: Reward per outer-eye distance of mean landmark error: about -0.5 for doing nothing.
ERROR_WEIGHT = 20.0
#: Reward per mean squared change of command (range of the square: 0..4).
CHANGE_WEIGHT = 0.05
#: Side of `render()` [pixels].
RENDER_SIZE = 480


@dataclass(frozen=True)
class Plan:
    """What an episode asks for: row k is the target after k steps, the last row ends it.

    Attributes:
        targets: shape (T + 1, N, 3) [neutral outer-eye distances].
        commands: commands that make these faces, shape (T + 1, 25), or None when unknown.
    """

    targets: NDArray[np.float32]
    commands: NDArray[np.float32] | None


class FaceEnv(gym.Env[Observation, Action]):
    """Base of `PoseEnv` and `MimicEnv`, which say what the target is. See their pages.

    Args:
        body: passed to `eva_sim.make_face`.
        skin: skin solver of the twin.
        observe: whether the robot's landmarks, its picture, or both are observed.
        image_size: side of the observed picture [pixels].
        render_mode: None, `"rgb_array"` or `"human"`.
        face: an open face to use instead of opening one; the caller closes it.
        episode_steps: control steps in an episode; None for the task's own.

    Raises:
        EvaError: an argument has no meaning.
        RenderError: `render_mode="human"` without a display.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 25}  # noqa: RUF012
    OPTIONS: ClassVar[tuple[str, ...]]
    STEPS: ClassVar[int]

    def __init__(
        self,
        body: str = "twin",
        skin: str = "full",
        observe: Observe = "landmarks",
        image_size: int = 96,
        render_mode: str | None = None,
        face: Face | None = None,
        episode_steps: int | None = None,
    ) -> None:
        _check_arguments(observe, image_size, render_mode, episode_steps)
        # An open environment lists what works here, so that generic tools do not try a window
        # on a machine without a screen; the class lists all.
        here = ["human", "rgb_array"] if Window.possible() else ["rgb_array"]
        self.metadata = {"render_modes": here, "render_fps": round(1 / load_spec().control_dt)}
        self.render_mode = render_mode
        self.episode_steps = self.STEPS if episode_steps is None else episode_steps
        self._window = Window() if render_mode == "human" else None
        self._image_size = image_size if observe != "landmarks" else None
        self._owned = face is None
        self.face = face or eva_sim.make_face(body, skin=skin)
        self.action_space = spaces.Box(-1.0, 1.0, (len(self.face.spec),), np.float32)
        observed = self._spaces(observe)
        self.observation_space, self._observed = spaces.Dict(observed), tuple(observed)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Goes to the starting face and draws or takes a target, see the class page.

        Raises:
            EvaError: an option is unknown or malformed (`CommandError`, `DataError` among them).
        """
        super().reset(seed=seed)
        options = options or {}
        check_names(options, self.OPTIONS)
        self._plan = self._make_plan(options)
        self._seen = self.face.neutral_landmarks
        self._take(settle_at(self.face, options.get("start"), self._draw_seed()))
        self._step, self._start_time = 0, self._reading.time
        self._look()
        return self._observation(), self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Sends one command and lets one control period pass.

        Raises:
            CommandError: the action is malformed; nothing was sent.
            PhysicsError: the twin diverged; reset before going on.
        """
        before = self._reading.sent
        self._take(self.face.move(action))
        self._step += 1
        self._look()
        terms = self._reward_terms(before)
        truncated = self._step >= len(self._plan.targets) - 1
        info = {**self._info(), "reward_terms": terms}
        return self._observation(), sum(terms.values()), False, truncated, info

    def save(self) -> Any:
        """An opaque copy of the episode: body, target, clock and random generator."""
        private = {name: getattr(self, name) for name in self._EPISODE}
        return self.face.save(), copy.deepcopy(self.np_random.bit_generator.state), private

    def restore(self, state: Any) -> None:
        """Goes back to a saved state; the same actions then repeat bit for bit."""
        body, random, private = state
        self.face.restore(body)
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

    @abstractmethod
    def _make_plan(self, options: dict[str, Any]) -> Plan:
        """Draws the targets with `self.np_random`, or takes them from the options."""

    # Everything a running episode changes besides the face; never changed in place.
    _EPISODE: ClassVar[tuple[str, ...]] = ("_plan", "_reading", "_seen", "_step", "_start_time")

    def _spaces(self, observe: Observe) -> dict[str, spaces.Space[Any]]:
        points = spaces.Box(-REACH, REACH, (len(POINTS), 3), np.float32)
        found: dict[str, spaces.Space[Any]] = {
            "position": spaces.Box(-1.0, 1.0, (len(self.face.spec),), np.float32),
            "target": points,
        }
        if observe != "image":
            found["landmarks"] = points
        if self._image_size:
            found["image"] = spaces.Box(0, 255, (self._image_size, self._image_size, 3), np.uint8)
        return found

    def _take(self, reading: Reading) -> None:
        self._reading = reading
        if reading.found:
            self._seen = reading.landmarks

    def _draw_seed(self) -> int:
        return int(self.np_random.integers(2**31))

    def _target(self) -> NDArray[np.float32]:
        return self._plan.targets[self._step]

    def _observation(self) -> Observation:
        seen = {
            "position": self._reading.position.clip(-1, 1),
            "target": self._target().clip(-REACH, REACH),
            "landmarks": self._seen.clip(-REACH, REACH),
        }
        if self._image_size:
            seen["image"] = self.face.render(self._image_size)
        return {name: seen[name] for name in self._observed}

    def _error(self) -> float:
        """Mean landmark distance to the target [outer-eye distances]."""
        return float(np.linalg.norm(self._seen - self._target(), axis=1).mean())

    def _reward_terms(self, before: Floats) -> dict[str, float]:
        change = float(np.square(self._reading.sent - before).mean())
        return {"error": -ERROR_WEIGHT * self._error(), "change": -CHANGE_WEIGHT * change}

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {
            "landmark_error_mm": 1000.0 * self.face.outer_eye * self._error(),
            "time": self._reading.time - self._start_time,
            "faults": self._reading.faults,
        }
        if self._plan.commands is not None:
            info["target_command"] = self._plan.commands[self._step].copy()
        return info

    def _look(self) -> None:
        if self._window is not None:
            self._window.show(self.face.render(RENDER_SIZE))


def _check_arguments(observe: str, image_size: int, render_mode: str | None, steps: int | None) -> None:
    if observe not in ("landmarks", "image", "both"):
        raise EvaError(f"observe={observe!r}; choose 'landmarks', 'image' or 'both'.")
    if render_mode not in (None, "human", "rgb_array"):
        raise EvaError(f"render_mode={render_mode!r}; choose 'human', 'rgb_array' or None.")
    if image_size < 16:
        raise EvaError(f"image_size={image_size}; a face needs 16 pixels or more.")
    if steps is not None and steps < 1:
        raise EvaError(f"episode_steps={steps}; an episode needs at least one step.")
