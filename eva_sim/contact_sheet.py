"""Contact sheets: captioned pictures in columns. Also the palette and font of every drawn picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eva_sim.errors import DataError
from eva_sim.files import atomic_path

BACKGROUND, INK, QUIET = (250, 250, 248), (30, 34, 40), (176, 182, 190)
PERSON, ROBOT = (217, 119, 6), (37, 99, 200)  # colours of curves and bars
FONT_SIZE = 14  # pixels
CAPTION_HEIGHT = 26  # pixels

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def load_font(size: int = FONT_SIZE) -> Font:
    """Returns the font of captions and labels, of a size in pixels."""
    return ImageFont.load_default(size)


def draw_contact_sheet(tiles: Sequence[tuple[str, NDArray[np.uint8]]], columns: int) -> Image.Image:
    """Draws captioned pictures, row by row.

    Args:
        tiles: captions and pictures, uint8 (side, side, 3), all of one size; at least one.
        columns: number of pictures in a row.
    """
    side = tiles[0][1].shape[0]
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + CAPTION_HEIGHT)), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), load_font()
    for n, (caption, picture) in enumerate(tiles):
        x, y = n % columns * side, n // columns * (side + CAPTION_HEIGHT)
        sheet.paste(Image.fromarray(picture), (x, y + CAPTION_HEIGHT))
        draw.text((x + 8, y + 5), caption, INK, font)
    return sheet


def check_picture_name(path: Path) -> None:
    """Checks that a path is not a folder, and ends like that of a picture.

    Raises:
        DataError: it is, or does not.
    """
    if os.path.isdir(path):  # False also for a name that is too long
        raise DataError(f"{path} is a folder; name a picture in it, as in {path / 'face.png'}.")
    if path.suffix.lower() not in Image.registered_extensions():
        raise DataError(f"{path} has no extension of a picture; name it .png or .jpg, as in {path.name}.png.")


def save_picture(image: Image.Image, path: Path) -> None:
    """Writes a picture atomically, in the format of the path's extension.

    Raises:
        DataError: the extension is not that of a picture, or the file cannot be written.
    """
    check_picture_name(path)
    with atomic_path(path) as part:
        image.save(part)
