"""`eva look --alive`: a video of a face that does nothing but live."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eva_sim.cli.app import run
from eva_sim.media.sources import open_source


def test_a_living_face_is_filmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "look joy:0.5 --alive --seconds 0.4 --size 64 --style fast --seed 1"
    assert run(words.split()) == 0
    frames = [image.astype(int) for _, image in open_source(tmp_path / "out" / "look.mp4")]
    assert len(frames) == 10 and frames[0].shape == (64, 64, 3)
    assert all(np.ptp(frame) > 50 for frame in frames)
    assert run([*words.split(), "--out", "again.mp4"]) == 0
    again = [image for _, image in open_source(tmp_path / "again.mp4")]
    assert all(np.array_equal(one, other) for one, other in zip(frames, again, strict=True))
