"""The class pages of the environments agree with the actuator table."""

from __future__ import annotations

import re

import pytest
from gymnasium.envs.registration import load_env_creator

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.registration import IDS

#: A row of the action table: first and last index, then the cells for -1, 1 and rest.
ROW = re.compile(r"\| (\d+)(?:-(\d+))? \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|")


def pulls(page: str) -> dict[int, tuple[float, float, float]]:
    """Ends of travel [rad, m] and resting command of each actuator, by its index."""
    found = {}
    for first, last, _, *cells in ROW.findall(page):
        low, high, rest = (float(re.findall(r"-?\d+\.?\d*", cell)[-1]) for cell in cells)
        scale = 1e-3 if "mm" in cells[0] else 1.0
        for index in range(int(first), int(last or first) + 1):
            assert index not in found
            found[index] = scale * low, scale * high, rest
    return found


def wanted(spec: FaceSpec) -> dict[int, tuple[float, float, float]]:
    rows = zip(spec.actuators, spec.neutral.tolist(), strict=True)
    return {index: (a.low, a.high, rest) for index, (a, rest) in enumerate(rows)}


@pytest.mark.parametrize("name", IDS)
def test_the_table_of_pulls_is_that_of_the_face(name: str) -> None:
    page = load_env_creator(IDS[name].entry_point).__doc__ or ""
    written, table = pulls(page), wanted(load_spec())
    assert written.keys() == table.keys()
    for index, row in table.items():
        assert written[index] == pytest.approx(row, abs=5e-3), load_spec().names[index]


@pytest.mark.parametrize("name", IDS)
def test_the_table_names_the_actuators_in_their_order(name: str) -> None:
    page = load_env_creator(IDS[name].entry_point).__doc__ or ""
    for first, last, names, *_ in ROW.findall(page):
        for actuator in load_spec().actuators[int(first) : int(last or first) + 1]:
            assert actuator.name.startswith(names.split()[0]), actuator.name
