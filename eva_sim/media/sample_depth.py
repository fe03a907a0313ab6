"""Samples of any depth and kind as 8-bit RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageCms

from eva_sim.media.assumptions import Assumptions

#: What shows through transparent parts.
_BACKGROUND = (255, 255, 255)
#: Tags of a TIFF: bits of a sample; kind of sample, of which 2 is signed.
_BITS, _KIND, _SIGNED = 258, 339, 2
#: What may be white in samples whose depth does not say it: the smallest that holds all samples is taken.
_WHITES = (1.0, 255.0, 65535.0, float(2**31 - 1), float(2**32 - 1))


def to_rgb(image: Image.Image, assumed: Assumptions) -> Image.Image:
    """Converts a loaded picture to 8-bit RGB.

    Samples of 16 bits are scaled by their range. Transparent parts are laid over white.

    Args:
        image: of any mode.
        assumed: takes a note of what the file does not say.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _grey_to_rgb(image, assumed)
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (*_BACKGROUND, 255))
        if coloured.getchannel("A").getextrema() != (255, 255):
            assumed.add("transparent parts are shown white")
        return Image.alpha_composite(background, coloured).convert("RGB")
    return image.convert("RGB")


def _grey_to_rgb(image: Image.Image, assumed: Assumptions) -> Image.Image:
    samples = np.asarray(image).astype(float)
    tags = getattr(image, "tag_v2", None) or {}
    if image.mode == "I" and tags.get(_KIND, (1,))[0] != _SIGNED:
        samples = np.where(samples < 0, samples + 2.0**32, samples)  # Pillow keeps 32 bits as signed ones
    samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    if image.mode.startswith("I;16"):
        white = 2.0 ** int(tags.get(_BITS, (16,))[0]) - 1
    else:
        white = _guess_white(samples, image.mode == "F")
        assumed.add("samples of 32 bits: {white:.10g} is taken as white", white=white)
    grey = np.clip(samples * (255 / white), 0, 255).round().astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _guess_white(samples: np.ndarray, fractions: bool) -> float:
    top = float(samples.max())
    known = [white for white in _WHITES[0 if fractions else 1 :] if top <= white]
    return known[0] if known else top


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
    assert converted is not None  # it is not done in place
    return converted
