"""Packets of drivers and of fakes, compared with examples in the vendors' manuals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from eva_sim.real.boards.dynamixel import Dynamixel
from eva_sim.real.boards.feetech import Feetech
from eva_sim.real.boards.maestro import MaestroUnit, crc7, septets
from eva_sim.real.simulation.fake_bus import FakeDynamixel, FakeFeetech, dynamixel_crc
from eva_sim.real.wire.bus_port import BusPort
from eva_sim.testing.board_rigs import BoardRig, rigged


@pytest.fixture
def feetech() -> Iterator[BoardRig]:
    yield from rigged("feetech")


@pytest.fixture
def dynamixel() -> Iterator[BoardRig]:
    yield from rigged("dynamixel")


def test_maestro_packets() -> None:
    """User's Guide 5.c (both protocols), 5.d (CRC), 5.e (Set Multiple Targets, Set Speed)."""
    unit = MaestroUnit(BusPort(None, "none", 1), 12, False, np.arange(24))
    assert crc7(bytes.fromhex("8301")) == 0x17
    alone = MaestroUnit(BusPort(None, "none", 1), None, False, np.arange(24))
    assert alone.command(0x84, 0, *septets(6000)).hex() == "8400702e"
    assert alone.command(0x9F, 2, 3, *septets(0), *septets(6000)).hex() == "9f02030000702e"
    assert unit.command(0x84, 0, *septets(6000)).hex() == "aa0c0400702e"
    assert unit.command(0x9F, 2, 3, *septets(0), *septets(6000)).hex() == "aa0c1f02030000702e"
    assert unit.command(0x87, 5, *septets(140)).hex() == "aa0c07050c01"
    with_crc = MaestroUnit(BusPort(None, "none", 1), 12, True, np.arange(24)).command(0xA1)
    assert with_crc[:3].hex() == "aa0c21" and with_crc[3] == crc7(with_crc[:3])


def test_feetech_packets(feetech: BoardRig) -> None:
    """Communication Protocol User Manual: 1.3.2 Read, 1.3.6 Sync Write (example 7), 1.3.7 Sync Read (8)."""
    board, fake = feetech.board, feetech.device
    assert isinstance(board, Feetech) and isinstance(fake, FakeFeetech)
    for number, *values in ((1, 0x0800, 0x79, 0x1E), (2, 0x07FF, 0x77, 0x23)):
        for address, size, value in zip((56, 62, 63), (2, 1, 1), values, strict=True):
            fake.put(number, address, value, size)
    answers = board._sync_read(0x38, 8, [1, 2])
    assert fake.heard[-1].hex() == "fffffe06823808010236"
    assert fake.feed(fake.heard[-1]).hex() == "ffff010a00000800000000791e55" + "ffff020a00ff0700000000772353"
    assert answers[2].hex() == "ff07000000007723"
    board._sync_write(0x2A, dict.fromkeys(range(1, 5), bytes.fromhex("00080000e803")))
    each = "".join(f"{i:02x}00080000e803" for i in range(1, 5))
    assert fake.heard[-1].hex() == f"fffffe20832a06{each}58"
    fake.put(1, 56, 0x0518, 2)
    assert fake.feed(bytes.fromhex("ffff0104023802be")).hex() == "ffff0104001805dd"


def test_dynamixel_packets(dynamixel: BoardRig) -> None:
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
