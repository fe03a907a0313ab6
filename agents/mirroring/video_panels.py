"""Pictures of a mirrored source: video frames (person | robot | curves) and a summary page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from eva_sim.contact_sheet import BACKGROUND, INK, PERSON, QUIET, ROBOT, load_font
from eva_sim.contract import FaceSpec, Floats
from eva_sim.detector import DetectedFace
from eva_sim.landmarks import measurement_in_words
from eva_sim.media.geometry import fit_with_bars
from eva_sim.plots import write_plot

Picture = NDArray[np.uint8]
HEIGHT, TRACE_WIDTH, ROW = 480, 420, 60  # pixels
MIN_WIDTH, MAX_WIDTH = 120, 1920  # of a person's picture [pixels]
#: What is plotted, in words, and the smallest scale of its curve, so that the noise of a face at rest looks
#: small [outer-eye distances, rad].
PLOTTED = {
    "jaw_opening": ("mouth opening", 0.03),
    "mouth_width": ("mouth width", 0.03),
    "brow_height": ("brow height", 0.03),
    "head_turn": ("head turn", 0.2),
    "gaze_sideways": ("gaze", 0.2),
}
INSET = 0.3  # side of a small picture in another one, as a share of that
MAX_PAIRS = 6  # pairs of pictures on the summary page
_LABEL = 76  # height of the label below a bar [pixels]
#: The summary page: width, height of curves and of titles [inches], least number of pairs to fill it.
_PAGE, _CURVES, _TITLE, _FEWEST = 13.0, 6.0, 0.4, 4


@dataclass(frozen=True)
class MirrorCurves:
    """Curves of a mirrored source.

    Attributes:
        time: (T,) [s].
        curves: person's and robot's curve by measurement, (T,) each: the change from their own neutral,
            both on the one scale on which they fill 0..1, so that the robot's range can be seen.
        commands: of the actuators that move landmarks, (T, M) in 0..1 of travel.
        actuators: name these actuators in words.
        labels: short names of these actuators, (M,).
    """

    time: Floats
    curves: Mapping[str, tuple[Floats, Floats]]
    commands: Floats
    actuators: str
    labels: tuple[str, ...]

    @classmethod
    def of(
        cls,
        spec: FaceSpec,
        time: Floats,
        person: Mapping[str, Floats],
        robot: Mapping[str, Floats],
        commands: Floats,
    ) -> MirrorCurves:
        """Builds them from how far both are from rest, (T,) by measurement, and from commands, (T, 25)."""
        curves = {name: _to_unit_scale(person[name], robot[name], PLOTTED[name][1]) for name in PLOTTED}
        share = (commands[:, spec.expressive] + 1) / 2
        labels = tuple(_short_name(spec.names[i]) for i in spec.expressive)
        return cls(time, curves, share, _describe_actuators(spec), labels)


def _to_unit_scale(person: Floats, robot: Floats, smallest: float) -> tuple[Floats, Floats]:
    both = np.concatenate([person, robot])
    low, width = float(both.min()), max(float(np.ptp(both)), smallest)
    return (person - low) / width, (robot - low) / width


def _describe_actuators(spec: FaceSpec) -> str:
    """Names the actuators that move landmarks, e.g. "12 cables, jaw, 2 lids"."""
    counts = Counter(spec.actuators[i].kind for i in spec.expressive)
    return ", ".join(kind if count == 1 else f"{count} {kind}s" for kind, count in counts.items())


def _short_name(actuator: str) -> str:
    """Returns the name of an actuator on a bar, e.g. "brow outer L"."""
    for side, letter in (("_left", " L"), ("_right", " R")):
        actuator = actuator.removesuffix(side) + letter if actuator.endswith(side) else actuator
    return actuator.replace("_", " ")


def key_steps(curves: MirrorCurves) -> list[int]:
    """Chooses steps for the summary page: peaks of the person's curves, a quiet one, some between."""
    total = sum(person for person, _ in curves.curves.values())
    chosen = [int(np.argmin(total))]
    for person, _ in curves.curves.values():
        chosen.append(int(np.argmax(person)))
    for share in (0.3, 0.5, 0.7, 0.9):
        chosen.append(int(share * (len(curves.time) - 1)))
    return sorted(set(chosen))[:MAX_PAIRS]


def resize_to_panel(picture: Picture) -> tuple[Picture, float, Floats]:
    """Makes a picture `HEIGHT` high; a very wide or very high one gets bars.

    Returns:
        The picture; its scale; and where its upper left corner is, (3,) [pixels], y up, to move landmarks by.
    """
    scale = HEIGHT / picture.shape[0]
    width = round(picture.shape[1] * scale)
    place = min(max(width, MIN_WIDTH), MAX_WIDTH)
    if place == width:
        import cv2  # ten times faster than Pillow, and live every picture comes through here

        smoothing = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        panel: Any = cv2.resize(picture, (width, HEIGHT), interpolation=smoothing)
        return panel, scale, np.zeros(3)
    panel, scale, (left, top) = fit_with_bars(picture, place, HEIGHT)
    return panel, scale, np.array([left, -top, 0.0])


