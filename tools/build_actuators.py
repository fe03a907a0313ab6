"""Writes docs/actuators.md and its pictures: the actuator table of EVA for people.

python -m tools.build_actuators

The table is that of `assets/face.toml`. The pictures are cut from the sheet of all actuators, which
`eva muscles --out docs/pictures/muscles.png` renders.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from eva_sim.contact_sheet import CAPTION_HEIGHT
from eva_sim.contract import Actuator, FaceSpec, load_spec

ROOT = Path(__file__).resolve().parent.parent
PAGE, SHEET, PICTURES = ROOT / "docs/actuators.md", "docs/pictures/muscles.png", "docs/pictures/actuators"
#: Of the sheet.
COLUMNS, TILE = 5, 240
_TEXT = """# Actuators

EVA has {count} actuators. A command has one number for each, in the order of this table: -1 is `low`, 1 is
`high`. `spec.command(jaw=0.5)` sets actuators by name and leaves the others at rest; a name without its side
sets both.
`eva actuators` prints the table in a terminal.

The pictures show each actuator at the end of its travel. The brighter the skin, the further it moved
([scale](pictures/muscles.png)).
Sides are the robot's own, so its left is on the right of a picture.
[cables.md](cables.md) explains where each cable pulls.

{tables}
This page is written by `python -m tools.build_actuators` from
`assets/face.toml`, which has the source of each number.
"""
_KINDS = {
    "cable": "Cables of the face",
    "jaw": "Jaw",
    "eye": "Eyes",
    "lid": "Lids",
    "leg": "Legs of the neck",
}
_HEAD = """| picture | number, name | low | high | rest | fastest | action units | channel |
|---|---|---|---|---|---|---|---|
"""


def actuator_page(spec: FaceSpec) -> str:
    """Returns the page, Markdown."""
    tables = []
    for kind, title in _KINDS.items():
        rows = "".join(_row(int(number), spec.actuators[number]) for number in spec.where(kind))
        tables.append(f"## {title}\n{_HEAD}{rows}\n")
    return _TEXT.format(count=len(spec), tables="".join(tables))


def _row(number: int, actuator: Actuator) -> str:
    a, unit = actuator, actuator.unit
    picture = f"![{a.name} at the end of its travel](pictures/actuators/{a.name}.webp)"
    travel = " | ".join(f"{value:g} {unit}" for value in (a.low, a.high, a.neutral))
    units = ", ".join(a.action_units)
    return f"| {picture} | {number}, `{a.name}` | {travel} | {a.rate:g} {unit}/s | {units} | {a.channel} |\n"


def cut_pictures(spec: FaceSpec, folder: Path) -> None:
    """Writes a picture of each actuator, cut from the sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(ROOT / SHEET) as sheet:
        for number, name in enumerate(spec.names):
            row, column = divmod(number, COLUMNS)
            left, top = column * TILE, row * (TILE + CAPTION_HEIGHT) + CAPTION_HEIGHT
            tile = sheet.crop((left + 30, top, left + TILE - 30, top + 210))
            tile.resize((120, 140)).save(folder / f"{name}.webp", quality=85)


def main() -> None:
    spec = load_spec()
    PAGE.write_text(actuator_page(spec))
    cut_pictures(spec, ROOT / PICTURES)
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
