"""The face's skin as the solvers see it: constants from `assets/meshes/skin.npz`, and its energy.

A skin is solved in the head frame, where the skull stands still. What may change from step to step
is one `Drive`: the jaw, the lids and how much cable is taken in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import DataError
from eva_sim.files import asset, read_arrays
from eva_sim.head import EYES, JAW_HINGE
from eva_sim.skin.elements import vertex_areas
from eva_sim.skin.energy import POISSON, Shell, add_shell
from eva_sim.skin.ground import Ground, add_ground, turned, turned_many
from eva_sim.skin.pulls import Cables, Lips, add_cables, add_lips, tensions

YOUNG = 0.10e6  # Pa; silicones for faces have 0.07 to 0.6 MPa [choice]
THICKNESS = 0.0040  # m [choice]
DENSITY = 1070.0  # kg/m3; platinum-cured silicone
TETHER = 2.0e4  # N/m3; loose tissue where the skin slides [choice]
BACKING = 1.0e7  # N/m3; suction of the film it slides on, 10 kPa at 1 mm, so that it does not buckle [choice]
CONTACT = 2 * YOUNG / THICKNESS  # N/m3; bone is hard: the inner half of the silicone itself is squeezed
LIP_CONTACT = 200.0  # N/m; gives 0.1 mm under the hardest press [choice]


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

    @property
    def alone(self) -> Drives:
        """As the drives of one face."""
        return Drives(np.array([self.jaw]), np.asarray(self.lids)[None], np.asarray(self.take_up)[None])


class Drives(NamedTuple):
    """What moves the skins of L faces: `Drive`s, stacked.

    Attributes:
        jaw: (L,) [rad].
        lids: (L, 2) [rad].
        take_up: (L, 12) [m].
    """

    jaw: Floats
    lids: Floats
    take_up: Floats

    def face(self, number: int) -> Drive:
        """The drive of one face."""
        return Drive(float(self.jaw[number]), self.lids[number], self.take_up[number])


@dataclass(frozen=True, eq=False)  # so that it can be a key of caches
class Anatomy:
    """Constant description of the skin.

    Attributes:
        points: rest vertices, (V, 3) [m].
        triangles: (F, 3).
        mirror: each vertex's mirror image, (V,).
        fixed: vertices whose place is prescribed: outer rim, lid margins and corners of the eyes.
        free: all others.
        centres: y and z of the x axis that each prescribed vertex turns about, (B, 2) [m].
        gains: its turn per radian of jaw, left and right lid, (B, 3).
        patches: cable weights, (12, V), each row with sum one.
        exits: mouths of the Bowden tubes at rest, (12, 3) [m].
        exit_jaw: share of the jaw's turn that they follow, (12,).
        mass: of each vertex's share of silicone, (V,) [kg].
        digest: of all that makes this skin, so that what was computed for it can be recognised.
    """

    points: Floats
    triangles: NDArray[np.int64]
    mirror: NDArray[np.int64]
    fixed: NDArray[np.intp]
    free: NDArray[np.intp]
    centres: Floats
    gains: Floats
    patches: Floats
    exits: Floats
    exit_jaw: Floats
    mass: Floats
    digest: str
    shell: Shell
    ground: Ground
    lips: Lips
    cables: Cables

    def rest_of(self, drive: Drive) -> Floats:
        """Where every vertex would be if only ground and boundary moved, (V, 3) [m]."""
        place = turned(self.points, self.ground.jaw, drive.jaw)
        place[self.fixed] = self.boundary(drive.alone)[:, :, 0]
        return place

    def boundary(self, drives: Drives) -> Floats:
        """Where the prescribed vertices are, (B, 3, L) [m]."""
        # Sums written out: a matrix product would round by the number of faces and of threads.
        by_jaw, by_left, by_right = self.gains.T[:, :, None]
        angles = by_jaw * drives.jaw + by_left * drives.lids[:, 0] + by_right * drives.lids[:, 1]
        return turned_many(self.points[self.fixed], self.centres, angles)

    def scaled(self, material: Floats) -> Anatomy:
        """This face with its constants scaled by `material` (5,), in the order of `forces.MATERIAL`."""
        membrane, bending, attachment, ground, cable = (float(scale) for scale in material)
        held = self.ground
        return replace(
            self,
            shell=self.shell._replace(
                membrane=membrane * self.shell.membrane, bending=bending * self.shell.bending
            ),
            ground=held._replace(
                tether=attachment * held.tether, backing=ground * held.backing, contact=ground * held.contact
            ),
            cables=self.cables._replace(stiffness=cable * self.cables.stiffness),
        )

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
        if load.inertia:
            total += _add_inertia(points - load.carried, load.inertia * self.mass, gradient)
        gradient[self.fixed] = 0.0
        return float(total), gradient

    def tension(self, points: Floats, load: Load) -> Floats:
        """Pull of each cable on its patch, (12,) [N]."""
        pulls: Floats = tensions(points, self.cables, load.exits, load.take_up)
        return pulls


class Load(NamedTuple):
    """A drive, evaluated.

    Attributes:
        turn: sine and cosine of each vertex's ground turn, (V, 2).
        jaw: opening [rad].
        exits: of the cables, (12, 3) [m].
        take_up: of the cables, (12,) [m].
        inertia: 1/h^2 of a step h in time; zero for a skin without mass [1/s2].
        carried: where inertia alone would carry the vertices in that step, (V, 3) [m].
    """

    turn: Floats
    jaw: float
    exits: Floats
    take_up: Floats
    inertia: float = 0.0
    carried: Floats | float = 0.0


def _add_inertia(lag: Floats, weight: Floats, gradient: Floats) -> float:
    """Energy [J] of vertices that lag (V, 3) [m] behind where their weights (V,) [N/m] would carry them."""
    force = weight[:, None] * lag
    gradient += force
    return 0.5 * float(np.vdot(lag, force))


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
    fixed = np.unique(np.concatenate([arrays["rim"], arrays["lid_margin"], arrays["canthi"]]))
    centres, gains = _turns(arrays, fixed)
    return Anatomy(
        points=points,
        triangles=triangles,
        mirror=arrays["mirror"],
        fixed=fixed,
        free=np.setdiff1d(np.arange(len(points)), fixed),
        centres=centres,
        gains=gains,
        patches=arrays["patches"],
        exits=arrays["exits"],
        exit_jaw=arrays["exit_jaw"],
        mass=DENSITY * THICKNESS * vertex_areas(points, triangles),
        digest=_digest(arrays),
        shell=Shell.of(points, triangles, YOUNG, THICKNESS),
        ground=_ground(arrays),
        lips=_lips(points, arrays["lip_pairs"]),
        cables=_cables(points, arrays["patches"], arrays["exits"]),
    )


def _turns(arrays: dict[str, NDArray], fixed: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Axes (B, 2) and gains (B, 3) of prescribed vertices: lid margins turn about their eye."""
    left = arrays["points"][fixed, 0] > 0
    lid = -arrays["lid_gain"][fixed]  # a positive lid opens: about -x
    eye = EYES[np.where(left, 0, 1), 1:]
    centres = np.where((lid != 0)[:, None], eye, JAW_HINGE[1:])
    jaw = np.where(lid != 0, 0.0, arrays["jaw_weight"][fixed])
    return centres, np.stack([jaw, np.where(left, lid, 0.0), np.where(left, 0.0, lid)], axis=1)


