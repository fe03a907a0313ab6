"""The wiring on the hardware page is that of the tables, and the numbers of its design hold."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import pytest

from eva_sim.contract import load_spec
from tools.draw_wiring import (
    PAGE,
    PICTURE,
    branches,
    connector_table,
    design,
    draw,
    servo_of,
    voltage_at_oe,
    write_tables,
)


def test_page_and_picture_are_what_the_tables_say() -> None:
    spec = load_spec()
    assert PAGE.read_text() == write_tables(PAGE.read_text(), spec), "run python -m tools.draw_wiring"
    assert PICTURE.read_text() == draw(spec), "run python -m tools.draw_wiring"
    ElementTree.fromstring(PICTURE.read_text())


def test_another_plug_changes_the_page() -> None:
    spec = load_spec()
    turned = dataclasses.replace(
        spec,
        actuators=tuple(
            dataclasses.replace(a, direction=-a.direction) if a.name == "jaw" else a for a in spec.actuators
        ),
    )
    assert connector_table(turned) != connector_table(spec)
    with pytest.raises(ValueError, match="marks of the table"):
        write_tables("a page without marks", spec)


@pytest.mark.parametrize(
    ("pull_up", "boards", "volts"),
    [
        (10_000, 1, 2.5),
        (10_000, 2, 5 / 3),
        (4_700, 1, 3.40),
        (2_200, 2, 3.47),
        (1_000, 2, 4.17),
        (10_000, 0, 5),
    ],
)
def test_the_divider_of_oe(pull_up: float, boards: int, volts: float) -> None:
    assert voltage_at_oe(pull_up, boards) == pytest.approx(volts, abs=0.005)


def test_the_recommended_pull_up_is_a_logic_high_with_margin() -> None:
    """Also with resistors of 5 % that are off in the worst way."""
    given = design()["output_enable"]
    for boards in (1, 2):
        worst = voltage_at_oe(1.05 * given["pull_up"], boards, 0.95 * given["breakout"])
        assert worst > given["high"] * given["logic"] + 0.5


def test_every_servo_has_one_branch_that_bears_it() -> None:
    spec, given = load_spec(), design()
    found = branches(spec)
    assert sorted(a.name for b in found for a in b.servos) == sorted(spec.names)
    assert all(b.stall <= given["branch"]["most"] <= given["branch"]["fuse"] for b in found)
    assert {servo_of(a) for a in spec.actuators} == set(given["servo"])
    assert given["bus"]["supply"] < given["bus"]["fuse"] < sum(b.stall for b in found)
