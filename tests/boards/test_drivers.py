"""Behaviour of each kind of board."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards.dynamixel import Dynamixel
from eva_sim.real.boards.feetech import Feetech
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.boards.maestro import ERRORS, Maestro, open_maestro
from eva_sim.real.boards.servo_bus import BusBoard, default_bus_ids
from eva_sim.real.simulation.fake_bus import FakeDynamixel, FakeFeetech, ServoBus
from eva_sim.real.simulation.fake_line import FakeLine, MemoryPort, PtyLine
from eva_sim.real.simulation.fake_maestro import FakeMaestro
from eva_sim.real.wire.bus_port import BusPort
from eva_sim.real.wire.serial_ports import find_only_port, identify_robot
from eva_sim.testing.board_rigs import (
    ALL,
    BUSES,
    LIBRARIES,
    RULES,
    SPEC,
    BoardRig,
    Listed,
    build,
    limits_of,
    limp,
    rigged,
)
from eva_sim.testing.pulse_watcher import ROBOT


@pytest.fixture(params=BUSES)
def bus_rig(request: pytest.FixtureRequest) -> Iterator[BoardRig]:
    yield from rigged(request.param)


@pytest.fixture
def maestro() -> Iterator[BoardRig]:
    yield from rigged("maestro")


@pytest.fixture
def feetech() -> Iterator[BoardRig]:
    yield from rigged("feetech")


@pytest.fixture
def dynamixel() -> Iterator[BoardRig]:
    yield from rigged("dynamixel")


def test_a_port_without_a_number_needs_a_name(maestro: BoardRig) -> None:
    pytest.importorskip("serial", reason="needs eva-sim[real]")
    with PtyLine(maestro.line) as pty, pytest.raises(LinkError, match="robot_id="):
        open_maestro(SPEC, pty.name)


def test_maestro_says_its_errors(maestro: BoardRig) -> None:
    for bit, message in enumerate(ERRORS):
        maestro.ready()
        maestro.maestro.complain(bit)
        status = maestro.board.send(maestro.limits.rest)
        assert status.state is BoardState.FAULT and any(message in fault for fault in status.faults)
        maestro.follow(maestro.limits.rest, 0.1)
        assert limp(maestro)
        assert maestro.board.clear().state is BoardState.LIMP


def test_a_spoilt_packet_for_one_maestro_starts_no_servo_of_the_other(maestro: BoardRig) -> None:
    maestro.ready()
    maestro.clock.sleep(0.02)
    first = maestro.line.exchange

    def spoil_targets(data: bytes) -> bytes:
        """The long packet is the targets of the first one."""
        return first(data[:-1] + bytes([data[-1] ^ 1]) if len(data) > 40 else data)

    maestro.line.exchange = spoil_targets  # type: ignore[method-assign]
    maestro.board.send(maestro.limits.rest)
    assert limp(maestro)
    maestro.line.exchange = first  # type: ignore[method-assign]
    status = maestro.board.send(maestro.limits.rest)
    assert status.state is BoardState.FAULT and any("CRC" in fault for fault in status.faults)


def test_maestro_back_from_a_power_cut_stays_limp(maestro: BoardRig) -> None:
    maestro.ready()
    maestro.maestro.lose_power()
    status = maestro.board.send(maestro.limits.rest)
    assert status.state is BoardState.FAULT and limp(maestro)
    assert any("ended its pulses" in fault for fault in status.faults)


def test_maestro_timeout_of_a_limp_face_is_no_fault(maestro: BoardRig) -> None:
    maestro.board.configure(maestro.limits, 1)
    maestro.maestro.complain(5)
    assert maestro.board.arm(ALL).state is BoardState.ARMING


def test_maestro_keeps_the_slew_itself(maestro: BoardRig) -> None:
    """20 us in 20 ms are 40 quarters in 10 ms."""
    maestro.board.configure(maestro.limits, 1)
    assert maestro.maestro.speeds[12] == [40] * 24 and maestro.maestro.speeds[13][0] == 40


@pytest.mark.parametrize("crc", [True, False])
def test_maestro_notices_a_wrong_crc_setting(crc: bool) -> None:
    port = BusPort(MemoryPort(FakeLine(FakeMaestro(crc=not crc))), "fake", 1_000_000)
    with pytest.raises((RobotError, LinkError)):
        Maestro(SPEC, [port], (12, 13), robot_id="fake", crc=crc)


def test_maestro_needs_enough_channels() -> None:
    port = BusPort(MemoryPort(FakeLine(FakeMaestro(channels=18))), "fake", 1_000_000)
    with pytest.raises((RobotError, LinkError)):
        Maestro(SPEC, [port], (12, 13), robot_id="fake")
    with pytest.raises(RobotError, match="two Maestros"):
        Maestro(SPEC, [port], (12,), robot_id="fake")


def test_maestro_on_two_ports() -> None:
    lines = [FakeLine(FakeMaestro([12])), FakeLine(FakeMaestro([12], channels=6))]
    ports = [BusPort(MemoryPort(line), "fake", 1_000_000) for line in lines]
    board = Maestro(SPEC, ports, (None, None), robot_id="a+b", clock=SimulatedClock())
    board.configure(limits_of("maestro"), 1)
    board.arm([SPEC.index("neck_leg_6")])
    assert board.status().state is BoardState.ACTIVE
    second = lines[1].device
    assert isinstance(second, FakeMaestro) and second.pulses[12][0] == 6000
    board.close()


@pytest.mark.parametrize("lies, begins", [(1234, 1234), (3600, 3000), (90, 1000)])
def test_bus_servo_starts_where_it_is(bus_rig: BoardRig, lies: int, begins: int) -> None:
    """Limp servos lie anywhere; waking must not snap them to rest, nor keep them beyond a limit."""
    first = RULES.groups[0]
    bus_rig.board.configure(bus_rig.limits, 1)
    for i in default_bus_ids(SPEC):
        bus_rig.bus.put(i, bus_rig.bus.POSITION, lies, bus_rig.bus.GOAL_SIZE)
    bus_rig.board.arm(first.tolist())
    np.testing.assert_array_equal(bus_rig.held_positions()[first], begins)
    bus_rig.follow(bus_rig.limits.low, 0.02)  # whatever is asked: to rest first
    status = bus_rig.board.status()
    assert status.state is BoardState.ARMING
    np.testing.assert_array_equal(bus_rig.held_positions()[first], begins + 20 * np.sign(2000 - begins))
    while bus_rig.board.status().state is BoardState.ARMING:
        bus_rig.follow(bus_rig.limits.low, 0.02)
    np.testing.assert_array_equal(bus_rig.held_positions()[first], 2000)


def test_bus_servo_can_be_read_limp(bus_rig: BoardRig) -> None:
    board = bus_rig.board
    assert isinstance(board, BusBoard)
    bus_rig.bus.put(default_bus_ids(SPEC)[3], bus_rig.bus.POSITION, 777, 2)
    assert board.measured_positions()[3] == 777 and limp(bus_rig)


def test_bus_servo_that_dies_is_a_fault(bus_rig: BoardRig) -> None:
    bus_rig.ready()
    bus_rig.bus.dead.add(default_bus_ids(SPEC)[12])
    status = bus_rig.board.send(bus_rig.limits.rest)
    assert (
        status.state is BoardState.FAULT
        and f"jaw (id {default_bus_ids(SPEC)[12]}): no answer" in status.faults
    )
    others = np.delete(bus_rig.held_positions(), 12)
    assert np.isnan(others).all()


def test_bus_servo_that_lost_power_is_a_fault(bus_rig: BoardRig) -> None:
    bus_rig.ready()
    bus_rig.bus.put(default_bus_ids(SPEC)[12], bus_rig.bus.TORQUE, 0)
    status = bus_rig.board.send(bus_rig.limits.rest)
    assert status.state is BoardState.FAULT and limp(bus_rig)
    assert any("jaw" in fault and "torque" in fault for fault in status.faults)


def test_bus_limp_is_repeated_until_it_is_so(bus_rig: BoardRig) -> None:
    bus_rig.ready()
    bus_rig.line.lose_requests = 1
    bus_rig.board.disarm()
    assert limp(bus_rig)


def test_bus_limits_go_into_the_servos_once(bus_rig: BoardRig) -> None:
    low, high, size = (9, 11, 2) if bus_rig.kind == "feetech" else (52, 48, 4)
    bus_rig.board.configure(bus_rig.limits, 1)
    for i in default_bus_ids(SPEC):
        assert (bus_rig.bus.get(i, low, size), bus_rig.bus.get(i, high, size)) == (1000, 3000)
    if bus_rig.kind == "feetech":
        assert all(bus_rig.bus.get(i, 55) for i in default_bus_ids(SPEC))  # locked again
    heard = len(bus_rig.bus.heard)
    bus_rig.board.configure(bus_rig.limits, 1)
    assert len(bus_rig.bus.heard) - heard == 2  # only read: EEPROM wears


def test_bus_torque_limit_is_written_at_start(bus_rig: BoardRig) -> None:
    share = ROBOT["safety"]["torque_limit"]
    registers = (16, 48) if bus_rig.kind == "feetech" else (36, 100)  # EEPROM, and what holds now
    full = 1000 if bus_rig.kind == "feetech" else 885
    for register in registers:
        limits = {bus_rig.bus.get(i, register, 2) for i in default_bus_ids(SPEC)}
        assert limits == {round(full * share)}, register


@pytest.mark.parametrize(
    "kind, register", [("feetech", 48), ("feetech", 16), ("dynamixel", 36), ("dynamixel", 100)]
)
def test_a_servo_without_its_torque_limit_is_refused(
    kind: str, register: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ServoBus._write

    def deaf(bus: ServoBus, number: int, address: int, data: bytes) -> int:
        return 0 if (number, address) == (7, register) else plain(bus, number, address, data)

    monkeypatch.setattr(ServoBus, "_write", deaf)
    with pytest.raises(LinkError, match=r"id 7.* torque limit"):
        build(kind, SimulatedClock())


@pytest.mark.parametrize("bit, message", [(0, "voltage"), (2, "too hot"), (5, "overload"), (7, "unknown")])
def test_bus_says_its_faults(bus_rig: BoardRig, bit: int, message: str) -> None:
    address = 65 if bus_rig.kind == "feetech" else 70
    bus_rig.ready()
    bus_rig.bus.put(default_bus_ids(SPEC)[12], address, 1 << bit)
    status = bus_rig.board.send(bus_rig.limits.rest)
    assert status.state is BoardState.FAULT and limp(bus_rig)
    assert any("jaw" in fault and message in fault for fault in status.faults)
    if bus_rig.kind == "feetech":
        assert bus_rig.board.clear().state is BoardState.FAULT  # still hot
        bus_rig.bus.put(default_bus_ids(SPEC)[12], address, 0)
    assert bus_rig.board.clear().state is BoardState.LIMP  # Dynamixel: the reboot clears it
    bus_rig.ready()


def test_bus_measures(bus_rig: BoardRig) -> None:
    number = default_bus_ids(SPEC)[4]
    load, temperature = (60, 63) if bus_rig.kind == "feetech" else (126, 146)
    minus_quarter = 250 | 1 << 10 if bus_rig.kind == "feetech" else 0x10000 - 250
    bus_rig.bus.put(number, load, minus_quarter, 2)
    bus_rig.bus.put(number, temperature, 55)
    status = bus_rig.board.status()
    assert status.load[4] == -0.25 and status.temperature[4] == 55
    assert status.supply == (7.4 if bus_rig.kind == "feetech" else 11.1)


def test_feetech_powers_up_with_torque_and_is_let_go() -> None:
    fake = FakeFeetech(range(1, 26))
    assert all(fake.torque(i) for i in fake.registers)
    rig = build("feetech", SimulatedClock(), FakeLine(fake))
    assert limp(rig)
    rig.board.close()


def test_feetech_speed_is_the_slew(feetech: BoardRig) -> None:
    """40 ticks in 20 ms are 2,000 ticks per second; old servos count them in fifties."""
    feetech.ready()
    assert feetech.bus.get(default_bus_ids(SPEC)[0], 46, 2) == 2000
    fake = FakeFeetech(range(1, 26))
    fake.put(default_bus_ids(SPEC)[0], 18, 0)
    other = build("feetech", SimulatedClock(), FakeLine(fake))
    other.ready()
    assert fake.get(default_bus_ids(SPEC)[0], 46, 2) == 40
    other.board.close()


def test_feetech_in_wheel_mode_is_refused() -> None:
    fake = FakeFeetech(range(1, 26))
    fake.put(default_bus_ids(SPEC)[12], 33, 1)
    with pytest.raises(RobotError, match=r"jaw.*position mode"):
        build("feetech", SimulatedClock(), FakeLine(fake))


def test_dynamixel_watchdog_holds_and_comes_back(dynamixel: BoardRig) -> None:
    fake = dynamixel.device
    assert isinstance(fake, FakeDynamixel)
    dynamixel.ready()
    assert {fake.get(i, 98) for i in default_bus_ids(SPEC)} == {10}  # 10 times 20 ms
    dynamixel.follow(dynamixel.limits.high, 0.1)
    held = dynamixel.held_positions()
    fake.wait(0.3)
    assert {fake.get(i, 98) for i in default_bus_ids(SPEC)} == {0xFF}
    dynamixel.follow(dynamixel.limits.high, 0.02)
    assert {fake.get(i, 98) for i in default_bus_ids(SPEC)} == {10}
    assert (dynamixel.held_positions() > held).all()
    dynamixel.board.disarm()
    assert {fake.get(i, 98) for i in default_bus_ids(SPEC)} == {0}


def test_dynamixel_back_from_a_power_cut_can_be_cleared(dynamixel: BoardRig) -> None:
    dynamixel.ready()
    for i in default_bus_ids(SPEC):
        dynamixel.bus.put(i, 64, 0)
        for k in range(28):
            dynamixel.bus.put(i, 168 + 2 * k, 224 + k, 2)
    assert dynamixel.board.send(dynamixel.limits.rest).state is BoardState.FAULT
    assert dynamixel.board.clear().state is BoardState.LIMP
    dynamixel.ready()


@pytest.mark.parametrize("register, value", [(0, 350), (10, 4), (10, 8), (11, 4)])
def test_dynamixel_set_up_wrongly_is_refused(register: int, value: int) -> None:
    fake = FakeDynamixel(range(1, 26))
    fake.put(default_bus_ids(SPEC)[12], register, value, 2 if register == 0 else 1)
    with pytest.raises(RobotError, match="jaw"):
        build("dynamixel", SimulatedClock(), FakeLine(fake))


@pytest.mark.parametrize(
    ("kind", "register", "value", "size", "name"),
    [
        ("feetech", 31, 900, 2, "position correction"),
        ("feetech", 31, 1 << 11 | 1, 2, "position correction"),  # bit 11 is its sign
        ("dynamixel", 20, 1024, 4, "homing offset"),
        ("dynamixel", 20, 2**32 - 1, 4, "homing offset"),
        ("dynamixel", 10, 1, 1, "reversed direction"),
    ],
)
def test_a_servo_whose_positions_another_tool_has_displaced_is_refused(
    kind: str, register: int, value: int, size: int, name: str
) -> None:
    """The calibration would be wrong: the same position is another angle."""
    fake = (FakeFeetech if kind == "feetech" else FakeDynamixel)(range(1, 26))
    for i in default_bus_ids(SPEC):
        fake.put(i, fake.TORQUE, 1)  # as one that powers up driven
    fake.put(default_bus_ids(SPEC)[12], register, value, size)
    with pytest.raises(RobotError, match=rf"^jaw \(id \d+\) has a {name}.*register {register} is {value}"):
        build(kind, SimulatedClock(), FakeLine(fake))
    assert not any(fake.torque(i) for i in default_bus_ids(SPEC))
    fake.put(default_bus_ids(SPEC)[12], register, 0, size)
    build(kind, SimulatedClock(), FakeLine(fake)).board.close()


def test_dynamixel_that_measures_current() -> None:
    fake = FakeDynamixel(range(1, 26), model=1200)
    rig = build("dynamixel", SimulatedClock(), FakeLine(fake))
    fake.put(default_bus_ids(SPEC)[4], 126, 875, 2)
    assert rig.board.status().load[4] == 0.5  # of a limit of 1,750
    rig.board.close()


MINI: dict[str, Any] = {"vid": 0x1FFB, "pid": 0x008C, "serial_number": "00123456"}
PORTS = [
    Listed("/dev/ttyS0"),
    Listed("/dev/ttyACM0", **MINI),
    Listed("/dev/ttyACM1", **MINI, location="1-1:1.2"),
]


def test_finds_the_command_port_and_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("serial", reason="needs eva-sim[real]")
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: PORTS)
    assert find_only_port("maestro") == "/dev/ttyACM0"
    assert identify_robot(["/dev/ttyACM0"], None) == ("00123456", "Thing")
    assert identify_robot(["/dev/ttyACM0"], "eva") == ("eva", "Thing")
    with pytest.raises(LinkError, match="but none"):
        find_only_port("feetech")
    with pytest.raises(LinkError, match="robot_id="):
        identify_robot(["/dev/ttyS0"], None)
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [*PORTS, Listed("/dev/ttyACM2", **MINI)])
    with pytest.raises(LinkError, match="ttyACM0, /dev/ttyACM2"):
        find_only_port("maestro")


def foreign(kind: str, change: dict[str, tuple[int, int, int]], number: int) -> FakeFeetech | FakeDynamixel:
    """A bus on which one servo has other registers: address, value and size of each."""
    bus = (FakeFeetech if kind == "feetech" else FakeDynamixel)(range(1, 26))
    for address, value, size in change.values():
        bus.put(number, address, value, size)
    return bus


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("feetech", {"model": (3, 0x0405, 2), "order": (2, 1, 1)}, "series SCS, byte order 1"),
        ("feetech", {"order": (2, 1, 1)}, "byte order 1"),
        ("feetech", {"model": (3, 10, 1)}, "series HLS"),
        ("feetech", {"model": (3, 77, 1)}, r"series unknown \(77\)"),
        ("feetech", {"limit": (11, 0xFF03, 2)}, "greatest position 65283"),  # 1023, high byte first
        ("dynamixel", {"model": (0, 12, 2)}, "model 12, not of the X series"),
        ("dynamixel", {"model": (0, 2010, 2)}, "model 2010, not of the X series"),
    ],
)
@pytest.mark.parametrize("number", [1, 17])
def test_nothing_is_written_to_other_servos(
    kind: str, change: dict[str, tuple[int, int, int]], message: str, number: int
) -> None:
    pytest.importorskip(LIBRARIES[kind], reason=f"needs eva-sim[{kind}]")
    bus = foreign(kind, change, number)
    before = {i: bytes(registers) for i, registers in bus.registers.items()}
    port = BusPort(MemoryPort(FakeLine(bus)), "fake", 1_000_000)
    with pytest.raises(RobotError, match=message) as error:
        (Feetech if kind == "feetech" else Dynamixel)(SPEC, port, "fake", clock=SimulatedClock())
    assert f"id {number})" in str(error.value)
    assert {i: bytes(registers) for i, registers in bus.registers.items()} == before and not bus.driven
    writes = (0x03, 0x83)  # single and sync write, in both protocols
    assert not any(packet[4 if kind == "feetech" else 7] in writes for packet in bus.heard)
