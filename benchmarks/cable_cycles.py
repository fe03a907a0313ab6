"""A cable that is drawn up against a spring and let down again, for `benchmarks/validation.py`."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from eva_sim.actuators import Actuators
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.horns import cable_drawn_in


class Loop(NamedTuple):
    """A cable drawn up against a spring and let down again, from slack to slack.

    Attributes:
        gear: cable that the servo has turned, (T,) [m].
        line: cable drawn in, (T,) [m].
        take_up: cable taken in at the spring, (T,) [m].
        pull: at the horn, (T,) [N].
        tension: in the spring, (T,) [N].
    """

    gear: Floats
    line: Floats
    take_up: Floats
    pull: Floats
    tension: Floats


def cable_spec(**cable: float) -> FaceSpec:
    """The real table, with servos that answer at once and some cable constants replaced."""
    spec = load_spec()
    rows = tuple(replace(a, delay=0, dead_band=0.0, rate=1e3) for a in spec.actuators)
    return replace(spec, actuators=rows, cable=MappingProxyType({**spec.cable, **cable}))


def run_cable_cycle(spec: FaceSpec, spring: float, steps: int, wait: int = 1) -> Loop:
    """Turns the first cable's servo to 1.5 rad and back against `spring` [N/m].

    The chain receives tensions that are one period old, so steps must be small or `wait` periods long.
    """
    chain, tension, trace = Actuators(spec), np.zeros(len(spec.where("cable"))), []
    physical, ramp = spec.column("neutral"), np.linspace(0, 1.5, steps)
    for angle in np.concatenate([ramp, ramp[::-1]]):
        physical[spec.where("cable")] = angle
        for _ in range(wait):
            chain.step(spec.to_command(physical), tension)
            tension = spring * np.maximum(0.0, chain.take_up)
        pull = spec.cable["bowden_stiffness"] * (chain.line[0] - chain.take_up[0])
        gear = cable_drawn_in(spec, chain.position)[0]
        trace.append((gear, chain.line[0], chain.take_up[0], pull, tension[0]))
    return Loop(*np.array(trace).T)


def path_integral(x: Floats, y: Floats) -> float:
    """Integral of y over the path x."""
    return float(np.trapezoid(y, x))
