"""Checks with Rerun: its file holds what the recording holds, and writing it sends nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eva_sim.contract import Face
from eva_sim.recording.reader import load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.recording.rerun_export import export_rerun
from eva_sim.testing.fake_face import FakeFace
from eva_sim.twin import Twin

FRAMES = 5
#: Exports, and prints the network sockets that the process has then.
EXPORT = """
import os, sys, time
from pathlib import Path
from eva_sim.recording.reader import load_recording
from eva_sim.recording.rerun_export import export_rerun
export_rerun(load_recording(sys.argv[1]), sys.argv[2])
time.sleep(1)
own = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and link.exists()}
tables = (Path(f"/proc/net/{name}").read_text().splitlines() for name in ("tcp", "tcp6", "udp", "udp6"))
print([line for table in tables for line in table if f"socket:[{line.split()[9]}]" in own])
"""


def record(face: Face, folder: Path) -> Path:
    with face, record_face(face, folder) as recorded:
        recorded.reset(1)
        for index in range(FRAMES - 1):
            recorded.move(face.spec.command(jaw=0.1 * index))
            recorded.render(32)
    return folder


def chunks(path: Path) -> list[Any]:
    from rerun.chunk import RrdReader

    return list(RrdReader(str(path)).stream().to_chunks())


def column(parts: list[Any], entity: str, name: str) -> NDArray[Any]:
    """Values of one component of an entity over time, one row a moment."""
    found = [part.to_record_batch() for part in parts if part.entity_path == entity and not part.is_static]
    rows = [row for batch in found for row in batch.column(name).to_pylist()]
    return np.array(rows)


@pytest.mark.parametrize("kind", [FakeFace, Twin])
def test_the_file_holds_what_was_recorded(kind: type[Face], tmp_path: Path) -> None:
    recording = load_recording(record(kind(), tmp_path / "a"))
    info = export_rerun(recording, tmp_path / "a.rrd")
    parts = chunks(tmp_path / "a.rrd")
    rows = Counter[str]()
    for part in parts:
        rows[part.entity_path] += 0 if part.is_static else part.num_rows
    for entity in ("/commands/asked", "/commands/sent", "/positions"):
        assert rows[entity] == len(recording) == info["frames"]
    assert rows["/landmarks"] == recording.found.sum()
    assert rows["/camera"] == info["pictures"] == sum(bool(recording.jpeg(k)) for k in range(len(recording)))
    np.testing.assert_allclose(
        column(parts, "/commands/asked", "Scalars:scalars"), recording.asked, atol=1e-6
    )
    points = column(parts, "/landmarks", "Points3D:positions")
    metres = recording.info.outer_eye * recording.landmarks[recording.found]
    np.testing.assert_allclose(points, metres, atol=1e-6)


def test_writing_sends_nothing_and_leaves_no_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    record(FakeFace(), tmp_path / "a")
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
    plain = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, str(tmp_path / "a"), str(tmp_path / "a.rrd")],
        env={**plain, "HOME": str(home)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
    assert (tmp_path / "a.rrd").stat().st_size > 1000
    assert not [path for path in home.rglob("*") if "rerun" in str(path.relative_to(home)).lower()]
