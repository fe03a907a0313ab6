"""Actions that correct the commands of a model: residual policy learning.

A policy that begins with what a model knows has to learn the rest only: the delay of the servos, the body
that it has, the noise (Silver et al., arXiv 1812.06298; Johannink et al., ICRA 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.envs.face_features import load_face_features

Batch = dict[str, NDArray]
#: What is added to the observations, see `ResidualActions.observe`.
MODEL_COMMAND, MODEL_CHANGE, MODEL_MISTAKE = "model_command", "model_change", "model_mistake"


class ResidualActions:
    """Adds what a model says to observations with `observe="features"`, and corrections to its commands.

    Args:
        spec: the face.
        predict: the model: landmarks (N, P, 3) to commands (N, A).
        reach: correction of a command by an action of 1, in command units.

    Attributes:
        action_space: corrections of the M actuators that move landmarks, in [-1, 1].
    """

    def __init__(
        self, spec: FaceSpec, predict: Callable[[Floats], NDArray[np.float32]], reach: float
    ) -> None:
        self._predict, self._reach, self._moving = predict, reach, spec.expressive
        self._features, self._command = load_face_features(spec), np.zeros((0, len(spec)), np.float32)
        self.action_space = spaces.Box(-1, 1, (len(self._moving),), np.float32)

    def observation_space(self, space: spaces.Dict) -> spaces.Dict:
        """Returns the space of what `observe` returns, from that of an environment."""
        added = {name: self._space(reach) for name, reach in
                 {MODEL_COMMAND: 1.0, MODEL_CHANGE: 2.0, MODEL_MISTAKE: 2.0}.items()}  # fmt: skip
        return spaces.Dict({**space.spaces, **added})

    def _space(self, reach: float) -> spaces.Box:
        return spaces.Box(-reach, reach, (len(self._moving),), np.float32)

    def observe(self, seen: Mapping[str, NDArray], begins: ArrayLike = False) -> Batch:
        """Returns observations (N, ...) with what the model says, and remembers it for `command`.

        `model_command` is the model's answer to the target, (N, M). `model_change` is how much it changed
        since the last step. `model_mistake` is the model's answer to the face as it is, less where the
        actuators are, so it tells of the body.

        Args:
            seen: of N environments.
            begins: whether an episode begins, (N,) or for all.
        """
        command = self._answer(seen["target_features"])
        if len(self._command) != len(command):
            self._command = command
        self._command = np.where(np.reshape(begins, (-1, 1)), command, self._command)
        whole = self._with_answers(seen, command, self._command)
        self._command = command
        return whole

    def complete(self, last: Mapping[str, NDArray], copies: NDArray[np.intp]) -> Batch:
        """Returns the last observations (K, ...) of ended episodes as `observe` does, but remembers nothing.

        Args:
            last: of K environments.
            copies: their rows in `observe`, (K,).
        """
        return self._with_answers(last, self._answer(last["target_features"]), self._command[copies])

    def _with_answers(self, seen: Mapping[str, NDArray], command: Floats, before: Floats) -> Batch:
        mistake = self._answer(seen["landmark_features"]) - seen["position"]
        added = {MODEL_COMMAND: command, MODEL_CHANGE: command - before, MODEL_MISTAKE: mistake}
        return {**seen, **{name: value[:, self._moving] for name, value in added.items()}}

    def _answer(self, features: Floats) -> NDArray[np.float32]:
        return self._predict(self._features.landmarks(features))

    def command(self, actions: ArrayLike) -> NDArray[np.float32]:
        """Returns the commands (N, A) for actions (N, M) after the last observations."""
        commands = self._command.copy()
        commands[:, self._moving] += self._reach * np.asarray(actions, np.float32)
        return commands.clip(-1, 1)
