"""Opening faces by the name of their body, and what is known of a face before it is opened."""

from __future__ import annotations

import pytest

from eva_sim import Capabilities, face_capabilities, make_face
from eva_sim.contract import SimulatedFace
from eva_sim.errors import ArgumentError, EvaError
from eva_sim.faces import BODIES


def test_capabilities_are_known_before_a_face_is_opened() -> None:
    assert face_capabilities("twin", skin="reduced") == Capabilities(True, True, True, False)
    assert face_capabilities("mock") == Capabilities(False, True, False, False)
    assert face_capabilities("virtual", camera_size=None, realtime=True) == Capabilities(
        False, False, False, True
    )
    for board, measured in (("firmware", False), ("maestro", False), ("feetech", True), ("dynamixel", True)):
        robot = face_capabilities("robot", board=board, port="/dev/nowhere", camera=None)
        assert robot == Capabilities(measured, False, False, True)
    assert face_capabilities("robot").camera
    assert set(BODIES) == {"twin", "robot", "virtual", "mock"}


def test_capabilities_hold_for_the_open_face() -> None:
    message = face_capabilities("mock", camera_size=None)
    with make_face("mock", camera_size=None) as face:
        reading = face.reset()
        assert reading.measured == message.measured_positions
        assert (reading.image is not None) == message.camera
        assert isinstance(face, SimulatedFace) == message.save


@pytest.mark.parametrize("call", [make_face, face_capabilities])
def test_old_spellings_are_told_in_one_line(call: object) -> None:
    assert callable(call)
    wording = "got an unexpected keyword argument 'robot'"
    with pytest.raises(ArgumentError, match=f"'mock', ...\\) {wording}; there are seed, camera_size"):
        call("mock", robot=3)
    with pytest.raises(ArgumentError, match=rf"'robot', ...\) {wording}; did you mean robot_id\? There are"):
        call("robot", robot="desk")
    with pytest.raises(EvaError, match="no body called 'statue'"):
        call("statue")