def _digest(arrays: dict[str, NDArray]) -> str:
    constants = (YOUNG, POISSON, THICKNESS, TETHER, BACKING, CONTACT, LIP_CONTACT, load_spec().digest)
    found = hashlib.sha256(repr(constants).encode())
    for name in sorted(arrays):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


def _ground(arrays: dict[str, NDArray]) -> Ground:
    area = vertex_areas(arrays["points"], arrays["triangles"])
    return Ground(
        rest=arrays["points"],
        jaw=arrays["jaw_weight"],
        tether=TETHER * area * arrays["hold"],
        backing=BACKING
        * area
        * arrays["tissue"]
        * (1 - arrays["eyelid"]),  # an eyeball does not hold its lid
        contact=CONTACT * area * arrays["tissue"],
        gap=arrays["ground_gap"],
        slope=arrays["ground_slope"],
        curvature=arrays["ground_curvature"],
    )


def _lips(points: Floats, pairs: NDArray[np.int64]) -> Lips:
    return Lips(pairs, points[pairs[:, 0], 1] - points[pairs[:, 1], 1], LIP_CONTACT)


def _cables(points: Floats, patches: Floats, exits: Floats) -> Cables:
    spec = load_spec()
    rows, vertices = np.nonzero(patches)
    length = np.linalg.norm((patches[:, :, None] * points).sum(1) - exits, axis=1) + spec.cable["slack"]
    return Cables(
        start=np.searchsorted(rows, np.arange(len(patches) + 1)),
        vertex=vertices.astype(np.int64),
        weight=patches[rows, vertices],
        length=length,
        stiffness=float(spec.cable["stiffness"]),
    )
