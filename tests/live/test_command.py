"""The command line of `eva live`: mistakes, and the end of the page, each told in one line."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eva_sim.cli.app import run
from eva_sim.live.session import Session

MISTAKES = {
    "live wall.png": "wall.png is one picture; give a camera or a clip",
    "live none.mp4": "none.mp4 does not exist; give a clip",
    "live --body statue": "no body called 'statue'; there are twin",
    "live --board maestro": "add --body robot",
    "live --web-port 70000": "Invalid value for '--web-port'",
    "live --host no.such.host.invalid": "choose another --web-port, or --host",
    "live --out file": "file is not a folder",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_answered_in_one_line(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("wall.png")
    Path("file").write_text("")
    assert run(words.split()) in (1, 2)
    told = capsys.readouterr().err.strip()
    assert MISTAKES[words] in " ".join(told.split()) and "Traceback" not in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("body", "told"), [("twin", "closed."), ("mock", "closed, and the robot is limp.")])
def test_a_signal_ends_with_a_line_that_says_what_is_kept(
    body: str,
    told: str,
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Session, "run", lambda self, stopped: signal.raise_signal(number))
    code = run(["live", "--body", body, "--web-port", "0", "--out", str(tmp_path / "live")])
    assert code == 128 + number
    assert f"The page is {told} Nothing was recorded." in capsys.readouterr().err
