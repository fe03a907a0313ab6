"""The clip at the top of the README shows the person and the robot of a mirrored video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eva_sim.media.encoding import write_video
from tools.build_clip import SIDE, build_clip


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two seconds: a red person of 640 pixels, a blue robot, white curves."""
    frame = np.full((480, 640 + 480 + 420, 3), 255, np.uint8)
    frame[:, :640], frame[:, 640:1120] = (200, 20, 20), (20, 20, 200)
    with write_video(tmp_path / "mirror.mp4", 25) as add:
        for number in range(50):
            moving = frame.copy()
            moving[200:240, 100 + 8 * number : 140 + 8 * number] = 255  # equal frames would be stored once
            add(moving)
    return tmp_path / "mirror.mp4"


def test_person_and_robot_are_side_by_side(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "clip.webp"
    assert build_clip(video, [(0.4, 0.4), (1.0, 0.6)], out) == 12  # every second one of 10 and of 15
    with Image.open(out) as clip:
        assert clip.size == (2 * SIDE, SIDE) and clip.n_frames == 12  # type: ignore[attr-defined]
        left, right = np.split(np.asarray(clip.convert("RGB"), int), 2, axis=1)
    assert np.abs(left.mean((0, 1)) - (200, 20, 20)).max() < 12
    assert np.abs(right.mean((0, 1)) - (20, 20, 200)).max() < 12


def test_a_time_outside_the_video_is_refused(video: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fewer than two frames"):
        build_clip(video, [(90, 8)], tmp_path / "clip.webp")
    assert not (tmp_path / "clip.webp").exists()
