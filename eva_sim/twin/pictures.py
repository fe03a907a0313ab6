"""Pictures of the twin: a still, sheets of expressions and of every actuator, and faces compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial.transform import Rotation

from eva_sim.contact_sheet import BACKGROUND, INK, draw_contact_sheet, load_font, save_picture
from eva_sim.contract import Floats
from eva_sim.errors import ArgumentValueError, known_names
from eva_sim.expressions import load_expressions
from eva_sim.settling import hold
from eva_sim.twin import Twin
from eva_sim.twin.head_camera import HeadCamera

HOLD_STEPS = 12  # control steps until the slowest servo has arrived and the skin has settled
#: The colour scales of displacements and of errors end at a multiple of these [mm].
SCALE_STEP, ERROR_STEP = 5.0, 0.5
#: Height of the colour scale below a sheet, and width of its bar [pixels].
SCALE_HEIGHT, SCALE_WIDTH = 50, 300


#: Angle by which the camera goes around the head for each view [degrees; positive to the robot's own left].
VIEWS = {"front": 0.0, "side": 90.0, "other-side": -90.0, "half-side": 40.0}
#: Share by which a camera aside is further away than one in front: the back of the head is in its picture.
_FURTHER = 0.2


def set_view(twin: Twin, view: str) -> None:
    """Moves the camera around the twin's head; it still looks at the face.

    Args:
        twin: its other parameters become those of the tables.
        view: one of `VIEWS`.

    Raises:
        ArgumentValueError: there is no such view.
    """
    from eva_sim.rendering.renderer import CAMERA_POSITION, CAMERA_TARGET

    if view not in VIEWS:
        raise ArgumentValueError(f"no view called {view!r}; {known_names(view, list(VIEWS))}.")
    away = np.subtract(CAMERA_POSITION, CAMERA_TARGET)
    turned = Rotation.from_euler("y", VIEWS[view], degrees=True).apply(away)
    distance = 1 + _FURTHER if VIEWS[view] else 1
    twin.set_parameters({"camera": distance * turned - away})


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
    save_picture(_add_scale(draw_contact_sheet(tiles, columns=5), full_scale, SCALE_STEP), path)


class ComparedFaces(NamedTuple):
    """Two commands whose faces are compared.

    Attributes:
        name: for the captions.
        target: command of the face that was asked for, (25,).
        made: command of the face that was made, (25,).
    """

    name: str
    target: NDArray[np.float32]
    made: NDArray[np.float32]


def write_comparison_sheet(twin: Twin, pairs: Sequence[ComparedFaces], path: Path, size: int = 240) -> None:
    """Writes a sheet with a row for each pair: target, robot, and how far its surface is from the target.

    Target and robot are drawn in studio light.

    Args:
        twin: is moved; its own style is `"plain"`.
        pairs: at least one.
        path: of the picture.
        size: side of each picture [pixels].
    """
    from eva_sim.rendering.appearance import Appearance
    from eva_sim.rendering.renderer import Renderer

    camera, studio, rows = Renderer(Appearance(twin.spec).parts), HeadCamera(twin.spec, "fine"), []
    for pair in pairs:
        pictures, placed = [], []
        for command in (pair.target, pair.made):
            _hold(twin, command)
            pictures.append(studio.picture(twin.skin.points, twin.head.pose, size))
            placed.append(twin.placed())
        distance = 1000 * np.linalg.norm(placed[1]["head"] - placed[0]["head"], axis=1)
        rows.append((pair.name, pictures, placed[1], distance))
    full_scale = ERROR_STEP * np.ceil(max(distance.max() for *_, distance in rows) / ERROR_STEP)
    tiles = []
    for name, (target, made), parts, distance in rows:
        camera.tint("head", _displacement_colours(distance / (full_scale or 1.0)))
        error = camera.colour(parts, size)
        named = f"error, up to {distance.max():.2f} mm"
        tiles += [(f"{name}: target", target), (f"{name}: robot", made), (named, error)]
    save_picture(_add_scale(draw_contact_sheet(tiles, columns=3), full_scale or ERROR_STEP, ERROR_STEP), path)


def _hold(twin: Twin, command: NDArray[np.float32]) -> None:
    twin.reset()
    hold(twin, command, HOLD_STEPS)


def _displacement_colours(share: Floats) -> NDArray[np.uint8]:
    """Returns a colour for each share of the scale, (N, 3); zero is not black, so the face stays visible."""
    from matplotlib import colormaps

    shades = colormaps["magma"](0.12 + 0.88 * share)
    return (255 * shades[:, :3]).astype(np.uint8)


def _add_scale(sheet: Image.Image, full_scale: float, step: float) -> Image.Image:
    """Adds a colour scale, up to `full_scale` [mm] with a number at each `step`, below a sheet."""
    (width, height), left = sheet.size, 8
    image = Image.new("RGB", (width, height + SCALE_HEIGHT), BACKGROUND)
    image.paste(sheet)
    draw, font = ImageDraw.Draw(image), load_font()
    bar = np.tile(_displacement_colours(np.linspace(0, 1, SCALE_WIDTH)), (14, 1, 1))
    image.paste(Image.fromarray(bar), (left, height + 8))
    for share in np.linspace(0, 1, round(full_scale / step) + 1):
        unit = " mm" if share == 1 else ""
        x = left + share * (SCALE_WIDTH - 10)
        draw.text((x, height + 26), f"{share * full_scale:g}{unit}", INK, font)
    return image
