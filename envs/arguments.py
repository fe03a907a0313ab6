"""Arguments that single and vector environments share: what each may be, and what is said of others."""

from __future__ import annotations

import math

import numpy as np

from eva_sim.errors import ArgumentValueError


def check_render_mode(render_mode: str | None) -> None:
    """Checks a mode of `render`.

    Raises:
        ArgumentValueError: there is no such mode.
    """
    if render_mode not in (None, "human", "rgb_array"):
        raise ArgumentValueError(f"render_mode={render_mode!r}; choose 'human', 'rgb_array' or None.")


def checked_weight(change_weight: float) -> float:
    """Returns the weight of changes in the reward.

    Raises:
        ArgumentValueError: not a number from 0 on.
    """
    numeric = isinstance(change_weight, int | float | np.number) and not isinstance(change_weight, bool)
    if not numeric or not math.isfinite(change_weight) or change_weight < 0:
        raise ArgumentValueError(f"change_weight={change_weight!r}; choose a number from 0 on.")
    return float(change_weight)


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


def earliest(*limits: int | None) -> int | None:
    """Returns the least of some numbers of steps, of which None is no limit."""
    return min((limit for limit in limits if limit is not None), default=None)
