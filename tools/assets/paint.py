"""The painted texture: blue silicone, brows and lips that people and a landmark detector can read."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from eva_sim.appearance import texture_coordinates

SIZE, OVER = 1024, 2  # pixels, and how much finer it is drawn
BASE, BROW, LIP, LINER = (53, 104, 172), (12, 18, 40), (104, 66, 130), (22, 36, 74)
# Left brow in the frontal plane [mm]: centre line and half thickness.
BROW_LINE = (((10, 19), 3.0), ((18, 24), 3.4), ((27, 28), 3.2), ((36, 29.5), 2.6), ((45, 27), 1.7), ((53, 21.5), 0.6))


def paint(skin: dict[str, np.ndarray]) -> Image.Image:
    """The texture, RGB 1024 x 1024."""
    image = Image.new("RGB", (SIZE * OVER, SIZE * OVER), BASE)
    draw = ImageDraw.Draw(image)
    place = _Surface(skin["points"])
    for side in (1, -1):
        _brow(draw, place, side)
    _lips(draw, skin)
    _lids(draw, skin)
    return image.filter(ImageFilter.GaussianBlur(OVER)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)


class _Surface:
    """From the frontal plane [mm] to texture pixels, by the nearest skin vertices."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = points

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        away = np.hypot(self.points[:, 0] - x / 1000, self.points[:, 1] - y / 1000)
        near = np.argsort(away)[:5]
        weight = 1 / (away[near] + 1e-6) ** 2
        z = float((weight * self.points[near, 2]).sum() / weight.sum())
        return pixels(np.array([[x / 1000, y / 1000, z]]))[0]


def pixels(points: np.ndarray) -> list[tuple[float, float]]:
    """Texture pixels of points (V, 3)."""
    uv = texture_coordinates(points)
    return [(u * SIZE * OVER, (1 - v) * SIZE * OVER) for u, v in uv.tolist()]


def _brow(draw: ImageDraw.ImageDraw, place: _Surface, side: int) -> None:
    line = np.array([p for p, _ in BROW_LINE], float)
    half = np.array([w for _, w in BROW_LINE])
    t = np.linspace(0, len(line) - 1, 60)
    x, y, w = (np.interp(t, np.arange(len(line)), v) for v in (line[:, 0], line[:, 1], half))
    edge = [*zip(x, y + w, strict=True), *zip(x[::-1], (y - w)[::-1], strict=True)]
    draw.polygon([place(side * a, b) for a, b in edge], fill=BROW)


def _lips(draw: ImageDraw.ImageDraw, skin: dict[str, np.ndarray]) -> None:
    """The red of the lips: all triangles within a smooth almond around the slit."""
    points = skin["points"]
    x, y = points[:, 0] * 1000, points[:, 1] * 1000
    across = np.clip(1 - (x / 27.5) ** 2, 0, 1)
    upper, lower = -63.5 + 7.2 * across**0.6 - 1.2 * np.exp(-((x / 4) ** 2)), -65.5 - 9.5 * across**0.6
    red = (y < upper) & (y > lower) & (points[:, 2] > 0) & (across > 0)
    red |= np.isin(np.arange(len(points)), skin["lip_loop"])
    for triangle in skin["triangles"]:
        if red[triangle].all():
            draw.polygon(pixels(points[triangle]), fill=LIP)


def _lids(draw: ImageDraw.ImageDraw, skin: dict[str, np.ndarray]) -> None:
    margin = skin["lid_gain"] != 0
    for triangle in skin["triangles"]:
        if margin[triangle].sum() == 2:
            a, b = pixels(skin["points"][triangle[margin[triangle]]])
            draw.line([a, b], fill=LINER, width=4 * OVER)
