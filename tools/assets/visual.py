"""Meshes that are rendered but not simulated: head shell, teeth and mouth. The right side is a mirror."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from eva_sim.rendering.inner_lips import InnerLips
from tools.assets.mouth import inner_lips, mouth_cavity, tongue
from tools.assets.regions import harmonic_field
from tools.assets.source import Source
from tools.assets.teeth import teeth_row
from tools.assets.topology import mirror_half, triangulate

Arrays = dict[str, np.ndarray]
NECK_CUT = -0.165  # m; the neck ends here
# m; the neck's lower end as it stands in a collar: half width, half depth and middle of an ellipse, and the
# heights from which and below which it is inside
COLLAR, COLLAR_MIDDLE, FREE, INSIDE = (0.0520, 0.0490), -0.105, -0.124, -0.132
# m; the neck stands still below the first height, in the collar, and moves with the skull above the second
STILL, SKULL = -0.135, -0.075


def visual_meshes(source: Source, skin: Arrays, mask: np.ndarray, hidden: set[int]) -> Arrays:
    """All render-only meshes.

    Args:
        source: the whole body.
        skin: arrays of the skin file.
        mask: quads of the left half mask, (F, 4).
        hidden: source vertices of the pockets behind lips and lids, which are left out.
    """
    out = head_shell(source, skin, mask, hidden)
    lips = inner_lips(skin)
    rows = InnerLips(skin["triangles"], skin["lip_loop"], lips["inner_local"])(skin["points"])
    out |= lips | mouth_cavity(skin, rows[-len(skin["lip_loop"]) :]) | tongue()
    for row in ("upper", "lower"):
        out |= {f"{row}_teeth_{key}": value for key, value in teeth_row(row).items()}
    return out


def _compact(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used, inverse = np.unique(triangles, return_inverse=True)
    return points[used], inverse.reshape(triangles.shape)


def head_shell(source: Source, skin: Arrays, mask: np.ndarray, hidden: set[int]) -> Arrays:
    """Head and neck around the mask; the first vertices of its mesh are the skin's own."""
    body, points = source.quads["body"], source.points
    inside = {tuple(sorted(q)) for q in mask.tolist()}
    corners = points[body]
    keep = (corners[:, :, 0] > -1e-6).all(1) & (corners[:, :, 1] > NECK_CUT).any(1)
    keep &= ~np.isin(body, list(hidden)).any(1) & (np.abs(corners[:, :, 0]) < 0.13).all(1)
    keep &= np.array([tuple(sorted(q)) not in inside for q in body.tolist()])
    half = _compact(points, triangulate(points, body[keep]))
    around, faces, _ = mirror_half(*half)
    around[:, 1] = np.maximum(around[:, 1], NECK_CUT)  # a clean, level end
    around = _without_shoulders(around)
    distance, index = cKDTree(skin["points"]).query(around)
    welded = distance < 1e-6
    number = np.where(welded, index, 0)
    number[~welded] = len(skin["points"]) + np.arange((~welded).sum())
    whole = np.concatenate([skin["points"], around[~welded]])
    triangles = np.concatenate([skin["triangles"], number[faces]])
    jaw = _shell_jaw(whole, triangles, skin)
    lift = _shell_lift(whole, triangles, len(skin["points"]))
    return {"head_points": whole, "head_triangles": triangles, "head_jaw": jaw, "head_lift": lift}


def _without_shoulders(points: np.ndarray) -> np.ndarray:
    """Draws the lower end of the neck (V, 3) [m] in, so that it goes into a collar all around."""
    x, z = points[:, 0], points[:, 2] - COLLAR_MIDDLE
    beyond = np.maximum(np.hypot(x / COLLAR[0], z / COLLAR[1]), 1.0)
    share = np.clip((FREE - points[:, 1]) / (FREE - INSIDE), 0, 1)
    scale = 1 - share * (1 - 1 / beyond)
    return np.stack([scale * x, points[:, 1], scale * z + COLLAR_MIDDLE], axis=1)


def _shell_lift(points: np.ndarray, triangles: np.ndarray, skin_size: int) -> np.ndarray:
    """Share of the skull's motion that each vertex of head and neck follows, (V,) in 0..1.

    The skin, which is simulated in the frame of the skull, follows all of it. The neck bends between skull
    and collar, so that no gap opens in the collar when the head turns.
    """
    height = points[:, 1]
    known = dict.fromkeys(np.flatnonzero(height < STILL).tolist(), 0.0)
    known |= dict.fromkeys(np.flatnonzero(height > SKULL).tolist(), 1.0)
    known |= dict.fromkeys(range(skin_size), 1.0)
    lift = np.clip(harmonic_field(points, triangles, known), 0, 1)
    return lift**2 * (3 - 2 * lift)  # level at both ends, so that no edge shows


def _shell_jaw(points: np.ndarray, triangles: np.ndarray, skin: Arrays) -> np.ndarray:
    known = dict(enumerate(skin["jaw_weight"].tolist()))
    still = np.flatnonzero((points[:, 1] < NECK_CUT + 0.012) | (points[:, 2] < -0.06))
    known |= dict.fromkeys([i for i in still.tolist() if i >= len(skin["points"])], 0.0)
    return np.clip(harmonic_field(points, triangles, known), 0, 1)
