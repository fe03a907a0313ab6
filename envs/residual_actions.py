"""Actions that correct the commands of a model: residual policy learning.

A policy that begins with what is known has to learn the rest only (Silver et al., arXiv 1812.06298; Johannink
et al., ICRA 2019). Known are the model's answer to the target, where the target goes while a command is under
way, and by how much this body missed the model's commands so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.envs.face_features import load_face_features
from eva_sim.envs.mistake_memory import MistakeMemory

Batch = dict[str, NDArray]
#: What is added to the observations, see `ResidualActions.observe`.
MODEL_COMMAND, MODEL_CHANGE, MODEL_MISTAKE = "model_command", "model_change", "model_mistake"
EXPECTED_MISTAKE, UNDER_WAY = "expected_mistake", "under_way"
#: The same with the largest values in command units.
_ADDED = {MODEL_COMMAND: 1.0, MODEL_CHANGE: 2.0, MODEL_MISTAKE: 2.0, EXPECTED_MISTAKE: 2.0, UNDER_WAY: 2.0}


class ResidualActions:
    """Adds what a model says to observations with `observe="features"`, and corrections to its commands.

    The command that an action corrects is the model's answer to the target, moved on by `ahead` times its
    last change, less the mistake to expect there.

    Args:
        spec: the face.
        predict: the model: landmarks (N, P, 3) to commands (N, A).
        reach: correction of a command by an action of 1, in command units.
        ahead: time from when a target is seen until a command for it takes effect [control steps].

    Attributes:
        action_space: corrections of the M actuators that move landmarks, in [-1, 1].
    """

    def __init__(
        self, spec: FaceSpec, predict: Callable[[Floats], NDArray[np.float32]], reach: float, ahead: float
    ) -> None:
        self._predict, self._reach, self._ahead = predict, reach, ahead
        self._moving, self._rest = spec.expressive, spec.neutral
        self._features = load_face_features(spec)
        self._begin_copies(0)
        self.action_space = spaces.Box(-1, 1, (len(self._moving),), np.float32)

    def _begin_copies(self, copies: int) -> None:
        """Begins with N environments."""
        self._memory = MistakeMemory(copies, len(self._moving))
        self._command = np.tile(self._rest, (copies, 1))  # the model's last
        self._sent = self._corrected = self._command.copy()

    def observation_space(self, space: spaces.Dict) -> spaces.Dict:
        """Returns the space of what `observe` returns, from that of an environment."""
        return spaces.Dict({**space.spaces, **{name: self._space(reach) for name, reach in _ADDED.items()}})

    def _space(self, reach: float) -> spaces.Box:
        return spaces.Box(-reach, reach, (len(self._moving),), np.float32)

    def observe(self, seen: Mapping[str, NDArray], begins: ArrayLike = False) -> Batch:
        """Returns observations (N, ...) with what the model says, and remembers it for `command`.

        `model_command` is the model's answer to the target, (N, M). `model_change` is how much it changed
        since the last step. `model_mistake` is the model's answer to the face as it is, less where the
        actuators are, so it tells of the body. `expected_mistake` is what the memory of this episode's
        mistakes expects at the command that an action of 0 sends. `under_way` is the last command, less where
        the actuators are.

        Args:
            seen: of N environments.
            begins: whether an episode begins, (N,) or for all.
        """
        command = self._answer(seen["target_features"])
        if len(self._memory) != len(command):
            self._begin_copies(len(command))
        begun = np.broadcast_to(begins, len(command))
        self._memory.forget_bodies(begun)
        self._command = np.where(begun[:, None], command, self._command)
        self._sent = np.where(begun[:, None], self._rest, self._sent)
        mistake = self._mistake(seen)
        self._memory.note_mistakes(seen["position"][:, self._moving], mistake)
        whole, self._corrected = self._with_answers(seen, command, mistake, np.arange(len(command)))
        self._command = command
        return whole

    def complete(self, last: Mapping[str, NDArray], copies: NDArray[np.intp]) -> Batch:
        """Returns the last observations (K, ...) of ended episodes as `observe` does, but remembers nothing.

        Args:
            last: of K environments.
            copies: their rows in `observe`, (K,).
        """
        return self._with_answers(last, self._answer(last["target_features"]), self._mistake(last), copies)[0]

    def _with_answers(
        self, seen: Mapping[str, NDArray], command: Floats, mistake: Floats, copies: NDArray[np.intp]
    ) -> tuple[Batch, NDArray[np.float32]]:
        """Returns the whole observations, and the commands (K, A) that actions correct."""
        change = command - self._command[copies]
        corrected = (command + self._ahead * change).clip(-1, 1)
        expected = self._memory.expected_mistakes(corrected[:, self._moving], copies)
        corrected[:, self._moving] -= expected
        added = {
            MODEL_COMMAND: command[:, self._moving],
            MODEL_CHANGE: change[:, self._moving],
            MODEL_MISTAKE: mistake,
            EXPECTED_MISTAKE: expected,
            UNDER_WAY: (self._sent[copies] - seen["position"])[:, self._moving],
        }
        return {**seen, **added}, corrected

    def _mistake(self, seen: Mapping[str, NDArray]) -> NDArray[np.float32]:
        return (self._answer(seen["landmark_features"]) - seen["position"])[:, self._moving]

    def _answer(self, features: Floats) -> NDArray[np.float32]:
        return self._predict(self._features.landmarks(features))

    def command(self, actions: ArrayLike) -> NDArray[np.float32]:
        """Returns the commands (N, A) for actions (N, M) after the last observations."""
        commands = self._corrected.copy()
        commands[:, self._moving] += self._reach * np.asarray(actions, np.float32)
        self._sent = commands.clip(-1, 1)
        return self._sent.copy()
