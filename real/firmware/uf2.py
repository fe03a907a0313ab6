"""Makes the file that one drags onto a Pico's drive, from the raw contents of its flash.

uf2.py FIRMWARE.bin FIRMWARE.uf2
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

FLASH = 0x10000000
PAGE = 256
RP2040 = 0xE48BFF56  # of the families that UF2 files name
HAS_FAMILY = 0x2000


def boot_crc(code: bytes) -> int:
    """CRC-32 that the boot ROM expects behind the first 252 bytes of flash, as MPEG-2 computes it."""
    crc = 0xFFFFFFFF
    for byte in code:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def with_boot_crc(flash: bytes) -> bytes:
    """Contents of flash with the boot ROM's CRC in place, filled up to whole pages."""
    flash += b"\xff" * (-len(flash) % PAGE)
    return flash[: PAGE - 4] + struct.pack("<I", boot_crc(flash[: PAGE - 4])) + flash[PAGE:]


def uf2_blocks(flash: bytes) -> bytes:
    """UF2 blocks of 512 bytes, a page of flash in each."""
    count = len(flash) // PAGE
    return b"".join(_block(n, count, flash[n * PAGE : (n + 1) * PAGE]) for n in range(count))


def _block(number: int, count: int, page: bytes) -> bytes:
    head = (0x0A324655, 0x9E5D5157, HAS_FAMILY, FLASH + number * PAGE, PAGE, number, count, RP2040)
    return struct.pack("<8I476sI", *head, page, 0x0AB16F30)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(uf2_blocks(with_boot_crc(Path(sys.argv[1]).read_bytes())))
