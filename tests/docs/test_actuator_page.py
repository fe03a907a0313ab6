"""The page of actuators is that of the tables, and has a picture of each."""

from __future__ import annotations

import re

from eva_sim.contract import load_spec, parse_spec
from tests.docs.markdown_pages import ROOT, page_text
from tools.build_actuators import PICTURES, actuator_page


def test_the_page_is_that_of_the_table() -> None:
    advice = "run `python -m tools.build_actuators`"
    assert page_text("docs/actuators.md") == actuator_page(load_spec()), advice


def test_every_actuator_has_a_picture_and_no_other() -> None:
    pictures = {path.stem for path in (ROOT / PICTURES).glob("*.webp")}
    assert pictures == set(load_spec().names)


def test_another_table_gives_another_page() -> None:
    text = re.sub(r'^.*name = "jaw".*\n', "", load_spec().text, flags=re.MULTILINE)
    page = actuator_page(parse_spec(text.replace("high = 0.20 ", "high = 0.25 ")))
    assert "EVA has 24 actuators" in page and "`jaw`" not in page and "0.25 rad" in page
