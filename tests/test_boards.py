"""Contract of every board, on fakes that speak the real packets; and those packets against the manuals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards import guard
from eva_sim.real.boards.base import Limits, State
from eva_sim.real.boards.bus import BusBoard, default_ids
from eva_sim.real.boards.dynamixel import Dynamixel, open_dynamixel
from eva_sim.real.boards.fake_bus import FakeDynamixel, FakeFeetech, ServoBus, dynamixel_crc
from eva_sim.real.boards.fake_maestro import FakeMaestro
from eva_sim.real.boards.fakes import Device, Line, MemoryPort, Pty
from eva_sim.real.boards.feetech import Feetech, open_feetech
from eva_sim.real.boards.maestro import ERRORS, Maestro, Unit, crc7, open_maestro, septets
from eva_sim.real.boards.port import Port
from eva_sim.real.boards.rules import load_rules, pulls
from eva_sim.real.boards.soft import SoftBoard
from eva_sim.real.clock import Clock
from eva_sim.real.deadman import DeadMan

SPEC, RULES = load_spec(), load_rules()
ALL = range(len(SPEC))
KINDS = ("maestro", "feetech", "dynamixel")
BUSES = ("feetech", "dynamixel")
HEAVY = next(i for i in ALL if SPEC.actuators[i].kind == "leg")


class HandClock(Clock):
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, duration: float) -> None:
        self.time += max(duration, 0.0)


@dataclass
class Rig:
    """A board, what is at the other end, and the clock between them."""

    kind: str
    line: Line
    clock: HandClock
    board: SoftBoard
    limits: Limits

    @property
    def device(self) -> Device:
        return self.line.device

    @property
    def bus(self) -> ServoBus:
        assert isinstance(self.device, ServoBus)
        return self.device

    @property
    def maestro(self) -> FakeMaestro:
        assert isinstance(self.device, FakeMaestro)
        return self.device

    def pins(self) -> Floats:
        """Where servos are held by what the far end does, (25,) [raw]; NaN: limp."""
        if self.kind == "maestro":
            quarters = np.concatenate(list(self.maestro.pulses.values())).astype(float)
            return np.array([quarters[a.channel] / 4 or np.nan for a in SPEC.actuators])
        at, size = self.bus.POSITION, self.bus.GOAL_SIZE
        ids = default_ids()
        return np.array([self.bus.get(i, at, size) if self.bus.torque(i) else np.nan for i in ids])

    def ready(self, actuators: list[int] | range = ALL) -> None:
        """Configured and armed, all groups awake."""
        self.board.configure(self.limits, 1)
        self.board.arm(actuators)
        for _ in RULES.groups:
            self.clock.sleep(RULES.arm_gap)
            pins = self.pins()
            self.board.send(np.where(np.isnan(pins), self.limits.rest, pins))
        assert self.board.status().state is State.ACTIVE

    def follow(self, raw: Floats, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.clock.sleep(0.02)
            self.board.send(raw)


def build(kind: str, clock: HandClock, line: Line | None = None) -> Rig:
    ids = range(1, 26)
    devices: dict[str, Callable[[], Device]] = {
        "maestro": FakeMaestro,
        "feetech": lambda: FakeFeetech(ids),
        "dynamixel": lambda: FakeDynamixel(ids),
    }
    line = line or Line(devices[kind]())
    port = Port(MemoryPort(line), "fake", 1_000_000)
    board: SoftBoard
    if kind == "maestro":
        board = Maestro([port], (12, 13), robot="fake", clock=clock)
    else:
        board = (Feetech if kind == "feetech" else Dynamixel)(port, robot="fake", clock=clock)
    return Rig(kind, line, clock, board, limits_of(kind))


def open_board(kind: str, name: str, clock: Clock | None = None) -> SoftBoard:
    if kind == "maestro":
        return open_maestro(name, robot="fake", clock=clock)
    if kind == "feetech":
        return open_feetech(name, robot="fake", clock=clock)
    return open_dynamixel(name, robot="fake", clock=clock)


def limits_of(kind: str) -> Limits:
    low, rest, high, slew = (
        (1000.0, 1500.0, 2000.0, 20.0) if kind == "maestro" else (1000.0, 2000.0, 3000.0, 40.0)
    )
    return Limits(*(np.full(len(SPEC), v) for v in (low, high, rest, slew)))


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield from rigged(request.param)


@pytest.fixture(params=BUSES)
def bus_rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield from rigged(request.param)


@pytest.fixture
def maestro() -> Iterator[Rig]:
    yield from rigged("maestro")


@pytest.fixture
def feetech() -> Iterator[Rig]:
    yield from rigged("feetech")


@pytest.fixture
def dynamixel() -> Iterator[Rig]:
    yield from rigged("dynamixel")


def rigged(kind: str) -> Iterator[Rig]:
    rig = build(kind, HandClock())
    yield rig
    rig.line.plugged = True
    rig.board.close()


def limp(rig: Rig) -> bool:
    return bool(np.isnan(rig.pins()).all())


# The contract.


def test_nothing_moves_before_arm(rig: Rig) -> None:
    assert limp(rig)
    driven = [d for d in rig.device.driven if d[1]]
    rig.board.configure(rig.limits, 1)
    status = rig.board.send(rig.limits.high)
    assert status.state is State.LIMP and np.isnan(status.output).all()
    assert limp(rig) and [d for d in rig.device.driven if d[1]] == driven


def test_needs_limits_to_arm(rig: Rig) -> None:
    with pytest.raises(RobotError, match="configure"):
        rig.board.arm(ALL)


def test_arms_group_by_group_at_rest(rig: Rig) -> None:
    rig.board.configure(rig.limits, 1)
    if rig.kind != "maestro":
        for i in default_ids():
            rig.bus.put(i, rig.bus.POSITION, 2000, rig.bus.GOAL_SIZE)
    assert rig.board.arm(ALL).state is State.ARMING
    for done in range(1, len(RULES.groups) + 1):
        for _ in range(2):  # before the next group's time has come, nothing more wakes
            awake = np.concatenate(RULES.groups[:done])
            assert set(np.flatnonzero(~np.isnan(rig.pins()))) == set(awake)
            np.testing.assert_allclose(rig.pins()[awake], rig.limits.rest[awake])
            rig.board.send(rig.limits.rest)
        rig.clock.sleep(RULES.arm_gap)
        rig.board.tick()
    assert rig.board.status().state is State.ACTIVE


def test_arms_only_what_was_asked(rig: Rig) -> None:
    rig.ready([3, HEAVY])
    rig.follow(rig.limits.high, 0.2)
    assert set(np.flatnonzero(~np.isnan(rig.pins()))) == {3, HEAVY}
    output = rig.board.status().output
    assert set(np.flatnonzero(~np.isnan(output))) == {3, HEAVY}


def test_arming_waits_in_silence(rig: Rig) -> None:
    rig.board.configure(rig.limits, 1)
    rig.board.arm(ALL)
    rig.clock.sleep(0.25)
    rig.board.tick()
    assert rig.board.status().state is State.HOLD
    assert set(np.flatnonzero(~np.isnan(rig.pins()))) == set(RULES.groups[0])
    assert rig.board.send(rig.limits.rest).state is State.ARMING


@pytest.mark.parametrize("wrong", [[], [25], [-1]])
def test_arms_only_what_there_is(rig: Rig, wrong: list[int]) -> None:
    rig.board.configure(rig.limits, 1)
    with pytest.raises(RobotError, match="0 to 24"):
        rig.board.arm(wrong)
    assert limp(rig)


def test_arms_only_from_limp(rig: Rig) -> None:
    rig.ready()
    with pytest.raises(RobotError, match="disarm"):
        rig.board.arm(ALL)
    with pytest.raises(RobotError, match="disarm"):
        rig.board.configure(rig.limits, 2)


def test_send_keeps_slew_and_limits(rig: Rig) -> None:
    rig.ready()
    before = rig.pins()
    for _ in range(80):
        rig.clock.sleep(0.02)
        status = rig.board.send(np.full(25, 9000.0))
        now = rig.pins()
        assert (np.abs(now - before) <= rig.limits.slew + 1.0).all()
        before = now
    assert (before <= rig.limits.high).all() and (before > rig.limits.high - 2.0)[0]
    assert any("clamped" in fault and SPEC.names[0] in fault for fault in status.faults)


def test_a_late_send_earns_no_jump(rig: Rig) -> None:
    rig.ready()
    rig.follow(rig.limits.rest, 0.1)
    before = rig.pins()
    rig.clock.sleep(0.9)
    rig.board.send(rig.limits.high)
    assert (rig.pins() - before <= rig.limits.slew * RULES.most_periods + 1.0).all()


def test_exclusion_holds_on_the_way(rig: Rig) -> None:
    rig.ready()
    one, other, limit = RULES.pairs[0]
    low = np.full(25, rig.limits.low[0])
    limits = Limits(low, rig.limits.high, low, np.where(np.arange(25) == one, 100.0, 10.0))
    rig.board.disarm()
    if rig.kind != "maestro":
        for i in default_ids():
            rig.bus.put(i, rig.bus.POSITION, int(low[0]), rig.bus.GOAL_SIZE)
    rig.limits = limits
    rig.ready()
    for target in ((1, 0.0, 1.0), (2, 1.0, 0.0), (3, 1.0, 1.0), (4, 0.0, 1.0)):
        wanted = limits.low.copy()
        wanted[one], wanted[other] = (low[0] + share * 1000.0 for share in target[1:])
        for _ in range(30):
            rig.follow(wanted, 0.02)
            pull = pulls(rig.pins(), limits)
            assert pull[one] + pull[other] <= limit + 0.003
    assert pull[other] > 0.2


def test_refuses_what_is_no_number(rig: Rig) -> None:
    rig.ready()
    before = rig.pins()
    for bad in (np.full(25, np.nan), np.full(25, np.inf), np.zeros(24)):
        with pytest.raises(RobotError, match="25 finite"):
            rig.board.send(bad)
    np.testing.assert_array_equal(rig.pins(), before)


@pytest.mark.parametrize(
    "change",
    [
        {"low": np.full(25, 2500.0), "high": np.full(25, 1000.0)},
        {"low": np.full(25, -5.0)},
        {"high": np.full(25, 99999.0)},
        {"rest": np.full(25, 500.0)},
        {"rest": np.full(25, np.nan)},
        {"slew": np.zeros(25)},
        {"slew": np.ones(3)},
    ],
)
def test_refuses_bad_limits(rig: Rig, change: dict[str, Floats]) -> None:
    with pytest.raises(RobotError, match="calibrate again"):
        rig.board.configure(Limits(**{**vars(rig.limits), **change}), 1)


def test_disarm_and_disarm_again(rig: Rig) -> None:
    rig.ready()
    rig.board.disarm()
    rig.board.disarm()
    assert limp(rig) and rig.board.status().state is State.LIMP
    rig.follow(rig.limits.high, 0.1)
    assert limp(rig)


def test_stop_latches_until_clear(rig: Rig) -> None:
    rig.ready()
    rig.board.stop()
    assert limp(rig) and rig.board.status().state is State.STOPPED
    rig.follow(rig.limits.high, 0.1)
    rig.board.disarm()
    for refused in (lambda: rig.board.arm(ALL), lambda: rig.board.configure(rig.limits, 1)):
        with pytest.raises(RobotError, match="stop is latched"):
            refused()
    assert limp(rig)
    assert rig.board.clear().state is State.LIMP and limp(rig)
    rig.ready()


def test_silence_holds_then_limps_and_nothing_rearms(rig: Rig) -> None:
    rig.ready()
    rig.follow(rig.limits.high, 0.1)
    held = rig.pins()
    rig.clock.sleep(0.21)
    rig.board.tick()
    assert rig.board.status().state is State.HOLD
    np.testing.assert_array_equal(rig.pins(), held)
    rig.clock.sleep(0.8)
    rig.board.tick()
    assert limp(rig)
    rig.follow(rig.limits.high, 0.1)
    status = rig.board.status()
    assert status.state is State.LIMP and limp(rig)
    assert any("targets stopped" in fault for fault in status.faults)
    assert not rig.board.arm(ALL).faults


def test_targets_end_a_hold(rig: Rig) -> None:
    rig.ready()
    rig.follow(rig.limits.rest, 0.1)
    rig.clock.sleep(0.5)
    rig.board.tick()
    assert rig.board.status().state is State.HOLD
    rig.follow(rig.limits.high, 0.1)
    assert rig.board.status().state is State.ACTIVE
    assert (rig.pins() > rig.limits.rest + 3 * rig.limits.slew).all()


def test_asking_is_no_sign_of_life(rig: Rig) -> None:
    rig.ready()
    for _ in range(60):
        rig.clock.sleep(0.02)
        rig.board.status()
    assert limp(rig)


def test_limps_when_the_owner_dies(rig: Rig) -> None:
    rig.ready()
    rig.board._deadman._limp()
    assert limp(rig)


def test_close_limps_and_ends_all(rig: Rig) -> None:
    rig.ready()
    rig.board.close()
    assert limp(rig) and not rig.board._deadman.watching
    rig.board.close()
    rig.board.disarm()
    with pytest.raises(LinkError, match="connect again"):
        rig.board.send(rig.limits.rest)


def test_unplugging(rig: Rig) -> None:
    rig.ready()
    rig.line.plugged = False
    with pytest.raises(LinkError):
        rig.board.send(rig.limits.rest)
    with pytest.raises(LinkError):
        rig.board.status()
    with pytest.raises(LinkError):
        rig.board.disarm()
    with pytest.raises(RobotError):
        rig.board.arm(ALL)
    rig.line.plugged = True
    rig.board.tick()  # the dead man still owes the limp
    assert limp(rig)
    rig.follow(rig.limits.high, 0.1)
    assert limp(rig) and rig.board.status().state is State.FAULT
    assert any("link lost" in fault for fault in rig.board.status().faults)
    assert rig.board.clear().state is State.LIMP


def test_two_lost_answers_do_no_harm(rig: Rig) -> None:
    rig.ready()
    for _ in range(3):
        rig.line.lose_replies = 1
        rig.clock.sleep(0.02)
        assert rig.board.send(rig.limits.high).state is State.ACTIVE


@pytest.mark.parametrize("way", ["spoil", "spoil_requests"])
def test_noise_never_moves_a_servo_wrongly(rig: Rig, way: str) -> None:
    """Whatever happens to what is sent and answered, a servo keeps limits and slew, or the face is limp."""
    rig.ready()
    generator, faults, before = np.random.default_rng(1), 0, rig.pins()
    for n in range(80):
        setattr(rig.line, way, [noise(generator) for _ in range(n % 3)])
        with suppress(LinkError):
            rig.follow(rig.limits.high * 2 if n // 20 % 2 else rig.limits.low / 2, 0.02)
        pins = rig.pins()
        assert (np.isnan(pins) | ((pins >= rig.limits.low) & (pins <= rig.limits.high))).all()
        # A servo that missed one goal gets two steps at once; its own speed limit is the slew.
        assert (np.isnan(pins - before) | (np.abs(pins - before) <= 3 * rig.limits.slew + 1)).all()
        setattr(rig.line, way, [])
        if rig.board.status().state is State.FAULT:
            faults += 1
            assert limp(rig)
            rig.follow(rig.limits.high, 0.06)
            assert limp(rig)
            rig.board.clear()
            rig.ready()
        before = rig.pins()
    assert faults < 60


def noise(generator: np.random.Generator) -> Callable[[bytes], bytes]:
    """A flipped bit, a lost end, a packet twice, rubbish before it, or a lost byte inside."""

    def spoil(data: bytes) -> bytes:
        at = int(generator.integers(len(data)))
        flipped = data[:at] + bytes((data[at] ^ 1 << int(generator.integers(8)),)) + data[at + 1 :]
        rubbish = generator.bytes(5)
        return (flipped, data[:at], data + data, rubbish + data, data[:at] + data[at + 1 :])[
            int(generator.integers(5))
        ]

    return spoil


def test_says_whether_it_measures(rig: Rig) -> None:
    """A servo pushed aside shows on a bus, and cannot show on a Maestro."""
    rig.ready()
    identity = rig.board.identity
    assert identity.kind == rig.kind and identity.unit == ("us" if rig.kind == "maestro" else "ticks")
    assert identity.measured == (rig.kind != "maestro")
    assert identity.dead_man == ("board" if rig.kind == "dynamixel" else "host")
    if rig.kind == "maestro":
        assert np.isnan(rig.board.status().load).all()
    else:
        rig.bus.put(default_ids()[7], rig.bus.POSITION, 1987, 2)
        assert rig.board.status().output[7] == 1987


def test_on_a_pseudo_terminal(rig: Rig) -> None:
    clock = HandClock()
    with Pty(rig.line) as pty:
        board = open_board(rig.kind, pty.name, clock)
        there = Rig(rig.kind, rig.line, clock, board, rig.limits)
        there.ready()
        there.follow(rig.limits.high, 0.1)
        assert (there.pins() > rig.limits.rest).all()
        pty.close()
        with pytest.raises(LinkError):
            board.send(rig.limits.rest)
        board.close()


HOST = """
import os, signal, sys
sys.path[:0] = {path!r}
from test_boards import ALL, limits_of, open_board
board = open_board({kind!r}, {name!r})
board.configure(limits_of({kind!r}), 1)
board.arm(ALL)
board.send(limits_of({kind!r}).rest)
print("armed", flush=True)
if {how!r} == "SIGKILL":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit("a mistake")
"""


@pytest.mark.parametrize("how", ["SIGKILL", "exit"])
def test_a_dead_host_leaves_a_limp_face(rig: Rig, how: str) -> None:
    """In a process of its own, on a pseudo-terminal: nothing of it is left to say anything, but its guard."""
    with Pty(rig.line) as pty:
        path = [os.path.dirname(__file__), *sys.path]
        script = HOST.format(path=path, kind=rig.kind, name=pty.name, how=how)
        host = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        assert host.stdout == "armed\n", host.stderr
        assert host.returncode == (-signal.SIGKILL if how == "SIGKILL" else 1)
        deadline = time.monotonic() + 20  # its guard speaks at once; the machine may be busy
        while not limp(rig) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert limp(rig)


@pytest.fixture
def ends() -> Iterator[dict[str, int]]:
    """A pipe from host to guard, and one that stands for the port."""
    heard, say = os.pipe()
    port, speak = os.pipe()
    yield {"heard": heard, "say": say, "port": port, "speak": speak}
    for number in (heard, say, port, speak):
        with suppress(OSError):
            os.close(number)


def test_guard_speaks_when_the_host_is_dead(ends: dict[str, int]) -> None:
    os.write(ends["say"], b"..")
    os.close(ends["say"])
    guard.stand(ends["heard"], 60.0, {ends["speak"]: b"limp"})
    assert os.read(ends["port"], 99) == b"limp" * guard.REPEATS


def test_guard_speaks_when_the_host_is_frozen(ends: dict[str, int]) -> None:
    arguments = (ends["heard"], 0.001, {ends["speak"]: b"limp"})
    thread = threading.Thread(target=guard.stand, args=arguments, daemon=True)
    thread.start()
    assert os.read(ends["port"], 4) == b"limp"
    os.write(ends["say"], guard.GOODBYE)
    thread.join(10)
    assert not thread.is_alive()


def test_guard_leaves_in_silence_when_told(ends: dict[str, int]) -> None:
    os.write(ends["say"], b"..!")
    guard.stand(ends["heard"], 60.0, {ends["speak"]: b"limp"})
    os.close(ends["speak"])
    assert os.read(ends["port"], 99) == b""


# The dead man's thread.


def dead_thread() -> threading.Thread:
    thread = threading.Thread()
    thread.start()
    thread.join()
    return thread


def test_dead_man_beats_from_his_own_thread() -> None:
    beats, threads = threading.Semaphore(0), set()

    def beat() -> None:
        threads.add(threading.current_thread().name)
        beats.release()

    man = DeadMan(beat, lambda: None, interval=0.0)
    man.start()
    assert all(beats.acquire(timeout=10) for _ in range(5))
    man.close()
    assert not man.watching and threads == {"eva-deadman"}


def test_dead_man_limps_when_his_owner_dies_and_ends() -> None:
    limped = threading.Event()
    man = DeadMan(lambda: pytest.fail("the owner is dead"), limped.set, owner=dead_thread(), interval=0.0)
    man.start()
    assert limped.wait(10)
    man.close()
    assert not man.watching


def test_dead_man_tries_again_when_the_link_fails() -> None:
    limped = threading.Event()
    tries: list[int] = []

    def limp_at_third() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise LinkError("noise")
        limped.set()

    man = DeadMan(lambda: None, limp_at_third, owner=dead_thread(), interval=0.0)
    man.start()
    assert limped.wait(10)
    man.close()


def test_board_whose_owner_died_cannot_be_armed(rig: Rig) -> None:
    port = Port(MemoryPort(rig.line), "fake", 1_000_000)
    if rig.kind == "maestro":
        board: SoftBoard = Maestro([port], (12, 13), "fake", clock=rig.clock, owner=dead_thread())
    else:
        kind = Feetech if rig.kind == "feetech" else Dynamixel
        board = kind(port, "fake", clock=rig.clock, owner=dead_thread())
    board.configure(rig.limits, 1)
    board._deadman._thread.join(10)
    with pytest.raises(RobotError, match="nobody would notice"):
        board.arm(ALL)
    board.close()


# Each board's own.


def test_a_port_without_a_number_needs_a_name(maestro: Rig) -> None:
    with Pty(maestro.line) as pty, pytest.raises(LinkError, match="robot="):
        open_maestro(pty.name)


def test_maestro_says_its_errors(maestro: Rig) -> None:
    for bit, told in enumerate(ERRORS):
        maestro.ready()
        maestro.maestro.complain(bit)
        status = maestro.board.send(maestro.limits.rest)
        assert status.state is State.FAULT and any(told in fault for fault in status.faults)
        maestro.follow(maestro.limits.rest, 0.1)
        assert limp(maestro)
        assert maestro.board.clear().state is State.LIMP


def test_maestro_back_from_a_power_cut_stays_limp(maestro: Rig) -> None:
    maestro.ready()
    maestro.maestro.lose_power()
    status = maestro.board.send(maestro.limits.rest)
    assert status.state is State.FAULT and limp(maestro)
    assert any("ended its pulses" in fault for fault in status.faults)


def test_maestro_timeout_of_a_limp_face_is_no_fault(maestro: Rig) -> None:
    maestro.board.configure(maestro.limits, 1)
    maestro.maestro.complain(5)
    assert maestro.board.arm(ALL).state is State.ARMING


def test_maestro_keeps_the_slew_itself(maestro: Rig) -> None:
    """20 us in 20 ms are 40 quarters in 10 ms."""
    maestro.board.configure(maestro.limits, 1)
    assert maestro.maestro.speeds[12] == [40] * 24 and maestro.maestro.speeds[13][0] == 40


@pytest.mark.parametrize("crc", [True, False])
def test_maestro_notices_a_wrong_crc_setting(crc: bool) -> None:
    port = Port(MemoryPort(Line(FakeMaestro(crc=not crc))), "fake", 1_000_000)
    with pytest.raises((RobotError, LinkError)):
        Maestro([port], (12, 13), robot="fake", crc=crc)


def test_maestro_needs_enough_channels() -> None:
    port = Port(MemoryPort(Line(FakeMaestro(channels=18))), "fake", 1_000_000)
    with pytest.raises((RobotError, LinkError)):
        Maestro([port], (12, 13), robot="fake")
    with pytest.raises(RobotError, match="two Maestros"):
        Maestro([port], (12,), robot="fake")


def test_maestro_on_two_ports() -> None:
    lines = [Line(FakeMaestro([12])), Line(FakeMaestro([12], channels=6))]
    ports = [Port(MemoryPort(line), "fake", 1_000_000) for line in lines]
    board = Maestro(ports, (12, 12), robot="a+b", clock=HandClock())
    board.configure(limits_of("maestro"), 1)
    board.arm([SPEC.index("neck_leg_6")])
    assert board.status().state is State.ACTIVE
    second = lines[1].device
    assert isinstance(second, FakeMaestro) and second.pulses[12][0] == 6000
    board.close()


@pytest.mark.parametrize("lies, begins", [(1234, 1234), (3600, 3000), (90, 1000)])
def test_bus_servo_starts_where_it_is(bus_rig: Rig, lies: int, begins: int) -> None:
    """Limp servos lie anywhere; waking must not snap them to rest, nor keep them beyond a limit."""
    first = RULES.groups[0]
    bus_rig.board.configure(bus_rig.limits, 1)
    for i in default_ids():
        bus_rig.bus.put(i, bus_rig.bus.POSITION, lies, bus_rig.bus.GOAL_SIZE)
    bus_rig.board.arm(first.tolist())
    np.testing.assert_array_equal(bus_rig.pins()[first], begins)
    bus_rig.follow(bus_rig.limits.rest, 0.02)
    assert (np.abs(bus_rig.pins()[first] - begins) == 40).all()


def test_bus_servo_can_be_read_limp(bus_rig: Rig) -> None:
    board = bus_rig.board
    assert isinstance(board, BusBoard)
    bus_rig.bus.put(default_ids()[3], bus_rig.bus.POSITION, 777, 2)
    assert board.where()[3] == 777 and limp(bus_rig)


def test_bus_servo_that_dies_is_a_fault(bus_rig: Rig) -> None:
    bus_rig.ready()
    bus_rig.bus.dead.add(default_ids()[12])
    status = bus_rig.board.send(bus_rig.limits.rest)
    assert status.state is State.FAULT and f"jaw (id {default_ids()[12]}): no answer" in status.faults
    others = np.delete(bus_rig.pins(), 12)
    assert np.isnan(others).all()


def test_bus_servo_that_lost_power_is_a_fault(bus_rig: Rig) -> None:
    bus_rig.ready()
    bus_rig.bus.put(default_ids()[12], bus_rig.bus.TORQUE, 0)
    status = bus_rig.board.send(bus_rig.limits.rest)
    assert status.state is State.FAULT and limp(bus_rig)
    assert any("jaw" in fault and "torque" in fault for fault in status.faults)


def test_bus_limp_is_repeated_until_it_is_so(bus_rig: Rig) -> None:
    bus_rig.ready()
    bus_rig.line.lose_requests = 1
    bus_rig.board.disarm()
    assert limp(bus_rig)


def test_bus_limits_go_into_the_servos_once(bus_rig: Rig) -> None:
    low, high, size = (9, 11, 2) if bus_rig.kind == "feetech" else (52, 48, 4)
    bus_rig.board.configure(bus_rig.limits, 1)
    for i in default_ids():
        assert (bus_rig.bus.get(i, low, size), bus_rig.bus.get(i, high, size)) == (1000, 3000)
    if bus_rig.kind == "feetech":
        assert all(bus_rig.bus.get(i, 55) for i in default_ids())  # locked again
    heard = len(bus_rig.bus.heard)
    bus_rig.board.configure(bus_rig.limits, 1)
    assert len(bus_rig.bus.heard) - heard == 1  # only read: EEPROM wears


@pytest.mark.parametrize("bit, told", [(0, "voltage"), (2, "too hot"), (5, "overload"), (7, "unknown")])
def test_bus_says_its_faults(bus_rig: Rig, bit: int, told: str) -> None:
    address = 65 if bus_rig.kind == "feetech" else 70
    bus_rig.ready()
    bus_rig.bus.put(default_ids()[12], address, 1 << bit)
    status = bus_rig.board.send(bus_rig.limits.rest)
    assert status.state is State.FAULT and limp(bus_rig)
    assert any("jaw" in fault and told in fault for fault in status.faults)
    if bus_rig.kind == "feetech":
        assert bus_rig.board.clear().state is State.FAULT  # still hot
        bus_rig.bus.put(default_ids()[12], address, 0)
    assert bus_rig.board.clear().state is State.LIMP  # Dynamixel: the reboot clears it
    bus_rig.ready()


def test_bus_measures(bus_rig: Rig) -> None:
    number = default_ids()[4]
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
    rig = build("feetech", HandClock(), Line(fake))
    assert limp(rig)
    rig.board.close()


def test_feetech_speed_is_the_slew(feetech: Rig) -> None:
    """40 ticks in 20 ms are 2,000 ticks per second; old servos count them in fifties."""
    feetech.ready()
    assert feetech.bus.get(default_ids()[0], 46, 2) == 2000
    fake = FakeFeetech(range(1, 26))
    fake.put(default_ids()[0], 18, 0)
    other = build("feetech", HandClock(), Line(fake))
    other.ready()
    assert fake.get(default_ids()[0], 46, 2) == 40
    other.board.close()


def test_feetech_in_wheel_mode_is_refused() -> None:
    fake = FakeFeetech(range(1, 26))
    fake.put(default_ids()[12], 33, 1)
    with pytest.raises(RobotError, match=r"jaw.*position mode"):
        build("feetech", HandClock(), Line(fake))


def test_dynamixel_watchdog_holds_and_comes_back(dynamixel: Rig) -> None:
    fake = dynamixel.device
    assert isinstance(fake, FakeDynamixel)
    dynamixel.ready()
    assert {fake.get(i, 98) for i in default_ids()} == {10}  # 10 times 20 ms
    dynamixel.follow(dynamixel.limits.high, 0.1)
    held = dynamixel.pins()
    fake.wait(0.3)
    assert {fake.get(i, 98) for i in default_ids()} == {0xFF}
    dynamixel.follow(dynamixel.limits.high, 0.02)
    assert {fake.get(i, 98) for i in default_ids()} == {10}
    assert (dynamixel.pins() > held).all()
    dynamixel.board.disarm()
    assert {fake.get(i, 98) for i in default_ids()} == {0}


def test_dynamixel_back_from_a_power_cut_can_be_cleared(dynamixel: Rig) -> None:
    dynamixel.ready()
    for i in default_ids():
        dynamixel.bus.put(i, 64, 0)
        for k in range(28):
            dynamixel.bus.put(i, 168 + 2 * k, 224 + k, 2)
    assert dynamixel.board.send(dynamixel.limits.rest).state is State.FAULT
    assert dynamixel.board.clear().state is State.LIMP
    dynamixel.ready()


@pytest.mark.parametrize("register, value", [(0, 350), (10, 4), (10, 8), (11, 4)])
def test_dynamixel_set_up_wrongly_is_refused(register: int, value: int) -> None:
    fake = FakeDynamixel(range(1, 26))
    fake.put(default_ids()[12], register, value, 2 if register == 0 else 1)
    with pytest.raises(RobotError, match="jaw"):
        build("dynamixel", HandClock(), Line(fake))


def test_dynamixel_that_measures_current() -> None:
    fake = FakeDynamixel(range(1, 26), model=1200)
    rig = build("dynamixel", HandClock(), Line(fake))
    fake.put(default_ids()[4], 126, 875, 2)
    assert rig.board.status().load[4] == 0.5  # of a limit of 1,750
    rig.board.close()


# Packets, against examples in the manuals.


def test_maestro_packets() -> None:
    """User's Guide 5.c (both protocols), 5.d (CRC), 5.e (Set Multiple Targets, Set Speed)."""
    unit = Unit(Port(None, "none", 1), 12, False, np.arange(24))
    assert crc7(bytes.fromhex("8301")) == 0x17
    assert unit.command(0x84, 0, *septets(6000)).hex() == "aa0c0400702e"
    assert unit.command(0x9F, 2, 3, *septets(0), *septets(6000)).hex() == "aa0c1f02030000702e"
    assert unit.command(0x87, 5, *septets(140)).hex() == "aa0c07050c01"
    with_crc = Unit(Port(None, "none", 1), 12, True, np.arange(24)).command(0xA1)
    assert with_crc[:3].hex() == "aa0c21" and with_crc[3] == crc7(with_crc[:3])


