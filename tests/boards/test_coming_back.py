"""A board that was unplugged and comes back elsewhere, and a robot whose calibration changed meanwhile.

Boards are at pseudo-terminals, which a list of USB devices names, as Linux does: while an old port is still
open, the device comes back under another path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock
from eva_sim.errors import DataError, EvaError, LinkError, RobotError
from eva_sim.real import opening
from eva_sim.real.boards.registry import board_opener
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_hidden, open_robot
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation import fake_bus
from eva_sim.real.simulation.fake_line import FakeDevice, FakeLine, PtyLine
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.wire import bus_port
from eva_sim.real.wire.port_lookup import PortLookup
from eva_sim.real.wire.serial_ports import USB_IDS
from eva_sim.testing.board_rigs import BUSES, KINDS, LIBRARIES, SPEC, Listed, held_positions
from tests.boards.test_board_faces import UNIT, fakes

pytest.importorskip("serial", reason="needs eva-sim[real]")


class Desk:
    """USB sockets of a computer, with devices at pseudo-terminals."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._plugged = stack, dict[str, tuple[PtyLine, FakeLine]]()
        self.listed: list[Listed] = []
        self.devices: list[FakeDevice] = []

    def plug(self, kind: str, device: FakeDevice, number: str | None, location: str = "1-1:1.0") -> str:
        """Plugs in a device; returns the path of its port."""
        line = FakeLine(device)
        self.devices.append(device)
        pty = self._stack.enter_context(PtyLine(line))
        vendor, product = sorted(USB_IDS[kind])[0]
        self.listed.append(Listed(pty.name, vendor, product, number, location))
        self._plugged[pty.name] = pty, line
        return pty.name

    def unplug(self, path: str) -> None:
        """Unplugs a device; its path stays taken as long as a program has it open."""
        pty, line = self._plugged.pop(path)
        line.plugged = False
        pty.close()
        self.forget(path)

    def forget(self, path: str) -> None:
        """The system lists a port no more."""
        self.listed[:] = [port for port in self.listed if port.device != path]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for patience in ("LATENCY", "WRITE_TIMEOUT"):  # a fake's thread may be slow on a busy machine
        monkeypatch.setattr(bus_port, patience, 5.0)
    monkeypatch.setattr(fake_bus, "PAUSE", 5.0)
    monkeypatch.setattr(opening, "WallClock", SimulatedClock)
    with ExitStack() as stack:
        there = Desk(stack)
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: list(there.listed))
        yield there


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    need_library(request.param)
    return str(request.param)


def need_library(kind: str) -> None:
    if kind in LIBRARIES:
        pytest.importorskip(LIBRARIES[kind], reason=f"needs eva-sim[{kind}]")


def plug_all(desk: Desk, kind: str, numbers: str, socket: str = "1-1") -> tuple[list[str], list[FakeDevice]]:
    """Plugs in the devices of a whole robot, numbered by these letters; returns paths and devices."""
    devices = fakes(kind)
    paths = [desk.plug(kind, d, n, f"{socket}:1.0") for d, n in zip(devices, numbers, strict=False)]
    return paths, devices


def open_face(kind: str, port: Any, robot: str, named: bool) -> RobotFace:
    calibration = Calibration.nominal(SPEC, "desk" if named else robot, kind, UNIT[kind])
    return open_robot(
        port, camera=None, calibration=calibration, board=kind, robot_id="desk" if named else None
    )


def jaw(face: RobotFace) -> None:
    for _ in range(3):
        face.move(SPEC.command(jaw=0.5))


@pytest.mark.parametrize("named", [True, False], ids=["id given", "id by USB"])
@pytest.mark.parametrize(
    ("kind", "way"), [*((kind, "path") for kind in KINDS), *((bus, "auto") for bus in BUSES)]
)  # two Maestros on two ports are named
def test_a_board_comes_back_under_another_path(desk: Desk, kind: str, way: str, named: bool) -> None:
    need_library(kind)
    paths, _ = plug_all(desk, kind, "AB")
    robot = "+".join("AB"[: len(paths)])
    if way == "auto":  # a general adapter must have been named once
        open_face(kind, paths, robot, named).close()
    with open_face(kind, "auto" if way == "auto" else paths, robot, named) as face:
        face.reset()
        jaw(face)
        again, back = plug_all(desk, kind, "AB", "3-2")  # the old ports are still open
        for path in paths:
            desk.unplug(path)
        with pytest.raises(LinkError):
            jaw(face)
        assert not set(again) & set(paths)
        with pytest.raises(RobotError, match="link lost"):
            jaw(face)
        faults = face.reset().faults
        assert faults[0].startswith("link lost")
        assert f"the board is plugged in again, at {', '.join(again)}: arm() connects" in faults
        assert not any(device.heard for device in back)  # only `arm` connects
        face.arm()
        assert not face.reset().faults
        jaw(face)
        assert not np.isnan(held_positions(*back)).any()
        assert face.identity.robot_id == ("desk" if named else robot)
    assert np.isnan(held_positions(*back)).all()


