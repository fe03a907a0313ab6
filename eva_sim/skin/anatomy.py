"""The face's skin as the solvers see it: constants from `assets/meshes/skin.npz`, and its energy.

A skin is solved in the head frame, where the skull stands still. What may change from step to step
is one `Drive`: the jaw, the lids and how much cable is taken in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import DataError
from eva_sim.files import asset, read_arrays
from eva_sim.head import EYES
from eva_sim.skin.elements import vertex_areas
from eva_sim.skin.energy import Shell, add_shell
from eva_sim.skin.ground import Ground, add_ground, depths, turned
from eva_sim.skin.pulls import Cables, Lips, add_cables, add_lips, tensions

YOUNG = 0.15e6  # Pa; silicones for faces have 0.07 to 0.6 MPa [choice]
THICKNESS = 0.0025  # m [choice]
TETHER = 2.0e4  # N/m3; loose tissue where the skin slides [choice]
BACKING = 1.0e6  # N/m3; holds the skin on what it slides over [choice]
CONTACT = 2.0e7  # N/m3; a thin soft pad between skin and bone [choice]
LIP_CONTACT = 200.0  # N/m; gives 0.1 mm under the hardest press [choice]
EYELID = 0.006  # m from the lid margin: skin that lies on the eyeball, not on bone


class Drive(NamedTuple):
    """What moves the skin.

    Attributes:
        jaw: opening [rad].
        lids: left, right, (2,) [rad], positive open.
        take_up: cable taken in at the skin end, (12,) [m].
    """

    jaw: float
    lids: Floats
    take_up: Floats


@dataclass(frozen=True)
class Anatomy:
    """Constant description of the skin.

    Attributes:
        points: rest vertices, (V, 3) [m].
        triangles: (F, 3).
        mirror: each vertex's mirror image, (V,).
        fixed: vertices whose place is prescribed: outer rim and lid margins.
        free: all others.
        lid_gain: turn of lid-margin vertices about their eye's x axis per radian of lid, (V,).
        patches: cable weights, (12, V), each row with sum one.
        exits: mouths of the Bowden tubes at rest, (12, 3) [m].
        exit_jaw: share of the jaw's turn that they follow, (12,).
    """

    points: Floats
    triangles: NDArray[np.int64]
    mirror: NDArray[np.int64]
    fixed: NDArray[np.intp]
    free: NDArray[np.intp]
    lid_gain: Floats
    patches: Floats
    exits: Floats
    exit_jaw: Floats
    shell: Shell
    ground: Ground
    lips: Lips
    cables: Cables

    def rest_of(self, drive: Drive) -> Floats:
        """Where every vertex would be if only ground and boundary moved, (V, 3) [m]."""
        place = turned(self.points, self.ground.jaw, drive.jaw)
        for eye, angle, side in zip(EYES, drive.lids, (1, -1), strict=True):
            margin = np.flatnonzero((self.lid_gain != 0) & (side * self.points[:, 0] > 0))
            turn = -self.lid_gain[margin] * angle  # a positive lid opens: about -x
            y, z = (self.points[margin] - eye).T[1:]
            place[margin, 1] = eye[1] + np.cos(turn) * y - np.sin(turn) * z
            place[margin, 2] = eye[2] + np.sin(turn) * y + np.cos(turn) * z
        return place

    def load(self, drive: Drive) -> Load:
        """The drive in the form that the compiled energy takes."""
        turn = self.ground.jaw * drive.jaw
        return Load(
            turn=np.stack([np.sin(turn), np.cos(turn)], axis=1),
            jaw=float(drive.jaw),
            exits=turned(self.exits, self.exit_jaw, drive.jaw),
            take_up=np.asarray(drive.take_up, dtype=float),
        )

    def energy(self, points: Floats, load: Load) -> tuple[float, Floats]:
        """Energy [J] and gradient (V, 3) [N]; prescribed vertices get none."""
        gradient = np.zeros_like(points)
        total = add_shell(points, self.shell, gradient)
        total += add_ground(points, load.turn, self.ground, gradient)
        total += add_lips(points, self.lips, load.jaw, gradient)
        total += add_cables(points, self.cables, load.exits, load.take_up, gradient)
        gradient[self.fixed] = 0.0
        return float(total), gradient

    def tension(self, points: Floats, load: Load) -> Floats:
        """Pull of each cable on its patch, (12,) [N]."""
        pulls: Floats = tensions(points, self.cables, load.exits, load.take_up)
        return pulls


class Load(NamedTuple):
    """A drive, evaluated: sine and cosine of each vertex's ground turn, jaw, cable exits and take-up."""

    turn: Floats
    jaw: float
    exits: Floats
    take_up: Floats


