"""The `run` script installs system packages only where it was told to."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    """The functions of `run`, without what it does when it is called."""
    text = (ROOT / "run").read_text()
    path = tmp_path / "functions.sh"
    path.write_text(text[: text.index("\ncommand=")])
    return path


def install(functions: Path, command: str = "test", ci: str = "") -> tuple[int, str, str]:
    """Asks for a package without a terminal; gives exit status, message, and calls of a fake apt-get."""
    folder = functions.parent
    log = folder / "apt.log"
    (folder / "apt-get").write_text(f'#!/bin/sh\necho "$@" >>{log}\n')
    (folder / "apt-get").chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", f"source {functions}; command={command}; apt_install renderer libegl1"],
        env={**os.environ, "CI": ci, "PATH": f"{folder}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    return done.returncode, done.stderr, log.read_text() if log.exists() else ""


def test_nothing_is_installed_unasked(functions: Path) -> None:
    code, message, calls = install(functions)
    assert code == 1 and not calls
    assert "apt-get install --no-install-recommends libegl1" in message


@pytest.mark.parametrize(("command", "ci"), [("test", "true"), ("packages", "")])
def test_root_installs_in_ci_and_by_packages(functions: Path, command: str, ci: str) -> None:
    code, message, calls = install(functions, command, ci)
    assert "libegl1" in message
    if os.geteuid() == 0:
        assert code == 0 and "install -y" in calls and "libegl1" in calls
    else:
        assert code == 1 and not calls and "sudo apt-get" in message


def test_two_calls_at_once_set_up_one_after_the_other(functions: Path) -> None:
    log = functions.parent / "log"
    steps = f"make_environment() {{ echo in >>{log}; sleep 0.3; echo out >>{log}; }}"
    script = f"source {functions}; find_python() {{ :; }}; install_packages() {{ :; }}; {steps}; setup"
    calls = [subprocess.Popen(["bash", "-c", script], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [call.communicate(timeout=20)[1] for call in calls]
    assert [call.returncode for call in calls] == [0, 0]
    assert log.read_text().split() == ["in", "out"] * 2
    assert sorted(map(bool, told)) == [False, True] and "Waiting" in "".join(told)


def test_help_names_every_command() -> None:
    text = (ROOT / "run").read_text()
    shown = subprocess.run([ROOT / "run"], capture_output=True, text=True, check=True).stdout
    for name in re.findall(r"^  ([a-z |]+)\)", text[text.index("\ncommand=") :], re.MULTILINE):
        for word in name.split(" | "):
            assert f"./run {word}" in shown


@pytest.mark.parametrize("word", ["nonsense", "tset", "--nonsense", ""])
def test_an_unknown_command_is_refused_in_one_line(word: str) -> None:
    done = subprocess.run([ROOT / "run", word], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == f"run: there is no command '{word}'; ./run help lists them.\n"


@pytest.mark.parametrize("words", [[], ["help"], ["-h"], ["--help"]])
def test_help_is_no_error(words: list[str]) -> None:
    done = subprocess.run([ROOT / "run", *words], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "./run setup" in done.stdout and not done.stderr


def run_tests(functions: Path, *options: str, fails: str = "never") -> tuple[int, list[str]]:
    """Runs the function `tests` over fake programs; gives its exit status and the calls of pytest.

    Args:
        functions: of `run`.
        *options: of `./run test`.
        fails: words of the call of pytest that fails.
    """
    folder = functions.parent / "bin"
    folder.mkdir()
    for name in ("ruff", "mypy", "pytest"):
        told = f'printf "%s\\n" "$*" >>{folder}/{name}.log; [[ "$*" != *"{fails}"* ]]'
        (folder / name).write_text(f"#!/bin/bash\n{told}\n")
        (folder / name).chmod(0o755)
    script = f"source {functions}; venv={folder.parent}; tests {' '.join(options)}"
    done = subprocess.run(["bash", "-c", script], timeout=20)
    assert (folder / "ruff.log").exists() and (folder / "mypy.log").exists()
    return done.returncode, (folder / "pytest.log").read_text().splitlines()


def test_without_options_every_fast_test_runs_once(functions: Path) -> None:
    code, calls = run_tests(functions)
    assert code == 0 and len(calls) == 2 and calls[0].startswith("-n ") and "-n " not in calls[1]
    assert calls[0].endswith("-m not slow and not clients and not wall_clock")
    assert calls[1].endswith("-m not slow and not clients and wall_clock")


@pytest.mark.parametrize("fails", ["not wall_clock", "and wall_clock"])
def test_a_failure_in_either_part_is_one_and_the_other_part_runs(functions: Path, fails: str) -> None:
    code, calls = run_tests(functions, fails=fails)
    assert code == 1 and len(calls) == 2


@pytest.mark.parametrize("options", [("tests/core", "-k", "actuators"), ("-x",)])
def test_options_go_to_one_pytest(functions: Path, options: tuple[str, ...]) -> None:
    assert run_tests(functions, *options) == (0, [" ".join(options)])
