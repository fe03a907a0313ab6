"""N simulated bodies side by side: `Twin`'s chain with a leading dimension for faces.

command -> actuators -> kinematic head and skins -> landmarks. No legs and no pictures in the readings: for
a head with weight, or its camera, open a `Twin`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.actuators import Actuators
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.errors import ClosedError, CommandError, EvaError, PhysicsError
from eva_sim.files import Closing
from eva_sim.head import HeadPose, Linkage
from eva_sim.landmarks import Aligner
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.randomise import actuator_parameters, material_scales
from eva_sim.skin.anatomy import Drives, load_anatomy
from eva_sim.skin.interface import BatchSkinSolver
from eva_sim.skin.solver import make_skins
from eva_sim.twin.head_camera import HeadCamera

UNSETTLED = "the skin did not settle; the face was reset"


class Readings(NamedTuple):
    """The answers of N faces, stacked. Each is as in `Reading`.

    Attributes:
        time: since each face's reset, (N,) [s].
        sent: float32 (N, 25).
        position: float32 (N, 25), in command units.
        landmarks: float32 (N, 150, 3) [neutral outer-eye distances].
        faults: sentences for each face.
    """

    time: Floats
    sent: NDArray[np.float32]
    position: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    faults: list[tuple[str, ...]]


class Twins(Closing):
    """N faces in simulation, each like a `Twin` with `neck="kinematic"`. A context manager.

    Args:
        faces: number of faces, N.
        skin: `"full"` (or `"fine"`) in lanes on all cores, or `"reduced"`.
        spec: the face, in a folder of tables and meshes; by default EVA.
        style, material: of pictures, as of `Twin`.
        limits: whether the faces keep the limits of `robot.toml`, as of `Twin`.

    Attributes:
        outer_eye, neutral_landmarks: as in `Face`.
        varies_material: whether each face may have a material of its own.

    Raises:
        EvaError: an argument has no meaning.
    """

    _closed = False

    def __init__(
        self,
        faces: int,
        skin: str = "full",
        spec: FaceSpec | None = None,
        style: str = "plain",
        material: str = "blue",
        limits: bool = True,
    ) -> None:
        if faces < 1:
            raise EvaError(f"faces={faces}; there must be at least one.")
        self._arguments = faces, skin, spec, style, material, limits
        self.faces, self.spec = faces, spec or load_spec()
        self.actuators = Actuators(self.spec, faces)
        self.limits = CommandLimits(self.spec, faces) if limits else None
        self._linkage, self._camera = Linkage(self.spec), HeadCamera(self.spec, style, material)
        self.skins: BatchSkinSolver = make_skins(load_anatomy(self.spec), faces, skin)
        self.varies_material = self.skins.varies_material
        self._parameters: list[Mapping[str, Floats]] = [{}] * faces
        self._aligner = Aligner.of(self.skins.landmarks[0])
        self.outer_eye = self._aligner.outer_eye
        self.neutral_landmarks = self._aligner.neutral.astype(np.float32)
        self._steps = np.zeros(faces, int)
        self._sent = np.tile(self.spec.neutral, (faces, 1))

    def reset(self, face: int | None = None) -> None:
        """Goes to neutral and clears the history, for one face or all."""
        self._check_open()
        self.actuators.reset(face)
        if self.limits is not None:
            self.limits.reset(face)
        self.skins.reset(face)
        which = ... if face is None else face
        self._steps[which], self._sent[which] = 0, self.spec.neutral

    def set_parameters(self, face: int, parameters: Mapping[str, Floats]) -> None:
        """Gives one face other constants, see `eva_sim.randomise`; reset it before or after.

        Raises:
            EvaError: the reduced skin was asked for another material.
        """
        self.skins.scale_material(face, material_scales(parameters))
        self.actuators.set_parameters(actuator_parameters(self.spec, parameters), face)
        self._parameters[face] = dict(parameters)

    def move(self, commands: ArrayLike) -> Readings:
        """Sends one command to each face and lets one control period pass.

        A face that does not settle is reset, and its faults say so.

        Args:
            commands: (N, 25) in [-1, 1].

        Raises:
            CommandError: a command is malformed; nothing was sent.
            ClosedError: the faces were closed.
        """
        self._check_open()
        sent = self.check(commands)
        if self.limits is not None:
            sent = self.limits.step(sent)
        self.actuators.step(sent, self.skins.tension)
        if self.limits is not None:
            self.limits.warm(self.limits.heat.load(self.actuators.cable_torque()))
        angles = self._linkage.angles(self.actuators.position)
        lost = self._pull(Drives(angles.jaw, angles.lids, self.actuators.drawn))
        self._steps += 1
        self._sent = sent
        for face in lost:
            self.reset(face)
        return self.read([(UNSETTLED,) if face in lost else self._hot(face) for face in range(self.faces)])

    def _hot(self, face: int) -> tuple[str, ...]:
        """Says why a face is limp, if it is."""
        return () if self.limits is None else self.limits.faults(face)

    def _pull(self, drives: Drives) -> tuple[int, ...]:
        """Moves the skins; returns the faces that did not settle."""
        try:
            self.skins.step(drives)
        except PhysicsError as error:
            if not error.faces:
                raise
            return error.faces
        return ()

    def read(self, faults: list[tuple[str, ...]] | None = None) -> Readings:
        """Returns the readings of all faces now."""
        return Readings(
            time=self._steps * self.spec.control_dt,
            sent=self._sent.copy(),
            position=self.spec.to_command(self.actuators.position),
            landmarks=self._aligner(self.skins.landmarks).astype(np.float32),
            faults=faults or [()] * self.faces,
        )

    def pose(self, face: int) -> HeadPose:
        """Returns the pose of one face's head."""
        return self._linkage.pose(self.actuators.position[face])

    def render(self, size: int, faces: Sequence[int] | None = None) -> tuple[NDArray[np.uint8], ...]:
        """Draws a picture, uint8 (size, size, 3), of some faces, or of all, as they are now.

        Raises:
            RenderError: no OpenGL library.
            ClosedError: the faces were closed.
        """
        self._check_open()
        points = self.skins.points
        chosen = range(self.faces) if faces is None else faces
        heads = ((points[face], self.pose(face), self._parameters[face]) for face in chosen)
        return tuple(self._camera.pictures(heads, size))

    def save(self) -> dict[str, Any]:
        """Returns a copy of everything that changes."""
        return {
            "actuators": self.actuators.save(),
            "skins": self.skins.save(),
            "limits": None if self.limits is None else self.limits.save(),
            "parameters": list(self._parameters),
            "steps": self._steps.copy(),
            "sent": self._sent.copy(),
        }

    def restore(self, state: dict[str, Any], faces: Sequence[int] | None = None) -> None:
        """Puts some faces, or all, back to a saved state; their next moves repeat bit for bit."""
        for face in range(self.faces) if faces is None else faces:
            if state["parameters"][face] is not self._parameters[face]:
                self.set_parameters(face, state["parameters"][face])
        self.actuators.restore(state["actuators"], faces)
        self.skins.restore(state["skins"], faces)
        if self.limits is not None:
            self.limits.restore(state["limits"], faces)
        which = ... if faces is None else list(faces)
        self._steps[which], self._sent[which] = state["steps"][which], state["sent"][which]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles have threads of their own and go on from this state, bit for bit."""
        return type(self), self._arguments, self.save()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.restore(state)

    def close(self) -> None:
        """Ends the threads. May be called twice."""
        self._closed = True
        self.skins.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("these twins were closed; open new ones.")

    def check(self, commands: ArrayLike) -> NDArray[np.float32]:
        """Checks commands and returns a copy as float32 (N, 25).

        Raises:
            CommandError: wrong shape, or one is not a number in [-1, 1]; the message names the face.
        """
        array = np.array(commands, dtype=np.float32)
        if array.shape != (self.faces, len(self.spec)):
            raise CommandError(f"commands have shape ({self.faces}, {len(self.spec)}), not {array.shape}.")
        for face in np.flatnonzero(~(np.abs(array) <= 1.0).all(1)):
            try:
                self.spec.check(array[face])
            except CommandError as error:
                raise CommandError(f"face {face}: {error}") from error
        return array
