"""Pictures of the twin: a still, a sheet of expressions, a sheet of every actuator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from eva_sim.contact_sheet import BACKGROUND, INK, draw_contact_sheet, load_font, save_picture
from eva_sim.contract import Floats
from eva_sim.expressions import load_expressions
from eva_sim.settling import hold
from eva_sim.twin import Twin

HOLD_STEPS = 12  # control steps until the slowest servo has arrived and the skin has settled
FULL_SCALE = 15.0  # mm of displacement at the bright end of the map
#: Height of the colour scale below a sheet, and width of its bar [pixels].
SCALE_HEIGHT, SCALE_WIDTH = 50, 300


def write_still(twin: Twin, command: NDArray[np.float32], path: Path, size: int = 640) -> None:
    """Writes a picture of the twin holding a command."""
    _hold(twin, command)
    save_picture(Image.fromarray(twin.render(size)), path)


def write_expression_sheet(twin: Twin, path: Path, size: int = 320, intensity: float = 1.0) -> None:
    """Writes a sheet of all named expressions, at an intensity from 0 to 1."""
    tiles = []
    for name, command in load_expressions(twin.spec, intensity).items():
        _hold(twin, command)
        tiles.append((name, twin.render(size)))
    save_picture(draw_contact_sheet(tiles, columns=4), path)


def write_actuator_sheet(twin: Twin, path: Path, size: int = 240) -> None:
    """Writes a sheet of each actuator at its far end, coloured by the displacement of the surface."""
    from eva_sim.rendering.appearance import Appearance
    from eva_sim.rendering.renderer import Renderer

    camera = Renderer(Appearance(twin.spec).parts)
    twin.reset()
    rest, tiles = twin.placed()["head"], []
    for name in twin.spec.names:
        _hold(twin, twin.spec.command(**{name: -1.0 if name.startswith("lid") else 1.0}))
        placed = twin.placed()
        displacement = 1000 * np.linalg.norm(placed["head"] - rest, axis=1)
        camera.tint("head", _displacement_colours(displacement))
        tiles.append((f"{name}  {displacement.max():.1f} mm", camera.colour(placed, size)))
    save_picture(_add_scale(draw_contact_sheet(tiles, columns=5)), path)


def _hold(twin: Twin, command: NDArray[np.float32]) -> None:
    twin.reset()
    hold(twin, command, HOLD_STEPS)


def _displacement_colours(displacement: Floats) -> NDArray[np.uint8]:
    """Returns a colour for each displacement [mm], (N, 3); zero is not black, so the face stays visible."""
    from matplotlib import colormaps

    shades = colormaps["magma"](0.12 + 0.88 * np.clip(displacement / FULL_SCALE, 0, 1))
    return (255 * shades[:, :3]).astype(np.uint8)


def _add_scale(sheet: Image.Image) -> Image.Image:
    """Adds a colour scale of displacements below a sheet."""
    (width, height), left = sheet.size, 8
    image = Image.new("RGB", (width, height + SCALE_HEIGHT), BACKGROUND)
    image.paste(sheet)
    draw, font = ImageDraw.Draw(image), load_font()
    bar = np.tile(_displacement_colours(np.linspace(0, FULL_SCALE, SCALE_WIDTH)), (14, 1, 1))
    image.paste(Image.fromarray(bar), (left, height + 8))
    for share in (0, 1 / 3, 2 / 3, 1):
        unit = " mm and more" if share == 1 else ""
        x = left + share * (SCALE_WIDTH - 10)
        draw.text((x, height + 26), f"{share * FULL_SCALE:.0f}{unit}", INK, font)
    return image
