"""The transfer report as a table for the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from rich.table import Table

from eva_sim.contact_sheet import BACKGROUND, INK, QUIET, ROBOT, load_font
from eva_sim.files import atomic_path
from eva_sim.landmarks import REGIONS
from eva_sim.media.encoding import decode_jpeg
from eva_sim.real.transfer.observations import PlanObservations

WIDTH, FACE = 1240, 400  # pixels
FLOOR, OWN = (203, 208, 214), (60, 150, 90)
_LEFT, _TOP, _TALL, _BAND = 70, 60, 640, 105


def report_table(report: Mapping[str, Any]) -> Table:
    """Median (90th percentile) per region, and the range of the single robots' medians [mm]."""
    columns = {
        "moved": report["moved"],
        "same picture": report["floor"]["same_pose"],
        "other camera": report["floor"]["other_camera"],
        "own": report["own"],
        "robots": report["all"],
    }
    out = Table(title=f"difference of twin and robot in mm, median (p90), {report['poses']} pictures a face")
    out.add_column("region")
    for name, values in columns.items():
        if values is not None:
            out.add_column(name, justify="right")
    out.add_column("robots' range", justify="right", no_wrap=True)
    for region in REGIONS:
        cells = [
            f"{v[region]['median']:.2f} ({v[region]['p90']:.2f})" for v in columns.values() if v is not None
        ]
        each = [robot[region]["median"] for robot in report["robots"].values()]
        out.add_row(region, *cells, f"{min(each):.2f}..{max(each):.2f}")
    return out


def draw_report(path: Path, report: Mapping[str, Any], observations: Mapping[str, PlanObservations]) -> None:
    """Draws bars per region, and the worst pose: the twin's picture above the robot's."""
    image = Image.new("RGB", (WIDTH, 2 * FACE + 60), BACKGROUND)
    draw = ImageDraw.Draw(image)
    _bars(draw, report)
    worst = report["worst"]
    for row, name in enumerate(("twin", worst["robot"])):
        face = Image.fromarray(decode_jpeg(observations[name].jpegs[worst["pose"]])).resize((FACE, FACE))
        image.paste(face, (WIDTH - FACE - 10, 40 + row * (FACE + 10)))
        draw.text((WIDTH - FACE, 46 + row * (FACE + 10)), name, fill=INK, font=load_font(16))
    caption = f"worst pose: {worst['name']}, {worst['mean']:.1f} mm on average"
    draw.text((WIDTH - FACE - 10, 12), caption, fill=INK, font=load_font(16))
    with atomic_path(path) as part:
        image.save(part)


def _bars(draw: ImageDraw.ImageDraw, report: Mapping[str, Any]) -> None:
    """Draws floor, own parameters, all robots with their 90th percentile, and a dot per robot."""
    draw.text(
        (_LEFT, 12),
        "landmark error by region, median [mm]; whisker: 90 % below",
        fill=INK,
        font=load_font(16),
    )
    top = _scale(report)
    for mm in np.arange(0, top + 0.1, 0.5 if top <= 3 else 1 if top < 8 else 2):
        y = _y(float(mm), top)
        draw.line([_LEFT, y, _LEFT + _BAND * len(REGIONS), y], fill=QUIET)
        draw.text((_LEFT - 28, y - 8), f"{mm:g}", fill=INK, font=load_font(14))
    bars = {
        "floor: the twin from another camera": (report["floor"]["other_camera"], FLOOR),
        "a robot with the twin's own parameters": (report["own"], OWN),
        "robots; each a ring": (report["all"], ROBOT),
    }
    for place, (region, x) in enumerate((r, _LEFT + _BAND * i + 12) for i, r in enumerate(REGIONS)):
        for values, colour in bars.values():
            if values is not None:
                _bar(draw, x, values[region], colour, top)
            x += 27
        for robot in report["robots"].values():
            y = _y(robot[region]["median"], top)
            draw.ellipse([x + 2, y - 3, x + 8, y + 3], outline=ROBOT, width=2)
        draw.text((_LEFT + _BAND * place + 16, _TOP + _TALL + 8), region, fill=INK, font=load_font(15))
    for row, (name, (_, colour)) in enumerate(bars.items()):
        y = _TOP + _TALL + 44 + 24 * row
        draw.rectangle([_LEFT, y, _LEFT + 16, y + 16], fill=colour)
        draw.text((_LEFT + 26, y), name, fill=INK, font=load_font(15))


def _bar(draw: ImageDraw.ImageDraw, x: int, value: Mapping[str, float], colour: Any, top: float) -> None:
    draw.rectangle([x, _y(value["median"], top), x + 22, _y(0, top)], fill=colour)
    draw.line([x + 11, _y(value["p90"], top), x + 11, _y(value["median"], top)], fill=INK, width=1)


def _scale(report: Mapping[str, Any]) -> float:
    values = [report["all"], report["floor"]["other_camera"], *report["robots"].values()]
    return float(np.ceil(max(v[r]["p90"] for v in values for r in REGIONS)))


def _y(mm: float, top: float) -> float:
    return _TOP + _TALL * (1 - min(mm, top) / top)
