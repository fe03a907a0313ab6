"""Glasses for synthetic people: a frame of thin bars and two panes, fitted to a head at rest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats

#: From the front of the eyeball to the back of a pane [m]; opticians aim at 12 to 14 mm.
VERTEX_DISTANCE = 0.013
#: Width and height of a pane [m], least and greatest; the exponent of its outline, 2 for an ellipse.
_WIDTHS, _HEIGHTS, _EXPONENTS = (0.046, 0.052), (0.034, 0.042), (2.2, 4.5)
_BAR = (0.0006, 0.0019)  # radius of the bars, least and greatest [m]
_LOW = 0.003  # by which the middle of a pane is below the eye [m]
_BESIDE = 0.005  # distance at which skin counts as beside a bar [m]
_TEMPLES = -0.085  # where the temples end, behind the eyes [m]
#: Colours of frames, linear: black, dark brown, grey metal, gold, red.
_COLOURS = ((0.01, 0.01, 0.01), (0.06, 0.025, 0.012), (0.25, 0.25, 0.26), (0.4, 0.28, 0.1), (0.2, 0.02, 0.02))
_OUTLINE, _SECTORS = 40, 8  # points of a pane's outline and around a bar
#: Mesh: points (V, 3) [m] in the frame of the eyes at rest, triangles (F, 3).
Mesh = tuple[Floats, NDArray[np.intp]]


class Glasses(NamedTuple):
    """A pair of glasses.

    Attributes:
        frame: mesh of the bars.
        panes: mesh of both panes.
        colour: of the bars, linear, (3,).
    """

    frame: Mesh
    panes: Mesh
    colour: Floats


def draw_glasses(rng: np.random.Generator, skin: Floats, eyes: Floats, eye_radius: float) -> Glasses:
    """Draws a pair of glasses that fits a head.

    Args:
        rng: source of everything random.
        skin: vertices of the head at rest, (V, 3) [m].
        eyes: centres of the left and the right eyeball, (2, 3) [m].
        eye_radius: of both [m].
    """
    half = 0.5 * np.array([rng.uniform(*_WIDTHS), rng.uniform(*_HEIGHTS)])
    exponent, bar = float(rng.uniform(*_EXPONENTS)), float(rng.uniform(*_BAR))
    outlines = [_outline(eye, half, exponent) for eye in eyes]
    front = float(eyes[:, 2].mean()) + eye_radius + VERTEX_DISTANCE
    front = max(front, bar + max(_foremost(skin, outline) for outline in outlines))
    for outline in outlines:
        outline[:, 2] = front
    bars = [*(np.vstack([line, line[:1]]) for line in outlines), _bridge(eyes, half, front)]
    bars += [_temple(eye, half, front, skin) for eye in eyes]
    colour = np.array(_COLOURS[int(rng.integers(len(_COLOURS)))])
    return Glasses(
        _joined([_tube(line, bar) for line in bars]), _joined([_pane(o) for o in outlines]), colour
    )


def _outline(eye: Floats, half: Floats, exponent: float) -> Floats:
    """Returns the outline of a pane in the plane of the eyes, a superellipse, (P, 3)."""
    angle = np.linspace(0, 2 * np.pi, _OUTLINE, endpoint=False)
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    flat = half * np.sign(around) * np.abs(around) ** (2 / exponent)
    return np.column_stack([flat + eye[:2] - (0, _LOW), np.zeros(len(angle))])


def _foremost(skin: Floats, outline: Floats) -> float:
    """Returns how far brow and cheek come forward beside an outline, where no nose is [m]."""
    outer = outline[np.abs(outline[:, 0]) > np.abs(outline[:, 0]).mean()]
    apart = np.linalg.norm(skin[:, None, :2] - outer[:, :2], axis=2).min(axis=1)
    return float(np.max(skin[apart < _BESIDE, 2], initial=-np.inf))


def _bridge(eyes: Floats, half: Floats, front: float) -> Floats:
    """Returns the line between the panes, over the nose, (P, 3)."""
    left, right = eyes[0, 0] - half[0], eyes[1, 0] + half[0]
    share = np.linspace(-1, 1, 9)
    x = 0.5 * (left + right) + 0.5 * (left - right) * share
    y = eyes[:, 1].mean() - _LOW + 0.25 * half[1] + 0.12 * half[1] * (1 - share**2)
    return np.column_stack([x, y, front + 0.002 * (1 - share**2)])


def _temple(eye: Floats, half: Floats, front: float, skin: Floats) -> Floats:
    """Returns the line from the outer side of a pane along the head to the ear, (4, 3)."""
    side, height = np.sign(eye[0]), eye[1] - _LOW + 0.4 * half[1]
    beside = skin[(np.abs(skin[:, 1] - height) < 0.01) & (skin[:, 2] > -0.045)]  # without the ears
    rim, wide = abs(eye[0]) + half[0], float(np.abs(beside[:, 0]).max()) + 0.002
    x = side * np.array([rim, max(rim, wide), max(rim, wide), wide])
    z = np.array([front, front - 0.004, front - 0.012, eye[2] + _TEMPLES])
    return np.column_stack([x, np.full(4, height), z])


def _tube(line: Floats, radius: float) -> Mesh:
    """Returns a bar along a line, (P, 3)."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    # The axis that the whole line is least along is across every part of it.
    across = np.eye(3)[np.abs(along).max(axis=0).argmin()]
    first = np.cross(along, across)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angle = np.linspace(0, 2 * np.pi, _SECTORS, endpoint=False)[:, None]
    rings = [p + radius * (np.cos(angle) * a + np.sin(angle) * b)
             for p, a, b in zip(line, first, second, strict=True)]  # fmt: skip
    index = np.arange(len(line) * _SECTORS).reshape(len(line), _SECTORS)
    a, b = index[:-1], index[1:]
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    return np.concatenate(rings), triangles


def _pane(outline: Floats) -> Mesh:
    """Returns a pane, slightly curved, as a fan around its middle."""
    middle = outline.mean(axis=0) + np.array([0, 0, 0.002])
    rim = np.arange(len(outline))
    fan = np.stack([np.full(len(rim), len(rim)), rim, np.roll(rim, -1)], axis=1)
    return np.vstack([outline, middle]), fan


def _joined(meshes: list[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(points) for points, _ in meshes[:-1])])
    triangles = [faces + start for (_, faces), start in zip(meshes, starts, strict=True)]
    return np.concatenate([points for points, _ in meshes]), np.concatenate(triangles)
