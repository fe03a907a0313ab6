"""Pictures of the twin: a still, a sheet of expressions, a sheet of every muscle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eva_sim.expressions import expressions
from eva_sim.files import atomic
from eva_sim.twin import Twin

SETTLE = 12  # control steps: the slowest servo has arrived and the skin with it
FULL_SCALE = 15.0  # mm of displacement at the bright end of the map


def still(twin: Twin, command: NDArray[np.float32], path: Path, size: int = 640) -> None:
    """Writes a picture of the twin holding a command."""
    _hold(twin, command)
    _save(Image.fromarray(twin.render(size)), path)


def sheet(twin: Twin, path: Path, size: int = 320) -> None:
    """Writes a sheet of all named expressions."""
    tiles = []
    for name, command in expressions().items():
        _hold(twin, command)
        tiles.append((name, twin.render(size)))
    _save(_tiled(tiles, 4), path)


def muscles(twin: Twin, path: Path, size: int = 240) -> None:
    """Writes a sheet of each actuator at its far end, coloured by how far the surface moved."""
    from matplotlib import colormaps

    from eva_sim.appearance import Appearance
    from eva_sim.camera import Camera

    camera, colours = Camera(Appearance().parts), colormaps["magma"]
    twin.reset()
    rest, tiles = twin.placed()["head"], []
    for name in twin.spec.names:
        _hold(twin, twin.spec.command(**{name: -1.0 if name.startswith("lid") else 1.0}))
        placed = twin.placed()
        moved = 1000 * np.linalg.norm(placed["head"] - rest, axis=1)
        camera.tint(
            "head", (colours(0.12 + 0.88 * np.clip(moved / FULL_SCALE, 0, 1))[:, :3] * 255).astype(np.uint8)
        )
        tiles.append((f"{name}  {moved.max():.1f} mm", camera.colour(placed, size)))
    _save(_tiled(tiles, 5), path)


def _hold(twin: Twin, command: NDArray[np.float32]) -> None:
    twin.reset()
    for _ in range(SETTLE):
        twin.move(command)


def _tiled(tiles: Sequence[tuple[str, NDArray[np.uint8]]], columns: int) -> Image.Image:
    side, label = tiles[0][1].shape[0], 26
    rows = -(-len(tiles) // columns)
    image = Image.new("RGB", (columns * side, rows * (side + label)), (250, 250, 248))
    draw = ImageDraw.Draw(image)
    for n, (name, picture) in enumerate(tiles):
        x, y = n % columns * side, n // columns * (side + label)
        image.paste(Image.fromarray(picture), (x, y + label))
        draw.text((x + 8, y + 5), name, fill=(30, 34, 40), font=ImageFont.load_default(14))
    return image


def _save(image: Image.Image, path: Path) -> None:
    with atomic(path) as part:
        image.save(part)
