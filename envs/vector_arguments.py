"""Arguments of a vector environment: what each may be, and what is said of others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from gymnasium.vector import AutoresetMode

from eva_sim.errors import ArgumentValueError
from eva_sim.faces import face_options


def known_mode(given: AutoresetMode | str) -> AutoresetMode:
    """Returns a mode of autoreset by itself or by its name.

    Raises:
        ArgumentValueError: there is no such mode.
    """
    try:
        return AutoresetMode(given)
    except ValueError as error:
        known = ", ".join(repr(mode.value) for mode in AutoresetMode)
        raise ArgumentValueError(f"autoreset_mode={given!r}; choose one of {known}.") from error


def seeds_of_copies(seed: int | Sequence[int | None] | None, count: int) -> Sequence[int | None]:
    """Returns a seed for each copy: `seed + i`, or those that were given.

    Raises:
        ArgumentValueError: there are too few or too many.
    """
    if seed is None:
        return [None] * count
    seeds = list(range(int(seed), int(seed) + count)) if isinstance(seed, int | np.integer) else seed
    if len(seeds) != count:
        raise ArgumentValueError(f"{count} environments take one seed or {count}, not {len(seeds)}.")
    return seeds


def first_limits(limit: int | None, count: int, stagger: bool) -> list[int | None]:
    """Returns the most steps of each copy's first episode; staggered, they end evenly over a whole one.

    Raises:
        ArgumentValueError: no limit that could be spread over the copies.
    """
    if not stagger:
        return [limit] * count
    if limit is None:
        raise ArgumentValueError("stagger=True spreads the ends of episodes; it needs max_episode_steps.")
    return [math.ceil(limit * (copy + 1) / count) for copy in range(count)]


def check_vector_body(body: str) -> None:
    """Refuses all bodies but the twin.

    Raises:
        EvaError: there is no such body, or it is a single face.
    """
    if body != "twin":
        face_options(body)  # raises if there is no such body
        raise ArgumentValueError(f"body={body!r} is a single face; use the single environment, gym.make.")


def check_vector_values(**given: str | None) -> None:
    """Refuses values that only the single environment has.

    Raises:
        ArgumentValueError: one is given.
    """
    able = {"neck": ("kinematic",), "render_mode": (None, "rgb_array")}
    for name, value in given.items():
        if value not in able[name]:
            raise ArgumentValueError(
                f"{name}={value!r} is for the single environment: gym.make, or make_vec with"
                f" vectorization_mode='sync'; N faces at once take {' or '.join(map(repr, able[name]))}."
            )
