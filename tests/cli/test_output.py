"""Results as text and as JSON, silence, exit codes, help, and completion in the shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from eva_sim import load_spec
from eva_sim.cli.app import COMMANDS, run
from tests.cli.conftest import MistakenEva

ANSI = re.compile(r"\x1b\[")


def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eva_sim.cli", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("actuators", {"actuators"}),
        ("version", {"version"}),
        ("look joy --size 16 --out {out}/a.png", {"file"}),
        ("expressions --size 64 --out {out}/a.png", {"file"}),
        ("record joy --hold 0.2 --out {out}", {"folder", "ended", "played", "faults"}),
        ("replay session", {"folder", "ended", "played", "faults"}),
        ("export session --out {out}", {"folder", "total_frames"}),
        ("babble --samples 50 --workers 1 --out {out}", {"folder", "samples"}),
    ],
)
def test_json_is_all_that_the_standard_output_holds(
    mistaken_eva: MistakenEva, tmp_path: Path, capsys: pytest.CaptureFixture, words: str, keys: set[str]
) -> None:
    run([*words.format(out=tmp_path / "out").split(), "--json"])
    assert keys <= set(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("words", ["--quiet record joy --out {out}", "record joy --out {out} --quiet"])
def test_quiet_prints_the_result_alone(mistaken_eva: MistakenEva, tmp_path: Path, words: str) -> None:
    assert mistaken_eva(words) == (0, "")
    code, err = mistaken_eva("record joy --quiet --out {out}")  # there is one already
    assert code == 1 and err.startswith("eva: ")


def test_a_choice_ends_with_its_command(capsys: pytest.CaptureFixture) -> None:
    run(["--json", "version"])
    assert json.loads(capsys.readouterr().out)
    run(["version"])
    assert capsys.readouterr().out.startswith("0.")


@pytest.mark.parametrize(
    ("words", "code"),
    [("version", 0), ("look nose=1", 1), ("train none", 1), ("look --nose", 2), ("nose", 2), ("train", 2)],
)
def test_exit_codes(words: str, code: int, capsys: pytest.CaptureFixture) -> None:
    assert run(words.split()) == code


def test_the_help_shows_every_command_once_and_the_exit_codes() -> None:
    done = call("--help")
    assert done.returncode == 0 and "Exit codes" in done.stdout
    for name in COMMANDS:
        assert len(re.findall(rf"^  {name} +[A-Z]", done.stdout, re.MULTILINE)) == 1, name
    assert "..." not in done.stdout.partition("Start here")[2]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_each_actuator_has_one_line(columns: str) -> None:
    lines = call("actuators", COLUMNS=columns).stdout.splitlines()
    assert max(map(len, lines)) <= int(columns)
    numbers = [int(found[1]) for line in lines if (found := re.match(r"\W+(\d+) .+AU", line))]
    assert numbers == list(range(25)) and len(lines) <= 25 + 4  # heads and lines


@pytest.mark.parametrize("columns", ["0", "-3", "", "²", "wide", "20"])
def test_a_width_that_holds_nothing_hides_nothing(columns: str) -> None:
    assert "│ brow_inner_left" in call("actuators", COLUMNS=columns).stdout
    assert "no actuator called 'nose'" in call("look", "nose=1", COLUMNS=columns).stderr


def test_windows_that_matplotlib_would_open_do_not_matter(tmp_path: Path) -> None:
    Image.new("RGB", (160, 120)).save(tmp_path / "wall.png")
    done = call("mirror", str(tmp_path / "wall.png"), "--out", str(tmp_path / "out"), MPLBACKEND="nonsense")
    assert done.returncode == 1 and "there is no face in" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["actuators"], ["look", "nose=1"], ["--help"]])
def test_no_colours_where_no_terminal_is(words: list[str]) -> None:
    done = call(*words)
    assert not ANSI.search(done.stdout + done.stderr)


def test_no_colours_on_a_terminal_with_no_color() -> None:
    for set_, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = os.openpty()
        command = [sys.executable, "-m", "eva_sim.cli", "look", "nose=1"]
        environment = {**os.environ, "TERM": "xterm", **set_}
        subprocess.run(command, stderr=theirs, stdout=theirs, env=environment, timeout=60)
        printed = os.read(ours, 10_000).decode()
        os.close(ours)
        os.close(theirs)
        assert "no actuator called" in printed and bool(ANSI.search(printed)) == coloured


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("eva do", {"doctor"}),
        ("eva look jo", {"joy"}),
        ("eva look joy ja", {"jaw="}),
        ("eva record joy sa", {"sadness"}),
        ("eva mirror me.mp4 --body v", {"virtual"}),
        ("eva doctor --board m", {"maestro"}),
        ("eva train data --route l", {"linear"}),
    ],
)
def test_the_shell_completes_commands_options_and_names(line: str, offered: set[str]) -> None:
    count = str(len(line.split()) - 1)
    done = call(_EVA_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=count)
    assert done.returncode == 0 and set(done.stdout.split()) == offered


def test_the_table_and_the_json_have_the_same_actuators(capsys: pytest.CaptureFixture) -> None:
    run(["actuators", "--json"])
    names = [each["name"] for each in json.loads(capsys.readouterr().out)["actuators"]]
    assert names == [actuator.name for actuator in load_spec().actuators]
