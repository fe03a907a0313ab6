"""The Pico's firmware on rp2040js, an emulator of the RP2040, with two PCA9685 at its pins.

The emulator and its program, `pico/emulator.mjs`, stand for the chip. Nothing here says how
real hardware behaves.
`./run clients` runs this, where there are Node.js with npm and the compiler.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eva_sim.contract import load_spec
from eva_sim.real.wire.firmware_table import channel_rows, table_crc
from eva_sim.testing import protocol_oracle as wire
from eva_sim.testing.firmware_host import (
    PICO_PACKAGES,
    REST,
    FirmwareHost,
    can_compile_pico,
    make,
)

HERE = Path(__file__).resolve().parent
EMULATOR = "rp2040js@1.4.1"
ROWS = channel_rows(load_spec())
LOWEST, HIGHEST = [row.low for row in ROWS], [row.high for row in ROWS]
COUNT = 4.88  # us, of a PCA9685 at 50 Hz
#: Longest time in which four sectors are erased, and of a start that moves the log there [ms].
ERASE, LONG_START = 1_600, 2_600
#: Longest round of the loop without writing flash [us].
LONGEST = 5_000
#: Bytes that the log in flash takes, and how many of those a calibration changes here, at least.
LOG, CHANGED = 4_094, 125

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(
        not shutil.which("npm"), reason="no Node.js with npm here (apt-get install nodejs npm)"
    ),
    pytest.mark.skipif(
        not can_compile_pico(), reason=f"no compiler for the RP2040 here (apt-get install {PICO_PACKAGES})"
    ),
]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    place = HERE.parents[1] / "out" / "clients" / "rp2040js"
    package = place / "node_modules" / "rp2040js"
    if not (place / EMULATOR).exists():
        subprocess.run(["npm", "install", "--silent", "--prefix", place, EMULATOR], check=True, timeout=600)
        (place / EMULATOR).touch()
    out = tmp_path_factory.mktemp("pico")
    make("pico", out)
    return ["node", HERE / "pico" / "emulator.mjs", package, out / "firmware_pico.uf2"]


class Pico(FirmwareHost):
    """A Pico in its emulator."""

    @property
    def erases(self) -> int:
        """How often sectors of flash were erased since the emulator began."""
        return self.more[0]

    def begin(self) -> wire.Ident:
        """Waits for the longest start and opens a session."""
        self.run(LONG_START)
        return self.host.hello()

    def settle(self) -> None:
        """Arms all channels at rest."""
        assert self.host.arm().answer == wire.TAKEN
        assert self.keep_aiming(REST, 500).state == wire.ACTIVE

    def out_is(self, pulses: tuple[int, ...]) -> bool:
        """Whether the PCA9685 put these pulses out."""
        return all(abs(c * COUNT - p / 4) <= COUNT for c, p in zip(self.counts, pulses, strict=True))


@pytest.fixture
def pico(command: list[str | Path]) -> Iterator[Pico]:
    """A new Pico with a session."""
    started = Pico(*command)
    started.begin()
    yield started
    started.close()


@pytest.fixture
def active(pico: Pico) -> Pico:
    """A Pico with all channels armed, at rest, and a calibration in flash."""
    assert pico.host.calibrate().answer == wire.TAKEN
    pico.run(2_000)
    pico.settle()
    return pico


def test_it_introduces_itself(pico: Pico) -> None:
    ident = pico.host.hello()
    assert ident.chip == b"RP2040".ljust(16, b"\0")
    assert (ident.version, ident.channels, ident.table) == (2, 25, table_crc(load_spec()))
    assert (ident.calibration, ident.cause) == (0, 1) and any(ident.robot)


def test_it_moves_as_it_is_told(active: Pico) -> None:
    active.reset(1)  # so that the longest round since then is one without writing flash
    active.host.hello()
    active.run(100)
    active.settle()
    assert active.out_is(tuple(REST)) and active.outputs
    for aim in (HIGHEST, LOWEST, REST):
        before = active.host.status()
        for _ in range(60):
            now = active.host.targets(aim)
            moves = (now.uptime - before.uptime) // 20 + 1
            for was, pulse, row in zip(before.pulses, now.pulses, ROWS, strict=True):
                assert abs(pulse - was) <= moves * row.slew and row.low <= pulse <= row.high
            before = now
            active.run(19)
        active.run(20)
        assert active.out_is(active.host.status().pulses)
    status = active.host.status()
    assert not status.repeats and not status.bad and status.worst < LONGEST


def test_silence_holds_then_goes_limp(active: Pico) -> None:
    active.host.targets(HIGHEST)
    active.run(205)
    held = active.host.status()
    assert held.state == wire.HOLD and held.faults & wire.SILENCE
    active.run(1_000)
    assert active.host.status().state == wire.LIMP and not active.outputs and not any(active.counts)
    assert active.host.targets(REST).answer == wire.WRONG_STATE
    active.settle()


@pytest.mark.parametrize("kind", [wire.DISARM, wire.STOP])
def test_whoever_wants_the_face_limp_is_heard(active: Pico, kind: int) -> None:
    assert active.host.ask(kind, sequence=1).state in (wire.LIMP, wire.STOPPED)
    assert not active.outputs


@pytest.mark.parametrize("supply", [4_400, 6_600])
def test_a_wrong_supply_is_a_latched_fault(active: Pico, supply: int) -> None:
    assert abs(active.host.status().supply - 6_000) < 10
    active.do("supply", supply)
    active.run(66)  # 60, and a round
    assert active.host.status().state == wire.FAULT and not active.outputs


@pytest.mark.parametrize("boards", [0, 1, 2])
def test_a_lost_board_is_a_latched_fault(active: Pico, boards: int) -> None:
    active.do("boards", boards)
    active.run(21)
    status = active.host.status()
    assert status.state == wire.FAULT and status.faults & wire.BUS and not active.outputs
    assert active.host.clear().answer == wire.WRONG_STATE
    active.do("boards", 3)
    assert active.host.clear().state == wire.LIMP
    active.settle()


@pytest.mark.parametrize("wire_held", ["hold", "cut"])
def test_a_bus_in_trouble_is_a_latched_fault(active: Pico, wire_held: str) -> None:
    """Somebody holds the clock down; or a board lost its power for a moment."""
    active.do(wire_held, 1)
    active.run(30)
    assert active.host.status().faults & wire.BUS and not active.outputs
    active.do("hold", 0)
    assert active.host.clear().state == wire.LIMP
    active.settle()


def test_a_reset_in_a_transfer_leaves_no_stuck_bus(active: Pico) -> None:
    """A board may be in the middle of a byte, with the data wire down."""
    draw = random.Random(1)
    for _ in range(60):
        active.host.targets(REST)
        active.run(draw.randrange(20))
        active.do("run", draw.random() * 5)
        active.do("reset", 2)
        assert not active.outputs
        active.run(60)
        ident = active.host.hello()
        assert ident.cause == 2 and not active.host.status().faults & wire.BUS
        active.host.arm()


def test_a_hang_ends_limp_within_the_watchdog_s_time(active: Pico) -> None:
    active.do("hang")
    active.run(255)
    assert not active.outputs
    active.run(60)
    assert active.host.hello().cause == 8 and active.host.status().faults & wire.WATCHDOG
    active.settle()


def test_an_adc_that_stands_still_resets_it(active: Pico) -> None:
    active.do("parts", 2)
    active.run(255 + 20)  # it was fed last before the next move
    assert not active.outputs


def commit_others(pico: Pico, number: int) -> None:
    """Commits limits of which half the bytes are others than those of the number before."""
    for channel, row in enumerate(ROWS):
        low, high = (row.low, row.high) if number % 2 else (row.low + 0x155, row.high - 0x155)
        assert pico.host.limits(channel, low, high, row.rest, row.slew - number % 2).answer == wire.TAKEN
    assert pico.host.commit(number).answer == wire.TAKEN


def change(pico: Pico, number: int) -> wire.Ident:
    """Commits other limits, and waits until flash has them."""
    commit_others(pico, number)
    pico.run(1_000)
    return pico.host.hello()


def test_flash_is_written_while_it_moves(active: Pico) -> None:
    """A round is longer by what flash takes for a byte, 3 ms at most; nothing is lost, nothing erased."""
    erases = active.erases
    active.host.hello()
    commit_others(active, 8)
    active.settle()  # COMMIT is still on its way into flash
    for aim in (HIGHEST, LOWEST) * 2:
        assert active.keep_aiming(aim, 300).state == wire.ACTIVE
    assert LONGEST < active.host.status().worst < LONGEST + 3_500 and active.erases == erases
    active.do("reset", 1)
    active.run(60)
    assert active.host.hello().calibration == 8


def test_a_log_that_is_half_full_moves_at_the_next_start(pico: Pico) -> None:
    """Power goes at any moment of it. Nothing that was kept is lost, and no session comes twice."""
    before = pico.host.hello()
    for number in range(1, LOG // 2 // CHANGED + 3):
        before = change(pico, number)
        assert before.calibration == number
    assert pico.erases == 1
    for cut in (*range(100, ERASE, 300), *range(ERASE, LONG_START, 23)):
        pico.do("reset", 1)
        pico.run(cut)
    pico.do("reset", 1)
    after = pico.begin()
    assert pico.erases > 1
    assert (after.robot, after.calibration) == (before.robot, number) and after.session > before.session
    pico.settle()


def test_a_full_log_takes_nothing_until_the_next_start(pico: Pico) -> None:
    """IDENT says so; flash is not erased, since that would take too long while servos may move."""
    before, number = pico.host.hello(), 0
    while before.calibration == number:
        number += 1
        before = change(pico, number)
    assert before.calibration == 0 and number < LOG // CHANGED + 3 and pico.erases == 1
    pico.do("reset", 1)
    after = pico.begin()
    assert pico.erases == 2 and after.robot == before.robot and after.session > before.session
    assert change(pico, number).calibration == number
