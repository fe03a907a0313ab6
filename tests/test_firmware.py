"""The firmware's core: table, frames, sessions and limits, to the letter."""

from __future__ import annotations

# ruff: noqa: F811  # fixtures by import
import re
import struct
import zlib

import pytest

from eva_sim.real.firmware_table import NOBODY, packed, render, rows, table_crc, times
from tests import wire
from tests.core import REST, SOURCES, Core, active, core, program  # noqa: F401
from tests.wire import ALL, frame


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
