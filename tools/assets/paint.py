"""The painted texture: silicone, with brows and lips that a landmark detector finds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.interpolate import LinearNDInterpolator, make_interp_spline

from eva_sim.rendering.appearance import texture_coordinates

SIZE, OVER = 1024, 2  # pixels, and how much finer it is drawn


class Palette(NamedTuple):
    """Colours of silicone, brows, lips and lid lines, RGB bytes."""

    skin: tuple[int, int, int]
    brow: tuple[int, int, int]
    lip: tuple[int, int, int]
    liner: tuple[int, int, int]


BLUE = Palette((53, 104, 172), (12, 18, 40), (104, 66, 130), (22, 36, 74))
#: The materials beside blue.
PALETTES = {
    "grey": Palette((150, 150, 150), (34, 34, 34), (112, 108, 108), (62, 62, 62)),
    "human": Palette((206, 160, 134), (62, 42, 30), (176, 98, 90), (96, 62, 50)),
}
# Left brow in the frontal plane [mm]: centre line, half thickness, lean of the hairs [degrees from
# the line towards the forehead].
BROW_LINE = (
    ((11.5, 22.8), 2.5, 66),
    ((18, 23.7), 3.2, 44),
    ((26, 25.4), 2.8, 26),
    ((35, 26.6), 2.2, 12),
    ((44, 25.4), 1.5, 4),
    ((54, 20.6), 0.5, 0),
)
# Hairs of a brow, their length [mm], and the share of the brow over which its inner end thins out.
HAIRS, HAIR, FADE = 480, 5.0, 0.34


def paint_texture(skin: dict[str, np.ndarray], palette: Palette = BLUE) -> Image.Image:
    """The texture, RGB 1024 x 1024."""
    image = Image.new("RGB", (SIZE * OVER, SIZE * OVER), palette.skin)
    draw = ImageDraw.Draw(image)
    place = _Surface(skin["points"])
    for side in (1, -1):
        _brow(draw, place, side, palette)
    _lips(draw, place, palette)
    _lids(draw, skin, palette)
    return image.filter(ImageFilter.GaussianBlur(OVER)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)


class _Surface:
    """Maps the frontal plane [mm] to texture pixels."""

    def __init__(self, points: np.ndarray) -> None:
        front = points[points[:, 2] > -0.02]
        self._depth = LinearNDInterpolator(front[:, :2], front[:, 2])

    def __call__(self, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        at = np.stack([x, y], axis=1) / 1000
        depth = self._depth(at)
        smooth = np.convolve(np.pad(depth, 3, mode="edge"), np.full(7, 1 / 7), mode="valid")
        return pixels(np.column_stack([at, smooth]))


def pixels(points: np.ndarray) -> list[tuple[float, float]]:
    """Texture pixels of points (V, 3)."""
    uv = texture_coordinates(points)
    return [(u * SIZE * OVER, (1 - v) * SIZE * OVER) for u, v in uv.tolist()]


def _brow(draw: ImageDraw.ImageDraw, place: _Surface, side: int, palette: Palette) -> None:
    """Single hairs, dense over the arch and ever fewer towards the nose."""
    line = np.array([[*p, w, lean] for p, w, lean in BROW_LINE], float)
    curve = make_interp_spline(np.linspace(0, 1, len(line)), line, k=2)
    rng = np.random.default_rng(1)
    for t, across, keep, stretch in rng.uniform(size=(HAIRS, 4)):
        if keep > 0.3 + 0.7 * t / FADE:
            continue
        x, y, half, lean = curve(t)
        along = curve.derivative()(t)
        angle = np.arctan2(along[1], along[0]) + np.radians(lean) * (1 - 0.8 * across)
        fade = np.clip(0.25 + 0.75 * t / FADE, 0, 1)  # fine hairs, through which the skin shows
        colour = tuple(
            int(c) for c in np.round(fade * np.array(palette.brow) + (1 - fade) * np.array(palette.skin))
        )
        length = HAIR * (0.6 + 0.4 * stretch) * (0.5 + 0.5 * half / 3)
        along_hair = np.linspace(-0.5, 0.5, 4) * length
        bend = (along_hair / length) ** 2 * length * 0.12
        x, y = x, y + half * (1.7 * across - 0.85)
        draw.line(
            place(side * (x + along_hair * np.cos(angle)), y + along_hair * np.sin(angle) - bend),
            fill=colour,
            width=OVER,
        )


def _lips(draw: ImageDraw.ImageDraw, place: _Surface, palette: Palette) -> None:
    """The red of the lips, an almond around the slit with a Cupid's bow."""
    x = np.linspace(-26.5, 26.5, 120)
    across = np.clip(1 - (x / 26.5) ** 2, 0, 1) ** 0.6
    upper = -65.5 + 8.5 * across - 1.5 * np.exp(-((x / 4) ** 2))
    lower = -66.0 - 10.0 * across
    draw.polygon([*place(x, upper), *place(x, lower)[::-1]], fill=palette.lip)


def _lids(draw: ImageDraw.ImageDraw, skin: dict[str, np.ndarray], palette: Palette) -> None:
    margin = skin["lid_gain"] != 0
    for triangle in skin["triangles"]:
        if margin[triangle].sum() == 2:
            a, b = pixels(skin["points"][triangle[margin[triangle]]])
            draw.line([a, b], fill=palette.liner, width=4 * OVER)
