"""The firmware's core: table, frames, sessions and limits, to the letter."""

from __future__ import annotations

import random
import re
import struct
import zlib
from pathlib import Path

import pytest

from eva_sim.contract import load_spec
from eva_sim.real.wire.firmware_table import (
    NO_PARTNER,
    board_timing,
    channel_rows,
    packed_table,
    render_header,
    table_crc,
)
from eva_sim.testing import protocol_oracle
from eva_sim.testing.firmware_host import REST, SOURCES, FirmwareHost
from eva_sim.testing.protocol_oracle import ALL, frame

ROWS = channel_rows(load_spec())


def test_the_header_is_what_the_tables_say() -> None:
    assert (SOURCES / "table.h").read_text() == render_header(load_spec()), "run python -m tools.build_table"
    assert table_crc(load_spec()) == zlib.crc32(packed_table(load_spec()))


def test_every_row_of_the_table_leaves_room_and_no_more() -> None:
    for channel, row in enumerate(ROWS):
        assert 4 * 500 <= row.low < row.rest < row.high <= 4 * 2500 and row.slew > 0
        assert row.partner == NO_PARTNER or ROWS[row.partner].partner == channel
    assert board_timing(load_spec()) == (200, 1000, 4500, 6500, 60, 8, 100)


def test_header_and_page_have_the_same_numbers() -> None:
    text = (SOURCES / "protocol.h").read_text()
    assert "HELLO = 0x01, TARGETS, ARM, DISARM, STOP, CLEAR, LIMITS, COMMIT, QUERY, READ" in text
    assert int(re.search(r"CLEAR_KEY (0x\w+?)UL", text)[1], 16) == protocol_oracle.KEY  # type: ignore[index]
    page = (Path(__file__).resolve().parents[2] / "docs/protocol.md").read_text()
    messages = re.findall(r"^\| (0[0-9A]) \| `([A-Z]+)`", page, re.M)
    assert len(messages) == 10 and all(
        getattr(protocol_oracle, name) == int(number, 16) for number, name in messages
    )
    bits = re.findall(r"FAULT_([A-Z]+) = 1 << (\d)", text)
    assert len(bits) == 7 and all(getattr(protocol_oracle, name) == 1 << int(bit) for name, bit in bits)


def test_it_introduces_itself(firmware_host: FirmwareHost) -> None:
    first = firmware_host.host.hello()
    assert (first.version, first.channels, first.table) == (2, 25, table_crc(load_spec()))
    assert (first.calibration, first.cause) == (0, 1) and any(first.robot)
    second = firmware_host.host.hello()
    assert second.session == first.session + 1 and second.robot == first.robot


def test_another_version_gets_no_session(firmware_host: FirmwareHost) -> None:
    session = firmware_host.host.hello().session
    assert firmware_host.host.ask(protocol_oracle.HELLO, b"\1").session == session
    assert firmware_host.host.clear().answer == protocol_oracle.TAKEN


def test_nobody_moves_it_before_hello(firmware_host: FirmwareHost) -> None:
    for session in (0, 1, 0xFFFF):
        firmware_host.host.session = session
        assert firmware_host.host.arm().answer == protocol_oracle.WRONG_SESSION


@pytest.mark.parametrize("content", [bytes(50), bytes(range(1, 51)), b"\0\1" * 25, b"\xff\0" * 25])
def test_frames_with_and_without_zeros_are_read(firmware_host: FirmwareHost, content: bytes) -> None:
    firmware_host.host.hello()
    status = firmware_host.host.in_session(protocol_oracle.TARGETS, content)
    assert (status.answer, status.bad) == (protocol_oracle.WRONG_STATE, 0)


