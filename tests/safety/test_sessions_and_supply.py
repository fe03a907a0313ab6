"""Two hosts at one board, old numbers, and the servos' supply: what the firmware's board says to its host.

The mock has the rules here; `tests/firmware/` has the firmware's own.
"""

# ruff: noqa: F811  # fixtures by import

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from eva_sim.contract import load_spec
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_hidden
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.mock_board import MockBoard, MockPort
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.link import Link
from eva_sim.testing.pulse_watcher import PulseWatcher
from eva_sim.testing.robot_fixtures import board, face, mock, watcher  # noqa: F401


def second_host(mock: MockBoard) -> RobotFace:
    """Another program at the same board, by a line of its own."""

    def connect() -> FirmwareBoard:
        return FirmwareBoard(load_spec(), Link(MockPort(mock), mock.clock))

    return RobotFace(load_spec(), connect, mock.clock, lambda i: Calibration.nominal(load_spec(), i.robot_id))


def test_both_hosts_learn_of_a_takeover(face: RobotFace, mock: MockBoard, watcher: PulseWatcher) -> None:
    face.reset()
    second = second_host(mock)
    assert watcher.limp
    assert any("another program had it" in fault for fault in second.reset().faults)
    with pytest.raises(LinkError, match="another program has taken the board over"):
        face.move(face.spec.neutral)
    assert not watcher.limp  # the second one is not disturbed
    assert any("taken the board over" in fault for fault in face.reset().faults)
    face.arm()  # only a person's arming takes it back, and then the second one learns
    with pytest.raises(LinkError, match="another program has taken the board over"):
        second.move(face.spec.neutral)
    assert any("another program had it" in fault for fault in face.move(face.spec.neutral).faults)
    second.close()  # leaves the board to the first one
    assert not watcher.limp


@pytest.mark.parametrize("how", ["disarm", "stop"])
def test_a_host_that_was_taken_over_still_makes_the_face_limp(
    face: RobotFace, mock: MockBoard, watcher: PulseWatcher, how: str
) -> None:
    face.reset()
    second = second_host(mock)
    second.reset()
    assert not watcher.limp
    with contextlib.suppress(LinkError):  # it says so, once the face is limp
        getattr(face, how)()
    assert watcher.limp
    assert second.move(face.spec.neutral).faults
    assert watcher.limp
    second.close()


@pytest.mark.parametrize("message", ["Disarm", "Stop"])
def test_a_board_that_does_not_obey_is_reported(board: FirmwareBoard, mock: MockBoard, message: str) -> None:
    mock.firmware._limp = lambda state: None  # type: ignore[method-assign]
    with pytest.raises(RobotError, match=f"does not obey {message.upper()}.*switch the servo supply off"):
        board.disarm() if message == "Disarm" else board.stop()


def test_a_number_never_becomes_fresh_again(board: FirmwareBoard, mock: MockBoard) -> None:
    """A frame that was held back while 70,000 others passed is as old as ever."""
    rest = Calibration.nominal(load_spec()).limits.rest
    kept: list[bytes] = []
    port, write = board._link._port, board._link._port.write
    port.write = lambda data: kept.append(bytes(data)) or write(data)  # type: ignore[method-assign, func-returns-value]
    board.send(rest + 10)
    port.write = write  # type: ignore[method-assign]
    for skipped in (0, 1, 0x7FFF, 0x8001, 0x10000):
        board._link._sequence += skipped
        board.send(rest)
        stale = board._link.demand(wire.Query(), wire.Status, 0.1).stale
        mock.port.write(kept[0])
        assert board._link.demand(wire.Query(), wire.Status, 0.1).stale == stale + 1
    board.disarm()
    assert board.status().state == BoardState.LIMP


@pytest.mark.parametrize("volts", [3.0, 6.6, 7.4, 8.4, 9.9])
def test_a_wrong_supply_arms_nothing_and_says_which(mock: MockBoard, volts: float) -> None:
    mock.supply(volts)
    watching = PulseWatcher(mock)
    with open_hidden(mock, camera_size=None) as face:
        mock.clock.sleep(0.2)
        named = "sagged" if volts < 5 else "was above 6.5 V"
        assert any(named in fault for fault in face.reset().faults)
        with pytest.raises(RobotError):
            face.arm()
    assert watching.limp and not watching.events


def test_arming_names_a_supply_that_has_just_become_wrong(mock: MockBoard) -> None:
    with open_hidden(mock, camera_size=None) as face:
        mock.supply(8.4)
        with pytest.raises(RobotError, match=r"the servo supply is 8\.40 V and must be 4\.5 to 6\.5 V"):
            face.arm()


@pytest.mark.parametrize("spans", [(0.050, 0.004), (0.055, 0.002), (0.008, 0.030)])
def test_short_dips_count_together(
    board: FirmwareBoard, mock: MockBoard, watcher: PulseWatcher, spans: tuple[float, float]
) -> None:
    begin, rest = mock.clock.now(), Calibration.nominal(load_spec()).limits.rest
    while mock.clock.now() - begin < 2 and not watcher.limp:
        for volts, span in zip((3.0, 5.0), spans, strict=True):
            mock.supply(volts)
            board.send(rest)
            mock.clock.sleep(span)
    assert watcher.limp
    assert board.status().faults == ("the servo supply sagged",)


def test_noise_on_the_bus_is_told_once(board: FirmwareBoard) -> None:
    status = board._link.demand(wire.Query(), wire.Status, 0.1)
    for repeats, told in ((3, True), (3, False), (4, True)):
        faults = board._describe(replace(status, repeats=repeats)).faults
        assert any("write to the servo drivers" in fault for fault in faults) is told