@lru_cache(maxsize=1)
def load_anatomy() -> Anatomy:
    """The skin shipped with the package.

    Raises:
        DataError: the file is missing, damaged or of an older version.
    """
    arrays = read_arrays(asset("meshes/skin.npz"))
    try:
        return build(arrays)
    except KeyError as error:
        raise DataError(f"meshes/skin.npz lacks {error}; run `python -m tools.build_assets`.") from error


def build(arrays: dict[str, NDArray]) -> Anatomy:
    """An anatomy from the arrays of a skin file."""
    points, triangles = arrays["points"], arrays["triangles"]
    lid_gain = arrays["lid_gain"]
    margin = arrays["lid_margin"]
    fixed = np.union1d(arrays["rim"], margin)
    return Anatomy(
        points=points,
        triangles=triangles,
        mirror=arrays["mirror"],
        fixed=fixed,
        free=np.setdiff1d(np.arange(len(points)), fixed),
        lid_gain=lid_gain,
        patches=arrays["patches"],
        exits=arrays["exits"],
        exit_jaw=arrays["exit_jaw"],
        shell=Shell.of(points, triangles, YOUNG, THICKNESS),
        ground=_ground(arrays, margin),
        lips=_lips(points, arrays["lip_pairs"]),
        cables=_cables(points, arrays["patches"], arrays["exits"]),
    )


def _ground(arrays: dict[str, NDArray], margin: NDArray[np.intp]) -> Ground:
    points, cell = arrays["points"], float(arrays["grid_cell"])
    area = vertex_areas(points, arrays["triangles"])
    grid, origin = arrays["grid"], arrays["grid_origin"]
    eye = EYES[np.where(points[:, 0] > 0, 0, 1)]
    reach = np.linalg.norm(points - eye, axis=1)
    near = np.linalg.norm(points[:, None] - points[margin][None], axis=2).min(1)
    return Ground(
        rest=points,
        jaw=arrays["jaw_weight"],
        tether=TETHER * area * arrays["hold"],
        backing=BACKING * area * arrays["tissue"],
        contact=CONTACT * area * arrays["tissue"],
        depth=depths(points, grid, origin, cell),
        eyelid=(near < EYELID).astype(np.int64),
        reach=np.minimum(reach, np.linalg.norm(points[margin] - eye[margin], axis=1).min()),
        grid=grid,
        origin=origin,
        cell=cell,
    )


def _lips(points: Floats, pairs: NDArray[np.int64]) -> Lips:
    return Lips(pairs, points[pairs[:, 0], 1] - points[pairs[:, 1], 1], LIP_CONTACT)


def _cables(points: Floats, patches: Floats, exits: Floats) -> Cables:
    spec = load_spec()
    rows, vertices = np.nonzero(patches)
    length = np.linalg.norm(patches @ points - exits, axis=1) + spec.cable["slack"]
    return Cables(
        start=np.searchsorted(rows, np.arange(len(patches) + 1)),
        vertex=vertices.astype(np.int64),
        weight=patches[rows, vertices],
        length=length,
        stiffness=float(spec.cable["stiffness"]),
    )
