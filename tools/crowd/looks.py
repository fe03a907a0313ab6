"""What a synthetic person looks like: skin, hair, brows, lips, eyes, clothes, light and background."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from eva_sim.contract import FaceSpec, Floats
from eva_sim.files import read_arrays
from tools.assets.paint import Colour, Palette, paint_texture
from tools.crowd.head import HeadParts

Picture = NDArray[np.uint8]
#: Skin from light to dark, hair, irises and clothes, RGB bytes [choice].
_SKINS = (
    (245, 214, 193),
    (232, 190, 163),
    (222, 176, 144),
    (198, 148, 112),
    (158, 108, 76),
    (112, 72, 50),
    (78, 50, 38),
)
_HAIRS = (
    (22, 18, 16),
    (44, 30, 22),
    (84, 56, 36),
    (150, 112, 66),
    (186, 160, 116),
    (140, 140, 138),
    (98, 48, 26),
)
_IRISES = ((60, 36, 20), (96, 62, 34), (104, 98, 52), (70, 104, 84), (80, 116, 150), (110, 124, 132))
#: Side of the scenery behind a person, before it is blurred to a picture of 256 pixels.
_SCENERY = 7
_CAVITY, _TONGUE, _TOOTH = (0.025, 0.006, 0.006), (0.11, 0.028, 0.028), (0.52, 0.49, 0.43)


class Look(NamedTuple):
    """Everything of a picture but shape and place.

    Attributes:
        paint: texture of the skin, uint8 (S, S, 3).
        tint: linear red, green, blue and opacity over the texture of each drawn vertex, (V, 4).
        hair: volume of hair over each drawn vertex, (V,) [m].
        scenery: background, uint8 (H, W, 3).
        light: unit vector towards the light.
        light_colour: linear.
        ambient: linear.
        gloss: strength of the skin's highlights.
        iris_colour: linear.
        iris: radius [rad].
        pupil: radius [rad].
        white: of the eyes, linear.
    """

    paint: Picture
    tint: Floats
    hair: Floats
    scenery: Picture
    light: Floats
    light_colour: Floats
    ambient: Floats
    gloss: float
    iris_colour: Floats
    iris: float
    pupil: float
    white: Floats


def draw_look(
    parts: HeadParts, spec: FaceSpec, rng: np.random.Generator, dark: float, male: float, old: float
) -> Look:
    """Draws a look.

    Args:
        parts: of all heads.
        spec: of the robot, whose texture is painted anew.
        rng: source of everything random.
        dark: 0 (light skin) to 1.
        male: 0 to 1.
        old: 0 (young) to 1.
    """
    skin = _between(_SKINS, float(np.clip(dark + rng.normal(0, 0.08), 0, 1)))
    hair = _hair_colour(rng, dark, old)
    palette = Palette(
        skin=_bytes(skin),
        brow=_bytes(0.75 * hair + 0.1 * skin),
        lip=_bytes(_lip_colour(rng, skin, male)),
        liner=_bytes(0.28 * skin + 0.25 * hair),
    )
    paint = np.asarray(paint_texture(read_arrays(spec.file("meshes/skin.npz")), palette)).copy()
    paint = _mottled(paint, rng, skin)
    tint, volume = _cover(parts, rng, hair, male)
    light, light_colour, ambient = _draw_light(rng)
    return Look(
        paint, tint, volume, _scenery(rng), light, light_colour, ambient,
        gloss=float(rng.uniform(0.03, 0.14)),
        iris_colour=_iris_colour(rng, dark), iris=float(rng.uniform(0.40, 0.45)),
        pupil=float(rng.uniform(0.14, 0.22)),
        white=_linear(np.array([226, 222, 216.0]) - rng.uniform(0, 24)),
    )  # fmt: skip


def _between(colours: tuple[Colour, ...], share: float) -> Floats:
    """Returns the colour at a share of the way along a row of colours, (3,)."""
    row = np.array(colours, float)
    at = share * (len(row) - 1)
    return np.array([np.interp(at, np.arange(len(row)), row[:, c]) for c in range(3)])


def _bytes(colour: Floats) -> Colour:
    red, green, blue = (int(c) for c in np.clip(colour, 0, 255))
    return red, green, blue


def _linear(colour: Floats) -> Floats:
    linear: Floats = (np.clip(colour, 0, 255) / 255) ** 2.2
    return linear


def _hair_colour(rng: np.random.Generator, dark: float, old: float) -> Floats:
    colour = np.array(_HAIRS[0 if dark > 0.6 else int(rng.integers(len(_HAIRS)))], float)
    grey = float(np.clip(rng.normal(1.6 * old - 0.8, 0.25), 0, 1))
    return colour + grey * (np.array([168, 166, 162.0]) - colour)


def _iris_colour(rng: np.random.Generator, dark: float) -> Floats:
    """Draws the colour of the irises; light ones go with light skin."""
    last = len(_IRISES) - 1
    which = min(last, int(rng.integers(len(_IRISES)) * (1 - dark) ** 0.5 + rng.uniform()))
    return _linear(np.array(_IRISES[which], float))


def _lip_colour(rng: np.random.Generator, skin: Floats, male: float) -> Floats:
    natural = skin * (0.82, 0.62, 0.62) + (12, 4, 8)
    painted = np.array([168, 40, 52.0]) * rng.uniform(0.7, 1.1)
    return natural + float(male < 0.4 and rng.uniform() < 0.4) * rng.uniform(0.3, 0.8) * (painted - natural)


def _mottled(paint: Picture, rng: np.random.Generator, skin: Floats) -> Picture:
    """Makes the texture uneven, as skin is: soft patches, and fine grain."""
    side = len(paint)
    soft = Image.fromarray(rng.integers(0, 255, (side // 32, side // 32), dtype=np.uint8))
    patches = np.asarray(soft.resize((side, side), Image.Resampling.BICUBIC), float) / 255 - 0.5
    grain = rng.normal(0, 1, (side, side))
    change = (14 * patches + rng.uniform(1, 4) * grain) * (skin.mean() / 200)
    return np.clip(paint + change[..., None], 0, 255).astype(np.uint8)


def _cover(parts: HeadParts, rng: np.random.Generator, hair: Floats, male: float) -> tuple[Floats, Floats]:
    """Returns the tint (V, 4) of all that is no skin, and the volume of the hair (V,) [m]."""
    tint = np.zeros((len(parts.points), 4))
    volume: Floats = np.zeros(len(parts.points))
    x, y, _ = parts.points.T
    cloth = (
        np.clip((-0.175 - 0.35 * np.maximum(0, 0.05 - np.abs(x)) - y) / 0.006, 0, 1) * (parts.rows["skin"])
    )
    _lay(tint, _linear(np.array(rng.integers(20, 230, 3), float)), cloth)
    bald = male > 0.5 and rng.uniform() < 0.2
    if not bald:
        scalp = _scalp(parts.points, rng)
        _lay(tint, _linear(hair), scalp * parts.rows["skin"] * (1 - cloth))
        volume = scalp**2 * parts.rows["skin"] * rng.uniform(0.002, 0.018)
    beard = rng.uniform() < 0.45 if male > 0.6 else False
    if beard:
        _lay(
            tint,
            _linear(hair),
            _beard(parts.points) * parts.rows["skin"] * (1 - cloth) * rng.uniform(0.15, 0.8),
        )
    for name, colour in (
        ("mouth", _CAVITY),
        ("socket", (0.10, 0.03, 0.02)),
        ("tongue", _TONGUE),
        ("teeth", _TOOTH),
    ):
        tint[parts.rows[name]] = (*colour, 1.0)
    return tint, volume


def _lay(tint: Floats, colour: Floats, opacity: Floats) -> None:
    """Lays a colour over vertices."""
    new = np.column_stack([np.tile(colour, (len(tint), 1)), opacity])
    share = opacity[:, None]
    tint[:] = np.where(share > 0, share * new + (1 - share) * tint, tint)


def _scalp(points: Floats, rng: np.random.Generator) -> Floats:
    """Returns where hair grows, (V,) in 0..1; its line on the forehead and temples varies."""
    x, y, z = points.T
    line = rng.uniform(0.055, 0.080) - 0.4 * np.maximum(0, np.abs(x) - 0.03)
    forehead = np.clip((y - line) / 0.008, 0, 1)
    back = np.clip((-z - rng.uniform(0.015, 0.035)) / 0.015, 0, 1) * np.clip(
        (y + rng.uniform(0.02, 0.12)) / 0.03, 0, 1
    )
    ear = (np.abs(x) > 0.068) & (y < 0.02) & (y > -0.06)
    return np.maximum(forehead, back) * ~ear


def _beard(points: Floats) -> Floats:
    """Returns where a beard grows, (V,) in 0..1."""
    x, y, z = points.T
    cheek = np.clip((-0.048 - 0.25 * np.maximum(0, 0.05 - np.abs(x)) - y) / 0.012, 0, 1)
    throat = np.clip((y + 0.135) / 0.01, 0, 1)
    lips = np.exp(-(((x / 0.027) ** 2 + ((y + 0.070) / 0.012) ** 2) ** 2))
    return cheek * throat * np.clip((z + 0.03) / 0.02, 0, 1) * (1 - np.clip(1.6 * lips, 0, 1))


def _draw_light(rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    yaw, pitch = rng.uniform(-1.1, 1.1), rng.uniform(-0.1, 0.9)
    direction = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    warm = rng.uniform(-0.12, 0.12) * np.array([1, 0, -1.0])
    key = rng.uniform(0.45, 0.8) * (1 + warm)
    return direction, key, rng.uniform(0.30, 0.5) * (1 - 0.5 * warm)


def _scenery(rng: np.random.Generator) -> Picture:
    base, spread = rng.uniform(40, 210) + rng.normal(0, 15, 3), rng.uniform(5, 35)
    bright = rng.normal(0, spread, (_SCENERY, _SCENERY, 1)) + rng.normal(
        0, 0.3 * spread, (_SCENERY, _SCENERY, 3)
    )
    small = np.clip(base + bright, 0, 255).astype(np.uint8)
    large = Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC)
    return np.asarray(large.filter(ImageFilter.GaussianBlur(3)))
