"""Boards on simulated devices, for the tests of boards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest

from eva_sim.clock import Clock, SimulatedClock
from eva_sim.contract import Floats, load_spec
from eva_sim.errors import LinkError
from eva_sim.real.boards.dynamixel import Dynamixel
from eva_sim.real.boards.feetech import Feetech
from eva_sim.real.boards.host_managed import HostManagedBoard
from eva_sim.real.boards.interface import BoardLimits, BoardState
from eva_sim.real.boards.maestro import Maestro, open_maestro
from eva_sim.real.boards.motion_rules import load_motion_rules
from eva_sim.real.boards.servo_bus import default_bus_ids
from eva_sim.real.simulation.fake_bus import FakeDynamixel, FakeFeetech, ServoBus
from eva_sim.real.simulation.fake_line import FakeDevice, FakeLine, MemoryPort
from eva_sim.real.simulation.fake_maestro import FakeMaestro
from eva_sim.real.wire.bus_port import BusPort

SPEC, RULES = load_spec(), load_motion_rules(load_spec())
ALL = range(len(SPEC))
KINDS = ("maestro", "feetech", "dynamixel")
BUSES = ("feetech", "dynamixel")
HEAVY = next(i for i in ALL if SPEC.actuators[i].kind == "leg")


@dataclass
class BoardRig:
    """A board, the simulated device at the other end of its line, and their clock.

    Attributes:
        kind: kind of board, one of `KINDS`.
        line: line between board and device.
        clock: clock of the board.
        board: the board.
        limits: limits for `configure`.
    """

    kind: str
    line: FakeLine
    clock: SimulatedClock
    board: HostManagedBoard
    limits: BoardLimits

    @property
    def device(self) -> FakeDevice:
        """The simulated device."""
        return self.line.device

    @property
    def bus(self) -> ServoBus:
        """The simulated device of a board with bus servos."""
        assert isinstance(self.device, ServoBus)
        return self.device

    @property
    def maestro(self) -> FakeMaestro:
        """The simulated device of a Maestro board."""
        assert isinstance(self.device, FakeMaestro)
        return self.device

    def held_positions(self) -> Floats:
        """Positions at which the device holds the servos [raw]; NaN where limp."""
        return held_positions(self.device)

    def ready(self, actuators: list[int] | range = ALL) -> None:
        """Configures and arms the board; all groups of the chosen actuators are enabled then."""
        self.board.configure(self.limits, 1)
        self.board.arm(actuators)
        while self.board.status().state is BoardState.ARMING:
            self.clock.sleep(0.02)
            self.board.send(self.limits.rest)
        assert self.board.status().state is BoardState.ACTIVE

    def follow(self, raw: Floats, seconds: float) -> None:
        """Sends the same targets every wire period."""
        for _ in range(round(seconds / 0.02)):
            self.clock.sleep(0.02)
            self.board.send(raw)


def held_positions(*devices: FakeDevice) -> Floats:
    """Positions at which a bus, or Maestros in their order, hold the servos [raw]; NaN where limp."""
    bus = devices[0]
    if isinstance(bus, ServoBus):
        at, size = bus.POSITION, bus.GOAL_SIZE
        return np.array([bus.get(i, at, size) if bus.torque(i) else np.nan for i in default_bus_ids(SPEC)])
    maestros = [device for device in devices if isinstance(device, FakeMaestro)]
    quarters = [pulse for maestro in maestros for row in maestro.pulses.values() for pulse in row]
    return np.array([quarters[a.channel] / 4 or np.nan for a in SPEC.actuators])


def lying_positions(device: FakeDevice) -> Floats:
    """Positions at which the servos are, held or not [raw]; NaN for hobby servos, which nobody can ask."""
    if not isinstance(device, ServoBus):
        return np.full(len(SPEC), np.nan)
    return np.array([device.get(i, device.POSITION, device.GOAL_SIZE) for i in default_bus_ids(SPEC)], float)


@dataclass
class Listed:
    """Description of a port, as pyserial lists it."""

    device: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None
    location: str = "1-1:1.0"
    product: str = "Thing"
    description: str = "Thing"


LIBRARIES = {"feetech": "scservo_sdk", "dynamixel": "dynamixel_sdk"}


def device_of(kind: str) -> FakeDevice:
    """A fake of this kind: two Maestros on one line, or 25 servos on a bus."""
    ids = range(1, 26)
    devices: dict[str, Callable[[], FakeDevice]] = {
        "maestro": FakeMaestro,
        "feetech": lambda: FakeFeetech(ids),
        "dynamixel": lambda: FakeDynamixel(ids),
    }
    return devices[kind]()


def build(kind: str, clock: SimulatedClock, line: FakeLine | None = None) -> BoardRig:
    """Builds a board of this kind on its simulated device; skips the test without its library."""
    if kind in LIBRARIES:
        pytest.importorskip(LIBRARIES[kind], reason=f"needs eva-sim[{kind}]")
    line = line or FakeLine(device_of(kind))
    port = BusPort(
        MemoryPort(line), "fake", 1_000_000, latency=0.012
    )  # a fake answers at once, or not at all
    board: HostManagedBoard
    if kind == "maestro":
        board = Maestro(SPEC, [port], (12, 13), robot_id="fake", clock=clock)
    else:
        board = (Feetech if kind == "feetech" else Dynamixel)(SPEC, port, robot_id="fake", clock=clock)
    return BoardRig(kind, line, clock, board, limits_of(kind))


def open_board(kind: str, name: str, clock: Clock | None = None) -> HostManagedBoard:
    """Opens a board of this kind at a serial port."""
    if kind == "maestro":
        return open_maestro(SPEC, name, robot_id="fake", clock=clock)
    if kind == "feetech":
        return Feetech.open(SPEC, name, robot_id="fake", clock=clock)
    return Dynamixel.open(SPEC, name, robot_id="fake", clock=clock)


def limits_of(kind: str) -> BoardLimits:
    """Limits that are the same for all actuators."""
    low, rest, high, slew = (
        (1000.0, 1500.0, 2000.0, 20.0) if kind == "maestro" else (1000.0, 2000.0, 3000.0, 40.0)
    )
    return BoardLimits(*(np.full(len(SPEC), v) for v in (low, high, rest, slew)))


def rigged(kind: str) -> Iterator[BoardRig]:
    """Yields a board of this kind on its simulated device, and closes it; for fixtures."""
    rig = build(kind, SimulatedClock())
    yield rig
    rig.line.plugged = True
    rig.board.close()


def limp(rig: BoardRig) -> bool:
    """Whether the device holds no servo."""
    return bool(np.isnan(rig.held_positions()).all())


#: Directions in which a line is disturbed, as attributes of `FakeLine`.
DIRECTIONS = ("spoil", "spoil_requests")


def check_under_noise(rig: BoardRig, direction: str, rounds: int, seed: int = 1) -> int:
    """Disturbs requests or answers: servos keep limits and slew, or go limp. Returns how often they do."""
    generator, faults, before = np.random.default_rng(seed), 0, rig.held_positions()
    for n in range(rounds):
        setattr(rig.line, direction, [noise(generator) for _ in range(n % 3)])
        with suppress(LinkError):
            rig.follow(rig.limits.high * 2 if n // 15 % 2 else rig.limits.low / 2, 0.02)
        held = rig.held_positions()
        assert (np.isnan(held) | ((held >= rig.limits.low) & (held <= rig.limits.high))).all()
        # A servo that missed one goal gets two steps at once; its own speed limit is the slew.
        assert (np.isnan(held - before) | (np.abs(held - before) <= 3 * rig.limits.slew + 1)).all()
        setattr(rig.line, direction, [])
        if rig.board.status().state is BoardState.FAULT:
            faults += 1
            recover(rig)
        before = rig.held_positions()
    return faults


def recover(rig: BoardRig) -> None:
    """Checks that nothing moves during a fault, then ends it and arms again."""
    assert limp(rig)
    rig.follow(rig.limits.high, 0.06)
    assert limp(rig)
    rig.board.clear()
    rig.ready()


def noise(generator: np.random.Generator) -> Callable[[bytes], bytes]:
    """A random disturbance: a flipped bit, a lost end, a repeated packet, bytes before it, a lost byte."""

    def spoil(data: bytes) -> bytes:
        at = int(generator.integers(len(data)))
        flipped = data[:at] + bytes((data[at] ^ 1 << int(generator.integers(8)),)) + data[at + 1 :]
        rubbish = generator.bytes(5)
        return (flipped, data[:at], data + data, rubbish + data, data[:at] + data[at + 1 :])[
            int(generator.integers(5))
        ]

    return spoil
