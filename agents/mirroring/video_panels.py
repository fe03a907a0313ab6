"""Pictures of a mirrored source: video frames (person | robot | curves) and a summary page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from eva_sim.contact_sheet import BACKGROUND, INK, PERSON, QUIET, ROBOT, load_font
from eva_sim.contract import FaceSpec, Floats
from eva_sim.files import atomic_path
from eva_sim.landmarks import face_measurements

Picture = NDArray[np.uint8]
HEIGHT, TRACE_WIDTH = 480, 420  # pixels
PLOTTED = {"jaw_opening": "mouth opening", "mouth_width": "mouth width", "brow_height": "brow height"}
MAX_PAIRS = 6  # pairs of pictures on the summary page


@dataclass(frozen=True)
class MirrorCurves:
    """Curves of a mirrored source.

    Attributes:
        time: (T,) [s].
        curves: person's and robot's curve by measurement, (T,) each: the change from their own neutral,
            both on the one scale on which they fill 0..1, so that the robot's range can be seen.
        commands: of the actuators that move landmarks, (T, M) in 0..1 of travel.
        actuators: name these actuators in words.
    """

    time: Floats
    curves: Mapping[str, tuple[Floats, Floats]]
    commands: Floats
    actuators: str

    @classmethod
    def of(
        cls,
        spec: FaceSpec,
        time: Floats,
        person: tuple[Floats, Floats],
        robot: tuple[Floats, Floats],
        commands: Floats,
    ) -> MirrorCurves:
        """Builds them from aligned faces (T, N, 3), their neutral faces (N, 3) and commands (T, 25)."""
        person_change, robot_change = _changes(*person), _changes(*robot)
        curves = {name: _to_unit_scale(person_change[name], robot_change[name]) for name in PLOTTED}
        share = (commands[:, spec.expressive] + 1) / 2
        return cls(time, curves, share, _describe_actuators(spec))


def _changes(faces: Floats, neutral: Floats) -> dict[str, Floats]:
    rest = face_measurements(neutral)
    return {name: curve - rest[name] for name, curve in face_measurements(faces).items()}


def _to_unit_scale(person: Floats, robot: Floats) -> tuple[Floats, Floats]:
    both = np.concatenate([person, robot])
    low, width = float(both.min()), max(float(np.ptp(both)), 1e-3)
    return (person - low) / width, (robot - low) / width


def _describe_actuators(spec: FaceSpec) -> str:
    """Names the actuators that move landmarks, e.g. "12 cables, jaw, 2 lids"."""
    counts = Counter(spec.actuators[i].kind for i in spec.expressive)
    return ", ".join(kind if count == 1 else f"{count} {kind}s" for kind, count in counts.items())


def key_steps(curves: MirrorCurves) -> list[int]:
    """Chooses steps for the summary page: peaks of the person's curves, a quiet one, some between."""
    total = sum(person for person, _ in curves.curves.values())
    chosen = [int(np.argmin(total))]
    for person, _ in curves.curves.values():
        chosen.append(int(np.argmax(person)))
    for share in (0.3, 0.5, 0.7, 0.9):
        chosen.append(int(share * (len(curves.time) - 1)))
    return sorted(set(chosen))[:MAX_PAIRS]


def resize_to_panel(picture: Picture) -> tuple[Picture, float]:
    """Returns the picture `HEIGHT` high, and its scale."""
    scale = HEIGHT / picture.shape[0]
    image = Image.fromarray(picture).resize((round(picture.shape[1] * scale), HEIGHT))
    return np.asarray(image), scale


def draw_person(picture: Picture, points: Floats | None, accepted: bool) -> Picture:
    """Draws the person's landmarks, (N, 3) [pixels], y up, into the picture; red if not accepted."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    if points is None:
        draw.text((12, 10), "no face", fill=(230, 90, 80), font=load_font(18))
    else:
        colour = (80, 230, 160) if accepted else (230, 90, 80)
        for x, y in (points[:, :2] * [1, -1]).tolist():
            draw.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=colour)
    return np.asarray(image)


def mirror_image(picture: Picture, points: Floats | None) -> tuple[Picture, Floats | None]:
    """Exchanges left and right of a picture and of points in it, (N, 3) [pixels], y up."""
    flipped = np.ascontiguousarray(picture[:, ::-1])
    return flipped, None if points is None else points * [-1, 1, 1] + [picture.shape[1] - 1, 0, 0]


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
        box = (left, 34 + 104 * row, width, 66)
        draw.text((left, box[1] - 24), PLOTTED[name], fill=INK, font=load_font(14))
        _curve(draw, box, person_curve, len(person_curve), PERSON)
        _curve(draw, box, robot_curve, step + 1, ROBOT)
        x = left + width * step / max(1, len(person_curve) - 1)
        draw.line([x, box[1], x, box[1] + box[3]], fill=QUIET)
    draw.text((left + width - 104, 10), "person", fill=PERSON, font=load_font(14))
    draw.text((left + width - 44, 10), "robot", fill=ROBOT, font=load_font(14))
    _bars(draw, (left, 352, width, 104), curves.commands[step])
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


def _bars(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], values: Floats) -> None:
    x, y, width, height = box
    pitch = width / len(values)
    for i, value in enumerate(values):
        left = x + i * pitch
        draw.rectangle([left, y, left + pitch * 0.7, y + height], fill=(232, 234, 238))
        draw.rectangle([left, y + height * (1 - float(value)), left + pitch * 0.7, y + height], fill=ROBOT)


def write_summary(
    path: Path, curves: MirrorCurves, pairs: Mapping[int, tuple[Picture, Picture]], metrics: Mapping[str, Any]
) -> None:
    """Draws one page: pairs of pictures above, curves with their correlations below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    rows: Any = figure.subfigures(2, 1, height_ratios=[1.05, 1])
    tiles = np.atleast_2d(rows[0].subplots(2, max(1, len(pairs))))
    if len(pairs) == 1:
        tiles = tiles.reshape(2, 1)
    for column, (step, pair) in enumerate(sorted(pairs.items())):
        for row in range(2):
            tiles[row, column].imshow(pair[row])
            tiles[row, column].axis("off")
        tiles[0, column].set_title(f"{curves.time[step]:.1f} s", fontsize=10)
    axes = rows[1].subplots(len(curves.curves), 1, sharex=True)
    for plot, (name, (person_curve, robot_curve)) in zip(axes, curves.curves.items(), strict=True):
        plot.plot(curves.time, person_curve, color=np.array(PERSON) / 255, label="person")
        plot.plot(curves.time, robot_curve, color=np.array(ROBOT) / 255, label="robot")
        plot.set_title(f"{PLOTTED[name]}: {describe_measurement(name, metrics)}", fontsize=10, loc="left")
        plot.set_yticks([0, 1])
        plot.spines[["top", "right"]].set_visible(False)
    axes[0].legend(loc="upper right", frameon=False)
    axes[-1].set_xlabel("time [s]; person and robot on one scale, from their own neutral faces")
    with atomic_path(path) as part:
        figure.savefig(part, dpi=110)


def describe_measurement(name: str, metrics: Mapping[str, Any]) -> str:
    """Says in words how well the robot followed one measurement."""
    value, share = metrics["correlation"][name], metrics["amplitude"][name]["share"]
    if value is None or share is None:
        return "person or robot at rest"
    return f"r = {value:.2f}, the robot's range is {100 * share:.0f} % of the person's"