@pytest.mark.parametrize("named", [True, False], ids=["id given", "id by USB"])
def test_another_robot_in_its_place_is_not_touched(desk: Desk, kind: str, named: bool) -> None:
    paths, _ = plug_all(desk, kind, "AB")
    robot = "+".join("AB"[: len(paths)])
    with open_face(kind, paths, robot, named) as face:
        face.reset()
        for path in paths:
            desk.unplug(path)
        _, others = plug_all(desk, kind, "CD")
        with pytest.raises(LinkError):
            jaw(face)
        assert not any("plugged in again" in fault for fault in face.reset().faults)
        for _ in range(2):
            with pytest.raises(LinkError, match=r"serial number A.* is not plugged in") as error:
                face.arm()
            assert "\n" not in str(error.value)
        assert not any(device.heard for device in others)
        _, back = plug_all(desk, kind, "AB")
        face.arm()
        assert not any(device.heard for device in others)
        assert not np.isnan(held_positions(*back)).any()


def test_unplugged_while_limp_one_arm_is_enough(desk: Desk, kind: str) -> None:
    paths, _ = plug_all(desk, kind, "AB")
    with open_face(kind, paths, "", True) as face:
        face.reset()
        face.disarm()
        for path in paths:
            desk.unplug(path)
        _, back = plug_all(desk, kind, "AB")
        face.arm()
        assert not np.isnan(held_positions(*back)).any()


def test_unplugged_before_the_first_reset_it_waits_for_arm(desk: Desk, kind: str) -> None:
    """The first reset arms, but not a robot that was lost: somebody may have their fingers at it."""
    paths, _ = plug_all(desk, kind, "AB")
    with open_face(kind, paths, "", True) as face:
        for path in paths:
            desk.unplug(path)
        with pytest.raises(LinkError):
            face.reset()
        _, back = plug_all(desk, kind, "AB")
        assert face.reset().faults[0].startswith("link lost")
        assert not any(device.heard for device in back)
        face.arm()
        assert not np.isnan(held_positions(*back)).any()


@pytest.mark.parametrize("kind", BUSES)  # a Maestro has a serial number
def test_without_a_serial_number_it_is_named_each_time(desk: Desk, kind: str) -> None:
    """Nothing tells such an adapter from a printer's."""
    need_library(kind)
    path, *_ = plug_all(desk, kind, " ")[0]
    desk.listed[0].serial_number = None
    connect = board_opener(SPEC, kind, path, "desk", SimulatedClock())
    connect().close()
    connect().close()
    heard = len(desk.devices[0].heard)
    with pytest.raises(LinkError, match=rf"no {kind} board answers .*{path} .* may be any device"):
        board_opener(SPEC, kind, "auto", "desk", SimulatedClock())
    assert len(desk.devices[0].heard) == heard
    desk.unplug(path)
    with pytest.raises(LinkError, match="there is no port"):
        connect()


def test_a_link_is_followed_at_each_connection(desk: Desk, kind: str, tmp_path: Path) -> None:
    """As /dev/serial/by-id has them; the list of ports knows nothing of these devices."""
    links = [tmp_path / f"board-{n}" for n in range(len(fakes(kind)))]
    paths, _ = plug_all(desk, kind, "AB")
    desk.listed.clear()
    for link, path in zip(links, paths, strict=True):
        link.symlink_to(path)
    with open_face(kind, list(map(str, links)), "", True) as face:
        face.reset()
        again, back = plug_all(desk, kind, "AB")
        desk.listed.clear()
        for link, old, path in zip(links, paths, again, strict=True):
            desk.unplug(old)
            link.unlink()
            link.symlink_to(path)
        face.arm()
        assert not np.isnan(held_positions(*back)).any()


