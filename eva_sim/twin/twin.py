"""The simulated body, on one page: command -> actuators -> head and skin -> camera -> reading."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.actuators import Actuators
from eva_sim.contract import FaceSpec, Floats, Reading, SimulatedFace, load_spec
from eva_sim.errors import ClosedError, EvaError
from eva_sim.head import HeadModel, open_head
from eva_sim.landmarks import Aligner
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.randomise import Parameters, actuator_parameters, material_scales
from eva_sim.skin.anatomy import Drive, load_anatomy
from eva_sim.skin.interface import SkinSolver
from eva_sim.skin.solver import make_skin
from eva_sim.twin.head_camera import HeadCamera


class Twin(SimulatedFace):
    """EVA in simulation.

    Args:
        skin: `"full"`, about a millisecond a step; `"fine"`, more exact; `"dynamic"`, with the skin's
            mass; `"reduced"`, a learned map; or `"reference"`, converged and about half a second.
        camera_size: side of the picture in every reading [pixels]; None for no picture.
        neck: `"kinematic"`, where the leg lengths put the skull at once; or `"legs"`, rigid bodies in
            PyBullet: jaw and skull have weight and lag a little, and violent commands pull the neck
            apart (`PhysicsError`).
        spec: the face, in a folder of tables and meshes; by default EVA.
        style: of pictures: `"plain"`, by pyrender; or in studio light, with folds that follow the strain of
            the skin: `"fast"`, for training and live views, or `"fine"`, for stills and videos.
        material: of the skin: `"blue"`; in studio light also `"grey"` or `"human"`.
        limits: whether it keeps the limits of `robot.toml` as a robot does, see docs/safety.md; a
            command within them is sent as it is.

    Attributes:
        varies_material: whether `set_parameters` may change the skin's material.

    Raises:
        EvaError: an argument is none of these.
        ClosedError: it was closed, and is to move or to be drawn.
    """

    _closed = False

    def __init__(
        self,
        skin: str = "full",
        camera_size: int | None = None,
        neck: Literal["kinematic", "legs"] = "kinematic",
        spec: FaceSpec | None = None,
        style: str = "plain",
        material: str = "blue",
        limits: bool = True,
    ) -> None:
        self._arguments = skin, camera_size, neck, spec, style, material, limits
        self.spec = spec or load_spec()
        self.actuators = Actuators(self.spec)
        self.limits = CommandLimits(self.spec) if limits else None
        self.head: HeadModel = open_head(self.spec, neck)
        self.skin: SkinSolver = make_skin(load_anatomy(self.spec), skin)
        self.varies_material = self.skin.varies_material
        self._image_size = camera_size
        self._camera = HeadCamera(self.spec, style, material)
        self._parameters: Parameters = {}
        neutral = self.points()
        self._aligner = Aligner.of(neutral)
        self.outer_eye = self._aligner.outer_eye
        self.neutral_landmarks = self._aligner.neutral.astype(np.float32)
        self.reset()

    def reset(self, seed: int | None = None) -> Reading:
        """Goes to neutral and clears the history. The twin itself draws no random numbers."""
        self._check_open()
        self.actuators.reset()
        if self.limits is not None:
            self.limits.reset()
        self.head.reset()
        self.skin.reset()
        self._steps, self._sent = 0, self.spec.neutral
        return self._read()

    def move(self, command: ArrayLike) -> Reading:
        self._check_open()
        sent = self.spec.check(command)
        before = self.save()
        try:
            if self.limits is not None:
                sent = self.limits.step(sent)
            self.actuators.step(sent, self.skin.tension)
            if self.limits is not None:
                self.limits.warm(self.limits.heat.load(self.actuators.cable_torque()))
            angles = self.head.step(self.actuators.position)
            self.skin.step(Drive(float(angles.jaw), angles.lids, self.actuators.drawn))
        except EvaError:
            self.restore(before)
            raise
        self._steps, self._sent = self._steps + 1, sent
        return self._read()

    def set_parameters(self, parameters: Parameters) -> None:
        """Gives this face other constants, see `eva_sim.randomise`; none for those of the tables."""
        self.actuators.set_parameters(actuator_parameters(self.spec, parameters))
        self.skin.scale_material(material_scales(parameters))
        self._parameters = dict(parameters)

    def points(self) -> Floats:
        """Returns the landmark points on the skin now, (N, 3) [m] in the head frame."""
        return self.skin.landmarks

    def save(self) -> dict[str, Any]:
        return {
            "actuators": self.actuators.save(),
            "head": self.head.save(),
            "skin": self.skin.save(),
            "limits": None if self.limits is None else self.limits.save(),
            "parameters": self._parameters,
            "steps": self._steps,
            "sent": self._sent.copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        if state["parameters"] is not self._parameters:
            self.set_parameters(state["parameters"])
        self.actuators.restore(state["actuators"])
        self.head.restore(state["head"])
        self.skin.restore(state["skin"])
        if self.limits is not None:
            self.limits.restore(state["limits"])
        self._steps, self._sent = state["steps"], state["sent"].copy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles open a face of their own and go on from this one's state, bit for bit."""
        return type(self), self._arguments, self.save()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.restore(state)

    def render(self, size: int) -> NDArray[np.uint8]:
        return self._opened_camera().picture(self.skin.points, self.head.pose, size, self._parameters)

    def segmentation(self, size: int) -> NDArray[np.uint8]:
        """Returns the label of each pixel, uint8 (size, size); 0 is background, see `HeadCamera`."""
        return self._opened_camera().segmentation(self.skin.points, self.head.pose, size, self._parameters)

    def depth(self, size: int) -> NDArray[np.float32]:
        """Returns the distance along the viewing axis [m], float32 (size, size); 0 is background."""
        return self._opened_camera().depth(self.skin.points, self.head.pose, size, self._parameters)

    def placed(self) -> Any:
        """Returns the pose or vertices of every visible part now, as the renderer takes them."""
        return self._opened_camera().placed(self.skin.points, self.head.pose)

    def close(self) -> None:
        self._closed = True
        self.head.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("this twin was closed; open a new one.")

    def _opened_camera(self) -> HeadCamera:
        self._check_open()
        return self._camera

    def _read(self) -> Reading:
        return Reading(
            time=self._steps * self.spec.control_dt,
            sent=self._sent.copy(),
            position=self.spec.to_command(self.actuators.position),
            measured=True,
            # Aligned landmarks do not depend on the head's pose, so the head frame suffices.
            landmarks=self._aligner(self.points()).astype(np.float32),
            image=None if self._image_size is None else self.render(self._image_size),
            faults=() if self.limits is None else self.limits.faults(),
            temperature=None if self.limits is None else self.limits.heat.temperature.astype(np.float32),
        )
