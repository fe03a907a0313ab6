"""What commands print: results to the standard output, as text or JSON, and remarks to the error stream.

Every command has the options `--json` and `--quiet`, and `eva` takes them before the command's name, too. The
standard output holds the result and nothing else. With `--json` it is one JSON object.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, redirect_stdout
from contextvars import ContextVar
from typing import Annotated, Any, TextIO, get_type_hints

import typer
from rich.console import Console, RenderableType
from rich.table import Table

from eva_sim.progress import is_quiet, set_quiet

JsonOption = Annotated[bool, typer.Option("--json", help="print the result as one JSON object")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="print results, warnings and errors only")]
#: Stream for the result as JSON; None where the result is text.
_JSON_TO: ContextVar[TextIO | None] = ContextVar("json_to", default=None)

#: Least width of a table [characters]; in a narrower terminal its lines are wrapped.
NARROWEST_TABLE = 72


def choose_output(as_json: bool, quiet: bool) -> None:
    """Chooses JSON or silence for the rest of this context; what was chosen before stays."""
    if as_json:
        _JSON_TO.set(sys.stdout)
    if quiet:
        set_quiet(True)


def with_output_options(function: Callable[..., None]) -> Callable[..., None]:
    """Returns the function of a subcommand with the options `--json` and `--quiet` added."""

    @functools.wraps(function)
    def command(*arguments: Any, as_json: bool, quiet: bool, **options: Any) -> None:
        choose_output(as_json, quiet)
        with ExitStack() as stack:
            if _JSON_TO.get():  # whatever else is printed, such as tables, is not part of the result
                others = stack.enter_context(open(os.devnull, "w")) if is_quiet() else sys.stderr
                stack.enter_context(redirect_stdout(others))
            function(*arguments, **options)

    hints = get_type_hints(function, include_extras=True)
    own = [
        each.replace(annotation=hints[each.name]) for each in inspect.signature(function).parameters.values()
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in {"as_json": JsonOption, "quiet": QuietOption}.items()
    ]
    command.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in (*own, *added)}
    return command


def as_json() -> bool:
    """Whether the result is printed as JSON."""
    return _JSON_TO.get() is not None


def print_result(result: Mapping[str, Any], text: RenderableType | None = None) -> None:
    """Prints the result of a command.

    Args:
        result: for programs, as JSON.
        text: for people, if it is not the same JSON.
    """
    if as_json() or text is None:
        text = json.dumps(result, default=_plain)
        Console(file=_JSON_TO.get(), emoji=False).print_json(text)
    else:
        print_text(text)


def _plain(value: Any) -> Any:
    """Turns what JSON lacks into what it has: numbers and arrays of numpy, sets, paths."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def print_text(text: RenderableType) -> None:
    """Prints text for people to the standard output; only tables are fitted to the width of the terminal."""
    console = Console(emoji=False)
    table = isinstance(text, Table)
    if table:
        console.width = max(console.width, NARROWEST_TABLE)
    console.print(text, soft_wrap=not table, markup=False, highlight=False)


def remark(text: str) -> None:
    """Prints a line about the work to the error stream, unless `--quiet` was given."""
    if not is_quiet():
        Console(stderr=True, emoji=False).print(text, markup=False, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Prints a line that a person should read to the error stream."""
    Console(stderr=True, emoji=False).print(
        text, style="yellow", markup=False, highlight=False, soft_wrap=True
    )
