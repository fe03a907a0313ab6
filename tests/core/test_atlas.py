"""The atlas of settled expressions: its content and its file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eva_sim.atlas import Atlas, load_atlas, read_atlas
from eva_sim.contract import load_spec
from eva_sim.errors import DataError
from eva_sim.files import write_arrays
from eva_sim.testing.fake_face import fake_atlas

FAKE = fake_atlas()


def test_shipped_atlas_covers_faces() -> None:
    atlas = load_atlas(load_spec())
    assert len(atlas) == 256
    assert np.array_equal(atlas.commands[0], load_spec().neutral)
    assert not atlas.landmarks.flags.writeable
    moved = np.linalg.norm(atlas.landmarks - atlas.landmarks[0], axis=2).max(1)
    assert np.median(moved) > 0.05


def _write(path: Any, atlas: Atlas) -> Any:
    write_arrays(path, commands=atlas.commands, landmarks=atlas.landmarks, digest=atlas.digest)
    return path


def test_an_atlas_is_read_back(tmp_path: Any) -> None:
    atlas = read_atlas(_write(tmp_path / "atlas.npz", FAKE), load_spec())
    assert np.array_equal(atlas.landmarks, FAKE.landmarks)


@pytest.mark.parametrize(
    ("atlas", "message"),
    [
        (Atlas(FAKE.commands, FAKE.landmarks, "0" * 64), "another face.toml"),
        (Atlas(FAKE.commands, FAKE.landmarks[:, :9], FAKE.digest), "shape"),
        (Atlas(FAKE.commands * 3, FAKE.landmarks, FAKE.digest), "not commands"),
    ],
)
def test_a_foreign_atlas_is_refused(tmp_path: Any, atlas: Atlas, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_atlas(_write(tmp_path / "atlas.npz", atlas), load_spec())


def test_a_damaged_atlas_is_refused(tmp_path: Any) -> None:
    path = _write(tmp_path / "atlas.npz", FAKE)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="damaged"):
        read_atlas(path, load_spec())
    write_arrays(path, commands=FAKE.commands)
    with pytest.raises(DataError, match="lacks"):
        read_atlas(path, load_spec())
