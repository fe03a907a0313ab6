"""The face's skin as the solvers see it: the constants of `meshes/skin.npz`, and its energy.

The skin is solved in the head frame, in which the skull does not move. Only the `Drive` changes from
step to step: the angles of jaw and lids, and the length of cable taken in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import DataError
from eva_sim.files import read_arrays
from eva_sim.head import EYES, JAW_HINGE
from eva_sim.horns import cable_drawn_in
from eva_sim.skin.cables_and_lips import THREAD_RELEASE, Cables, Lips, add_cables, add_lips, tensions
from eva_sim.skin.elements import vertex_areas
from eva_sim.skin.energy import POISSON, Shell, add_shell
from eva_sim.skin.ground import Ground, Turning, add_ground, rotate_with_jaw, turn_points

YOUNG = 0.10e6  # Pa; silicones for faces have 0.07 to 0.6 MPa [choice]
THICKNESS = 0.0040  # m [choice]
DENSITY = 1070.0  # kg/m3; platinum-cured silicone
TETHER = 2.0e4  # N/m3; loose tissue where the skin slides [choice]
# Suction of the film on which the skin slides, 10 kPa at 1 mm; it prevents buckling [choice].
BACKING = 1.0e7  # N/m3
CONTACT = 2 * YOUNG / THICKNESS  # N/m3; bone does not yield, so the inner half of the silicone is squeezed
LIP_CONTACT = 200.0  # N/m; the lips come nearer by 0.1 mm under the hardest press [choice]
# Elastic threads close the lips: stiffness [N/m], largest pull in the middle and at a corner [N].
# Cables pull hardest near the corners, and a mouth opens in the middle first [choice].
LIP_THREAD, LIP_PULL, LIP_CORNER_PULL = 1000.0, 0.02, 0.25


class Drive(NamedTuple):
    """The inputs of one face's skin.

    Attributes:
        jaw: opening [rad].
        lids: left, right, (2,) [rad], positive open.
        take_up: length of each cable taken in at the skin end, (C,) [m]; EVA has C = 12 cables.
    """

    jaw: float
    lids: Floats
    take_up: Floats

    @property
    def as_batch(self) -> Drives:
        """The same as `Drives` of a single face."""
        return Drives(np.array([self.jaw]), np.asarray(self.lids)[None], np.asarray(self.take_up)[None])


class Drives(NamedTuple):
    """The inputs of the skins of L faces: `Drive`s, stacked.

    Attributes:
        jaw: (L,) [rad].
        lids: (L, 2) [rad].
        take_up: (L, C) [m].
    """

    jaw: Floats
    lids: Floats
    take_up: Floats

    @property
    def drive_columns(self) -> Floats:
        """One column per face, in the order jaw, lids, take-ups, (D, L) [rad, m]."""
        return np.concatenate([self.jaw[None], self.lids.T, self.take_up.T], dtype=float)

    def face(self, number: int) -> Drive:
        """The drive of one face."""
        return Drive(float(self.jaw[number]), self.lids[number], self.take_up[number])


def drive_ranges(spec: FaceSpec) -> tuple[Floats, Floats]:
    """Least and greatest value of each drive, in the order jaw, lids, take-ups, (D,) [rad, m]."""
    low, high = spec.column("low"), spec.column("high")
    direct = np.concatenate([spec.where("jaw"), spec.where("lid")])
    ends = (np.concatenate([end[direct], cable_drawn_in(spec, end)]) for end in (low, high))
    return next(ends), next(ends)


@dataclass(frozen=True, eq=False)  # compared by identity, so that it can be a key of caches
class Anatomy:
    """Constant description of the skin. C is the number of cables, 12 for EVA.

    Attributes:
        spec: the face that the skin belongs to.
        points: rest vertices, (V, 3) [m].
        triangles: (F, 3).
        mirror: each vertex's mirror image, (V,).
        fixed: vertices whose position is prescribed: outer rim, lid margins and corners of the eyes.
        free: all other vertices.
        prescribed: how the vertices of `fixed` turn, B of them.
        patches: weights of the vertices that each cable pulls, (C, V); each row has sum one.
        exits: openings of the Bowden tubes at rest, (C, 3) [m].
        exit_jaw: share of the jaw's turn that the openings follow, (C,).
        mass: silicone that each vertex carries, (V,) [kg].
        digest: SHA-256 of everything that defines this skin. Precomputed files carry it.
        shell: membrane and bending elements.
        ground: bone, tissue and eyeballs under the skin.
        lips: contact between the lips, and the threads that close them.
        cables: free ends of the cables.
    """

    spec: FaceSpec
    points: Floats
    triangles: NDArray[np.int64]
    mirror: NDArray[np.int64]
    fixed: NDArray[np.intp]
    free: NDArray[np.intp]
    prescribed: Turning
    patches: Floats
    exits: Floats
    exit_jaw: Floats
    mass: Floats
    digest: str
    shell: Shell
    ground: Ground
    lips: Lips
    cables: Cables

    def kinematic_points(self, drive: Drive) -> Floats:
        """Positions without elasticity: free vertices move with the ground only, (V, 3) [m]."""
        points = rotate_with_jaw(self.points, self.ground.jaw, drive.jaw)
        points[self.fixed] = self.boundary(drive.as_batch)[:, :, 0]
        return points

    def boundary(self, drives: Drives) -> Floats:
        """Positions of the prescribed vertices, (B, 3, L) [m]."""
        points = np.empty((len(self.fixed), 3, len(drives.jaw)))
        turn_points(self.prescribed, drives.drive_columns[:3], points)
        return points

    @property
    def tube_openings(self) -> Turning:
        """How the openings of the Bowden tubes turn with the jaw, C of them."""
        gains = np.outer(self.exit_jaw, [1.0, 0.0, 0.0])
        return Turning(self.exits, np.tile(JAW_HINGE[1:], (len(gains), 1)), gains)

    def scaled(self, material: Floats) -> Anatomy:
        """The same skin with its constants scaled by `material` (5,), in the order of `MATERIAL`."""
        membrane, bending, attachment, contact, cable = (float(scale) for scale in material)
        ground = self.ground
        return replace(
            self,
            shell=self.shell._replace(
                membrane=membrane * self.shell.membrane, bending=bending * self.shell.bending
            ),
            ground=ground._replace(
                tether=attachment * ground.tether,
                backing=contact * ground.backing,
                contact=contact * ground.contact,
            ),
            cables=self.cables._replace(stiffness=cable * self.cables.stiffness),
        )

    def with_cables(self, arrays: dict[str, NDArray]) -> Anatomy:
        """The same skin with other cables: `patches`, `exits` and `exit_jaw`, as in a skin file."""
        digest = hashlib.sha256(self.digest.encode())
        for name in ("patches", "exits", "exit_jaw"):
            digest.update(np.ascontiguousarray(arrays[name]).tobytes())
        return replace(
            self,
            patches=arrays["patches"],
            exits=arrays["exits"],
            exit_jaw=arrays["exit_jaw"],
            digest=digest.hexdigest(),
            cables=_cables(self.points, arrays["patches"], arrays["exits"], self.spec),
        )

    def load(self, drive: Drive) -> Load:
        """Evaluates a drive into the form that the compiled energy takes."""
        turn = self.ground.jaw * drive.jaw
        return Load(
            turn=np.stack([np.sin(turn), np.cos(turn)], axis=1),
            jaw=float(drive.jaw),
            exits=rotate_with_jaw(self.exits, self.exit_jaw, drive.jaw),
            take_up=np.asarray(drive.take_up, dtype=float),
        )

    def energy(self, points: Floats, load: Load) -> tuple[float, Floats]:
        """Energy [J] and its gradient (V, 3) [N], which is zero at prescribed vertices."""
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
        """Tension of each cable, (C,) [N]."""
        tension: Floats = tensions(points, self.cables, load.exits, load.take_up)
        return tension


class Load(NamedTuple):
    """An evaluated drive.

    Attributes:
        turn: sine and cosine of the turn of the ground under each vertex, (V, 2).
        jaw: opening [rad].
        exits: openings of the Bowden tubes, (C, 3) [m].
        take_up: length of each cable taken in, (C,) [m].
        inertia: 1/h^2 for a time step h; zero for a skin without mass [1/s2].
        carried: positions to which inertia alone would carry the vertices in that step, (V, 3) [m].
    """

    turn: Floats
    jaw: float
    exits: Floats
    take_up: Floats
    inertia: float = 0.0
    carried: Floats | float = 0.0


def _add_inertia(lag: Floats, weight: Floats, gradient: Floats) -> float:
    """Adds the gradient of inertia, and returns its energy [J].

    Args:
        lag: distance of the vertices from where inertia alone would carry them, (V, 3) [m].
        weight: mass over the square of the time step, (V,) [N/m].
        gradient: (V, 3) [N]; changed in place.
    """
    force = weight[:, None] * lag
    gradient += force
    return 0.5 * float(np.vdot(lag, force))


@lru_cache(maxsize=4)
def load_anatomy(spec: FaceSpec) -> Anatomy:
    """Reads the skin of a face, `meshes/skin.npz` in its folder.

    Raises:
        DataError: the file is missing, damaged, of an older version, or has other cables than the face.
    """
    arrays = read_arrays(spec.file("meshes/skin.npz"))
    try:
        return build_anatomy(arrays, spec)
    except KeyError as error:
        raise DataError(f"meshes/skin.npz lacks {error}; run `python -m tools.build_assets`.") from error


def build_anatomy(arrays: dict[str, NDArray], spec: FaceSpec) -> Anatomy:
    """Builds an anatomy from the arrays of a skin file.

    Raises:
        DataError: the skin has another number of cables than the actuator table.
    """
    patches, cables = len(arrays["patches"]), len(spec.where("cable"))
    if patches != cables:
        raise DataError(f"meshes/skin.npz has {patches} cables, but face.toml has {cables}; make both agree.")
    points, triangles = arrays["points"], arrays["triangles"]
    fixed = np.unique(np.concatenate([arrays["rim"], arrays["lid_margin"], arrays["canthi"]]))
    return Anatomy(
        spec=spec,
        points=points,
        triangles=triangles,
        mirror=arrays["mirror"],
        fixed=fixed,
        free=np.setdiff1d(np.arange(len(points)), fixed),
        prescribed=_prescribed(arrays, fixed),
        patches=arrays["patches"],
        exits=arrays["exits"],
        exit_jaw=arrays["exit_jaw"],
        mass=DENSITY * THICKNESS * vertex_areas(points, triangles),
        digest=_digest(arrays, spec),
        shell=Shell.of(points, triangles, YOUNG, THICKNESS),
        ground=_ground(arrays),
        lips=_lips(points, arrays["lip_pairs"]),
        cables=_cables(points, arrays["patches"], arrays["exits"], spec),
    )


def _prescribed(arrays: dict[str, NDArray], fixed: NDArray[np.intp]) -> Turning:
    """How the prescribed vertices turn; lid margins turn about their eye."""
    left = arrays["points"][fixed, 0] > 0
    lid = -arrays["lid_gain"][fixed]  # a positive lid angle opens, about -x
    eye = EYES[np.where(left, 0, 1), 1:]
    centres = np.where((lid != 0)[:, None], eye, JAW_HINGE[1:])
    jaw = np.where(lid != 0, 0.0, arrays["jaw_weight"][fixed])
    gains = np.stack([jaw, np.where(left, lid, 0.0), np.where(left, 0.0, lid)], axis=1)
    return Turning(arrays["points"][fixed], centres, gains)


def _digest(arrays: dict[str, NDArray], spec: FaceSpec) -> str:
    constants = (
        YOUNG,
        POISSON,
        THICKNESS,
        TETHER,
        BACKING,
        CONTACT,
        LIP_CONTACT,
        LIP_THREAD,
        LIP_PULL,
        LIP_CORNER_PULL,
        THREAD_RELEASE,
        spec.digest,
    )
    digest = hashlib.sha256(repr(constants).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _ground(arrays: dict[str, NDArray]) -> Ground:
    area = vertex_areas(arrays["points"], arrays["triangles"])
    return Ground(
        rest=arrays["points"],
        jaw=arrays["jaw_weight"],
        tether=TETHER * area * arrays["hold"],
        # An eyeball does not hold its lid back.
        backing=BACKING * area * arrays["tissue"] * (1 - arrays["eyelid"]),
        contact=CONTACT * area * arrays["tissue"],
        gap=arrays["ground_gap"],
        slope=arrays["ground_slope"],
        curvature=arrays["ground_curvature"],
    )


def _lips(points: Floats, pairs: NDArray[np.int64]) -> Lips:
    gap = points[pairs[:, 0]] - points[pairs[:, 1]]
    aside = np.abs(points[pairs[:, 0], 0])
    pull = LIP_PULL + (LIP_CORNER_PULL - LIP_PULL) * (aside / max(aside.max(), 1e-9)) ** 3
    return Lips(pairs, gap, LIP_CONTACT, LIP_THREAD, pull / LIP_THREAD)


def _cables(points: Floats, patches: Floats, exits: Floats, spec: FaceSpec) -> Cables:
    rows, vertices = np.nonzero(patches)
    length = np.linalg.norm((patches[:, :, None] * points).sum(1) - exits, axis=1) + spec.cable["slack"]
    return Cables(
        start=np.searchsorted(rows, np.arange(len(patches) + 1)),
        vertex=vertices.astype(np.int64),
        weight=patches[rows, vertices],
        length=length,
        stiffness=float(spec.cable["stiffness"]),
    )
