"""Pictures of the person, as pages get them: about as large as the page shows them."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.agents.mirroring.frame_detector import FrameDetector
from eva_sim.files import asset
from eva_sim.live.camera_feed import _NewestPicture, fit_page
from eva_sim.media.sources import Frames, FrameSource, open_source


class Enlarged(FrameSource):
    """A clip whose pixels are each shown as a square of pixels."""

    name = "enlarged"

    def __init__(self, times: int) -> None:
        self.clip, self.times = open_source(asset("samples/person.mp4")), times
        self.fps = self.clip.fps

    def __iter__(self) -> Frames:
        for time, frame in self.clip:
            yield time, frame.repeat(self.times, axis=0).repeat(self.times, axis=1)


@pytest.mark.parametrize(
    ("height", "width"), [(16, 20), (300, 400), (480, 640), (720, 1280), (1080, 1920), (1280, 720)]
)
def test_a_picture_keeps_its_shape_and_its_marks(height: int, width: int) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    rows, columns = slice(height // 4, height // 2), slice(width // 2, 3 * width // 4)
    picture[rows, columns] = 255
    shown, scale, corner = fit_page(picture)
    assert min(height, 240) <= shown.shape[0] < 480 and np.array_equal(corner, np.zeros(3))
    assert shown.shape[1] / shown.shape[0] == pytest.approx(width / height, rel=0.02)
    middle = np.argwhere(shown[..., 0] > 127).mean(axis=0)
    assert middle == pytest.approx(np.array([3 * height / 8, 5 * width / 8]) * scale, abs=1.0)


def test_landmarks_are_those_of_the_shrunk_picture() -> None:
    """The clip at twice its size is shrunk to itself, so its face is found at the same places."""
    faces = {}
    for times in (1, 2):
        detector = FrameDetector(Enlarged(times), _NewestPicture(), history=1, fit=fit_page)
        frames = detector.frames()
        next(frames)
        frames.close()
        (face,) = detector.faces
        assert detector.pictures[-1].shape == (300, 400, 3) and face is not None
        faces[times] = face.landmarks
    assert np.abs(faces[1] - faces[2]).max() < 6.0
