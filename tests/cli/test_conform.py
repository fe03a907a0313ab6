"""`eva conform`: the table of faults from the command line, on any firmware."""

from __future__ import annotations

import contextvars
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from eva_sim.cli.app import app
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.simulation.firmware_rules import FirmwareRules, _Channel
from eva_sim.real.wire import protocol as wire
from eva_sim.testing.fault_injection import MockTerminal


def conform(*arguments: str) -> Any:
    """Runs it in a context of its own, since `--json` is chosen for the rest of one."""
    return contextvars.copy_context().run(CliRunner().invoke, app, ["conform", *arguments])


@pytest.mark.parametrize("words", ["targets out of range", "an old frame"])
def test_the_mock_conforms(words: str) -> None:
    done = conform("--port", "mock", "--only", words, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert "on mock, build" in result["board"]
    (row,) = result["rows"]
    assert row["ok"] and words in row["fault"]


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("words", ["targets out of range", "wrong baud rates", "servo supply too high"])
def test_the_table_fits_a_terminal(columns: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = conform("--port", "mock", "--only", words).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    (row,) = (line for line in lines if line.startswith(f" {words}"))  # on one line
    known = "clamped:", "not on the mock:", "limp, latched, moves"
    assert any(each in row for each in known), row


def test_a_firmware_that_jumps_does_not_conform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Channel, "next", lambda self: self.aim)
    done = conform("--port", "mock", "--only", "frames twice")
    assert isinstance(done.exception, RobotError) and "does not conform" in str(done.exception)
    assert "WRONG:" in done.stdout and " NO" in done.stdout


def test_a_port_needs_a_word_about_its_servos() -> None:
    done = conform("--port", "/dev/nowhere")
    assert isinstance(done.exception, RobotError) and "unplug all servos" in str(done.exception)


def test_no_board_at_the_port_is_one_line() -> None:
    done = conform("--port", "/dev/nowhere", "--servos-unplugged")
    assert isinstance(done.exception, LinkError) and "/dev/nowhere" in str(done.exception)


def test_old_firmware_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FirmwareRules, "_hello", lambda self, message: wire.Ident(1))
    monkeypatch.setattr(wire.Ident, "pack", lambda self: bytes([1, 1, 0]) + bytes(20))
    done = conform("--port", "mock", "--only", "frames twice")
    assert "version 1 of the protocol, and this package 2; flash" in str(done.exception)


def test_words_of_no_row_are_refused() -> None:
    assert "no row of the table" in str(conform("--port", "mock", "--only", "no such").exception)


def test_a_board_at_a_port_is_tried_and_left_limp() -> None:
    with MockTerminal() as board:
        done = conform(
            "--port", board.terminal, "--servos-unplugged", "--only", "board loses power", "--json"
        )
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["rows"][0]["skipped"] == "not on the port: switch it by hand"


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_the_rows_of_a_port_find_what_is_broken(monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    if broken:
        monkeypatch.setattr(FirmwareRules, "_watch_silence", lambda self: None)
    with MockTerminal() as board:
        done = conform("--port", board.terminal, "--servos-unplugged", "--only", "silence")
    assert bool(done.exception) is broken
