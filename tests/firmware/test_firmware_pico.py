"""The firmware for the RP2040 as a file: what the boot ROM reads, and what it starts."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

from eva_sim.testing.firmware_host import PICO_PACKAGES, can_compile_pico, make

FLASH, PAGE = 0x10000000, 256
RAM, STACK_TOP = 0x20000000, 0x20042000
STORE = FLASH + 0x200000 - 0x8000  # the firmware keeps its bytes here, see eeprom_rp2040.c
SYSTICK, UART0 = 15, 16 + 20  # of the vector table

pytestmark = pytest.mark.skipif(
    not can_compile_pico(), reason=f"no compiler for the RP2040 here (apt-get install {PICO_PACKAGES})"
)


class Block(NamedTuple):
    """A block of a UF2 file."""

    magic: int
    second_magic: int
    flags: int
    address: int
    size: int
    number: int
    blocks: int
    family: int
    contents: bytes
    last_magic: int


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pico")
    make("pico", out)
    return out


@pytest.fixture(scope="module")
def blocks(built: Path) -> list[Block]:
    data = (built / "firmware_pico.uf2").read_bytes()
    assert len(data) % 512 == 0
    return [Block._make(struct.unpack_from("<8I476sI", data, at)) for at in range(0, len(data), 512)]


@pytest.fixture(scope="module")
def flash(blocks: list[Block]) -> bytes:
    return b"".join(block.contents[: block.size] for block in blocks)


def reflect(number: int, bits: int) -> int:
    return int(f"{number:0{bits}b}"[::-1], 2)


def test_the_boot_rom_takes_each_block(blocks: list[Block]) -> None:
    for number, block in enumerate(blocks):
        magics = block.magic, block.second_magic, block.last_magic
        assert magics == (0x0A324655, 0x9E5D5157, 0x0AB16F30)
        assert (block.flags, block.family) == (0x2000, 0xE48BFF56)  # the family of the RP2040
        assert (block.address, block.size) == (FLASH + number * PAGE, PAGE)
        assert (block.number, block.blocks) == (number, len(blocks))


def test_flashing_keeps_what_the_firmware_stored(blocks: list[Block]) -> None:
    assert all(block.address + block.size <= STORE for block in blocks)


def test_the_boot_rom_finds_its_crc(flash: bytes, built: Path) -> None:
    """CRC-32/MPEG-2 of 252 bytes: zlib's of the same bits the other way round, not inverted at the end."""
    mirrored = bytes(reflect(byte, 8) for byte in flash[: PAGE - 4])
    assert struct.unpack_from("<I", flash, PAGE - 4)[0] == reflect(zlib.crc32(mirrored) ^ 0xFFFFFFFF, 32)
    raw = (built / "firmware_pico.bin").read_bytes()
    assert flash[: PAGE - 4] == raw[: PAGE - 4] and flash[PAGE : len(raw)] == raw[PAGE:]


def test_the_vector_table_leads_into_ram(flash: bytes) -> None:
    """All code but the first 256 bytes runs in RAM, so that flash can be written."""
    stack, *handlers = struct.unpack_from(f"<{UART0 + 1}I", flash, PAGE)
    assert stack == STACK_TOP
    image = range(RAM + 4 * (UART0 + 1), RAM + len(flash) - PAGE)
    used = [n for n, handler in enumerate(handlers, 1) if handler]
    assert used == [1, 2, 3, 11, 14, *range(SYSTICK, UART0 + 1)]
    assert all(handlers[n - 1] % 2 and handlers[n - 1] - 1 in image for n in used)
    fault = handlers[3 - 1]
    assert {n for n in used if handlers[n - 1] != fault} == {1, SYSTICK, UART0}


def test_the_core_is_in_it(flash: bytes) -> None:
    """The linker leaves out what nobody calls."""
    assert b"RP2040".ljust(16, b"\0") in flash and len(flash) > 8_000
