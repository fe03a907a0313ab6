"""Samples of any depth and kind as 8-bit RGB."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from eva_sim.media.assumptions import Assumptions

#: What shows through transparent parts.
_BACKGROUND = (255, 255, 255)
#: Tags of a TIFF: bits of a sample; kind of sample, 2 if signed; meaning of samples, 0 if white is 0.
_BITS, _KIND, _SIGNED, _MEANING = 258, 339, 2, 262
#: What may be white in samples of 32 bits: the smallest that holds all samples is taken. The first one is for
#: fractions.
_WHITES = (1.0, 255.0, 65535.0, float(2**31 - 1), float(2**32 - 1))


class SampleRange(NamedTuple):
    """The range of grey samples as far as a file says it.

    Attributes:
        white: the largest sample; None if the file does not say it.
        signed: whether samples may be negative.
        inverted: whether small samples are bright.
    """

    white: float | None
    signed: bool
    inverted: bool

    @classmethod
    def of(cls, image: Image.Image) -> SampleRange:
        """Reads it from an open file."""
        tags = getattr(image, "tag_v2", None) or {}
        usual = 32 if image.mode in ("I", "F") and image.format != "PPM" else 16
        bits, signed = int(tags.get(_BITS, (usual,))[0]), tags.get(_KIND, (1,))[0] == _SIGNED
        told = bits <= 16 and image.mode != "F"
        return cls(2.0 ** (bits - signed) - 1 if told else None, signed, tags.get(_MEANING) == 0)


def to_rgb(image: Image.Image, samples: SampleRange, assumed: Assumptions) -> Image.Image:
    """Converts a loaded picture to 8-bit RGB.

    Grey samples of more than 8 bits are scaled by their range. Transparent parts are laid over white.

    Args:
        image: of any mode.
        samples: range of its grey samples.
        assumed: takes a note of what the file does not say.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _grey_to_rgb(image, samples, assumed)
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (*_BACKGROUND, 255))
        if coloured.getchannel("A").getextrema() != (255, 255):
            assumed.add("transparent parts are shown white")
        return Image.alpha_composite(background, coloured).convert("RGB")
    return image.convert("RGB")


def _grey_to_rgb(image: Image.Image, samples: SampleRange, assumed: Assumptions) -> Image.Image:
    values = np.array(image, np.float32)
    if image.mode == "I" and not samples.signed:
        values[values < 0] += 2.0**32  # Pillow keeps 32 bits as signed ones
    values[~np.isfinite(values)] = 0
    white = samples.white
    if white is None:
        white = _guess_white(values, fractions=image.mode == "F")
        assumed.add("samples of 32 bits: {white:.10g} is taken as white", white=white)
    values *= 255 / white
    grey = np.clip(values, 0, 255, out=values).round(out=values).astype(np.uint8)
    return Image.fromarray(255 - grey if samples.inverted else grey).convert("RGB")


def _guess_white(values: np.ndarray, fractions: bool) -> float:
    top = float(values.max())
    known = [white for white in _WHITES[0 if fractions else 1 :] if top <= white]
    return known[0] if known else top


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
    assert converted is not None  # it is not done in place
    return converted
