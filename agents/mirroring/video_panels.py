"""What a mirrored clip looks like: person | robot | traces, and one page that sums it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eva_sim.contract import Floats, load_spec
from eva_sim.files import atomic_path
from eva_sim.landmarks import face_measurements

Picture = NDArray[np.uint8]
HEIGHT, TRACE_WIDTH = 480, 420  # pixels
PERSON, ROBOT, INK, QUIET, PAPER = (
    (217, 119, 6),
    (37, 99, 200),
    (30, 34, 40),
    (170, 176, 184),
    (250, 250, 248),
)
SHOWN = {"jaw_opening": "mouth opening", "mouth_width": "mouth width", "brow_height": "brow height"}
PAIRS = 6  # pictures on the summary page


@dataclass(frozen=True)
class Traces:
    """Curves of a mirrored clip.

    Attributes:
        time: (T,) [s].
        curves: person's and robot's curve by measure, (T,) each: how far from their own neutral, both
            on the one scale on which they fill 0..1, so that the robot's range can be seen.
        commands: of the actuators that move landmarks, (T, M) in 0..1 of travel.
    """

    time: Floats
    curves: Mapping[str, tuple[Floats, Floats]]
    commands: Floats

    @classmethod
    def of(
        cls, time: Floats, draw_person: tuple[Floats, Floats], robot: tuple[Floats, Floats], commands: Floats
    ) -> Traces:
        """Curves from aligned faces (T, N, 3), each with its neutral (N, 3), and commands (T, 25)."""
        mine, its = _moved(*draw_person), _moved(*robot)
        curves = {name: _scaled(mine[name], its[name]) for name in SHOWN}
        moving = load_spec().expressive
        return cls(time, curves, (commands[:, moving] + 1) / 2)


def _moved(faces: Floats, neutral: Floats) -> dict[str, Floats]:
    rest = face_measurements(neutral)
    return {name: curve - rest[name] for name, curve in face_measurements(faces).items()}


def _scaled(draw_person: Floats, robot: Floats) -> tuple[Floats, Floats]:
    both = np.concatenate([draw_person, robot])
    low, width = float(both.min()), max(float(np.ptp(both)), 1e-3)
    return (draw_person - low) / width, (robot - low) / width


def key_steps(traces: Traces) -> list[int]:
    """Steps worth showing: where the person's curves peak, and a quiet one."""
    total = sum(draw_person for draw_person, _ in traces.curves.values())
    chosen = [int(np.argmin(total))]
    for draw_person, _ in traces.curves.values():
        chosen.append(int(np.argmax(draw_person)))
    for share in (0.3, 0.5, 0.7, 0.9):
        chosen.append(int(share * (len(traces.time) - 1)))
    return sorted(set(chosen))[:PAIRS]


def resize_to_panel(picture: Picture) -> tuple[Picture, float]:
    """The picture `HEIGHT` high, and its scale."""
    scale = HEIGHT / picture.shape[0]
    image = Image.fromarray(picture).resize((round(picture.shape[1] * scale), HEIGHT))
    return np.asarray(image), scale


def draw_person(picture: Picture, points: Floats | None, believed: bool) -> Picture:
    """The person with their landmarks, (N, 3) [pixels], y up."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    if points is None:
        draw.text((12, 10), "no face", fill=(230, 90, 80), font=_font(18))
    else:
        colour = (80, 230, 160) if believed else (230, 90, 80)
        for x, y in (points[:, :2] * [1, -1]).tolist():
            draw.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=colour)
    return np.asarray(image)


def side_by_side(draw_person: Picture, robot: Picture, told: str) -> Picture:
    """Both side by side, each `HEIGHT` high, above a line of text."""
    image = Image.new("RGB", (draw_person.shape[1] + robot.shape[1], HEIGHT + 36), PAPER)
    image.paste(Image.fromarray(draw_person), (0, 0))
    image.paste(Image.fromarray(robot), (draw_person.shape[1], 0))
    ImageDraw.Draw(image).text((12, HEIGHT + 8), told, fill=INK, font=_font(16))
    return np.asarray(image)


def video_frame(shown: Picture, robot: Picture, traces: Traces, step: int) -> Picture:
    """One frame of the video."""
    size = robot.shape[0]
    image = Image.new("RGB", (shown.shape[1] + size + TRACE_WIDTH, HEIGHT), PAPER)
    image.paste(Image.fromarray(shown), (0, 0))
    image.paste(Image.fromarray(robot), (shown.shape[1], 0))
    draw = ImageDraw.Draw(image)
    left = shown.shape[1] + size + 24
    width = TRACE_WIDTH - 48
    for row, (name, (person_curve, robot_curve)) in enumerate(traces.curves.items()):
        box = (left, 34 + 104 * row, width, 66)
        draw.text((left, box[1] - 24), SHOWN[name], fill=INK, font=_font(14))
        _curve(draw, box, person_curve, len(person_curve), PERSON)
        _curve(draw, box, robot_curve, step + 1, ROBOT)
        x = left + width * step / max(1, len(person_curve) - 1)
        draw.line([x, box[1], x, box[1] + box[3]], fill=QUIET)
    draw.text((left + width - 104, 10), "person", fill=PERSON, font=_font(14))
    draw.text((left + width - 44, 10), "robot", fill=ROBOT, font=_font(14))
    _bars(draw, (left, 352, width, 104), traces.commands[step])
    draw.text((left, 330), "commands [share of travel]: 12 cables, jaw, lids", fill=INK, font=_font(12))
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


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def write_summary(
    path: Path, traces: Traces, pairs: Mapping[int, tuple[Picture, Picture]], figures: Mapping[str, Any]
) -> None:
    """One page: pairs of pictures above, curves with their correlations below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    rows: Any = figure.subfigures(2, 1, height_ratios=[1.05, 1])
    tiles = np.atleast_2d(rows[0].subplots(2, max(1, len(pairs))))
    if len(pairs) == 1:
        tiles = tiles.reshape(2, 1)
    for column, (step, side_by_side) in enumerate(sorted(pairs.items())):
        for row in range(2):
            tiles[row, column].imshow(side_by_side[row])
            tiles[row, column].axis("off")
        tiles[0, column].set_title(f"{traces.time[step]:.1f} s", fontsize=10)
    axes = rows[1].subplots(len(traces.curves), 1, sharex=True)
    for plot, (name, (person_curve, robot_curve)) in zip(axes, traces.curves.items(), strict=True):
        plot.plot(traces.time, person_curve, color=np.array(PERSON) / 255, label="person")
        plot.plot(traces.time, robot_curve, color=np.array(ROBOT) / 255, label="robot")
        plot.set_title(f"{SHOWN[name]}: {describe_measurement(name, figures)}", fontsize=10, loc="left")
        plot.set_yticks([0, 1])
        plot.spines[["top", "right"]].set_visible(False)
    axes[0].legend(loc="upper right", frameon=False)
    axes[-1].set_xlabel("time [s]; person and robot on one scale, from their own neutral faces")
    with atomic_path(path) as part:
        figure.savefig(part, dpi=110)


def describe_measurement(name: str, figures: Mapping[str, Any]) -> str:
    """How well the robot followed one measure, in words."""
    value, share = figures["correlation"][name], figures["amplitude"][name]["share"]
    if value is None or share is None:
        return "person or robot at rest"
    return f"r = {value:.2f}, the robot's range is {100 * share:.0f} % of the person's"