def draw_person(picture: Picture, face: DetectedFace | None, accepted: bool) -> Picture:
    """Draws the person's landmarks and irises into the picture; red if not accepted."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    if face is None:
        draw.text((12, 10), "no face", fill=(230, 90, 80), font=load_font(18))
    else:
        colour = (80, 230, 160) if accepted else (230, 90, 80)
        points = np.concatenate([face.landmarks, face.irises])
        for x, y in (points[:, :2] * [1, -1]).tolist():
            draw.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=colour)
    return np.asarray(image)


def mirror_image(picture: Picture, face: DetectedFace | None) -> tuple[Picture, DetectedFace | None]:
    """Exchanges left and right of a picture and of a face in it."""
    flipped = np.ascontiguousarray(picture[:, ::-1])
    return flipped, None if face is None else face.mirrored(picture.shape[1])


def add_inset(picture: Picture, small: Picture, label: str) -> Picture:
    """Puts a small square picture with a label into the lower left corner of a picture."""
    image, side = Image.fromarray(picture), round(INSET * picture.shape[0])
    image.paste(Image.fromarray(small).resize((side, side)), (0, image.height - side))
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, image.height - side, side - 1, image.height - 1], outline=BACKGROUND)
    draw.text((6, image.height - side + 4), label, fill=BACKGROUND, font=load_font(14))
    return np.asarray(image)


def side_by_side(person: Picture, robot: Picture, text: str, note: str = "") -> Picture:
    """Puts both side by side, each `HEIGHT` high, above a line: a text on its left, a note on its right."""
    width = person.shape[1] + robot.shape[1]
    image = Image.new("RGB", (width, HEIGHT + 36), BACKGROUND)
    image.paste(Image.fromarray(person), (0, 0))
    image.paste(Image.fromarray(robot), (person.shape[1], 0))
    draw = ImageDraw.Draw(image)
    draw.text((12, HEIGHT + 8), text, fill=INK, font=load_font(16))
    draw.text((width - 12, HEIGHT + 8), note, fill=INK, font=load_font(16), anchor="ra")
    return np.asarray(image)


def video_frame(person: Picture, robot: Picture, curves: MirrorCurves, step: int) -> Picture:
    """Draws one frame of the video."""
    size = robot.shape[0]
    image = Image.new("RGB", (person.shape[1] + size + TRACE_WIDTH, HEIGHT), BACKGROUND)
    image.paste(Image.fromarray(person), (0, 0))
    image.paste(Image.fromarray(robot), (person.shape[1], 0))
    draw = ImageDraw.Draw(image)
    left = person.shape[1] + size + 24
    width = TRACE_WIDTH - 48
    for row, (name, (person_curve, robot_curve)) in enumerate(curves.curves.items()):
        box = (left, 30 + ROW * row, width, ROW - 24)
        draw.text((left, box[1] - 19), PLOTTED[name][0], fill=INK, font=load_font(13))
        _curve(draw, box, person_curve, len(person_curve), PERSON)
        _curve(draw, box, robot_curve, step + 1, ROBOT)
        x = left + width * step / max(1, len(person_curve) - 1)
        draw.line([x, box[1], x, box[1] + box[3]], fill=QUIET)
    draw.text((left + width - 104, 10), "person", fill=PERSON, font=load_font(14))
    draw.text((left + width - 44, 10), "robot", fill=ROBOT, font=load_font(14))
    _bars(image, (left, 350, width, HEIGHT - 354), curves.commands[step], curves.labels)
    draw.text((left, 330), f"commands [share of travel]: {curves.actuators}", fill=INK, font=load_font(12))
    return np.asarray(image)


def _curve(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], curve: Floats, count: int, colour: Any
) -> None:
    x, y, width, height = box
    at = x + width * np.arange(count) / max(1, len(curve) - 1)
    points = list(zip(at.tolist(), (y + height * (1 - curve[:count])).tolist(), strict=True))
    if len(points) > 1:
        draw.line(points, fill=colour, width=2)


def _bars(image: Image.Image, box: tuple[int, int, int, int], values: Floats, labels: Sequence[str]) -> None:
    """Draws a bar for each value in 0..1, and below it its label, upwards."""
    x, y, width, height = box
    draw = ImageDraw.Draw(image)
    pitch, base = width / len(values), y + height - _LABEL
    for i, (value, label) in enumerate(zip(values.tolist(), labels, strict=True)):
        left, right = x + (i + 0.2) * pitch, x + (i + 0.8) * pitch
        draw.rectangle([left, y, right, base], fill=(232, 234, 238))
        draw.rectangle([left, base - (base - y) * value, right, base], fill=ROBOT)
        text = _upward_text(label, _LABEL - 4)
        image.paste(text, (round((left + right - text.width) / 2), base + 4))


@lru_cache(maxsize=64)
def _upward_text(text: str, longest: int) -> Image.Image:
    """Returns a picture of a text that runs upwards, at most `longest` pixels high."""
    font = load_font(10)
    length = min(longest, math.ceil(font.getlength(text)))
    line = Image.new("RGB", (length, 13), BACKGROUND)
    ImageDraw.Draw(line).text((0, 0), text, fill=INK, font=font)
    return line.rotate(90, expand=True)


def write_summary(
    path: Path, curves: MirrorCurves, pairs: Mapping[int, tuple[Picture, Picture]], metrics: Mapping[str, Any]
) -> None:
    """Draws one page: pairs of pictures above, curves with their correlations below.

    Of one picture, it shows the last pair, and how far person and robot are from their neutral faces.
    """
    if "change" in metrics:
        _write_still_summary(path, pairs[max(pairs)], metrics["change"])
        return
    # Rows are as high as their pictures, so that no strip between them is blank.
    heights = [_height_of_row([pair[row] for pair in pairs.values()]) for row in range(2)]
    above = sum(heights) + _TITLE
    with write_plot(path, figsize=(_PAGE, above + _CURVES), layout="constrained") as figure:
        rows: Any = figure.subfigures(2, 1, height_ratios=[above, _CURVES])
        tiles = rows[0].subplots(2, max(1, len(pairs)), squeeze=False, height_ratios=heights)
        for column, (step, pair) in enumerate(sorted(pairs.items())):
            for row in range(2):
                tiles[row, column].imshow(pair[row])
                tiles[row, column].axis("off")
            tiles[0, column].set_title(f"{curves.time[step]:.1f} s", fontsize=10)
        axes = rows[1].subplots(len(curves.curves), 1, sharex=True)
        for plot, (name, (person_curve, robot_curve)) in zip(axes, curves.curves.items(), strict=True):
            plot.plot(curves.time, person_curve, color=np.array(PERSON) / 255, label="person")
            plot.plot(curves.time, robot_curve, color=np.array(ROBOT) / 255, label="robot")
            plot.set_title(
                f"{PLOTTED[name][0]}: {describe_measurement(name, metrics)}", fontsize=10, loc="left"
            )
            plot.set_yticks([0, 1])
            plot.spines[["top", "right"]].set_visible(False)
        axes[0].legend(loc="upper right", frameon=False)
        axes[-1].set_xlabel("time [s]; person and robot on one scale, from their own neutral faces")


def _height_of_row(pictures: list[Picture]) -> float:
    """Returns the height of a row that pictures side by side fill [inches]; of half a square without any."""
    width = _PAGE / max(_FEWEST, len(pictures))
    return width * max((picture.shape[0] / picture.shape[1] for picture in pictures), default=0.5)


def _write_still_summary(
    path: Path, pair: tuple[Picture, Picture], change: Mapping[str, Mapping[str, float]]
) -> None:
    with write_plot(path, figsize=(13, 4.5), layout="constrained") as figure:
        *tiles, plot = figure.subplots(1, 3)
        for tile, picture, who in zip(tiles, pair, ("person", "robot"), strict=True):
            tile.imshow(picture)
            tile.axis("off")
            tile.set_title(who, fontsize=10)
        rows = np.arange(len(change))
        for shift, who, colour in ((-0.2, "person", PERSON), (0.2, "robot", ROBOT)):
            values = [each[who] for each in change.values()]
            plot.barh(rows + shift, values, 0.36, color=np.array(colour) / 255, label=who)
        plot.set_yticks(rows, [measurement_in_words(name) for name in change])
        plot.invert_yaxis()
        plot.axvline(0, color=np.array(QUIET) / 255, linewidth=1)
        plot.set_xlabel(
            "change from neutral [outer-eye distances, rad];\nan average face is the person's neutral one"
        )
        plot.spines[["top", "right"]].set_visible(False)
        plot.legend(frameon=False)


def describe_measurement(name: str, metrics: Mapping[str, Any]) -> str:
    """Says in words how well the robot followed one measurement."""
    value, share = metrics["correlation"][name], metrics["amplitude"][name]["share"]
    if value is None or share is None:
        return "person or robot at rest"
    return f"r = {value:.2f}, the robot's range is {100 * share:.0f} % of the person's"
