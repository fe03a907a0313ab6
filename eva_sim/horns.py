"""The horns of servos: how much cable they draw in, by their angles."""

from __future__ import annotations

import numpy as np

from eva_sim.contract import FaceSpec, Floats


def cable_drawn_in(spec: FaceSpec, position: Floats) -> Floats:
    """Returns the cable that the horns draw in, (..., 12) [m], at positions (..., 25) [rad, m]."""
    drawn: Floats = np.sin(_turned(spec, position)) - np.sin(_turned(spec, spec.column("low")))
    return spec.cable["horn_radius"] * drawn


def horn_lever(spec: FaceSpec, position: Floats) -> Floats:
    """Returns the derivative of `cable_drawn_in` by the servo angle, (..., 12) [m/rad]."""
    return spec.cable["horn_radius"] * np.cos(_turned(spec, position))


def _turned(spec: FaceSpec, position: Floats) -> Floats:
    """Returns the horn angles, measured from perpendicular to their cables, (..., 12) [rad]."""
    middle = 0.5 * (spec.column("low") + spec.column("high"))
    turned: Floats = (position - middle)[..., spec.where("cable")]
    return turned
