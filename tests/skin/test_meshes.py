"""The built face mesh: size, symmetry, slits and triangle quality."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from eva_sim.files import asset, read_arrays


@pytest.fixture(scope="module")
def skin() -> dict[str, np.ndarray]:
    return read_arrays(asset("meshes/skin.npz"))


def boundary_loops(triangles: np.ndarray) -> list[int]:
    """Lengths of the closed boundary loops."""
    directed = Counter((a, b) for t in triangles.tolist() for a, b in zip(t, t[1:] + t[:1], strict=True))
    assert max(directed.values()) == 1, "inconsistent orientation"
    after = {a: b for a, b in directed if (b, a) not in directed}
    lengths = []
    while after:
        start, here = next(iter(after.items()))
        del after[start]
        count = 1
        while here != start:
            here, count = after.pop(here), count + 1
        lengths.append(count)
    return sorted(lengths)


def test_size_is_what_the_solver_is_made_for(skin: dict[str, np.ndarray]) -> None:
    assert 2000 <= len(skin["points"]) <= 3000
    assert np.array_equal(np.unique(skin["triangles"]), np.arange(len(skin["points"])))


def test_left_and_right_mirror_exactly(skin: dict[str, np.ndarray]) -> None:
    points, partner = skin["points"], skin["mirror"]
    assert np.array_equal(partner[partner], np.arange(len(points)))
    assert np.array_equal(points[partner], points * [-1, 1, 1])
    faces = {tuple(sorted(t)) for t in skin["triangles"].tolist()}
    assert {tuple(sorted(t)) for t in partner[skin["triangles"]].tolist()} == faces


def test_mouth_and_lids_are_open_and_nothing_else(skin: dict[str, np.ndarray]) -> None:
    loops = boundary_loops(skin["triangles"])
    assert loops[:3] == [28, 28, 48]  # both lid margins keep their edge loops; the lips have 24 vertices each
    assert len(loops) == 4  # and the outer rim


def test_no_triangle_is_degenerate(skin: dict[str, np.ndarray]) -> None:
    corners = skin["points"][skin["triangles"]]
    edges = np.roll(corners, -1, axis=1) - corners
    lengths = np.linalg.norm(edges, axis=2)
    area = 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    quality = 4 * np.sqrt(3) * area / (lengths**2).sum(1)  # 1 for equilateral
    assert quality.min() > 0.1
    assert np.median(quality) > 0.7
