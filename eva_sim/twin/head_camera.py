"""The camera before simulated heads, in three styles. OpenGL is loaded when the first picture is taken."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import ArgumentValueError, known_names
from eva_sim.head import HeadPose
from eva_sim.randomise import Parameters

#: Styles of pictures: `"plain"` is drawn by pyrender; the others are in studio light (`rendering/studio.py`).
STYLES = ("plain", "fast", "fine")
#: Materials of the skin.
MATERIALS = ("blue", "grey", "human")


def check_style(style: str, material: str) -> None:
    """Checks the names of a style and a material.

    Raises:
        ArgumentValueError: there is none of that name, or the plain style is to be other than blue.
    """
    if style not in STYLES:
        raise ArgumentValueError(f"no style called {style!r}; {known_names(style, STYLES)}.")
    if material not in MATERIALS:
        raise ArgumentValueError(f"no material called {material!r}; {known_names(material, MATERIALS)}.")
    if style == "plain" and material != "blue":
        raise ArgumentValueError(f"material={material!r} needs style='fast' or style='fine'.")


class HeadCamera:
    """Takes pictures of heads with one spec; one camera serves any number of them.

    Args:
        spec: the face.
        style: one of `STYLES`.
        material: of the skin, one of `MATERIALS`; the plain style is blue.

    Raises:
        ArgumentValueError: no such style or material.
    """

    def __init__(self, spec: FaceSpec, style: str = "plain", material: str = "blue") -> None:
        check_style(style, material)
        self._spec, self._style, self._material = spec, style, material

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

    def pictures(
        self, heads: Iterable[tuple[Floats, HeadPose, Parameters]], size: int
    ) -> list[NDArray[np.uint8]]:
        """Takes a picture of each head: its points, pose and parameters, as of `picture`.

        Raises:
            RenderError: no OpenGL library.
        """
        if self._style == "plain":
            return [self.picture(points, pose, size, parameters) for points, pose, parameters in heads]
        from eva_sim.rendering.studio import Shot

        shots = (Shot(self.placed(points, pose), *_view(parameters)) for points, pose, parameters in heads)
        pictures: list[NDArray[np.uint8]] = self._renderer.colours(shots, size)
        return pictures

    def segmentation(
        self, points: Floats, pose: HeadPose, size: int, parameters: Parameters | None = None
    ) -> NDArray[np.uint8]:
        """Returns the label of each pixel, uint8 (size, size); arguments as of `picture`."""
        labels: NDArray[np.uint8] = self._aimed(parameters).segmentation(self._shape(points, pose), size)
        return labels

    def depth(
        self, points: Floats, pose: HeadPose, size: int, parameters: Parameters | None = None
    ) -> NDArray[np.float32]:
        """Returns distances along the viewing axis [m], float32 (size, size); arguments as of `picture`."""
        distance: NDArray[np.float32] = self._aimed(parameters).depth(self._shape(points, pose), size)
        return distance

    def placed(self, points: Floats, pose: HeadPose) -> Any:
        """Returns the pose or vertices of every visible part, as the renderer of this style takes them."""
        return self._appearance.place(points, pose)

    def _shape(self, points: Floats, pose: HeadPose) -> Any:
        """Returns what is placed without what only colour needs."""
        return (
            self.placed(points, pose)
            if self._style == "plain"
            else self._appearance.place(points, pose, False)
        )

    @cached_property
    def _appearance(self) -> Any:
        if self._style == "plain":
            from eva_sim.rendering.appearance import Appearance

            return Appearance(self._spec)
        from eva_sim.rendering.studio_parts import StudioParts

        return StudioParts(self._spec, self._material, fine=self._style == "fine")

    @cached_property
    def _renderer(self) -> Any:
        if self._style == "plain":
            from eva_sim.rendering.renderer import Renderer

            return Renderer(self._appearance.parts)
        from eva_sim.rendering.studio import StudioRenderer

        return StudioRenderer(self._appearance.parts, self._appearance.fold_lines, self._style)

    def _aimed(self, parameters: Parameters | None) -> Any:
        pose, strength = _view(parameters or {})
        self._renderer.move(pose)
        self._renderer.light(strength)
        return self._renderer


def _view(parameters: Parameters) -> tuple[Floats, float]:
    """Returns the pose of the camera, (4, 4), and the strength of the light."""
    return _camera_pose(tuple(parameters.get("camera", (0.0, 0.0, 0.0)))), float(parameters.get("light", 1.0))


@lru_cache(maxsize=256)  # of a copy, it stays for an episode
def _camera_pose(offset: tuple[float, float, float]) -> Floats:
    """Returns the pose of a camera that stands beside the usual place by an offset [m]; read only."""
    from eva_sim.rendering.renderer import CAMERA_POSITION, CAMERA_TARGET, look_at

    pose = look_at(np.add(CAMERA_POSITION, offset), CAMERA_TARGET)
    pose.setflags(write=False)
    return pose
