"""The light of the studio, as the shaders of the face take it."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from eva_sim.contract import Floats
from eva_sim.files import asset
from eva_sim.rendering.renderer import look_at


class SoftBox(NamedTuple):
    """A light.

    Attributes:
        place: direction towards it, of any length.
        sharpness: of the spherical Gaussian; larger is smaller.
        colour: linear red, green, blue; the light that a surface receives does not depend on the sharpness.
    """

    place: tuple[float, float, float]
    sharpness: float
    colour: tuple[float, float, float]


#: Key light first, which casts the shadow; then fill, and two rims from behind.
BOXES = (
    SoftBox((-0.55, 0.62, 0.75), 14, (2.35, 2.25, 2.10)),
    SoftBox((0.80, 0.15, 0.60), 6, (0.50, 0.55, 0.62)),
    SoftBox((0.55, 0.55, -0.75), 10, (2.40, 2.50, 2.80)),
    SoftBox((-0.70, 0.20, -0.70), 10, (1.10, 1.20, 1.50)),
)
SKY, FLOOR = (0.62, 0.66, 0.72), (0.30, 0.28, 0.27)  # linear light from above and from below
BACKGROUND, BACKGROUND_EDGE = (0.80, 0.82, 0.85), (0.42, 0.45, 0.50)  # as in the picture, not linear
SHADOW_SIZE = 512  # pixels
SHADOW_STEP = 0.0045  # between two comparisons, in widths of the shadow map
_SHADOW_HALF_WIDTH = 0.17  # m
_SHADOW_CENTRE = (0.0, -0.03, -0.03)  # m
_COAT_ROUGHNESS = 0.22
_WRAP = 0.22  # how far light creeps around into the shade
_UNIT = 6.0  # divides sharpness times colour, which gives the radiance of a box
_POWER = 16  # of the power that the shader takes for an exponential


class Material(NamedTuple):
    """Appearance of a surface, as constants of its shader; see `StudioPart`.

    Attributes:
        painted: whether it has a texture.
        two_sided, roughness, coat, glint, scatter: as of the part.
    """

    painted: bool
    two_sided: bool
    roughness: float
    coat: float
    glint: float
    scatter: float


def shader_constants(material: Material, shadows: bool) -> str:
    """Returns lights and material as constants of the face shader, in GLSL."""
    width = np.array([_WRAP + material.scatter, _WRAP, _WRAP])
    vectors = {
        "AXIS": [np.array(box.place) / np.linalg.norm(box.place) for box in BOXES],
        "DIFFUSE": [np.array(box.colour) * 2 / _UNIT for box in BOXES],
        "SURFACE": _lobes(material.roughness),
        "CLEAR_COAT": _lobes(_COAT_ROUGHNESS),
        "SKY": SKY,
        "FLOOR": FLOOR,
        "WRAP": 1 / (1 + width),
        "WRAPPED": width / (1 + width),
        "COAT": material.coat,
        "GLINT": material.glint,
        "SHADOW_STEP": SHADOW_STEP,
    }
    switches = {
        "PAINTED": int(material.painted),
        "TWO_SIDED": int(material.two_sided),
        "SHADOWS": int(shadows),
        "BOXES": len(BOXES),
    }
    return "".join(
        [f"#define {name} {value}\n" for name, value in switches.items()]
        + [_constant(name, np.asarray(value, float)) for name, value in vectors.items()]
    )


def shader_text(name: str, constants: str = "") -> str:
    """Returns a shader of `assets/shaders/` below its constants, with the files that it includes."""
    text = asset(f"shaders/{name}").read_text()
    return constants + re.sub(r'#include "(\S+)"\n', lambda found: shader_text(found[1]), text)


def _constant(name: str, value: Floats) -> str:
    """Declares a number, a vector or an array of vectors."""
    if value.ndim == 0:
        return f"const float {name} = {float(value)};\n"
    kind = f"vec{value.shape[-1]}"
    vectors = [f"{kind}({', '.join(map(repr, row.tolist()))})" for row in np.atleast_2d(value)]
    if value.ndim == 1:
        return f"const {kind} {name} = {vectors[0]};\n"
    return f"const {kind} {name}[{len(value)}] = {kind}[]({', '.join(vectors)});\n"


def _lobes(roughness: float) -> Floats:
    """Returns how a surface reflects each box, (boxes, 4): linear red, green, blue, and sharpness over 16."""
    lobe = 0.5 / max(roughness, 0.1) ** 4
    reflected = [(box, box.sharpness * lobe / (box.sharpness + lobe)) for box in BOXES]
    return np.array([(*(np.array(box.colour) * own / _UNIT), own / _POWER) for box, own in reflected])


def shadow_projection() -> Floats:
    """Returns the clip space of the key light from the world, (4, 4)."""
    pose = look_at(0.6 * np.array(BOXES[0].place) / np.linalg.norm(BOXES[0].place), _SHADOW_CENTRE)
    near, far = 0.1, 1.0
    scale = np.diag([1 / _SHADOW_HALF_WIDTH, 1 / _SHADOW_HALF_WIDTH, -2 / (far - near), 1.0])
    scale[2, 3] = -(far + near) / (far - near)
    projection: Floats = scale @ np.linalg.inv(pose)
    return projection
