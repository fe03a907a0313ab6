"""Pictures of the twin: a still, a sheet of expressions, a sheet of every muscle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eva_sim.contract import Floats
from eva_sim.errors import DataError
from eva_sim.expressions import load_expressions
from eva_sim.files import atomic_path
from eva_sim.twin import Twin

SETTLE = 12  # control steps: the slowest servo has arrived and the skin with it
FULL_SCALE = 15.0  # mm of displacement at the bright end of the map
BACKGROUND, INK = (250, 250, 248), (30, 34, 40)


def write_still(twin: Twin, command: NDArray[np.float32], path: Path, size: int = 640) -> None:
    """Writes a picture of the twin holding a command."""
    _hold(twin, command)
    _save(Image.fromarray(twin.render(size)), path)


def write_expression_sheet(twin: Twin, path: Path, size: int = 320) -> None:
    """Writes a sheet of all named expressions."""
    tiles = []
    for name, command in load_expressions(twin.spec).items():
        _hold(twin, command)
        tiles.append((name, twin.render(size)))
    _save(_tiled(tiles, 4), path)


def write_actuator_sheet(twin: Twin, path: Path, size: int = 240) -> None:
    """Writes a sheet of each actuator at its far end, coloured by how far the surface moved."""
    from eva_sim.appearance import Appearance
    from eva_sim.renderer import Renderer

    camera = Renderer(Appearance().parts)
    twin.reset()
    rest, tiles = twin.placed()["head"], []
    for name in twin.spec.names:
        _hold(twin, twin.spec.command(**{name: -1.0 if name.startswith("lid") else 1.0}))
        placed = twin.placed()
        moved = 1000 * np.linalg.norm(placed["head"] - rest, axis=1)
        camera.tint("head", _colours(moved))
        tiles.append((f"{name}  {moved.max():.1f} mm", camera.colour(placed, size)))
    _save(_with_scale(_tiled(tiles, 5)), path)


def _colours(moved: Floats) -> NDArray[np.uint8]:
    """A colour for each distance [mm], (N, 3); no distance is not black, so that a face remains."""
    from matplotlib import colormaps

    shades = colormaps["magma"](0.12 + 0.88 * np.clip(moved / FULL_SCALE, 0, 1))
    return (255 * shades[:, :3]).astype(np.uint8)


def _with_scale(write_expression_sheet: Image.Image) -> Image.Image:
    """The sheet with a bar below that says which colour is how far."""
    (width, height), left, bar = write_expression_sheet.size, 8, 300
    image = Image.new("RGB", (width, height + 50), BACKGROUND)
    image.paste(write_expression_sheet)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    strip = np.tile(_colours(np.linspace(0, FULL_SCALE, bar)), (14, 1, 1))
    image.paste(Image.fromarray(strip), (left, height + 8))
    for share in (0, 1 / 3, 2 / 3, 1):
        more = " mm and more" if share == 1 else ""
        draw.text((left + share * (bar - 10), height + 26), f"{share * FULL_SCALE:.0f}{more}", INK, font)
    return image


def _hold(twin: Twin, command: NDArray[np.float32]) -> None:
    twin.reset()
    for _ in range(SETTLE):
        twin.move(command)


def _tiled(tiles: Sequence[tuple[str, NDArray[np.uint8]]], columns: int) -> Image.Image:
    side, label = tiles[0][1].shape[0], 26
    rows = -(-len(tiles) // columns)
    image = Image.new("RGB", (columns * side, rows * (side + label)), BACKGROUND)
    draw = ImageDraw.Draw(image)
    for n, (name, picture) in enumerate(tiles):
        x, y = n % columns * side, n // columns * (side + label)
        image.paste(Image.fromarray(picture), (x, y + label))
        draw.text((x + 8, y + 5), name, INK, ImageFont.load_default(14))
    return image


def _save(image: Image.Image, path: Path) -> None:
    if path.suffix.lower() not in Image.registered_extensions():
        raise DataError(f"{path} has no ending of a picture; name it .png or .jpg.")
    with atomic_path(path) as part:
        image.save(part)
