"""Encoding: JPEG and H.264, as mirroring, recordings and exports use them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from eva_sim.errors import MediaError
from eva_sim.media.encoding import PictureStore, VideoEncoder, decode_jpeg, encode_jpeg, write_video
from eva_sim.media.sources import open_source

BLOCKS = [
    np.kron(np.random.default_rng(seed).integers(0, 256, (4, 6, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    for seed in range(6)
]


def test_a_jpeg_returns_nearly_the_same_picture() -> None:
    again = decode_jpeg(encode_jpeg(BLOCKS[0]))
    assert again.shape == BLOCKS[0].shape
    assert np.abs(again.astype(int) - BLOCKS[0]).mean() < 20


def test_a_video_has_its_frames_at_its_rate_and_even_sizes(tmp_path: Path) -> None:
    with write_video(tmp_path / "film.mp4", 25) as add_frame:
        for picture in BLOCKS:
            add_frame(picture[:-1, :-1])
    frames = list(open_source(tmp_path / "film.mp4"))
    assert [time for time, _ in frames] == pytest.approx(0.04 * np.arange(6))
    assert {picture.shape for _, picture in frames} == {(62, 94, 3)}


def test_an_empty_video_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="without frames"), write_video(tmp_path / "film.mp4", 25):
        pass
    assert list(tmp_path.iterdir()) == []


def test_codec_options_set_the_key_frames(tmp_path: Path) -> None:
    with VideoEncoder(tmp_path / "film.mp4", Fraction(25), {"g": "2", "bf": "0"}) as video:
        for picture in BLOCKS:
            video.add(picture)
        assert video.count == 6
    with av.open(str(tmp_path / "film.mp4")) as container:
        keys = [frame.key_frame for frame in container.decode(video=0)]
    assert keys == [True, False] * 3


def test_stored_pictures_are_a_sequence() -> None:
    with PictureStore() as store:
        for value in (0, 100, 200):
            store.add(np.full((8, 8, 3), value, np.uint8))
        assert [round(picture.mean(), -1) for picture in store] == [0, 100, 200]  # type: ignore[attr-defined]
        assert np.array_equal(store[-1], store[2])
        for index in (3, -4):
            with pytest.raises(IndexError):
                store[index]
