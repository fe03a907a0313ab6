"""The landmark array that both bodies and every person share.

A fixed subset of MediaPipe's 478 face points. Head frame: x to the face's own left, y up, z out of
the face. Points are moved onto the neutral face by the 3D similarity of the rigid points, and
measured in the neutral face's outer-eye distances, so that neither head pose nor head size is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import DataError
from eva_sim.files import read_arrays

# Skin that lies over bone and follows the head, not the expression. Eye corners, nose bridge,
# temples, hairline (list from a leak test on people: it halves what head pose leaks into a smile).
RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 127, 356, 234, 454, 10, 109, 338)

_LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
_LIPS_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
_BROWS = (
    (70, 63, 105, 66, 107, 46, 53, 52, 65, 55),
    (300, 293, 334, 296, 336, 276, 283, 282, 295, 285),
)
_EYES = (
    (246, 161, 160, 159, 158, 157, 173, 7, 163, 144, 145, 153, 154, 155),
    (466, 388, 387, 386, 385, 384, 398, 249, 390, 373, 374, 380, 381, 382),
)
_NOSE = (1, 2, 4, 5, 48, 278, 64, 294, 98, 327)
_CHEEKS = (205, 425, 50, 280, 36, 266, 187, 411, 206, 426, 216, 436, 207, 427)
_CHIN = (152, 148, 377, 176, 400, 149, 378, 150, 379, 199, 200, 18, 136, 365)
_FOREHEAD = (9, 8, 151, 108, 337, 69, 299, 104, 333)

#: MediaPipe index of each point, in the order of every landmark array.
POINTS: tuple[int, ...] = tuple(
    sorted({*RIGID, *_LIPS_OUTER, *_LIPS_INNER, *_BROWS[0], *_BROWS[1], *_EYES[0], *_EYES[1],
            *_NOSE, *_CHEEKS, *_CHIN, *_FOREHEAD})
)  # fmt: skip
_ROW = {point: row for row, point in enumerate(POINTS)}


def landmark_rows(*points: int) -> NDArray[np.intp]:
    """Returns the rows of `POINTS` that hold the given MediaPipe indices."""
    return np.array([_ROW[p] for p in points])


_RIGID_ROWS = landmark_rows(*RIGID)
#: RMS misfit of the rigid points above which a face is rejected [neutral outer-eye distances].
#: A man turning, nodding, nearing and holding his chin reaches 0.026; a face lying on its side 0.07.
MAX_RIGID_RESIDUAL = 0.05

#: Rows of `POINTS` by region of the face, for reports; without the rigid points, which are aligned away.
REGIONS: dict[str, NDArray[np.intp]] = {
    name: landmark_rows(*sorted(set(points) - set(RIGID)))
    for name, points in {
        "brows": (*_BROWS[0], *_BROWS[1]),
        "eyes": (*_EYES[0], *_EYES[1]),
        "nose": _NOSE,
        "cheeks": _CHEEKS,
        "mouth": (*_LIPS_OUTER, *_LIPS_INNER),
        "jaw": _CHIN,
    }.items()
}


class Similarity(NamedTuple):
    """A turn, a change of size and a shift of points, for one face or (...) faces.

    Attributes:
        scale: s, (...).
        rotation: R, (..., 3, 3).
        shift: t, (..., 3).
    """

    scale: Floats
    rotation: Floats
    shift: Floats

    def __call__(self, points: Floats) -> Floats:
        """Returns s R p + t for points p, (..., N, 3)."""
        turned = points @ np.swapaxes(self.rotation, -1, -2)
        moved: Floats = self.scale[..., None, None] * turned + self.shift[..., None, :]
        return moved


def fit_similarity(source: Floats, target: Floats) -> Similarity:
    """Fits the least-squares similarity that moves `source` onto `target`, for one face or (...) faces.

    Umeyama, IEEE PAMI 13(4), 1991.

    Args:
        source: shape (..., N, 3).
        target: shape (N, 3), or as many as the sources.
    """
    a, b = source.mean(-2), target.mean(-2)
    centred = source - a[..., None, :]
    u, d, vt = np.linalg.svd(np.swapaxes(target - b[..., None, :], -1, -2) @ centred)
    flip = np.ones(d.shape)
    flip[..., 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * flip[..., None, :]) @ vt
    scale = (d * flip).sum(-1) / (centred**2).sum((-2, -1))
    return Similarity(scale, rotation, b - scale[..., None] * (rotation @ a[..., None])[..., 0])


def load_embedding(spec: FaceSpec) -> tuple[NDArray[np.intp], Floats]:
    """Reads the skin triangle of each landmark, (N, 3) vertices, and its barycentric shares, (N, 3).

    Raises:
        DataError: the file is of another landmark set.
    """
    arrays = read_arrays(spec.file("precomputed/landmark_embedding.npz"))
    if arrays["points"].tolist() != list(POINTS):
        raise DataError(
            "the landmark embedding is of another landmark set; run `python -m tools.build_landmarks`."
        )
    return arrays["corners"], arrays["shares"]


def embed(points: Floats, corners: NDArray[np.intp], shares: Floats) -> Floats:
    """Returns points within triangles, (P, 3), from vertices (V, 3) and `load_embedding`."""
    embedded: Floats = (shares[:, :, None] * points[corners]).sum(1)
    return embedded


@dataclass(frozen=True)
class Aligner:
    """Brings a face's landmarks onto its own neutral face.

    Attributes:
        neutral: canonical neutral points, (N, 3) [neutral outer-eye distances], origin between the
            outer eye corners, x through them, face looking along z.
        outer_eye: outer-eye distance of the neutral face in the units it was given in.
    """

    neutral: Floats
    outer_eye: float

    @classmethod
    def of(cls, points: Floats) -> Aligner:
        """Returns an aligner for the face whose neutral landmarks are `points`, (N, 3), any unit."""
        right, left = points[landmark_rows(33)[0]], points[landmark_rows(263)[0]]
        forehead, bridge = points[landmark_rows(10)[0]], points[landmark_rows(195)[0]]
        size = float(np.linalg.norm(left - right))
        x = (left - right) / size
        up = forehead - bridge
        y = up - x * (up @ x)
        y = y / np.linalg.norm(y)
        axes = np.stack([x, y, np.cross(x, y)])
        return cls((points - (left + right) / 2) @ axes.T / size, size)

    def fit(self, points: Floats) -> Similarity:
        """Returns what aligns the points of one face or many, (..., N, 3)."""
        return fit_similarity(points[..., _RIGID_ROWS, :], self.neutral[_RIGID_ROWS])

    def __call__(self, points: Floats) -> Floats:
        """Returns aligned points of one face or many, (..., N, 3) [neutral outer-eye distances]."""
        return self.fit(points)(points)

    def residual(self, points: Floats) -> Floats:
        """Returns the RMS misfit of the rigid points after alignment, (...) [neutral outer-eye distances].

        Args:
            points: of one face or many, (..., N, 3).

        Large when the detector invents points, e.g. for a hand before the mouth.
        """
        error = self(points)[..., _RIGID_ROWS, :] - self.neutral[_RIGID_ROWS]
        misfit: Floats = np.sqrt((error**2).sum(-1).mean(-1))
        return misfit


def face_measurements(aligned: Floats) -> dict[str, Floats]:
    """Returns readable distances of aligned points, shape (..., N, 3) -> (...) each.

    All in neutral outer-eye distances: `jaw_opening` (gap of the inner lips), `mouth_width`
    (between the corners), `brow_height` (brows above the inner and outer eye corners, mean of both
    sides), `lid_opening` (mean of both eyes), `corner_height` (mouth corners above the lip centre).
    """
    points = np.asarray(aligned, dtype=float)

    def at(*ids: int) -> Floats:
        return points[..., landmark_rows(*ids), :]

    def gap(upper: tuple[int, ...], lower: tuple[int, ...]) -> Floats:
        return np.linalg.norm(at(*upper) - at(*lower), axis=-1).mean(-1)

    corners = at(61, 291)
    brows = at(70, 63, 105, 66, 107, 300, 293, 334, 296, 336)[..., 1].mean(-1)
    eyes = at(33, 133, 362, 263)[..., 1].mean(-1)
    return {
        "jaw_opening": gap((13,), (14,)),
        "mouth_width": np.linalg.norm(corners[..., 0, :] - corners[..., 1, :], axis=-1),
        "brow_height": brows - eyes,
        "lid_opening": gap((159, 386), (145, 374)),
        "corner_height": corners[..., 1].mean(-1) - at(0, 17)[..., 1].mean(-1),
    }


def measurement_in_words(name: str) -> str:
    """Returns the name of a measurement as people read it."""
    return {"jaw_opening": "mouth opening"}.get(name, name.replace("_", " "))
