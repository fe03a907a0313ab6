"""`EVA/Mimic-v0`: follow a moving expression."""

from __future__ import annotations

from typing import Any

import numpy as np

from eva_sim.agents.data.motion import minimum_jerk
from eva_sim.envs.base import FaceEnv
from eva_sim.envs.reset_options import check_points
from eva_sim.envs.target_faces import TargetFaces
from eva_sim.envs.target_plan import TargetPlan, Waypoint
from eva_sim.envs.task import Task
from eva_sim.envs.vector import FaceVectorEnv

#: A blend between two expressions lasts so long [s], a dwell on one so long: the 0.2-1.5 Hz of
#: expressions.
BLEND = (0.3, 1.2)
DWELL = (0.0, 0.8)


class MimicTask(Task):
    """Draws a path between faces to follow."""

    GOALS = ("targets", "expression")
    DRAWN = 4

    @classmethod
    def plan(
        cls, options: dict[str, Any], rng: np.random.Generator, faces: TargetFaces, dt: float
    ) -> TargetPlan:
        if cls.holds_landmarks(options):
            return TargetPlan.along(check_points(options["targets"], frames=True))
        return TargetPlan(faces.landmarks, faces.commands, WanderingPath(_seed(rng), len(faces.commands), dt))


class WanderingPath:
    """A path without end from one row to another, drawn as far as it is asked for.

    Args:
        seed: all of the path follows from it, so copies of an episode share one path.
        rows: number of rows; the path starts at the first.
        dt: time of a step [s].
    """

    def __init__(self, seed: int, rows: int, dt: float) -> None:
        self._rng, self._rows, self._dt = np.random.default_rng(seed), rows, dt
        self._row, self._known = 0, [Waypoint(0, 0, np.float32(0))]

    def at(self, step: int) -> Waypoint:
        while len(self._known) <= step:
            self._draw_move()
        return self._known[step]

    def _draw_move(self) -> None:
        """Draws a blend to another row, and a dwell there."""
        start, end = self._row, (self._row + 1 + int(self._rng.integers(self._rows - 1))) % self._rows
        blend = round(self._rng.uniform(*BLEND) / self._dt)
        dwell = round(self._rng.uniform(*DWELL) / self._dt)
        shares = [*minimum_jerk(np.arange(1, blend + 1) / blend), *[1.0] * dwell]
        self._known += [Waypoint(start, end, share) for share in np.array(shares, np.float32)]
        self._row = end


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))


