"""The meaning of an action: the command itself, the way from rest, or a change of the last command."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec
from eva_sim.errors import ArgumentValueError, known_names

ActionMode = Literal["absolute", "from_rest", "relative"]
ACTION_MODES: tuple[str, ...] = get_args(ActionMode)
#: Change of command of a relative action of 1: an eighth of the travel in a step, about as fast as cables go.
RELATIVE_STEP = 0.25


def check_action_mode(mode: str) -> None:
    """Refuses an unknown mode.

    Raises:
        ArgumentValueError: there is no such mode.
    """
    if mode not in ACTION_MODES:
        raise ArgumentValueError(f"no action_mode called {mode!r}; {known_names(mode, ACTION_MODES)}.")


class ActionMap:
    """Turns checked actions into commands.

    Args:
        mode: `"absolute"`: an action is a command. `"from_rest"`: 0 is the neutral command, -1 and 1 are the
            ends of travel; linear in between, on either side. `"relative"`: the action times `RELATIVE_STEP`
            is added to the command that was sent last; the sum stays within the travel.
        spec: the face.

    Raises:
        ArgumentValueError: there is no such mode.
    """

    def __init__(self, mode: ActionMode, spec: FaceSpec) -> None:
        check_action_mode(mode)
        self.mode, self._rest = mode, spec.neutral

    def __call__(self, actions: NDArray[np.float32], sent: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns commands (..., 25) for actions (..., 25) after the commands that were sent last."""
        if self.mode == "absolute":
            return actions
        if self.mode == "relative":
            wanted = sent + RELATIVE_STEP * actions
        else:
            wanted = self._rest + np.where(actions > 0, 1 - self._rest, 1 + self._rest) * actions
        return wanted.astype(np.float32).clip(-1, 1)
