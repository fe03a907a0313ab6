"""Infos of a vector environment in Gymnasium's form: `_name` says which copies have `name`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def masked(info: dict[str, Any], which: NDArray[np.bool_]) -> dict[str, Any]:
    """Adds the masks to an info that some copies have."""
    return {**info, **{f"_{name}": which.copy() for name in info}}


def select(info: dict[str, Any], which: NDArray[np.bool_]) -> dict[str, Any]:
    """Returns the info of some copies: zero, or None, and no mask for the others."""
    selected: dict[str, Any] = {}
    for name in [name for name in info if f"_{name}" in info]:
        value, mask = info[name], info[f"_{name}"] & which
        if mask.any():
            kept = np.full_like(value, None if value.dtype == object else 0)
            kept[mask] = value[mask]
            selected |= masked({name: kept}, mask)
    return selected


def fault_info(faults: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """Returns the faults of the copies that have any; nothing if none has."""
    has_fault = np.array([bool(own) for own in faults])
    if not has_fault.any():
        return {}
    told = np.full(len(faults), None, object)
    for copy in np.flatnonzero(has_fault).tolist():
        told[copy] = faults[copy]
    return masked({"faults": told}, has_fault)