def test_every_flipped_bit_is_noticed(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    firmware_host.host.calibrate()
    good = frame(
        protocol_oracle.ARM,
        firmware_host.host.sequence + 1,
        struct.pack("<II", firmware_host.host.session, ALL),
    )
    for bit in range(8 * len(good)):
        broken = bytearray(good)
        broken[bit // 8] ^= 1 << bit % 8
        firmware_host.do("rx", (bytes(broken) + b"\0").hex())
        firmware_host.run(2)
    status = firmware_host.host.status()
    assert status.state == protocol_oracle.LIMP and status.bad >= 8 * len(good) and status.stale == 0


def test_no_part_of_a_frame_is_a_frame(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    firmware_host.host.calibrate()
    good = frame(
        protocol_oracle.ARM,
        firmware_host.host.sequence + 1,
        struct.pack("<II", firmware_host.host.session, ALL),
    )
    for length in range(1, len(good) - 1):
        firmware_host.do("rx", (good[:length] + b"\0").hex())
        firmware_host.run(1)
    status = firmware_host.host.status()
    assert status.state == protocol_oracle.LIMP and status.bad == len(good) - 2


def test_what_is_no_message_is_counted(firmware_host: FirmwareHost) -> None:
    bad = [
        frame(0, 1),
        frame(0x0B, 1),
        frame(0x81, 1),
        frame(protocol_oracle.QUERY, 1, b"x"),
        frame(protocol_oracle.READ, 1),
    ]
    bad += [
        frame(protocol_oracle.ARM, 1, b"1234567"),
        frame(protocol_oracle.QUERY, 1, bytes(range(1, 200))),
        b"\5\1\0",
        b"\1\0",
    ]
    for n, one in enumerate(bad):
        firmware_host.do("rx", one.hex())
        assert firmware_host.host.status().bad == n + 1
    firmware_host.do("rx", bytes(40).hex())  # zeros alone are only pauses
    assert firmware_host.host.status().bad == len(bad)


def test_old_and_repeated_numbers_are_stale(active: FirmwareHost) -> None:
    host, last = active.host, active.host.sequence
    payload = struct.pack("<I25H", host.session, *REST)
    for ahead, answer in [
        (0, protocol_oracle.STALE),
        (-1, protocol_oracle.STALE),
        (0x8001, protocol_oracle.TAKEN),
        (0x8000, protocol_oracle.STALE),  # any number ever sent stays old, however many follow
        (0x10001, protocol_oracle.TAKEN),
        (1, protocol_oracle.STALE),
        (0xFFFFFF00, protocol_oracle.TAKEN),
        (0x10002, protocol_oracle.STALE),
    ]:
        status = host.ask(protocol_oracle.TARGETS, payload, sequence=last + ahead)
        assert status.answer == answer
    assert host.status().stale == 5


def test_a_refused_number_is_used_up(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    payload = struct.pack("<II", firmware_host.host.session, ALL)
    assert (
        firmware_host.host.ask(protocol_oracle.ARM, payload, sequence=500).answer
        == protocol_oracle.NOT_CALIBRATED
    )
    firmware_host.host.sequence = 500
    firmware_host.host.calibrate()
    assert firmware_host.host.ask(protocol_oracle.ARM, payload, sequence=500).answer == protocol_oracle.STALE


def test_an_earlier_session_is_over(active: FirmwareHost) -> None:
    old = active.host.session
    active.host.hello()
    assert active.host.status().state == protocol_oracle.LIMP and not active.outputs
    active.host.session = old
    assert active.host.arm().answer == protocol_oracle.WRONG_SESSION


#: Where EEPROM has the two copies of the session numbers, 6 bytes each; see real/firmware/store.c.
COPIES = range(10, 22)


@pytest.mark.parametrize("spoils", [False, True])
def test_no_session_number_comes_twice(firmware_host: FirmwareHost, spoils: bool) -> None:
    """Power goes at any millisecond, also while numbers are written; EEPROM may lose a byte of one copy."""
    draw, seen = random.Random(1), list[int]()
    for _ in range(150):
        for _ in range(draw.choice((1, 2, 300))):
            session = firmware_host.host.ask(protocol_oracle.HELLO, b"\2").session
            seen += [session] if session else []
            firmware_host.run(draw.choice((0, 0, 1)))
        if spoils and draw.random() < 0.3:
            firmware_host.do("spoil", draw.choice(COPIES))
        firmware_host.do("reset", 1)
        firmware_host.run(draw.randrange(25))
    assert len(seen) > 3_000
    assert len(seen) == len(set(seen))
    assert spoils or seen == sorted(seen)


def test_a_new_chip_hardly_repeats_the_numbers_of_its_earlier_life(firmware_host: FirmwareHost) -> None:
    starts = []
    for _ in range(8):
        firmware_host.do("erase")
        firmware_host.reset(1)
        starts.append(firmware_host.host.hello().session >> 16)
    assert len(set(starts)) > 5


def test_a_board_that_cannot_keep_session_numbers_opens_none(firmware_host: FirmwareHost) -> None:
    firmware_host.do("reset", 1)
    firmware_host.do("parts", 1)  # EEPROM takes no byte
    firmware_host.run(500)
    assert firmware_host.host.ask(protocol_oracle.HELLO, b"\2").session == 0
    firmware_host.host.session = 0
    assert firmware_host.host.arm().answer == protocol_oracle.WRONG_SESSION


@pytest.mark.parametrize("state", [protocol_oracle.LIMP, protocol_oracle.ACTIVE, protocol_oracle.STOPPED])
def test_a_new_host_learns_what_the_board_did_before(active: FirmwareHost, state: int) -> None:
    if state != protocol_oracle.ACTIVE:
        active.host.ask(protocol_oracle.STOP if state == protocol_oracle.STOPPED else protocol_oracle.DISARM)
    assert active.host.hello().before == state


@pytest.mark.parametrize("kind", [protocol_oracle.DISARM, protocol_oracle.STOP])
def test_whoever_wants_the_face_limp_is_heard(active: FirmwareHost, kind: int) -> None:
    status = active.host.ask(kind, sequence=1)  # an old number, and no session
    assert status.state in (protocol_oracle.LIMP, protocol_oracle.STOPPED) and not active.outputs
    assert status.session == active.host.session


def test_ident_tells_what_eeprom_holds(firmware_host: FirmwareHost) -> None:
    """Not its copy in memory: a byte that does not take would be missed at the next power-up."""
    firmware_host.host.hello()
    firmware_host.do("parts", 7)  # one byte of EEPROM is worn
    assert firmware_host.host.calibrate().answer == protocol_oracle.TAKEN
    firmware_host.run(3000)
    assert firmware_host.host.hello().calibration == 0
    assert firmware_host.host.arm().answer == protocol_oracle.TAKEN  # the copy in memory is whole
    firmware_host.do("parts", 3)
    firmware_host.run(3000)
    kept = firmware_host.host.hello().calibration
    firmware_host.reset(1)
    assert kept and firmware_host.host.hello().calibration == kept


def test_ident_tells_nothing_while_eeprom_is_written(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    firmware_host.run(3000)
    firmware_host.do("parts", 1)  # it takes no byte now
    assert firmware_host.host.calibrate().answer == protocol_oracle.TAKEN
    assert firmware_host.host.hello().calibration == 0


def test_limits_stay_within_flash(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    row = ROWS[12]
    wrong = [(row.low - 1, row.high, row.rest, 1), (row.low, row.high + 1, row.rest, 1)]
    wrong += [(row.low, row.high, row.low - 1, 1), (6000, 6000, 6000, 1), (row.low, row.high, row.rest, 0)]
    wrong += [(row.low, row.high, row.rest, row.slew + 1), (0, 0, 0, 1), (6100, 6000, 6050, 1)]
    for low, high, rest, slew in wrong:
        assert firmware_host.host.limits(12, low, high, rest, slew).answer == protocol_oracle.BAD_VALUE
    assert firmware_host.host.limits(25, row.low, row.high, row.rest, 1).answer == protocol_oracle.BAD_VALUE
    assert (
        firmware_host.host.limits(12, row.low, row.high, row.rest, row.slew).answer == protocol_oracle.TAKEN
    )
    assert firmware_host.host.ask(protocol_oracle.READ, b"\x0c") == (
        12,
        row.low,
        row.high,
        row.rest,
        row.slew,
        NO_PARTNER,
    )
    assert firmware_host.host.ask(protocol_oracle.READ, b"\x19").answer == protocol_oracle.BAD_VALUE


def test_a_calibration_is_whole_and_outlives_a_reset(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    assert firmware_host.host.commit(5).answer == protocol_oracle.NOT_CALIBRATED
    assert firmware_host.host.calibrate(number=0).answer == protocol_oracle.BAD_VALUE
    assert firmware_host.host.arm().answer == protocol_oracle.NOT_CALIBRATED
    assert (
        firmware_host.host.commit(5).answer == protocol_oracle.TAKEN
        and not firmware_host.host.status().faults
    )
    firmware_host.run(300)
    firmware_host.reset(1)
    assert firmware_host.host.hello().calibration == 5
    assert firmware_host.host.ask(protocol_oracle.READ, b"\0")[1:5] == ROWS[0][:4]


def test_half_a_calibration_is_none(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    firmware_host.host.calibrate()
    firmware_host.run(100)
    firmware_host.reset(1)
    assert firmware_host.host.status().faults & protocol_oracle.UNCALIBRATED


def test_changed_limits_wait_for_commit(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    firmware_host.host.calibrate(9)
    row = ROWS[0]
    firmware_host.host.limits(0, row.low + 8, row.high, row.rest, row.slew)
    assert (
        firmware_host.host.status().faults == protocol_oracle.UNCALIBRATED
        and firmware_host.host.arm().answer == protocol_oracle.NOT_CALIBRATED
    )
    firmware_host.run(2000)  # until EEPROM has it
    assert firmware_host.host.hello().calibration == 9
    assert firmware_host.host.ask(protocol_oracle.READ, b"\0").low == row.low
