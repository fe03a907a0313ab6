"""The loop that holds a face until it settles."""

from __future__ import annotations

import numpy as np

from eva_sim.settling import reset_and_hold, settling_steps
from eva_sim.testing.fake_face import FakeFace, settled


def test_a_command_is_held_until_the_slowest_actuator_has_arrived() -> None:
    face = FakeFace()
    steps = settling_steps(face.spec)
    settled(face, np.ones(25))
    for _ in range(steps):
        reading = face.move(-np.ones(25))
    assert np.array_equal(reading.position, -np.ones(25))
    assert reset_and_hold(face, None).time == 0
