"""The camera before simulated heads. OpenGL is loaded when the first picture is taken."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.head import HeadPose
from eva_sim.randomise import Parameters


class HeadCamera:
    """Takes pictures of heads with one spec; one camera serves any number of them.

    Args:
        spec: the face.
    """

    def __init__(self, spec: FaceSpec) -> None:
        self._spec = spec

    def picture(
        self, points: Floats, pose: HeadPose, size: int, parameters: Parameters | None = None
    ) -> NDArray[np.uint8]:
        """Takes a picture, uint8 (size, size, 3).

        Args:
            points: vertices of the skin, (V, 3) [m] in the head frame.
            pose: pose of the head.
            size: side [pixels].
            parameters: where the camera stands and how bright the light is, see `eva_sim.randomise`.

        Raises:
            RenderError: no OpenGL library.
        """
        picture: NDArray[np.uint8] = self._aimed(parameters).colour(self.placed(points, pose), size)
        return picture

    def segmentation(
        self, points: Floats, pose: HeadPose, size: int, parameters: Parameters | None = None
    ) -> NDArray[np.uint8]:
        """Returns the label of each pixel, uint8 (size, size); arguments as of `picture`."""
        labels: NDArray[np.uint8] = self._aimed(parameters).segmentation(self.placed(points, pose), size)
        return labels

    def placed(self, points: Floats, pose: HeadPose) -> dict[str, Floats]:
        """Returns the pose or vertices of every visible part, as a `Renderer` takes them."""
        placed: dict[str, Floats] = self._appearance.place(points, pose)
        return placed

    @cached_property
    def _appearance(self) -> Any:
        from eva_sim.rendering.appearance import Appearance

        return Appearance(self._spec)

    @cached_property
    def _renderer(self) -> Any:
        from eva_sim.rendering.renderer import Renderer

        return Renderer(self._appearance.parts)

    def _aimed(self, parameters: Parameters | None) -> Any:
        from eva_sim.rendering.renderer import CAMERA_POSITION, CAMERA_TARGET, look_at

        given = parameters or {}
        position = CAMERA_POSITION + given.get("camera", np.zeros(3))
        self._renderer.move(look_at(position, CAMERA_TARGET))
        self._renderer.light(float(given.get("light", 1.0)))
        return self._renderer
