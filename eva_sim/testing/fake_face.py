"""A face cheap enough for tests: servos with a rate and a delay, landmarks by a smooth map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.atlas import Atlas
from eva_sim.contract import Face, FaceSpec, Floats, Reading, SimulatedFace, load_spec
from eva_sim.landmarks import POINTS, Aligner
from eva_sim.settling import hold
from eva_sim.twin.head_camera import check_style

OUTER_EYE = 0.092


def neutral_points() -> Floats:
    """Aligned neutral landmarks of the fake, (N, 3) [outer-eye distances]."""
    rng = np.random.default_rng(3)
    return Aligner.of(rng.uniform(-0.7, 0.7, (len(POINTS), 3))).neutral.clip(-1.5, 1.5)


class FakeRobotFace(Face):
    """A face whose state cannot be restored; landmarks are a mildly saturating map of the positions.

    Args:
        skin, neck, limits: as of `Twin`; not used.
        fail_after: commands after which `move` raises RuntimeError; None for never.
        found: whether landmarks can be read.
        spec: the face; by default EVA.
        style: as the twin's; only checked.
        material: as the twin's; only checked.
    """

    def __init__(
        self,
        skin: str = "full",
        neck: str = "kinematic",
        fail_after: int | None = None,
        found: bool = True,
        spec: FaceSpec | None = None,
        style: str = "plain",
        material: str = "blue",
        limits: bool = True,
    ) -> None:
        check_style(style, material)
        self.spec = spec or load_spec()
        self.skin = skin
        self.outer_eye = OUTER_EYE
        self.neutral_landmarks = neutral_points().astype(np.float32)
        self.closed = False
        self.found = found
        self._left = fail_after
        self._map = np.random.default_rng(5).normal(0, 0.02, (len(POINTS), 3, len(self.spec)))
        self._map[:, :, np.setdiff1d(np.arange(len(self.spec)), self.spec.expressive)] = 0
        width = self.spec.column("high") - self.spec.column("low")
        self._reach = 2 * self.spec.column("rate") * self.spec.control_dt / width
        self.reset()

    def reset(self, seed: int | None = None) -> Reading:
        self._position = self.spec.neutral.astype(float)
        self._waiting = self.spec.neutral
        self._steps = 0
        return self._reading(self.spec.neutral)

    def move(self, command: ArrayLike) -> Reading:
        sent = self.spec.check(command)
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise RuntimeError("pulled the plug")
        self._position += (self._waiting - self._position).clip(-self._reach, self._reach)
        self._waiting = sent.copy()
        self._steps += 1
        return self._reading(sent)

    def render(self, size: int) -> NDArray[np.uint8]:
        """A picture of stripes, (size, size, 3), that depends on the positions."""
        stripes = np.resize(255 * (self._position + 1) / 2, (size, size, 3))
        return stripes.astype(np.uint8)

    def close(self) -> None:
        self.closed = True

    def _reading(self, sent: NDArray[np.float32]) -> Reading:
        pulled = np.tanh(self._position - self.spec.neutral)
        landmarks = (self.neutral_landmarks + self._map @ pulled).astype(np.float32)
        return Reading(
            time=self._steps * self.spec.control_dt,
            sent=sent.copy(),
            position=self._position.astype(np.float32),
            measured=True,
            landmarks=landmarks if self.found else np.zeros_like(landmarks),
            found=self.found,
            faults=() if self.found else ("no face in the picture",),
        )


class FakeFace(FakeRobotFace, SimulatedFace):
    """The same as a face in simulation: it can be saved and restored."""

    varies_material = False

    def save(self) -> Any:
        return self._position.copy(), self._waiting.copy(), self._steps

    def restore(self, state: Any) -> None:
        position, waiting, self._steps = state
        self._position, self._waiting = position.copy(), waiting.copy()

    def set_parameters(self, parameters: Mapping[str, Floats]) -> None:
        """Changes nothing: the fake has no constants."""


def open_fake(body: str = "fake", **options: Any) -> FakeFace:
    """Stands in for `eva_sim.make_face`, also in worker processes."""
    return FakeFace(**options)


def open_broken(body: str = "fake", **options: Any) -> FakeFace:
    """A face whose plug is pulled in the middle of the work."""
    return FakeFace(fail_after=200, **options)


def fake_atlas(rows: int = 8) -> Atlas:
    """Settled expressions of the fake; the first row is neutral."""
    face, rng = FakeFace(), np.random.default_rng(7)
    commands = rng.uniform(-1, 1, (rows, len(face.spec))).astype(np.float32)
    commands[0] = face.spec.neutral
    landmarks = np.stack([settled(face, command) for command in commands])
    return Atlas(commands, landmarks, face.spec.digest)


def settled(face: Face, command: ArrayLike, steps: int = 20) -> NDArray[np.float32]:
    """Landmarks after holding `command` from a reset, (N, 3)."""
    face.reset()
    return hold(face, command, steps).landmarks
