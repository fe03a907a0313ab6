"""Draws the wiring of the head, and writes the tables of docs/hardware.md, from the tables in assets/.

python -m tools.draw_wiring

It writes docs/pictures/wiring.svg, and in docs/hardware.md what is between the marks of each table.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from eva_sim.contract import Actuator, FaceSpec, load_spec
from eva_sim.files import asset, atomic_path

ROOT = Path(__file__).resolve().parent.parent
PICTURE, PAGE = ROOT / "docs/pictures/wiring.svg", ROOT / "docs/hardware.md"
#: Outputs of one PCA9685.
OUTPUTS = 16
#: Pull-ups of which the page says whether they do [Ohm].
PULL_UPS = (10_000.0, 4_700.0, 2_200.0, 1_000.0)


class Branch(NamedTuple):
    """Servos behind one fuse."""

    servos: tuple[Actuator, ...]
    stall: float


def design() -> dict[str, Any]:
    """The electrical design, `assets/hardware.toml`."""
    return tomllib.loads(asset("hardware.toml").read_text())


def voltage_at_oe(pull_up: float, boards: int, breakout: float | None = None) -> float:
    """Voltage of /OE while the microcontroller's pin floats [V].

    Args:
        pull_up: resistor to the logic supply [Ohm].
        boards: number of breakouts that tie /OE to ground.
        breakout: resistor of each [Ohm]; by default that of the design.
    """
    given = design()["output_enable"]
    down = (breakout or given["breakout"]) / boards if boards else math.inf
    share = 1.0 if math.isinf(down) else down / (down + pull_up)
    return float(given["logic"] * share)


def servo_of(actuator: Actuator) -> str:
    """Name of the servo class of an actuator."""
    servos = design()["servo"]
    return next(name for name, servo in servos.items() if actuator.kind in servo["kinds"])


def branches(spec: FaceSpec) -> list[Branch]:
    """All servos in the order of their channels, as many behind one fuse as it bears."""
    given, found = design(), list[Branch]()
    for actuator in sorted(spec.actuators, key=lambda a: a.channel):
        stall = given["servo"][servo_of(actuator)]["stall"]
        last = found[-1] if found else None
        if last is None or last.stall + stall > given["branch"]["most"] + 1e-9:
            found.append(Branch((actuator,), stall))
        else:
            found[-1] = Branch((*last.servos, actuator), last.stall + stall)
    return found


def _rows(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def connector_table(spec: FaceSpec) -> str:
    """Where each servo is plugged in."""
    branch = {a.name: n for n, b in enumerate(branches(spec), 1) for a in b.servos}
    return _rows(
        ("actuator", "servo", "PCA9685", "output", "channel", "direction", "branch"),
        [
            (
                f"`{a.name}`", servo_of(a), f"0x{0x40 + a.channel // OUTPUTS:x}", a.channel % OUTPUTS,
                a.channel, f"{a.direction:+.0f}", branch[a.name],
            )
            for a in sorted(spec.actuators, key=lambda a: a.channel)
        ],
    )  # fmt: skip


def divider_table(_: FaceSpec) -> str:
    """Voltage of /OE for pull-ups and numbers of breakouts."""
    given = design()["output_enable"]
    enough = given["high"] * given["logic"]

    def cell(pull_up: float, boards: int) -> str:
        volts = voltage_at_oe(pull_up, boards)
        return f"{volts:.2f} V" if volts >= enough else f"{volts:.2f} V, **no logic high**"

    return _rows(
        ("pull-up to 5 V", "their resistors removed", "one breakout", "two breakouts"),
        [(f"{p / 1000:g} kOhm", *(cell(p, n) for n in range(3))) for p in PULL_UPS],
    )


def power_table(spec: FaceSpec) -> str:
    """Current of each branch and of the whole if every servo stalls."""
    given, found = design(), branches(spec)
    fuse, wire = given["branch"]["fuse"], given["branch"]["wire"]
    rows: list[Sequence[object]] = [
        (
            n,
            f"`{b.servos[0].name}` to `{b.servos[-1].name}`",
            len(b.servos),
            f"{b.stall:.1f} A",
            f"{fuse:g} A",
            f"{wire:g} mm2",
        )
        for n, b in enumerate(found, 1)
    ]
    bus, count = given["bus"], len(spec)
    total = sum(b.stall for b in found)
    rows.append(("bus", "all", count, f"{total:.1f} A", f"{bus['fuse']:g} A", f"{bus['wire']:g} mm2"))
    return _rows(("branch", "servos", "number", "all stalled", "fuse", "wire"), rows)


TABLES = {"connectors": connector_table, "divider": divider_table, "power": power_table}


def write_tables(text: str, spec: FaceSpec) -> str:
    """A page with the tables between its marks replaced."""
    for name, table in TABLES.items():
        marks = rf"(?<=<!-- {name}: made by tools.draw_wiring -->\n).*?(?=<!-- end -->)"
        made = f"\n{table(spec)}\n\n".replace("\\", r"\\")
        text, count = re.subn(marks, made, text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"docs/hardware.md has the marks of the table {name!r} {count} times, not once.")
    return text


class _Sheet:
    """Boxes and wires of an SVG."""

    def __init__(self, width: int, height: int) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]

    def box(self, x: int, y: int, width: int, height: int, *lines: str) -> None:
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="#f4f4f4" stroke="black"/>'
        )
        for n, line in enumerate(lines):
            self.text(x + 8, y + 17 + 15 * n, line, bold=n == 0)

    def text(self, x: int, y: int, line: str, bold: bool = False) -> None:
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(f'<text x="{x}" y="{y}"{weight}>{escape(line)}</text>')

    def wire(self, colour: str, width: float, *points: tuple[int, int]) -> None:
        path = " ".join(f"{x},{y}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'
        )

    def svg(self) -> str:
        return "\n".join([*self._parts, "</svg>", ""])


def draw(spec: FaceSpec) -> str:
    """The wiring as SVG: power from left to right on top, signals below."""
    given, found = design(), branches(spec)
    sheet = _Sheet(1000, 300 + 62 * len(found))
    _draw_power(sheet, given, found)
    _draw_signals(sheet, given, spec, 180 + 62 * len(found))
    return sheet.svg()


def _draw_power(sheet: _Sheet, given: dict[str, Any], found: Sequence[Branch]) -> None:
    bus, branch = given["bus"], given["branch"]
    red, black = "#c00000", "black"
    sheet.box(20, 40, 140, 66, "servo supply", "5 to 6 V", f"{bus['supply']:g} A or more")
    sheet.box(200, 40, 130, 66, "main fuse", f"{bus['fuse']:g} A")
    sheet.box(370, 40, 160, 66, "emergency stop", "DC, opens the plus wire", "within reach")
    sheet.wire(red, 4, (160, 60), (200, 60))
    sheet.wire(red, 4, (330, 60), (370, 60))
    bottom = 150 + 62 * (len(found) - 1)
    sheet.wire(red, 4, (530, 60), (580, 60), (580, bottom))
    sheet.text(590, 56, f"bus, {bus['wire']:g} mm2; ground likewise, joined at one place")
    for n, one in enumerate(found, 1):
        y = 130 + 62 * (n - 1)
        sheet.wire(red, 2, (580, y + 20), (620, y + 20))
        sheet.box(620, y, 100, 48, f"fuse {n}", f"{branch['fuse']:g} A")
        sheet.wire(red, 2, (720, y + 20), (750, y + 20))
        names = f"{one.servos[0].name} to {one.servos[-1].name}"
        farad = f"{1e6 * branch['capacitor']:g} uF, {branch['wire']:g} mm2"
        sheet.box(750, y, 235, 48, f"{len(one.servos)} servos, {farad}", names)
    sheet.wire(red, 1, (580, 130), (300, 130), (300, 180))
    sheet.box(
        180, 180, 230, 66, "supply sense, after the stop", "10 kOhm / 10 kOhm, 100 nF", "to A0 of the Mega"
    )
    sheet.wire(black, 1, (295, 246), (295, 180 + 62 * len(found)))


def _draw_signals(sheet: _Sheet, given: dict[str, Any], spec: FaceSpec, y: int) -> None:
    pull_up = given["output_enable"]["pull_up"]
    oe = f"pin 4 (PG5) to /OE: {pull_up / 1000:g} kOhm to 5 V at the PCA9685"
    bus, logic = "SDA 20, SCL 21: 2.2 kOhm each to 5 V", "5 V and ground to both PCA9685: logic only"
    sheet.box(20, y, 380, 96, "Arduino Mega 2560", "USB to the host", bus, oe, logic)
    outputs = [sum(a.channel // OUTPUTS == b for a in spec.actuators) for b in range(2)]
    for board, count in enumerate(outputs):
        x = 450 + 280 * board
        sheet.box(
            x,
            y,
            240,
            66,
            f"PCA9685 at 0x{0x40 + board:x}",
            f"signals of {count} servos",
            "V+ terminal stays empty",
        )
        sheet.wire("#0050c0", 2, (x - (40 if board else 50), y + 30), (x, y + 30))
    sheet.text(
        430, y + 88, "Only the signal wire of a servo goes to a PCA9685; plus and ground go to its branch."
    )


def main() -> None:
    """Writes picture and tables."""
    spec = load_spec()
    for path, text in ((PICTURE, draw(spec)), (PAGE, write_tables(PAGE.read_text(), spec))):
        with atomic_path(path) as part:
            part.write_text(text)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
