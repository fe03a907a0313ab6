"""`EVA/Pose-v0`: reach one expression."""

from __future__ import annotations

from typing import Any

import numpy as np

from eva_sim.envs.base import FaceEnv
from eva_sim.envs.reset_options import check_points
from eva_sim.envs.target_faces import TargetFaces
from eva_sim.envs.target_plan import RowPath, TargetPlan
from eva_sim.envs.task import Task
from eva_sim.envs.vector import FaceVectorEnv


class PoseTask(Task):
    """Draws one face to reach."""

    GOALS = ("target", "command", "expression")
    DRAWN = 1

    @classmethod
    def plan(
        cls, options: dict[str, Any], rng: np.random.Generator, faces: TargetFaces, dt: float
    ) -> TargetPlan:
        if cls.holds_landmarks(options):
            return TargetPlan.still(check_points(options["target"], frames=False), None)
        row = faces.goals[int(rng.integers(len(faces.goals)))]
        return TargetPlan(faces.landmarks, faces.commands, RowPath((row,)))


class PoseEnv(FaceEnv):
    """Reach one expression and hold it.

    ## Description
    EVA is an adult-size animatronic head: 12 cables pull a silicone skin, servos turn jaw, eyes and
    lids, six legs tilt the neck. The agent sees its own landmarks and those of the wanted face, and
    sets all 25 actuators, 25 times a second. One step takes `spec.control_dt` = 0.04 s.

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
    A `Dict`. Landmarks are N = 150 MediaPipe points in the order of `eva_sim.landmarks.POINTS`,
    aligned on the neutral face, in its outer-eye distances (so head pose and size are gone).

    | key | shape, dtype | limits | unit | present |
    |---|---|---|---|---|
    | `landmarks` | (N, 3) float32 | -2 .. 2 | outer-eye distances | `observe="landmarks"`, `"both"` |
    | `image` | (image_size, image_size, 3) uint8 | 0 .. 255 | RGB | `observe="image"`, `"both"` |
    | `position` | (25,) float32 | -1 .. 1 | fraction of travel, as in the action | always |
    | `target` | (N, 3) float32 | -2 .. 2 | outer-eye distances | unless `observe="features"` |
    | `landmark_features` | (15,) float32 | -10 .. 10 | standard deviations | `observe="features"` |
    | `target_features` | (15,) float32 | -10 .. 10 | standard deviations | `observe="features"` |

    Features are the principal components of landmarks over the atlas, as many as there are actuators that
    move landmarks, each divided by its standard deviation there (`eva_sim.envs.face_features`). A policy of
    these 55 numbers learns faster than one of 925, and loses 0.16 mm of a face on average.

    The target is a face in every mode, because that is what a person's face is turned into. The
    limits only cut off points that a camera invents. The rigid points (eye corners, nose bridge,
    temples, hairline: `eva_sim.landmarks.RIGID`) lie over bone and hardly move. When the body loses
    its landmarks (a robot's camera can), the last ones seen stay, and `info["faults"]` says so.

    ## Reward
    `-20 * error - 0.05 * change`: the mean distance between `landmarks` and `target` of the same
    observation [outer-eye distances], and the mean square of the change of command since the last
    step. Doing nothing costs about 0.5 a step; `info["reward_error"]` and `info["reward_change"]` are
    the two terms. `change_weight` takes the place of 0.05, which hardly restrains jitter: commands that
    tremble by 0.1 cost 0.001 a step, as much as 0.005 mm. With 2 they cost as much as 0.2 mm.

    `info` also holds `landmark_error_mm`, `time` [s] since the start and, where known,
    `target_command` (25,), all of them numpy numbers; and, only when something is wrong, `faults`, a
    tuple of sentences.

    Known returns of an episode, and mean error in its second half [mm], with targets drawn by babbling:
    neutral -71, 3.16; zero action -83, 3.74; random -84, 3.66; inverse model of the package -3.8, 0.08;
    told command -2.5, 0.02; PPO of examples/train_sb3.py -7.2, 0.22. docs/learning.md has all of them.

    ## Starting state
    The neutral face, without history. The target is a random row of the atlas (256 expressions that
    the twin settled in). With `targets="babbling"` it is drawn anew for each episode as a babbling face
    draws it, and tried out on the body first, with the constants of the table. So a policy cannot learn
    the targets by heart. `reset(options=...)` takes

    - one of `target`: landmarks (N, 3) to reach; `command`: (25,), to reach the face that this body
      makes of it (tried out first); `expression`: the same by name, such as `"joy"` or
      `"joy:0.5"` for half of it (`assets/expressions.toml`);
    - `start`: a command (25,) to be held, until all actuators have arrived, before the episode.

    ## End of the episode
    Truncated after `max_episode_steps`. Never terminated: holding the face is part of the task.
    A step after the end raises `gymnasium.error.ResetNeeded` and moves nothing.

    ## Arguments
    ```python
    gym.make("EVA/Pose-v0", body="twin", skin="full", neck="kinematic", observe="landmarks",
             image_size=96, render_mode=None, face=None, max_episode_steps=100, randomise=False,
             action_mode="absolute", targets="atlas", change_weight=0.05)
    ```
    `body`, `skin` and `neck` are passed to `eva_sim.make_face`. With `neck="kinematic"` jaw, eyes and
    lids are exactly where their servos are and the skull where the leg lengths put it, without
    physics; `neck="legs"` moves them as rigid bodies in PyBullet. `face` is an open face to use
    instead (the caller closes it); `observe` is `"landmarks"`, `"image"`, `"both"` or `"features"`;
    `render_mode` is None, `"rgb_array"` or `"human"` (a window; needs a display).
    `max_episode_steps=-1` is no limit.

    `action_mode="from_rest"`: an action of 0 is rest, -1 and 1 are the ends of travel, and it is linear in
    between on either side; actuators that rest at an end stay there for all actions on that side.
    `action_mode="relative"`: a quarter of the action is added to the command that was sent last, so 0
    holds the face, and 1 crosses the travel in eight steps, about as fast as a cable can. A new policy,
    whose mean is 0, starts at rest with either; with `"absolute"` it pulls every cable by half.

    An environment over the twin is copied and pickled with its running episode; the copy goes on bit by
    bit: `copy.deepcopy(env)`. `env.unwrapped.save()` and `.restore()` are faster; step
    `env.unwrapped` then, because wrappers keep counts of their own.

    With `randomise=True` each episode has another body: every line of `assets/randomise.toml`
    (stiffness of the skin, friction, backlash, rates, noise on the observed landmarks, ...) is drawn
    from the environment's own generator; `info` has the values, e.g. `info["parameter_friction"]`.

    ## Many at once
    `gym.make_vec("EVA/Pose-v0", num_envs=256, vectorization_mode="vector_entry_point")` steps them
    side by side in one process, see `eva_sim.envs.vector.FaceVectorEnv`: all observations and all three modes
    of autoreset. `stagger=True` spreads the ends of the copies' episodes over the steps; `reset` takes
    `options={"copies": [...]}`, a dict of the options above for each copy.

    ## Example
    ```python
    import gymnasium as gym
    import eva_sim

    env = gym.make("EVA/Pose-v0")
    observation, info = env.reset(seed=1)
    done = False
    while not done:
        observation, reward, terminated, truncated, info = env.step(info["target_command"])
        done = terminated or truncated
    print(f"{info['landmark_error_mm']:.2f} mm from the target")
    env.close()
    ```

    ## Version history
    - v0: first version.
    """

    task = PoseTask


class PoseVectorEnv(FaceVectorEnv):
    """Many `PoseEnv`s at once, see `FaceVectorEnv`."""

    task = PoseTask
