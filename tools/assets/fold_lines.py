"""The lines along which a face creases, as heights in the texture and directions on the skin."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import gaussian_filter

from eva_sim.contract import Floats
from eva_sim.rendering.appearance import texture_coordinates
from eva_sim.rendering.studio_parts import smooth_step

SIZE = 2048  # pixels
# All lengths in metres, in the head frame at rest; |x| is the distance from the middle of the face.
FOREHEAD_LINES = ((0.0435, 0.75), (0.0535, 1.0), (0.0645, 0.7))  # height, depth
#: From the wing of the nose to below the corner of the mouth: |x|, y.
NASOLABIAL = np.array([
    [0.0165, -0.018], [0.0215, -0.026], [0.0265, -0.036],
    [0.0305, -0.047], [0.0325, -0.058], [0.0320, -0.070],
])  # fmt: skip
EYE_CORNER = (0.0475, -0.001)
CROWS_FEET = (-0.55, -0.20, 0.15, 0.50)  # angles about the corner of the eye [rad]


def height_map(points: Floats) -> np.ndarray:
    """Returns the heights of all lines, float16 (SIZE, SIZE) [fold depths], for a head at rest (V, 3) [m]."""
    along = (np.arange(SIZE) + 0.5) / SIZE
    u, v = np.meshgrid(along, along)
    surface = LinearNDInterpolator(texture_coordinates(points), points)(
        np.column_stack([u.ravel(), v.ravel()])
    )
    known = np.isfinite(surface).all(axis=1)
    heights = np.zeros(SIZE * SIZE)
    heights[known] = line_heights(surface[known])
    return gaussian_filter(heights.reshape(SIZE, SIZE), 0.7).astype(np.float16)


def line_heights(points: Floats) -> Floats:
    """Returns the height of the drawing at points of the face, (V,) [fold depths]."""
    x, y, z = points.T
    out = np.abs(x)
    front, side = smooth_step(-0.05, -0.02, z), smooth_step(-0.06, -0.045, z)
    middle = _forehead(x, y) + 1.1 * _frown(out, y) + 0.7 * _nose(out, y)
    distance, share = curve_distance(out, y)
    cheek = 1.9 * _crease(distance, 0.0026) * _window(share, 0.0, 0.10, 0.70, 1.0)
    return (middle + cheek) * front + 0.8 * _crows_feet(out, y) * side


def line_directions(points: Floats) -> Floats:
    """Returns the direction across the lines at points of the face, (V, 3), of length one from the front."""
    x, y, _ = points.T
    out, side, flat = np.abs(x), np.sign(x), np.zeros(len(x))
    across = np.tile([0.0, 1.0, 0.0], (len(x), 1))  # the forehead's lines are level
    frown = (out < 0.016) & (y < 0.034) & (y > -0.001)
    across[frown] = (1.0, 0.0, 0.0)
    distance, _ = curve_distance(out, y)
    step = 1e-4
    slope_x = curve_distance(out + step, y)[0] - curve_distance(out - step, y)[0]
    slope_y = curve_distance(out, y + step)[0] - curve_distance(out, y - step)[0]
    cheek = (np.abs(distance) < 0.009) & (y < -0.012)
    across[cheek] = np.column_stack([side * slope_x, slope_y, flat])[cheek]
    right, up = out - EYE_CORNER[0], y - EYE_CORNER[1]
    corner = (np.hypot(right, up) < 0.024) & (out > 0.043) & (np.abs(y) < 0.02)
    across[corner] = np.column_stack([-side * up, right, flat])[corner]
    unit: Floats = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    return unit


def curve_distance(out: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Returns the signed distance from the nasolabial line [m], and the place along it, 0..1."""
    nearest, share = np.full(out.shape, np.inf), np.zeros(out.shape)
    pieces = len(NASOLABIAL) - 1
    for number, (start, end) in enumerate(itertools.pairwise(NASOLABIAL)):
        along = end - start
        t = np.clip(((out - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along), 0, 1)
        length = np.hypot(out - start[0] - t * along[0], y - start[1] - t * along[1])
        left = (y - start[1]) * along[0] - (out - start[0]) * along[1] >= 0
        closer = length < np.abs(nearest)
        nearest = np.where(closer, np.where(left, length, -length), nearest)
        share = np.where(closer, (number + t) / pieces, share)
    return nearest, share


def _forehead(x: Floats, y: Floats) -> Floats:
    arched = y + 4.5 * x * x + 0.0012 * np.sin(160 * x)
    lines = [depth * _crease(arched - at - 0.0006 * np.sin(210 * x + 900 * at), 0.0016)
             for at, depth in FOREHEAD_LINES]  # fmt: skip
    return (
        np.sum(lines, axis=0)
        * _window(y, 0.034, 0.040, 0.072, 0.082)
        * (1 - smooth_step(0.022, 0.052, np.abs(x)))
    )


def _frown(out: Floats, y: Floats) -> Floats:
    lines = _crease(out - 0.0062 + 0.03 * (y - 0.018), 0.0014) + 0.6 * _crease(
        out - 0.0115 - 0.02 * (y - 0.015), 0.0012
    )
    return lines * _window(y, 0.0, 0.008, 0.026, 0.036) * (1 - smooth_step(0.014, 0.018, out))


def _nose(out: Floats, y: Floats) -> Floats:
    lines = [_crease(y - at + 0.5 * (out - 0.008), 0.0009) for at in (-0.002, 0.004)]
    return (
        np.sum(lines, axis=0)
        * _window(out, 0.003, 0.006, 0.011, 0.015)
        * _window(y, -0.008, -0.004, 0.006, 0.011)
    )


def _crows_feet(out: Floats, y: Floats) -> Floats:
    right, up = out - EYE_CORNER[0], y - EYE_CORNER[1]
    distance, angle = np.hypot(right, up), np.arctan2(up, right)
    lines = [_crease((angle - at) * distance, 0.0008) for at in CROWS_FEET]
    ends = _window(distance, 0.004, 0.008, 0.016, 0.024) * (1 - smooth_step(0.6, 0.9, np.abs(angle)))
    return np.sum(lines, axis=0) * ends * smooth_step(0.0, 0.01, out - 0.044)


def _crease(distance: Floats, width: float) -> Floats:
    """A valley with a low ridge on each side."""
    ridge = 0.35 * np.exp(-(((np.abs(distance) - 1.9 * width) / (1.1 * width)) ** 2))
    return ridge - np.exp(-((distance / width) ** 2))


def _window(x: Floats, rises: float, full: float, falls: float, ends: float) -> Floats:
    return smooth_step(rises, full, x) * (1 - smooth_step(falls, ends, x))
