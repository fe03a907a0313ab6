"""Commands by name: the expressions of `assets/expressions.toml`, and words to commands."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.errors import CommandError
from eva_sim.files import asset


def expressions() -> dict[str, NDArray[np.float32]]:
    """Commands (25,) of the named expressions in `assets/expressions.toml`."""
    table = tomllib.loads(asset("expressions.toml").read_text())
    return {name: load_spec().command(**values) for name, values in table.items()}


def expression(name: object) -> NDArray[np.float32]:
    """The command (25,) of one named expression.

    Raises:
        CommandError: no such expression.
    """
    known = expressions()
    if not isinstance(name, str) or name not in known:
        raise CommandError(f"no expression called {name!r}; there are {', '.join(known)}.")
    return known[name]


def command_of(words: Sequence[str]) -> NDArray[np.float32]:
    """A command from words: an expression's name if any, then `actuator=value`, each changing a part.

    Raises:
        CommandError: no such expression or actuator, a second expression, or a value not in -1..1.
    """
    spec = load_spec()
    command = spec.neutral
    late = [word for word in words[1:] if "=" not in word]
    if late:
        raise CommandError(f"an expression comes first and alone; {late[0]!r} would undo the rest.")
    for word in words:
        name, equals, value = word.partition("=")
        command = _set(spec, command, name, value) if equals else expression(name)
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
