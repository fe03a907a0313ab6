"""The decorator of compiled functions. A robot's computer without numba runs them as plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from eva_sim.skin.kernel_cache import kernel
except ModuleNotFoundError:  # a step of one face then takes a fraction of a millisecond

    def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
        """Returns a decorator that leaves a function as it is."""
        return lambda function: function


__all__ = ["kernel"]