def test_feetech_packets(feetech: Rig) -> None:
    """Communication Protocol User Manual: "READ DATA", "SYNC WRITE" and "SYNC READ" instructions."""
    board, fake = feetech.board, feetech.device
    assert isinstance(board, Feetech) and isinstance(fake, FakeFeetech)
    board._sync_read(0x38, 8, [1, 2])
    assert fake.heard[-1].hex() == "fffffe0682380801" + "0236"
    board._sync_write(0x2A, dict.fromkeys(range(1, 5), bytes.fromhex("00080000e803")))
    each = "".join(f"{i:02x}00080000e803" for i in range(1, 5))
    assert fake.heard[-1].hex() == f"fffffe20832a06{each}58"
    fake.put(1, 56, 0x0518, 2)
    assert fake.feed(bytes.fromhex("ffff0104023802be")).hex() == "ffff0104001805dd"


def test_dynamixel_packets(dynamixel: Rig) -> None:
    """Protocol 2.0: "Ping", "Read", "Write", "Sync Read" and "Sync Write", examples 1 of each."""
    board, fake = dynamixel.board, dynamixel.device
    assert isinstance(board, Dynamixel) and isinstance(fake, FakeDynamixel)
    for i, position in ((1, 166), (2, 2079)):
        fake.put(i, 132, position, 4)
    assert board._sync_read(132, 4, [1, 2]) == {1: bytes.fromhex("a6000000"), 2: bytes.fromhex("1f080000")}
    assert fake.heard[-1].hex() == "fffffd00fe0900828400040001" + "02cefa"
    assert fake.feed(fake.heard[-1]).hex() == (
        "fffffd0001080055" + "00a60000008cc0" + "fffffd0002080055" + "001f080000babe"
    )
    board._sync_write(116, {1: (150).to_bytes(4, "little"), 2: (170).to_bytes(4, "little")})
    assert fake.heard[-1].hex() == "fffffd00fe110083740004000196000000" + "02aa0000008287"
    assert fake.feed(bytes.fromhex("fffffd000109000374000002000" + "0ca89")).hex() == "fffffd000104005500a10c"
    fake.put(1, 0, 1030, 2)
    fake.put(1, 6, 38)
    assert fake.feed(bytes.fromhex("fffffd00010300" + "01194e")).hex() == "fffffd00010700550006" + "0426655d"
    assert dynamixel_crc(bytes.fromhex("fffffd0001030001")) == 0x4E19
