"""The firmware's portable core, compiled for this computer with sanitizers: what it must do to the letter."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from eva_sim.real.firmware_table import NOBODY, packed, render, rows, table_crc, times
from tests import wire
from tests.wire import ALL, Host, frame

SOURCES = Path(__file__).resolve().parent.parent / "real/firmware"
CAN_COMPILE = bool(shutil.which("cc") and shutil.which("make"))
COUNT = 4.88  # us, of a PCA9685 at 50 Hz
REST = [row.rest for row in rows()]


def make(goal: str, out: Path) -> Path:
    done = subprocess.run(
        ["make", "-s", "-C", str(SOURCES), f"OUT={out}", goal], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out / goal


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not CAN_COMPILE:
        pytest.skip("no C compiler and make here (apt-get install gcc make)")
    return make("driver", tmp_path_factory.mktemp("driver"))


class Core:
    """The core in its driver; every call says what the lines say after it."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.sent, self.outputs, self.fed, self.counts, self.now = b"", False, 0, [0] * 25, 0
        self.do("erase")
        self.reset(1)
        self.host = Host(lambda data: self.do("rx", data.hex()), self.wait)

    def do(self, word: str, value: object = "") -> None:
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.process.stdin.write(f"{word} {value}\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline().split()
        assert told, self.process.stderr.read()  # a sanitizer's report
        self.sent += b"" if told[0] == "-" else bytes.fromhex(told[0])
        self.outputs, self.fed = told[1] == "1", int(told[2])
        self.counts = [int(value) for value in told[3:]]

    def reset(self, cause: int) -> None:
        self.do("reset", cause)
        self.run(30)

    def run(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.do("run", milliseconds)

    def wait(self) -> bytes:
        self.run(1)
        sent, self.sent = self.sent, b""
        return sent

    def keep_aiming(self, pulses: list[int], milliseconds: int) -> wire.Status:
        for _ in range(milliseconds // 20):
            status = self.host.targets(pulses)
            self.run(19)
        return status

    def close(self) -> None:
        assert self.process.stdin and self.process.stderr
        self.process.stdin.close()
        assert self.process.wait() == 0, self.process.stderr.read()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()


@pytest.fixture
def core(program: Path) -> Iterator[Core]:
    core = Core(program)
    yield core
    core.close()


@pytest.fixture
def active(core: Core) -> Core:
    """All channels armed, at rest."""
    core.host.hello()
    assert core.host.calibrate().answer == wire.TAKEN
    assert core.host.arm().answer == wire.TAKEN
    assert core.keep_aiming(REST, 500).state == wire.ACTIVE
    return core


def shares(pulses: tuple[int, ...]) -> list[float]:
    """How far each channel pulls, of its way from rest to the end that is farther from rest."""
    out = []
    for pulse, row in zip(pulses, rows(), strict=True):
        up = row.high - row.rest >= row.rest - row.low
        travel = row.high - row.rest if up else row.rest - row.low
        out.append(max(0, pulse - row.rest if up else row.rest - pulse) / travel)
    return out


def test_the_header_is_what_the_tables_say() -> None:
    assert (SOURCES / "table.h").read_text() == render(), "run python -m tools.build_table"
    assert table_crc() == zlib.crc32(packed())


def test_every_row_of_the_table_leaves_room_and_no_more() -> None:
    for channel, row in enumerate(rows()):
        assert 4 * 500 <= row.low < row.rest < row.high <= 4 * 2500 and row.slew > 0
        assert row.partner == NOBODY or rows()[row.partner].partner == channel
    assert times() == (200, 1000, 4500, 60, 100)


def test_header_and_page_have_the_same_numbers() -> None:
    text = (SOURCES / "protocol.h").read_text()
    assert "HELLO = 0x01, TARGETS, ARM, DISARM, STOP, CLEAR, LIMITS, COMMIT, QUERY, READ" in text
    assert int(re.search(r"CLEAR_KEY (0x\w+?)UL", text)[1], 16) == wire.KEY  # type: ignore[index]
    page = (SOURCES.parent.parent / "docs/protocol.md").read_text()
    messages = re.findall(r"^\| (0[0-9A]) \| `([A-Z]+)`", page, re.M)
    assert len(messages) == 10 and all(getattr(wire, name) == int(number, 16) for number, name in messages)
    bits = re.findall(r"FAULT_([A-Z]+) = 1 << (\d)", text)
    assert len(bits) == 6 and all(getattr(wire, name) == 1 << int(bit) for name, bit in bits)


def test_it_introduces_itself(core: Core) -> None:
    first = core.host.hello()
    assert (first.version, first.channels, first.table) == (1, 25, table_crc())
    assert (first.calibration, first.cause) == (0, 1) and any(first.robot)
    second = core.host.hello()
    assert second.session == first.session + 1 and second.robot == first.robot


def test_another_version_gets_no_session(core: Core) -> None:
    session = core.host.hello().session
    assert core.host.ask(wire.HELLO, b"\2").session == session
    assert core.host.guarded(wire.DISARM).answer == wire.TAKEN


def test_nobody_moves_it_before_hello(core: Core) -> None:
    for session in (0, 1, 0xFFFF):
        core.host.session = session
        assert core.host.arm().answer == wire.SESSION


@pytest.mark.parametrize("content", [bytes(50), bytes(range(1, 51)), b"\0\1" * 25, b"\xff\0" * 25])
def test_frames_with_and_without_zeros_are_read(core: Core, content: bytes) -> None:
    core.host.hello()
    status = core.host.guarded(wire.TARGETS, content)
    assert (status.answer, status.bad) == (wire.STATE, 0)


def test_every_flipped_bit_is_noticed(core: Core) -> None:
    core.host.hello()
    core.host.calibrate()
    good = frame(wire.ARM, core.host.sequence + 1, struct.pack("<HI", core.host.session, ALL))
    for bit in range(8 * len(good)):
        broken = bytearray(good)
        broken[bit // 8] ^= 1 << bit % 8
        core.do("rx", (bytes(broken) + b"\0").hex())
        core.run(2)
    status = core.host.status()
    assert status.state == wire.LIMP and status.bad >= 8 * len(good) and status.stale == 0


def test_no_part_of_a_frame_is_a_frame(core: Core) -> None:
    core.host.hello()
    core.host.calibrate()
    good = frame(wire.ARM, core.host.sequence + 1, struct.pack("<HI", core.host.session, ALL))
    for length in range(1, len(good) - 1):
        core.do("rx", (good[:length] + b"\0").hex())
        core.run(1)
    status = core.host.status()
    assert status.state == wire.LIMP and status.bad == len(good) - 2


def test_what_is_no_message_is_counted(core: Core) -> None:
    bad = [frame(0, 1), frame(0x0B, 1), frame(0x81, 1), frame(wire.QUERY, 1, b"x"), frame(wire.READ, 1)]
    bad += [frame(wire.ARM, 1, b"12345"), frame(wire.QUERY, 1, bytes(range(1, 200))), b"\5\1\0", b"\1\0"]
    for n, one in enumerate(bad):
        core.do("rx", one.hex())
        assert core.host.status().bad == n + 1
    core.do("rx", bytes(40).hex())  # zeros alone are only pauses
    assert core.host.status().bad == len(bad)


def test_old_and_repeated_numbers_are_stale(active: Core) -> None:
    host, last = active.host, active.host.sequence
    payload = struct.pack("<H25H", host.session, *REST)
    for behind, answer in [(0, wire.STALE), (1, wire.STALE), (0x8000, wire.STALE), (-0x7FFF, wire.TAKEN)]:
        status = host.ask(wire.TARGETS, payload, sequence=(last - behind) & 0xFFFF)
        assert status.answer == answer
    assert host.status().stale == 3


def test_a_refused_number_is_used_up(core: Core) -> None:
    core.host.hello()
    payload = struct.pack("<HI", core.host.session, ALL)
    assert core.host.ask(wire.ARM, payload, sequence=500).answer == wire.NOT_CALIBRATED
    core.host.sequence = 500
    core.host.calibrate()
    assert core.host.ask(wire.ARM, payload, sequence=500).answer == wire.STALE


def test_an_earlier_session_is_over(active: Core) -> None:
    old = active.host.session
    active.host.hello()
    assert active.host.status().state == wire.LIMP and not active.outputs
    active.host.session = old
    assert active.host.arm().answer == wire.SESSION


def test_sessions_go_on_after_a_reset(core: Core) -> None:
    session = core.host.hello().session
    core.run(100)
    core.reset(1)
    assert core.host.hello().session == session + 1


def test_limits_stay_within_flash(core: Core) -> None:
    core.host.hello()
    row = rows()[12]
    wrong = [(row.low - 1, row.high, row.rest, 1), (row.low, row.high + 1, row.rest, 1)]
    wrong += [(row.low, row.high, row.low - 1, 1), (6000, 6000, 6000, 1), (row.low, row.high, row.rest, 0)]
    wrong += [(row.low, row.high, row.rest, row.slew + 1), (0, 0, 0, 1), (6100, 6000, 6050, 1)]
    for low, high, rest, slew in wrong:
        assert core.host.limits(12, low, high, rest, slew).answer == wire.VALUE
    assert core.host.limits(25, row.low, row.high, row.rest, 1).answer == wire.VALUE
    assert core.host.limits(12, row.low, row.high, row.rest, row.slew).answer == wire.TAKEN
    assert core.host.ask(wire.READ, b"\x0c") == (12, row.low, row.high, row.rest, row.slew, NOBODY)
    assert core.host.ask(wire.READ, b"\x19").answer == wire.VALUE


def test_a_calibration_is_whole_and_outlives_a_reset(core: Core) -> None:
    core.host.hello()
    assert core.host.commit(5).answer == wire.NOT_CALIBRATED
    assert core.host.calibrate(number=0).answer == wire.VALUE
    assert core.host.arm().answer == wire.NOT_CALIBRATED
    assert core.host.commit(5).answer == wire.TAKEN and not core.host.status().faults
    core.run(300)
    core.reset(1)
    assert core.host.hello().calibration == 5
    assert core.host.ask(wire.READ, b"\0")[1:5] == rows()[0][:4]


def test_half_a_calibration_is_none(core: Core) -> None:
    core.host.hello()
    core.host.calibrate()
    core.run(100)
    core.reset(1)
    assert core.host.status().faults & wire.UNCALIBRATED


def test_changed_limits_wait_for_commit(core: Core) -> None:
    core.host.hello()
    core.host.calibrate(9)
    row = rows()[0]
    core.host.limits(0, row.low + 8, row.high, row.rest, row.slew)
    assert core.host.status().faults == wire.UNCALIBRATED and core.host.arm().answer == wire.NOT_CALIBRATED
    assert core.host.hello().calibration == 9
    assert core.host.ask(wire.READ, b"\0").low == row.low


def test_arming_goes_group_by_group_from_rest(core: Core) -> None:
    core.host.hello()
    core.host.calibrate()
    assert core.host.arm(0).answer == wire.VALUE and core.host.arm(ALL + 1).answer == wire.VALUE
    core.host.arm()
    began: dict[int, int] = {}
    for millisecond in range(500):
        if millisecond % 20 == 0:
            core.host.targets(REST)
        core.run(1)
        for channel, count in enumerate(core.counts):
            if count and channel not in began:
                began[channel] = core.now
                assert abs(count * COUNT - REST[channel] / 4) <= COUNT / 2
    starts = [{t for c, t in began.items() if rows()[c].group == group} for group in range(4)]
    assert all(len(start) == 1 for start in starts)
    times = [start.pop() for start in starts]
    assert all(98 <= b - a <= 122 for a, b in pairwise(times))
    assert core.host.arm().answer == wire.STATE


def test_only_armed_channels_move(core: Core) -> None:
    core.host.hello()
    core.host.calibrate()
    core.host.arm(1 << 12)
    status = core.keep_aiming([row.high for row in rows()], 1000)
    assert status.armed == 1 << 12 and status.pulses[12] == rows()[12].high
    assert [c for c, count in enumerate(core.counts) if count] == [12]


def test_slew_and_limits_to_the_letter(active: Core) -> None:
    for end in ([row.high + 500 for row in rows()], [65535] * 25, [1] * 25, REST):
        before = active.host.status().pulses
        for _ in range(100):
            status = active.host.targets(end)
            for row, was, now in zip(rows(), before, status.pulses, strict=True):
                assert row.low <= now <= row.high and abs(now - was) <= row.slew
            before = status.pulses
            active.run(20 - 1)
        assert bool(status.faults & wire.CLAMPED) == (end != REST)


def test_pairs_never_pull_together(active: Core) -> None:
    draw = random.Random(3)
    pairs = [(c, row.partner, row.limit / 64) for c, row in enumerate(rows()) if c < row.partner < NOBODY]
    assert len(pairs) == 4
    for _ in range(30):
        end = [draw.choice((row.low, row.high, draw.randint(row.low, row.high))) for row in rows()]
        for _ in range(draw.randint(1, 30)):
            pull = shares(active.host.targets(end).pulses)
            assert all(pull[a] + pull[b] <= limit for a, b, limit in pairs)
            active.run(19)


def test_a_pair_beyond_its_limit_is_scaled_alike(active: Core) -> None:
    end = [*REST]
    end[8], end[10] = rows()[8].high, rows()[10].rest + (rows()[10].high - rows()[10].rest) // 2
    status = active.keep_aiming(end, 1000)
    pull = shares(status.pulses)
    assert status.faults & wire.CLAMPED
    assert pull[8] == pytest.approx(rows()[8].limit / 64 / 1.5, abs=2e-3) and pull[10] == pytest.approx(
        pull[8] / 2, abs=2e-3
    )


def test_a_limp_target_takes_a_channel_out(active: Core) -> None:
    end = [*REST]
    end[3] = 0
    active.keep_aiming(end, 40)
    status = active.keep_aiming(REST, 200)
    assert status.armed == ALL & ~(1 << 3) and status.pulses[3] == 0 and active.counts[3] == 0


def test_silence_holds_then_goes_limp(active: Core) -> None:
    active.host.targets([row.high for row in rows()])
    active.run(205)
    held = active.host.status()
    assert held.state == wire.HOLD and held.faults & wire.SILENCE
    active.run(300)
    assert active.host.status().pulses == held.pulses  # a question is no sign of life
    assert active.host.targets(REST).state == wire.ACTIVE
    active.run(1000)
    assert not active.outputs
    active.run(20)
    status = active.host.status()
    assert status.state == wire.LIMP and not active.outputs and not any(active.counts)
    assert active.host.targets(REST).answer == wire.STATE
    active.host.arm()
    assert not active.host.status().faults


def test_silence_stops_arming_too(core: Core) -> None:
    core.host.hello()
    core.host.calibrate()
    core.host.arm()
    core.run(250)
    status = core.host.status()
    assert status.state == wire.HOLD and 0 < status.armed < ALL
    assert core.keep_aiming(REST, 300).state == wire.ACTIVE


def test_stop_is_latched(active: Core) -> None:
    assert active.host.ask(wire.STOP).state == wire.STOPPED
    assert not active.outputs
    assert active.host.arm().answer == wire.STATE
    active.host.hello()
    assert active.host.status().state == wire.STOPPED
    assert active.host.clear(1).answer == wire.VALUE
    assert active.host.clear().state == wire.LIMP


def test_a_sagging_supply_is_a_latched_fault(active: Core) -> None:
    active.do("supply", 4400)
    active.run(40)
    active.do("supply", 6000)
    assert active.host.status().state == wire.ACTIVE  # too short
    active.do("supply", 4400)
    active.run(61)
    status = active.host.status()
    assert status.state == wire.FAULT and status.faults & wire.SUPPLY and not active.outputs
    assert active.host.clear().answer == wire.STATE
    active.do("supply", 6000)
    active.run(5)
    assert active.host.status().state == wire.FAULT
    assert active.host.clear().state == wire.LIMP


@pytest.mark.parametrize("boards", [0, 1, 2])
def test_a_lost_board_is_a_latched_fault(active: Core, boards: int) -> None:
    active.do("boards", boards)
    active.run(21)
    status = active.host.status()
    assert status.state == wire.FAULT and status.faults & wire.BUS and not active.outputs
    assert active.host.clear().answer == wire.STATE
    active.do("boards", 3)
    assert active.host.clear().state == wire.LIMP


def test_clear_is_for_a_face_at_rest(active: Core) -> None:
    assert active.host.clear().answer == wire.STATE


def test_the_watchdog_starves_without_every_part(core: Core) -> None:
    core.run(100)
    fed = core.fed
    core.run(100)
    assert core.fed >= fed + 4
    core.do("parts", 2)  # the ADC stands still
    core.run(20)
    fed = core.fed
    core.run(300)
    assert core.fed == fed


def test_a_watchdog_reset_is_told(core: Core) -> None:
    core.reset(8)
    assert core.host.status().faults & wire.WATCHDOG and core.host.hello().cause == 8
