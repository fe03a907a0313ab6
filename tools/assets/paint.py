"""The painted texture: silicone, with brows, lids and lips that people read and a landmark detector finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.interpolate import LinearNDInterpolator, make_interp_spline

from eva_sim.rendering.appearance import texture_coordinates

SIZE, OVER = 1024, 2  # pixels, and how much finer it is drawn
Colour = tuple[int, int, int]
Pixels = list[tuple[float, float]]


class Palette(NamedTuple):
    """Colours of silicone, brows, lips and lid lines, RGB bytes."""

    skin: Colour
    brow: Colour
    lip: Colour
    liner: Colour


BLUE = Palette((53, 104, 172), (12, 18, 40), (66, 77, 142), (14, 22, 48))
#: The materials beside blue.
PALETTES = {
    "grey": Palette((150, 150, 150), (34, 34, 34), (116, 108, 108), (48, 48, 48)),
    "human": Palette((206, 160, 134), (62, 42, 30), (178, 98, 90), (66, 42, 34)),
}
# Left brow in the frontal plane [mm]: centre line, half thickness, lean of the hairs [degrees from
# the line towards the forehead].
BROW_LINE = (
    ((11.5, 22.6), 2.4, 66),
    ((18, 23.9), 2.9, 44),
    ((26, 25.8), 2.7, 26),
    ((35, 27.2), 2.1, 12),
    ((44, 25.8), 1.4, 4),
    ((54, 20.8), 0.4, 0),
)
# Hairs of a brow, their length [mm], and the share of the brow over which its inner end thins out.
HAIRS, HAIR, FADE = 420, 5.0, 0.34
BROW_SHADE, BROW_BLUR = 0.62, 0.8  # opacity of the soft shape under the hairs, and its blur [mm]
# Heights of the lips over the seam [mm]: at the peaks and dip of the upper one, and of the lower one; blur.
UPPER_LIP, BOW, LOWER_LIP, LIP_BLUR = 8.4, 1.4, 8.8, 0.55
LIP_END = 0.6  # mm that the red ends before the corner
SEAM_SHADE, SEAM_WIDTH = 0.30, 1.1  # darkening along the seam and its half width [mm]
# Crease over an upper lid: height over the margin at the ends and in the middle [mm], opacity, width, blur.
CREASE, CREASE_SHADE, CREASE_WIDTH, CREASE_BLUR = (2.2, 4.6), 0.75, 0.9, 0.45
BLUSH, BLUSH_PLACE, BLUSH_SIZE = 0.16, (38.0, -36.0), 11.0  # opacity, left cheek's centre and radius [mm]


def paint_texture(skin: dict[str, np.ndarray], palette: Palette = BLUE) -> Image.Image:
    """The texture, RGB 1024 x 1024."""
    canvas = _Canvas(skin["points"], palette.skin)
    canvas.fill(_blush(canvas.place), palette.lip, BLUSH, BLUSH_SIZE)
    _lips(canvas, skin, palette)
    for side in (1, -1):
        _brow(canvas, side, palette)
    _lids(canvas, skin, palette)
    return canvas.image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


class _Canvas:
    """A picture that soft shapes are laid on, and the map of the frontal plane [mm] to it.

    Attributes:
        image: RGB, `OVER` times as large as the texture.
        place: maps places of the frontal plane to its pixels.
    """

    def __init__(self, points: np.ndarray, colour: Colour) -> None:
        self.image = Image.new("RGB", (SIZE * OVER, SIZE * OVER), colour)
        self.place = _Surface(points)

    def fill(self, shapes: Sequence[Pixels], colour: Colour, opacity: float, blur: float) -> None:
        """Lays polygons in a colour, blurred by `blur` [mm]."""
        mask = Image.new("L", self.image.size)
        for shape in shapes:
            ImageDraw.Draw(mask).polygon(shape, fill=round(255 * opacity))
        self._lay(mask, colour, blur)

    def draw(
        self, lines: Sequence[Pixels], colour: Colour, opacity: Sequence[float], width: float, blur: float
    ) -> None:
        """Lays lines of a width [mm] in a colour, each with its opacity, blurred by `blur` [mm]."""
        mask = Image.new("L", self.image.size)
        for line, share in zip(lines, opacity, strict=True):
            thick = max(1, round(width * self.place.scale))
            ImageDraw.Draw(mask).line(line, fill=round(255 * share), width=thick, joint="curve")
        self._lay(mask, colour, blur)

    def _lay(self, mask: Image.Image, colour: Colour, blur: float) -> None:
        self.image.paste(colour, mask=mask.filter(ImageFilter.GaussianBlur(blur * self.place.scale)))


class _Surface:
    """Maps the frontal plane [mm] to pixels of the canvas.

    Attributes:
        scale: pixels per millimetre in the middle of the face.
    """

    def __init__(self, points: np.ndarray) -> None:
        front = points[points[:, 2] > -0.02]
        self._depth = LinearNDInterpolator(front[:, :2], front[:, 2])
        (u, _), (v, _) = pixels(np.array([[0.0, -0.02, 0.03], [0.001, -0.02, 0.03]]))
        self.scale = v - u

    def __call__(self, x: np.ndarray, y: np.ndarray) -> Pixels:
        at = np.stack([x, y], axis=1) / 1000
        depth = self._depth(at)
        smooth = np.convolve(np.pad(depth, 3, mode="edge"), np.full(7, 1 / 7), mode="valid")
        return pixels(np.column_stack([at, smooth]))


def pixels(points: np.ndarray) -> Pixels:
    """Pixels of the canvas of points (V, 3) [m]."""
    uv = texture_coordinates(points)
    return [(u * SIZE * OVER, (1 - v) * SIZE * OVER) for u, v in uv.tolist()]


def _blush(place: _Surface) -> list[Pixels]:
    turn = np.linspace(0, 2 * np.pi, 40)
    x, y = BLUSH_PLACE[0] + BLUSH_SIZE * np.cos(turn), BLUSH_PLACE[1] + 0.8 * BLUSH_SIZE * np.sin(turn)
    return [place(side * x, y) for side in (1, -1)]


def _brow(canvas: _Canvas, side: int, palette: Palette) -> None:
    """A soft shape under single hairs, dense over the arch and ever fewer towards the nose."""
    line = np.array([[*p, w, lean] for p, w, lean in BROW_LINE], float)
    curve = make_interp_spline(np.linspace(0, 1, len(line)), line, k=2)
    x, y, half, _ = curve(np.linspace(0.04, 0.98, 60)).T
    edge = 0.72 * half * np.clip(np.linspace(0.45, 3.0, 60), 0, 1)
    shape = canvas.place(side * np.append(x, x[::-1]), np.append(y + edge, (y - edge)[::-1]))
    canvas.fill([shape], palette.brow, BROW_SHADE, BROW_BLUR)
    hairs, opacity = [], []
    for t, across, keep, stretch in np.random.default_rng(1).uniform(size=(HAIRS, 4)):
        if keep > 0.3 + 0.7 * t / FADE:
            continue
        x, y, half, lean = curve(t)
        along = curve.derivative()(t)
        angle = np.arctan2(along[1], along[0]) + np.radians(lean) * (1 - 0.8 * across)
        opacity.append(
            float(np.clip(0.25 + 0.75 * t / FADE, 0, 1))
        )  # fine hairs, through which the skin shows
        length = HAIR * (0.6 + 0.4 * stretch) * (0.5 + 0.5 * half / 3)
        along_hair = np.linspace(-0.5, 0.5, 4) * length
        bend = (along_hair / length) ** 2 * length * 0.12
        y = y + half * (1.7 * across - 0.85)
        hairs.append(
            canvas.place(side * (x + along_hair * np.cos(angle)), y + along_hair * np.sin(angle) - bend)
        )
    canvas.draw(hairs, palette.brow, opacity, 0.35, 0.12)


def _lips(canvas: _Canvas, skin: dict[str, np.ndarray], palette: Palette) -> None:
    """The red of the lips about their seam, with a Cupid's bow; it thins out to the corners."""
    edge = 1000 * skin["points"][skin["lip_loop"]]
    order = np.argsort(edge[:, 0])
    end = edge[:, 0].max() - LIP_END
    x = np.linspace(-end, end, 121)
    seam = np.interp(x, edge[order, 0], edge[order, 1])
    u = np.abs(x) / end
    upper = seam + UPPER_LIP * (1 - u**1.7) - BOW * np.exp(-((x / 3.4) ** 2))
    lower = seam - LOWER_LIP * (1 - u**2.2) ** 0.9
    outline = [*canvas.place(x, upper), *canvas.place(x, lower)[::-1]]
    canvas.fill([outline], palette.lip, 1.0, LIP_BLUR)
    canvas.draw([canvas.place(x, seam)], _darker(palette.lip, 0.55), [SEAM_SHADE], 2 * SEAM_WIDTH, SEAM_WIDTH)


