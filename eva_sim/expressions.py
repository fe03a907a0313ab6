"""Named expressions of `expressions.toml`, and commands from words."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec
from eva_sim.errors import CommandError, DataError, known_names


def load_expressions(spec: FaceSpec) -> dict[str, NDArray[np.float32]]:
    """Reads the face's `expressions.toml`: commands (25,) by name.

    Raises:
        DataError: the file is no table of numbers in [-1, 1] by actuator.
    """
    path = spec.file("expressions.toml")
    try:
        table = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid TOML: {error}.") from error
    return {name: _section(spec, values, f"{path}, [{name}]") for name, values in table.items()}


def _section(spec: FaceSpec, values: object, place: str) -> NDArray[np.float32]:
    if not isinstance(values, dict):
        raise DataError(f"{place} is no section; write [name], then actuator = number in each line.")
    try:
        return spec.command(**values)
    except CommandError as error:
        raise DataError(f"{place}: {error}") from error


def expression_command(spec: FaceSpec, name: object) -> NDArray[np.float32]:
    """Returns the command (25,) of one named expression; upper case does not matter.

    Raises:
        CommandError: no such expression.
    """
    known = load_expressions(spec)
    if not isinstance(name, str):
        raise CommandError(f"no expression called {name!r}; {known_names(str(name), list(known))}.")
    if name not in known and name.lower() in known:
        return known[name.lower()]
    if name not in known:
        raise CommandError(f"no expression called {name!r}; {known_names(name, list(known))}.")
    return known[name]


def parse_command(spec: FaceSpec, words: Sequence[str]) -> NDArray[np.float32]:
    """Parses a command: an expression's name if any, then `actuator=value`, each changing a part.

    Raises:
        CommandError: no such expression or actuator, a second expression, an actuator without a value,
            or a value not in -1..1.
    """
    command = spec.neutral
    late = [word for word in words[1:] if "=" not in word]
    for word in words:
        if word.lower() in (*spec.names, *spec.pairs):
            raise CommandError(f"{word} needs a value from -1 to 1, as in {word.lower()}=0.2.")
    if late:
        raise CommandError(f"an expression comes first and alone; {late[0]!r} would undo the rest.")
    for word in words:
        name, equals, value = word.partition("=")
        name = name if name in spec.names else name.lower()
        command = _set(spec, command, name, value) if equals else expression_command(spec, name)
    return spec.check(command)


def _set(spec: FaceSpec, command: NDArray[np.float32], name: str, value: str) -> NDArray[np.float32]:
    try:
        number = float(value)
    except ValueError as error:
        raise CommandError(f"{name}={value} is not a number in -1..1.") from error
    changed = command.copy()
    changed[spec.sides(name)] = number
    return spec.check(changed)