class MimicEnv(FaceEnv):
    """Follow a face that moves.

    ## Description
    As `EVA/Pose-v0`, but the wanted face keeps moving, as a person's does. One step takes
    `spec.control_dt` = 0.04 s.

    ## Action space
    `Box(-1, 1, (25,), float32)`: -1 and 1 are the ends of each actuator's travel, in the order of
    `assets/face.toml`, which has ranges, rates and units.

    | index | actuators | -1 | 1 | rest |
    |---|---|---|---|---|
    | 0-1 | brow_inner left, right | relaxed, 0 rad | full pull, 2.2 rad | -1 |
    | 2-3 | brow_outer left, right | relaxed, 0 rad | full pull, 2.2 rad | -1 |
    | 4-5 | corrugator left, right | relaxed, 0 rad | full pull, 2.2 rad | -1 |
    | 6-7 | levator left, right | relaxed, 0 rad | full pull, 1.62 rad | -1 |
    | 8-9 | zygomaticus left, right | relaxed, 0 rad | full pull, 2.2 rad | -1 |
    | 10-11 | depressor left, right | relaxed, 0 rad | full pull, 1.62 rad | -1 |
    | 12 | jaw | closed, 0 rad | open, 0.26 rad | -1 |
    | 13-16 | eye left yaw, pitch; right yaw, pitch | -0.44 rad | 0.44 rad | 0 |
    | 17-18 | lid left, right | closed, -0.62 rad | wide, 0.20 rad | 0.51 |
    | 19-24 | neck_leg 1 to 6 | -12 mm | 12 mm | 0 |

    Numbers outside -1 .. 1 are refused (`CommandError`), because a robot would be sent them: policies
    that draw from a normal distribution need `gymnasium.wrappers.ClipAction`, or that of
    `gymnasium.wrappers.vector`.

    ## Observation space
    A `Dict`; landmarks are N = 150 points as in `EVA/Pose-v0`.

    | key | shape, dtype | limits | unit | present |
    |---|---|---|---|---|
    | `landmarks` | (N, 3) float32 | -2 .. 2 | outer-eye distances | `observe="landmarks"`, `"both"` |
    | `image` | (image_size, image_size, 3) uint8 | 0 .. 255 | RGB | `observe="image"`, `"both"` |
    | `position` | (25,) float32 | -1 .. 1 | fraction of travel, as in the action | always |
    | `target` | (N, 3) float32 | -2 .. 2 | outer-eye distances | unless `observe="features"` |
    | `landmark_features` | (15,) float32 | -10 .. 10 | standard deviations | `observe="features"` |
    | `target_features` | (15,) float32 | -10 .. 10 | standard deviations | `observe="features"` |

    `target` is the wanted face now, at the time of the other entries; what comes next is not
    observed, so the delay of the servos costs something, as it does on a robot. The rigid points
    (`eva_sim.landmarks.RIGID`) lie over bone and hardly move. When the body loses its landmarks
    the last ones seen stay, and `info["faults"]` says so.

    ## Reward
    `-20 * error - 0.05 * change`: the mean distance between `landmarks` and `target` of the same
    observation [outer-eye distances], and the mean square of the change of command since the last
    step. Doing nothing costs about 0.5 a step; `info["reward_error"]` and `info["reward_change"]` are
    the two terms. `change_weight` takes the place of 0.05.

    `info` also holds `landmark_error_mm`, `time` [s] since the start and, unless the targets are the
    user's, `target_command` (25,), all of them numpy numbers; and, only when something is wrong, `faults`,
    a tuple of sentences. The target command is the same blend of the commands, exact during a dwell and near
    during a blend.

    Known returns of an episode, and mean error in its second half [mm], with targets drawn by babbling:
    neutral -133, 2.28; zero action -204, 3.74; random -200, 3.51; inverse model of the package -17, 0.31;
    told command -17, 0.30. With `randomise=True` the last two are -30, 0.53 and -30, 0.53, and PPO of
    examples/train_sb3.py, which corrects the model, is at -17, 0.30. docs/learning.md has all of them, and
    how to train a policy.

    ## Starting state
    The neutral face, without history; the target starts there too. It then moves along
    minimum-jerk blends (0.3 to 1.2 s) between random rows of the atlas (256 expressions that the
    twin settled in) and dwells on each (0 to 0.8 s). With `targets="babbling"` it moves between neutral and
    four faces that are drawn anew for each episode. `reset(options=...)` takes

    - `targets`: landmarks (T, N, 3) to follow, one row per control step, the first with `reset`; or
      `expression`: the name of one (as in `EVA/Pose-v0`), to come and go in place of the atlas;
    - `start`: a command (25,) to be held, until all actuators have arrived, before the episode.

    ## End of the episode
    Truncated after `max_episode_steps`, or with the last row of the user's targets. Never terminated.
    A step after the end raises `gymnasium.error.ResetNeeded` and moves nothing.

    ## Arguments
    ```python
    gym.make("EVA/Mimic-v0", body="twin", skin="full", neck="kinematic", observe="landmarks",
             image_size=96, render_mode=None, face=None, max_episode_steps=250, randomise=False,
             action_mode="absolute", targets="atlas", change_weight=0.05)
    ```
    All but `max_episode_steps` are those of `EVA/Pose-v0`, whose page explains them: other bodies, pictures, an
    open face, `randomise`, actions whose zero is rest, copies. See `help(eva_sim.envs.pose.PoseEnv)`.

    ## Many at once
    `gym.make_vec("EVA/Mimic-v0", num_envs=256, vectorization_mode="vector_entry_point")`: see `EVA/Pose-v0`.

    ## Example
    ```python
    import gymnasium as gym
    import eva_sim

    env = gym.make("EVA/Mimic-v0", render_mode="rgb_array")
    observation, info = env.reset(seed=1)
    done, total = False, 0.0
    while not done:
        observation, reward, terminated, truncated, info = env.step(info["target_command"])
        total, done = total + reward, terminated or truncated
    picture = env.render()
    print(f"return {total:.1f}, last error {info['landmark_error_mm']:.2f} mm")
    env.close()
    ```

    ## Version history
    - v0: first version.
    """  # noqa: E501 - a table row cannot be broken

    task = MimicTask


class MimicVectorEnv(FaceVectorEnv):
    """Many `MimicEnv`s at once, see `FaceVectorEnv`."""

    task = MimicTask
