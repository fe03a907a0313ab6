"""A calibration at whose rest cables pull against each other is refused before it is saved."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from eva_sim.cli.calibration import check_rest
from eva_sim.contract import FaceSpec
from eva_sim.errors import DataError
from eva_sim.real.calibration.model import RESTING_PULL, Calibration


@pytest.mark.parametrize(
    ("cables", "unit"),
    [
        (("zygomaticus_left", "depressor_left"), "us"),
        (("brow_inner_right", "corrugator_right"), "ticks"),
        (("levator_left", "depressor_left"), "us"),
    ],
)
def test_a_calibration_whose_cables_fight_at_rest_is_refused(
    spec: FaceSpec, cables: tuple[str, str], unit: Any
) -> None:
    """Each cable alone rests within what a crooked horn may pull; together they pull against each other."""
    plain = Calibration.nominal(spec, "desk", "maestro" if unit == "us" else "feetech", unit)
    check_rest(spec, plain)
    actuators = dict(plain.actuators)
    for name in cables:
        one = actuators[name]
        pulled = 0.9 * RESTING_PULL * (one.range_max - one.range_min) * (-1 if one.drive_mode else 1)
        actuators[name] = dataclasses.replace(one, homing_offset=one.homing_offset + pulled)
        if name == cables[0]:
            check_rest(
                spec, dataclasses.replace(plain, actuators=dict(actuators))
            )  # one alone fights nothing
    with pytest.raises(DataError, match="--again " + " --again ".join(sorted(cables, key=spec.index))):
        check_rest(spec, dataclasses.replace(plain, actuators=actuators))
