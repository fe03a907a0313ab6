"""The commands by which the adapter and the virtual robot are measured."""

from __future__ import annotations

import numpy as np

from benchmarks.virtual_robot import waves
from eva_sim.contract import load_spec
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.safety.command_filter import CommandFilter


def test_waves_move_everything_and_keep_it_cool() -> None:
    """Ten minutes, after which a robot that was too hot would have gone limp."""
    spec = load_spec()
    commands = waves(15_000)
    limits = CommandFilter(spec, Calibration.nominal(spec))
    limits.begin()
    sent = np.array([limits.command(command) for command in commands])
    assert limits.faults == () and limits.slowed == ()
    assert (np.diff(sent, axis=0) != 0).mean() > 0.99
