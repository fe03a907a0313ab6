"""Named expressions of `expressions.toml`, and commands from words."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec
from eva_sim.errors import CommandError


def load_expressions(spec: FaceSpec) -> dict[str, NDArray[np.float32]]:
    """Reads the face's `expressions.toml`: commands (25,) by name."""
    table = tomllib.loads(spec.file("expressions.toml").read_text())
    return {name: spec.command(**values) for name, values in table.items()}


def expression_command(spec: FaceSpec, name: object) -> NDArray[np.float32]:
    """Returns the command (25,) of one named expression.

    Raises:
        CommandError: no such expression.
    """
    known = load_expressions(spec)
    if not isinstance(name, str) or name not in known:
        raise CommandError(f"no expression called {name!r}; there are {', '.join(known)}.")
    return known[name]


def parse_command(spec: FaceSpec, words: Sequence[str]) -> NDArray[np.float32]:
    """Parses a command: an expression's name if any, then `actuator=value`, each changing a part.

    Raises:
        CommandError: no such expression or actuator, a second expression, or a value not in -1..1.
    """
    command = spec.neutral
    late = [word for word in words[1:] if "=" not in word]
    if late:
        raise CommandError(f"an expression comes first and alone; {late[0]!r} would undo the rest.")
    for word in words:
        name, equals, value = word.partition("=")
        command = _set(spec, command, name, value) if equals else expression_command(spec, name)
    return spec.check(command)


def _set(spec: FaceSpec, command: NDArray[np.float32], name: str, value: str) -> NDArray[np.float32]:
    try:
        number = float(value)
    except ValueError as error:
        raise CommandError(f"{name}={value} is not a number in -1..1.") from error
    changed = spec.command(**{name: number})
    sides = [i for i, n in enumerate(spec.names) if n == name or n.rsplit("_", 1)[0] == name]
    command[sides] = changed[sides]
    return command
