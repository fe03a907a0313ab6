"""Two rows of painted teeth in their gums, drawn along an arch."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_interp_spline

Arrays = dict[str, np.ndarray]
# Left half of the arch [mm]: x, z, and the heights of tips and of the gums' edge, upper and lower.
# Shape after MakeHuman's teeth; they lie further back than in people, for lips that are only a shell.
ARCH = (
    (0.0, 20.3, -70.8, -61.2, -69.6, -79.0),
    (7.6, 19.0, -70.6, -61.0, -69.5, -78.6),
    (14.2, 13.2, -69.3, -59.8, -68.3, -76.6),
    (18.2, 5.6, -67.3, -58.4, -66.4, -74.4),
    (21.4, -2.6, -65.6, -57.0, -64.6, -72.0),
    (23.8, -11.6, -63.6, -56.0, -62.4, -69.6),
    (25.6, -24.6, -61.0, -54.2, -59.6, -66.4),
)
# Widths of the teeth from the middle outwards [mm], how much they narrow at the gaps, how thick.
WIDTHS = {"upper": (8.5, 6.6, 7.4, 7.0, 6.8, 9.5, 9.0), "lower": (5.4, 5.9, 6.8, 7.2, 7.2, 10.5, 9.5)}
BACK = {"upper": 0.0, "lower": 2.2}  # mm; the lower row bites behind the upper one
ACROSS = np.array([-1, -0.86, -0.45, 0.0, 0.45, 0.86])  # columns of a tooth; the next one brings its end
GUM, ENAMEL, GAP = (140, 66, 70), (238, 230, 210), 0.70
# m behind the front: where light begins to fall off, and over which distance; the share that is left.
DARK_FROM, DARK_OVER, DARKEST = 0.007, 0.034, 0.10


def teeth_row(row: str) -> Arrays:
    """Points (V, 3) [m], triangles (F, 3) and colours (V, 3) of the `"upper"` or `"lower"` row."""
    at, across, tooth = _columns(WIDTHS[row])
    arch = np.array(ARCH)[:, [0, 1, *((2, 3) if row == "upper" else (4, 5))]]
    whole = np.concatenate([arch[:0:-1] * [-1, 1, 1, 1], arch])
    steps = np.hypot(*np.diff(whole[:, :2], axis=0).T)
    length = np.concatenate([[0], np.cumsum(steps)]) - steps.sum() / 2
    curve = make_interp_spline(length, whole, k=3)
    x, z, tip, gum = curve(at).T
    along = curve.derivative()(at)[:, :2]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    out = np.stack([-along[:, 1], along[:, 0]], axis=1)
    up = np.sign(gum - tip)
    edge = np.abs(across)
    tip = tip + up * np.where(tooth == 2, 1.0 * edge - 0.5, 0.9 * edge**5)  # canines end in a point
    gum = gum - up * 2.2 * edge**3
    bulge = 0.9 * (1 - edge**6) - BACK[row]
    thick = np.where(tooth < 3, 2.0, 6.0)
    # Rows from the gum's root over the crown and its edge to the back: height, depth, colour.
    crown = tip - gum
    rows = (
        (gum + up * 9, -1.5 - BACK[row], GUM, 0.6),
        (gum + up * 3, 0.3 - BACK[row], GUM, 0.9),
        (gum, 0.4 + 0.3 * bulge - 0.7 * BACK[row], GUM, 1.0),
        (gum, bulge - 0.4, ENAMEL, 0.88),
        (gum + 0.3 * crown, bulge, ENAMEL, 0.95),
        (gum + 0.75 * crown, bulge - 0.2, ENAMEL, 1.0),
        (tip, bulge - 0.9, ENAMEL, 0.95),
        (tip, bulge - 0.9 - thick, ENAMEL, 0.6),
        (gum + 0.4 * crown, bulge - 2.0 - thick, ENAMEL, 0.3),
        (gum + up * 5, -5.0 - thick, GUM, 0.15),
    )
    dark = np.where(edge > 0.95, GAP, 1.0)
    points, colours = [], []
    for height, depth, colour, light in rows:
        place = np.stack([x, z], axis=1) + out * np.broadcast_to(depth, x.shape)[:, None]
        points.append(np.stack([place[:, 0], height, place[:, 1]], axis=1) / 1000)
        shade = light * (dark if colour == ENAMEL else 1.0) * np.ones(len(x))
        colours.append(shade[:, None] * colour)
    found, shades = np.concatenate(points), np.concatenate(colours)
    shades *= np.clip(1 - (found[:, 2].max() - DARK_FROM - found[:, 2]) / DARK_OVER, DARKEST, 1)[:, None]
    return {"points": found, "triangles": _strip(len(rows), len(x)), "colours": shades.astype(np.uint8)}


def _columns(widths: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    """Returns distance along the arch [mm], position across its tooth (-1..1) and its number, per column."""
    ends = np.concatenate([[0.0], np.cumsum(widths)])
    middle, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
    at = (middle[:, None] + half[:, None] * ACROSS).ravel()
    across, tooth = np.tile(ACROSS, len(widths)), np.repeat(np.arange(len(widths)), len(ACROSS))
    at, across, tooth = np.append(at, ends[-1]), np.append(across, 1.0), np.append(tooth, len(widths) - 1)
    left = np.concatenate([-at[:0:-1], at]), np.concatenate([-across[:0:-1], across])
    return *left, np.concatenate([tooth[:0:-1], tooth])


def _strip(rows: int, columns: int) -> np.ndarray:
    """Triangles (F, 3) over a grid of rows and columns."""
    i, j = (n.ravel() for n in np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij"))
    a = i * columns + j
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, c, d], 1), np.stack([a, d, b], 1)])
