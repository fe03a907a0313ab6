"""The `eva` command: its subcommands, and errors in one line."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from itertools import pairwise
from typing import Annotated, Any

import typer
import typer.main
from rich.console import Console
from typer.core import TyperGroup

from eva_sim import __version__
from eva_sim.cli import (
    calibration,
    conformance,
    doctor,
    learning,
    live,
    mirroring,
    models,
    pictures,
    recordings,
    robot,
    transfer,
)
from eva_sim.cli.output import JsonOption, QuietOption, choose_output, print_result, with_output_options
from eva_sim.command_start import ENDING_SIGNALS
from eva_sim.errors import EvaError, describe_error
from eva_sim.interrupts import (
    accept_held_signals,
    describe_interruption,
    interruptions,
    signal_of,
)
from eva_sim.streams import drop_what_streams_refuse, replace_missing_streams

#: Base of the mistakes in a command line that typer finds.
UsageError: Any = typer.BadParameter.__base__
#: Variable in which a shell's completion script says what it wants.
_COMPLETION = "_EVA_COMPLETE"
#: Longest error that is printed whole [characters]; names on the command line may be of any length.
LONGEST = 1000

#: Every subcommand by name, in the order of `eva --help`; each title is followed by the commands below it.
SECTIONS: dict[str, dict[str, Callable[..., None]]] = {
    "Start here": {
        "doctor": doctor.doctor,
        "demo": learning.demo,
    },
    "See the face": {
        "look": pictures.render_expression,
        "expressions": pictures.render_expressions,
        "muscles": pictures.render_actuators,
        "actuators": pictures.print_actuators,
    },
    "Learn it": {
        "babble": learning.babble,
        "train": learning.train,
        "evaluate": models.evaluate,
        "fit": learning.solve_command,
        "export-model": models.export_model,
    },
    "Mirror a person": {
        "mirror": mirroring.mirror,
        "live": live.live,
    },
    "Keep what a face does": {
        "record": recordings.record,
        "replay": recordings.replay,
        "export": recordings.export,
        "export-animation": recordings.export_animation,
    },
    "Use a robot, real or virtual": {
        "robot": robot.tour,
        "calibrate": calibration.calibrate,
        "conform": conformance.conform,
        "transfer": transfer.transfer,
    },
}
COMMANDS = {name: function for section in SECTIONS.values() for name, function in section.items()}

_TOUR = """\b
EVA is a robot face. Here it is simulated: it learns its own face and mirrors yours.

\b
  eva doctor                              what works on this machine
  eva look joy jaw=0.2                    a picture of an expression: out/look.png
  eva mirror me.mp4                       the robot mirrors a clip; 0 for your camera
  eva COMMAND --help                      the options of a command
"""
_ENDS = """\b
Every command has --json and --quiet. Results go to out/ unless --out names another place.
Exit codes: 0 done; 1 an error, or work that is not whole; 2 a mistake in the command line;
128 + signal where a signal ended it (130: Ctrl-C).
"""


class _Sections(TyperGroup):
    """The group of all commands, whose help lists them by section."""

    def format_commands(self, context: Any, formatter: Any) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                told = {name: self.commands[name].get_short_help_str(70) for name in section}
                formatter.write_dl(list(told.items()))


app = typer.Typer(
    cls=_Sections,
    no_args_is_help=True,
    help=_TOUR,
    epilog=_ENDS,
    rich_markup_mode=None,  # markup would hide units in brackets
    # Upper case is accepted: `eva LOOK --Out face.png`.
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": str.lower,
        "max_content_width": 100,
    },
)
for _name, _function in COMMANDS.items():
    _command = app.command(_name)(with_output_options(_function))
    if _name == "mirror":
        app.command("mimic", hidden=True)(_command)


@app.command("version", hidden=True)
@with_output_options
def print_version() -> None:
    """Prints the version, as `eva --version` does."""
    print_result({"version": __version__}, __version__)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Holds the options of `eva` itself."""
    choose_output(as_json, quiet)


def main() -> None:
    """Runs the command line.

    Raises:
        SystemExit: with the exit code, see `run`.
    """
    replace_missing_streams()
    _drop_impossible_width()
    os.environ["MPLBACKEND"] = "agg"  # plots are files; an unknown name keeps matplotlib from loading
    if _COMPLETION in os.environ:  # the shell asks what may follow
        app(prog_name="eva")
    _escape_what_the_terminal_lacks()
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt as again:  # a second one, while the first is answered
        code = 128 + signal_of(again)
    for number in ENDING_SIGNALS:  # the work is done; while Python ends, a signal ends it without a traceback
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    drop_what_streams_refuse()
    raise SystemExit(code)


def run(arguments: list[str]) -> int:
    """Runs one command; an error of the user or an interruption ends in one line, without a traceback.

    Returns:
        The exit code: 0, 1 for an error, 2 for a mistake in the command line, and 128 plus the number of the
        signal that ended the command (130 for Ctrl-C).
    """
    with interruptions() as interrupted:
        try:
            code = copy_context().run(_run, arguments)  # what one command chooses ends with it
            sys.stdout.flush()  # a full disk is an error of the command
        except KeyboardInterrupt as interruption:
            kept = " ".join(getattr(interruption, "__notes__", ["Run the same command to start again."]))
            ended = describe_interruption(interruption)
            _say(f"{ended[0].upper()}{ended[1:]}. {kept}", mistake=False)
            return 128 + signal_of(interruption)
        except (EvaError, OSError, MemoryError, ImportError) as error:
            _say(describe_error(error))
            return 128 + interrupted() if interrupted() else 1
        return 128 + interrupted() if interrupted() else code


def _run(arguments: list[str]) -> int:
    try:
        accept_held_signals()
        _check_words(arguments)
        with typer.main.get_command(app).make_context("eva", list(arguments)) as context:
            context.command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except UsageError as mistake:
        if not arguments:  # the help
            mistake.show()
        else:
            path = mistake.ctx.command_path if mistake.ctx else "eva"
            _say(f"{_mistake_in_words(mistake)} `{path} --help` explains.")
        return mistake.exit_code
    return 0


def _mistake_in_words(mistake: Any) -> str:
    text = " ".join(mistake.format_message().split())
    if near := getattr(mistake, "possibilities", None):
        text = f"{text.partition(' (')[0]}. Did you mean {' or '.join(sorted(near))}?"
    return text if text.endswith(("?", ".")) else f"{text}."


def _check_words(arguments: list[str]) -> None:
    """Refuses empty words, which an unset variable of a shell makes: an empty path is the present folder.

    Raises:
        EvaError: a word is empty.
    """
    for before, word in pairwise(["eva", *arguments]):
        if not word.strip():
            raise EvaError(f"the argument after {before} is empty; give it a value, or leave it out.")
        if word.startswith("--") and word.endswith("="):
            raise EvaError(f"{word} is followed by nothing; give it a value, or leave it out.")


def _drop_impossible_width() -> None:
    """Drops a width of the terminal that is no positive number; with width 0 nothing would be printed."""
    width = os.environ.get("COLUMNS", "")
    if not (width.isdecimal() and int(width)):
        os.environ.pop("COLUMNS", None)


def _escape_what_the_terminal_lacks() -> None:
    """Prints characters that the terminal's encoding lacks as escapes, such as those of a file's name."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _say(text: str, mistake: bool = True) -> None:
    """Prints one line, whatever names are in it."""
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    with suppress(OSError):  # an error stream that takes nothing
        Console(stderr=True, emoji=False).print(
            f"eva: {line}" if mistake else line,
            style="red" if mistake else None,
            markup=False,
            soft_wrap=True,
        )
