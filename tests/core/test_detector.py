"""The landmark detector and clip reader on the shipped sample, a real person's video."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from eva_sim.detector import Detector, Mode
from eva_sim.errors import MediaError
from eva_sim.files import asset
from eva_sim.landmarks import POINTS, Aligner, face_measurements
from eva_sim.media.sources import open_source

CLIP = asset("samples/person.mp4")


@pytest.fixture(scope="module")
def seen() -> list[np.ndarray]:
    """Landmarks of every twentieth frame of the first 12 seconds."""
    with Detector() as detector:
        frames = islice(open_source(CLIP), 0, 300, 20)
        return [points for frame in frames if (points := detector.landmarks(_picture(frame))) is not None]


def _picture(frame: object) -> np.ndarray:
    return frame[1] if isinstance(frame, tuple) else frame.image  # type: ignore[attr-defined]


def test_every_frame_of_a_person_has_a_face(seen: list[np.ndarray]) -> None:
    assert len(seen) == 15
    assert all(points.shape == (len(POINTS), 3) for points in seen)


def test_expressions_of_the_clip_are_measured(seen: list[np.ndarray]) -> None:
    align = Aligner.of(np.median(seen[1:3], axis=0))
    calm, brows_up, mouth_open, teeth = (
        face_measurements(align(seen[frame // 20])) for frame in (40, 80, 120, 200)
    )
    assert brows_up["brow_height"] > calm["brow_height"] + 0.04
    assert mouth_open["jaw_opening"] > calm["jaw_opening"] + 0.10
    assert teeth["mouth_width"] > calm["mouth_width"] + 0.08


def test_a_picture_of_nothing_has_no_face() -> None:
    with Detector() as detector:
        assert detector.landmarks(np.full((120, 160, 3), 90, np.uint8)) is None


def test_video_takes_times_closer_than_its_milliseconds_but_none_that_go_back() -> None:
    picture = np.full((120, 160, 3), 90, np.uint8)
    with Detector("video") as detector:
        for time in (0.0, 1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 1e-3, 2e-3, 1e9):
            assert detector.landmarks(picture, time) is None
        for wrong in (None, 0.5, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="the time of each picture"):
                detector.landmarks(picture, wrong)


def test_unsmoothed_video_keeps_what_video_smooths() -> None:
    frames = list(islice(open_source(CLIP), 25))

    def roughness(mode: Mode) -> float:
        with Detector(mode) as detector:
            seen = [detector.landmarks(picture, time) for time, picture in frames]
        return float(np.abs(np.diff(np.array(seen), 3, axis=0)).mean())

    assert roughness("unsmoothed video") > 1.2 * roughness("video")


def test_a_missing_clip_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        open_source(tmp_path / "none.mp4")
