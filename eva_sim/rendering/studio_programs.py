"""The OpenGL context of pictures in studio light, and its compiled shaders."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import SEE_DOCTOR, RenderError
from eva_sim.rendering.drawing_thread import cause, opengl_advice
from eva_sim.rendering.studio_light import (
    BACKGROUND,
    BACKGROUND_EDGE,
    Material,
    shader_constants,
    shader_text,
    shadow_projection,
)

_EGL: Any = {"backend": "egl", "libgl": "libGL.so.1", "libegl": "libEGL.so.1"}


class View(NamedTuple):
    """A camera, or the key light.

    Attributes:
        projection: clip space from world, (4, 4).
        eye: place of the camera [m].
        strength: of all light.
    """

    projection: Floats
    eye: tuple[float, ...] = (0.0, 0.0, 0.0)
    strength: float = 1.0


class Programs:
    """The context of this process and its programs; made and used in the drawing thread only.

    Attributes:
        context: of ModernGL.
        labels, distances: programs of what is no colour; the first also draws shadows.
        background, edges: vertex arrays over a whole picture, for what is behind and to smooth edges.

    Raises:
        RenderError: there can be none.
    """

    def __init__(self) -> None:
        try:
            import moderngl

            # Any: each member of a program has a type of its own, which only the shader says.
            context: Any = moderngl.create_context(standalone=True, **_EGL)
        except ImportError as error:
            told = f"no picture in studio light can be made ({error}); install eva-sim again, or use 'plain'."
            raise RenderError(f"{told} {SEE_DOCTOR}") from error
        except Exception as error:  # glcontext raises plain exceptions
            raise RenderError(
                f"no picture can be made: EGL gave no context ({cause(error)}). {opengl_advice()}"
            ) from error
        self.context = context
        context.gc_mode = "context_gc"  # buffers are freed by `gc()`, so in this thread only
        self.labels, self.distances = (
            self._program("measure", "measure", f"#define DISTANCES {choice}\n") for choice in (0, 1)
        )
        background, edges = (self._program("background", name) for name in ("background", "edges"))
        background["bright"].value, background["dim"].value = BACKGROUND, BACKGROUND_EDGE
        edges["picture"].value, edges["most"].value = 0, 1
        self._view = context.buffer(reserve=80)  # a matrix and four numbers
        self._view.bind_to_uniform_block(0)  # of all programs, since 0 is the default
        self._spare = context.framebuffer([context.renderbuffer((1, 1))])
        whole = context.buffer(np.array([-1, -1, 3, -1, -1, 3], np.float32))
        self.background, self.edges = (
            context.vertex_array(program, [(whole, "2f", 0)]) for program in (background, edges)
        )
        self._faces: dict[tuple[Material, bool], Any] = {}

    def face(self, material: Material, shadows: bool) -> Any:
        """Returns the program of parts of a material, with or without the key light's shadow."""
        if (material, shadows) not in self._faces:
            program = self._program("face", "face", shader_constants(material, shadows))
            if material.painted:
                program["paint"].value = 0
            if shadows:
                program["shadow_map"].value = 1
                program["shadow_projection"].write(as_opengl(shadow_projection()))
            self._faces[material, shadows] = program
        return self._faces[material, shadows]

    def set_view(self, view: View) -> None:
        """Sets the camera and the strength of light of all programs that draw parts."""
        numbers = np.array([*view.eye, view.strength], np.float32)
        self._view.write(as_opengl(view.projection) + numbers.tobytes())

    def hand_over(self) -> None:
        """Lets the rasteriser's threads begin with what was drawn, which otherwise wait until it is read."""
        self._spare.clear()  # a change of framebuffer ends the drawing into the one before it

    def _program(self, vertex: str, fragment: str, constants: str = "") -> Any:
        texts = (shader_text(name, constants) for name in (f"{vertex}.vert", f"{fragment}.frag"))
        return self.context.program(*(f"#version 330\n{text}" for text in texts))


def as_opengl(matrix: Floats) -> bytes:
    """A matrix as OpenGL wants it: float32, column by column."""
    return matrix.T.astype(np.float32).tobytes()


@lru_cache(maxsize=1)
def programs() -> Programs:
    """Returns the programs of this process; for the drawing thread only.

    Raises:
        RenderError: there can be none.
    """
    return Programs()