def _lids(canvas: _Canvas, skin: dict[str, np.ndarray], palette: Palette) -> None:
    """A line of lashes along both lids, strong above, and the crease over the upper one."""
    points, gain = skin["points"], skin["lid_gain"]
    for lid, width, opacity in ((gain > 0, 1.9, 0.95), (gain < 0, 0.9, 0.55)):
        ends = [t[lid[t]] for t in skin["triangles"] if lid[t].sum() == 2]
        lines = [pixels(points[pair]) for pair in ends]
        canvas.draw(lines, palette.liner, [opacity] * len(lines), width, 0.3)
    for side in (1, -1):
        upper = 1000 * points[(gain > 0) & (side * points[:, 0] > 0)]
        upper = upper[np.argsort(upper[:, 0])]
        s = np.linspace(0.0, 1, 60)
        x = upper[0, 0] + s * (upper[-1, 0] - upper[0, 0])
        y = np.interp(x, upper[:, 0], upper[:, 1])
        y = np.convolve(np.pad(y, 6, mode="edge"), np.full(13, 1 / 13), mode="valid")
        lift = CREASE[0] + (CREASE[1] - CREASE[0]) * np.sin(np.pi * s) ** 0.7
        path = canvas.place(x, y + lift)
        pieces = [path[k : k + 4] for k in range(len(path) - 3)]
        opacity = (CREASE_SHADE * np.sin(np.pi * np.linspace(0.03, 0.97, len(pieces))) ** 0.6).tolist()
        canvas.draw(pieces, _darker(palette.skin, 0.42), opacity, CREASE_WIDTH, CREASE_BLUR)


def _darker(colour: Colour, share: float) -> Colour:
    red, green, blue = (int(share * c) for c in colour)
    return red, green, blue
