"""Reading TOML tables of limits and constants, in which every number must be one."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

from eva_sim.errors import DataError


def parse_table(text: str, name: str) -> dict[str, Any]:
    """Parses a TOML table.

    Args:
        text: of the table.
        name: of its file, for errors.

    Raises:
        DataError: it is no TOML, or a number is `nan` or `inf`: no comparison with such a limit ever holds.
    """
    try:
        return tomllib.loads(text, parse_float=_finite)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{name} is not valid TOML: {error}; compare it with assets/{Path(name).name}."
        ) from error


def read_table(path: Path) -> dict[str, Any]:
    """Reads a TOML table from its file.

    Raises:
        DataError: it cannot be read, see `parse_table`.
    """
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not readable ({error}); compare it with assets/{path.name}.") from error
    return parse_table(text, str(path))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number