def test_the_right_one_of_the_ports_of_a_device(desk: Desk) -> None:
    """A Maestro has two ports with the same serial number: the second is no command port."""
    there = [Listed("/dev/a0", 1, 2, "A", "1-1:1.0"), Listed("/dev/a1", 1, 2, "A", "1-1:1.2")]
    desk.listed += there
    lookup = PortLookup(["/dev/null"], lambda: "", True)
    assert lookup.paths() == lookup.paths() == ["/dev/null"]
    for number, expected in ((0, "/dev/b0"), (1, "/dev/b1")):
        desk.listed[:] = there
        found = PortLookup([], lambda n=number: there[n].device, True)  # type: ignore[misc]
        assert found.paths() == [there[number].device]
        desk.listed[:] = [
            Listed("/dev/b1", 1, 2, "A", "7-3.1:1.2"),
            Listed("/dev/b0", 1, 2, "A", "7-3.1:1.0"),
        ]
        assert found.paths() == [expected]


def test_another_adapter_may_reach_a_board_that_knows_its_id(desk: Desk) -> None:
    desk.listed.append(Listed("/dev/a", 1, 2, "A"))
    theirs, mine = (PortLookup([], lambda: desk.listed[0].device, by_device) for by_device in (True, False))
    assert theirs.paths() == mine.paths() == ["/dev/a"]
    desk.listed[:] = [Listed("/dev/c", 1, 2, "C")]
    assert mine.paths() == ["/dev/c"]
    with pytest.raises(LinkError, match="serial number A, is not plugged in"):
        theirs.paths()


# Our firmware knows its robot itself: another adapter may reach it, and another robot is refused.


def mocks(*ids: bytes) -> list[MockBoard]:
    made = [MockBoard(SPEC) for _ in ids]
    for mock, robot in zip(made, ids, strict=True):
        mock.firmware._robot_id = robot
    return made


def face_at(here: dict[str, MockBoard], where: Callable[[], str]) -> RobotFace:
    """A face whose board is at one of these ports, wherever it is when it connects."""
    from eva_sim.real.boards.firmware import FirmwareBoard
    from eva_sim.real.wire.link import Link

    first = here[where()]
    calibration = Calibration.nominal(SPEC, first.firmware._robot_id.hex())
    return RobotFace(
        SPEC, lambda: FirmwareBoard(SPEC, Link(here[where()].port, first.clock)), first.clock,
        lambda identity: calibration,
    )  # fmt: skip


def test_firmware_of_another_robot_is_refused_and_stays_limp() -> None:
    mine, other = mocks(b"robot--1", b"robot--2")
    other.clock = mine.clock
    at, here = "old", {"old": mine, "new": other}
    with face_at(here, lambda: at) as face:
        face.reset()
        mine.port.unplug()
        with pytest.raises(LinkError):
            jaw(face)
        at = "new"
        with pytest.raises(
            RobotError, match=f"robot {b'robot--2'.hex()} .*, and not {b'robot--1'.hex()}"
        ) as e:
            face.arm()
        assert "\n" not in str(e.value)
        assert np.isnan(other.pulses).all()
        with pytest.raises(RobotError, match="link lost"):
            jaw(face)
        at = "old"
        mine.port.replug()
        face.arm()
        jaw(face)


# A calibration that changes while the robot is open.


def changed(path: Path) -> None:
    """Somebody has calibrated the robot anew: one servo has another range."""
    old = Calibration.load(path, SPEC)
    joint = old.actuators["jaw"]
    replace(old, actuators={**old.actuators, "jaw": replace(joint, slew=0.9 * joint.slew)}).save(path)


@pytest.mark.parametrize("given", ["file", "relative", "own"])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (changed, "has changed since the robot was opened"),
        (Path.unlink, "there is no calibration at"),
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "damaged"),
    ],
)
def test_a_calibration_that_changed_is_not_armed_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object], message: str, given: str
) -> None:
    mock = MockBoard(SPEC)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVA_CONFIG", "config")
    made = Calibration.nominal(SPEC, mock.firmware._robot_id.hex())
    path = made.save(None if given == "own" else tmp_path / "mine.json").absolute()
    whole = path.read_bytes()
    if given == "own":
        from eva_sim.real.boards.firmware import FirmwareBoard
        from eva_sim.real.wire.link import Link

        monkeypatch.setattr(opening, "WallClock", lambda: mock.clock)
        face = open_robot(camera=None, connect=lambda: FirmwareBoard(SPEC, Link(mock.port, mock.clock)))
    else:
        face = open_hidden(mock, 0, None, path if given == "file" else "mine.json", SPEC)
    with face:
        monkeypatch.chdir(tmp_path / "elsewhere")
        face.reset()
        face.disarm()
        harm(path)
        pulses = list(mock.pulses)
        with pytest.raises(EvaError, match=message) as error:
            face.arm()
        assert "\n" not in str(error.value) and isinstance(error.value, DataError | RobotError)
        assert np.array_equal(mock.pulses, pulses, equal_nan=True)
        path.write_bytes(whole)
        face.arm()
        jaw(face)
