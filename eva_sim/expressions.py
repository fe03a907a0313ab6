"""Named expressions of `expressions.toml` at any intensity, and commands from words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec
from eva_sim.errors import CommandError, DataError, known_names
from eva_sim.tables import read_table

#: Intensities of the three numbers in `expressions.toml`; 0 is rest. Between them commands are interpolated.
INTENSITIES = (1 / 3, 2 / 3, 1.0)
#: Their names.
LEVELS = dict(zip(("slight", "medium", "full"), INTENSITIES, strict=True))


def load_expressions(spec: FaceSpec, intensity: float = 1.0) -> dict[str, NDArray[np.float32]]:
    """Reads the face's `expressions.toml`: commands (25,) by name, at one intensity from 0 to 1.

    Raises:
        CommandError: the intensity is not in 0..1.
        DataError: the file is no table of numbers in [-1, 1] by actuator.
    """
    if not 0 <= intensity <= 1:
        raise CommandError(f"intensity={intensity} is not in 0..1.")
    path = spec.file("expressions.toml")
    return {
        name: _at(spec, _section(spec, values, f"{path}, [{name}]"), intensity)
        for name, values in read_table(path).items()
    }


def _section(spec: FaceSpec, values: object, place: str) -> list[NDArray[np.float32]]:
    """Returns the section's commands at `INTENSITIES`, or the full one alone."""
    if not isinstance(values, dict):
        raise DataError(f"{place} is no section; write [name], then actuator = number in each line.")
    columns = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    sizes = {len(column) for column in columns.values()} or {1}
    if sizes not in ({1}, {len(INTENSITIES)}):
        raise DataError(f"{place}: write one number in each line, or three: slight, medium and full.")
    try:
        return [
            spec.command(**{name: column[k] for name, column in columns.items()}) for k in range(max(sizes))
        ]
    except CommandError as error:
        raise DataError(f"{place}: {error}") from error


def _at(spec: FaceSpec, commands: list[NDArray[np.float32]], intensity: float) -> NDArray[np.float32]:
    """Interpolates between rest and the commands of a section."""
    at = np.array([0.0, *INTENSITIES[-len(commands) :]])
    rows = np.stack([spec.neutral, *commands])
    above = min(max(1, int(np.searchsorted(at, intensity))), len(commands))
    share = (intensity - at[above - 1]) / (at[above] - at[above - 1])
    return np.clip((1 - share) * rows[above - 1] + share * rows[above], -1, 1).astype(np.float32)


def expression_command(spec: FaceSpec, name: object, intensity: float = 1.0) -> NDArray[np.float32]:
    """Returns the command (25,) of one named expression; upper case does not matter.

    Args:
        spec: the face.
        name: of an expression, with its intensity after a colon if it has one: `"joy"`, `"joy:0.5"`,
            `"joy:slight"`.
        intensity: from 0, rest, to 1, the full expression; for a name without its own.

    Raises:
        CommandError: no such expression, or no intensity in 0..1.
    """
    if not isinstance(name, str):
        known = list(load_expressions(spec))
        raise CommandError(f"no expression called {name!r}; {known_names(name, known)}.")
    plain, colon, level = name.partition(":")
    commands = load_expressions(spec, _intensity(name, level) if colon else intensity)
    for spelling in (plain, plain.lower()):
        if spelling in commands:
            return commands[spelling]
    raise CommandError(f"no expression called {plain!r}; {known_names(plain, list(commands))}.")


def _intensity(name: str, level: str) -> float:
    """Parses what follows the colon."""
    if level.lower() in LEVELS:
        return LEVELS[level.lower()]
    try:
        number = float(level)
    except ValueError:
        number = float("nan")
    if not 0 <= number <= 1:
        raise CommandError(f"{name}: {level!r} is no intensity; write 0 to 1, or {', '.join(LEVELS)}.")
    return number


def parse_command(spec: FaceSpec, words: Sequence[str]) -> NDArray[np.float32]:
    """Parses a command: an expression if any, e.g. `joy:0.5`, then `actuator=value`, each changing a part.

    Raises:
        CommandError: no such expression or actuator, a second expression, an actuator without a value,
            or a value not in -1..1.
    """
    command = spec.neutral
    late = [word for word in words[1:] if "=" not in word]
    for word in words:
        _check_separator(spec, word)
    if late:
        raise CommandError(f"an expression comes first and alone; {late[0]!r} would undo the rest.")
    for word in words:
        name, equals, value = word.partition("=")
        name = name if name in spec.names else name.lower()
        command = _set(spec, command, name, value) if equals else expression_command(spec, name)
    return spec.check(command)


def _check_separator(spec: FaceSpec, word: str) -> None:
    """Checks that a value follows an equals sign after an actuator, and a colon after an expression."""
    actuators = (*spec.names, *spec.two_sided_names)
    name, equals, _ = word.lower().partition("=")
    if name.partition(":")[0] in actuators and not equals:
        raise CommandError(f"{word} needs a value from -1 to 1, as in {name.partition(':')[0]}=0.2.")
    if equals and name not in actuators and name in _expression_names(spec):
        raise CommandError(f"{word}: the intensity of an expression follows a colon, as in {name}:0.5.")


def _expression_names(spec: FaceSpec) -> set[str]:
    """Names of the face's expressions; none if it has no table of them."""
    try:
        return set(load_expressions(spec))
    except DataError:
        return set()


def _set(spec: FaceSpec, command: NDArray[np.float32], name: str, value: str) -> NDArray[np.float32]:
    try:
        number = float(value)
    except ValueError as error:
        raise CommandError(f"{name}={value} is not a number in -1..1.") from error
    changed = command.copy()
    changed[spec.indices_of(name)] = number
    return spec.check(changed)
