"""Files of Rerun without Rerun: what is refused. `tests/clients/rerun_checks.py` has the rest."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eva_sim.cli.app import app
from eva_sim.errors import DataError, EvaError
from eva_sim.recording.reader import load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.recording.rerun_export import export_rerun
from eva_sim.testing.fake_face import FakeFace


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "recording"
    with FakeFace() as face, record_face(face, folder) as recorded:
        recorded.reset(1)
        recorded.move(face.spec.neutral)
    return folder


@pytest.mark.skipif(find_spec("rerun") is not None, reason="rerun is installed")
def test_a_missing_library_is_named_and_nothing_is_written(recording: Path, tmp_path: Path) -> None:
    before = os.environ.get("XDG_CONFIG_HOME")
    with pytest.raises(EvaError, match=r"eva-sim\[rerun\]"):
        export_rerun(load_recording(recording), tmp_path / "a.rrd")
    assert os.listdir(tmp_path) == ["recording"] and os.environ.get("XDG_CONFIG_HOME") == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "smile"], "are for LeRobot, and a.rrd is for Rerun; leave them out"),
        (["--image-size", "64x64"], "are for LeRobot, and a.rrd is for Rerun; leave them out"),
        (["{recording}"], "a.rrd takes one recording, and 2 were given; export each on its own"),
    ],
)
def test_what_does_not_fit_a_file_of_rerun_is_refused(
    words: list[str], message: str, recording: Path, tmp_path: Path
) -> None:
    given = [word.format(recording=recording) for word in words]
    done = CliRunner().invoke(app, ["export", str(recording), *given, "--out", str(tmp_path / "a.rrd")])
    assert isinstance(done.exception, DataError) and message in str(done.exception)
    assert os.listdir(tmp_path) == ["recording"]
