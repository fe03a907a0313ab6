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
#: The colour scale ends at a multiple of this [mm].
SCALE_STEP = 5.0
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
    rest, tiles, placed = twin.placed()["head"], [], {}
    for name in twin.spec.names:
        _hold(twin, twin.spec.command(**{name: -1.0 if name.startswith("lid") else 1.0}))
        placed[name] = twin.placed()
    moved = {name: 1000 * np.linalg.norm(parts["head"] - rest, axis=1) for name, parts in placed.items()}
    full_scale = SCALE_STEP * np.ceil(max(each.max() for each in moved.values()) / SCALE_STEP)
    for name, displacement in moved.items():
        camera.tint("head", _displacement_colours(displacement / full_scale))
        tiles.append((f"{name}  {displacement.max():.1f} mm", camera.colour(placed[name], size)))
    save_picture(_add_scale(draw_contact_sheet(tiles, columns=5), full_scale), path)


def _hold(twin: Twin, command: NDArray[np.float32]) -> None:
    twin.reset()
    hold(twin, command, HOLD_STEPS)


def _displacement_colours(share: Floats) -> NDArray[np.uint8]:
    """Returns a colour for each share of the scale, (N, 3); zero is not black, so the face stays visible."""
    from matplotlib import colormaps

    shades = colormaps["magma"](0.12 + 0.88 * share)
    return (255 * shades[:, :3]).astype(np.uint8)


def _add_scale(sheet: Image.Image, full_scale: float) -> Image.Image:
    """Adds a colour scale of displacements, up to `full_scale` [mm], below a sheet."""
    (width, height), left = sheet.size, 8
    image = Image.new("RGB", (width, height + SCALE_HEIGHT), BACKGROUND)
    image.paste(sheet)
    draw, font = ImageDraw.Draw(image), load_font()
    bar = np.tile(_displacement_colours(np.linspace(0, 1, SCALE_WIDTH)), (14, 1, 1))
    image.paste(Image.fromarray(bar), (left, height + 8))
    for share in np.linspace(0, 1, round(full_scale / SCALE_STEP) + 1):
        unit = " mm" if share == 1 else ""
        x = left + share * (SCALE_WIDTH - 10)
        draw.text((x, height + 26), f"{share * full_scale:.0f}{unit}", INK, font)
    return image
