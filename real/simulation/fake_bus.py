"""Bus servos without hardware, by the manuals of Feetech and Robotis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from eva_sim.real.simulation.fake_line import FakeDevice

PAUSE = 0.01  # pause between two bytes that ends a packet [s]; shorter than any host waits for an answer


class ServoBus(FakeDevice):
    """Servos with registers on one line.

    Attributes:
        registers: registers of each servo, by id.
        dead: ids of servos that no longer answer.
        now: time [s]; of the host's clock where that is simulated.
    """

    SIZE, TORQUE, GOAL, POSITION, GOAL_SIZE = 256, 0, 0, 0, 0

    def __init__(self, ids: Iterable[int]) -> None:
        super().__init__()
        self.registers = {i: bytearray(self.SIZE) for i in ids}
        self.dead: set[int] = set()
        self.now: Callable[[], float] = time.monotonic
        self._last = 0.0

    def feed(self, data: bytes) -> bytes:
        """Takes bytes, see `FakeDevice.feed`; a pause ends an incomplete packet."""
        now = self.now()
        if data and now - self._last > PAUSE:
            self._pending = b""
        self._last = now if data else self._last
        return super().feed(data)

    def get(self, number: int, address: int, size: int = 1) -> int:
        """Value of a register."""
        return int.from_bytes(self.registers[number][address : address + size], "little")

    def put(self, number: int, address: int, value: int, size: int = 1) -> None:
        """Sets a register, as the servo itself would."""
        self.registers[number][address : address + size] = value.to_bytes(size, "little")

    def torque(self, number: int) -> bool:
        """Whether a servo holds its position."""
        return bool(self.registers[number][self.TORQUE])

    def _read(self, number: int, address: int, length: int) -> bytes:
        return bytes(self.registers[number][address : address + length])

    def _write(self, number: int, address: int, data: bytes) -> int:
        """Writes registers; returns 0, or the error number of the protocol."""
        self.registers[number][address : address + len(data)] = data
        return 0

    def _move(self, number: int) -> None:
        """Moves a servo to its goal, without delay."""
        goal = self.get(number, self.GOAL, self.GOAL_SIZE)
        self.put(number, self.POSITION, goal, self.GOAL_SIZE)
        self.driven.append((number, goal))

    def _answering(self, ids: Iterable[int]) -> list[int]:
        return [i for i in ids if i in self.registers and i not in self.dead]


class FakeFeetech(ServoBus):
    """STS servos, by Feetech's "Communication Protocol User Manual" and memory table.

    They start at 2048, with torque.
    """

    TORQUE, GOAL, POSITION, GOAL_SIZE = 40, 42, 56, 2

    def __init__(self, ids: Iterable[int]) -> None:
        super().__init__(ids)
        for i in self.registers:
            self.put(i, 3, 777, 2)
            self.put(i, 5, i)
            self.put(i, 11, 4095, 2)
            self.put(i, 18, 12)  # phase: fine speed
            self.put(i, 40, 1)
            self.put(i, 55, 1)
            self.put(i, 56, 2048, 2)
            self.put(i, 62, 74)
            self.put(i, 63, 30)

    def _packet(self) -> bytes | None:
        start = self._pending.find(b"\xff\xff")
        if start < 0:
            self._pending = self._pending[-1:] if self._pending.endswith(b"\xff") else b""
            return None
        self._take(start)
        if len(self._pending) < 4 or len(self._pending) < 4 + self._pending[3]:
            return None
        if sum(self._pending[2 : 4 + self._pending[3]]) & 0xFF != 0xFF:
            self._take(2)  # damaged; search for the next header
            return b""
        return self._take(4 + self._pending[3])

    def _obey(self, packet: bytes) -> bytes:
        number, instruction, data = packet[2], packet[4], packet[5:-1]
        if instruction == 0x83:  # sync write: address, length, then id and values of each
            step = data[1] + 1
            for i in range(2, len(data), step):
                for one in self._answering([data[i]]):
                    self._write(one, data[0], data[i + 1 : i + step])
            return b""
        if instruction == 0x82:  # sync read: address, length, ids
            return b"".join(
                self._status(i, self._read(i, data[0], data[1])) for i in self._answering(data[2:])
            )
        return b"".join(self._single(i, instruction, data) for i in self._answering([number]))

    def _single(self, number: int, instruction: int, data: bytes) -> bytes:
        if instruction == 0x02:
            return self._status(number, self._read(number, data[0], data[1]))
        if instruction == 0x03:
            self._write(number, data[0], data[1:])
        return self._status(number, b"")

    def _write(self, number: int, address: int, data: bytes) -> int:
        if address < 40 and self.get(number, 55):
            return 0  # EEPROM is locked: silently nothing
        super()._write(number, address, data)
        if address <= 42 < address + len(data):
            self.put(number, 40, 1)  # a goal switches the torque on
        if self.torque(number) and address <= 43 and address + len(data) > 42:
            low, high = self.get(number, 9, 2), self.get(number, 11, 2)
            self.put(number, 42, min(max(self.get(number, 42, 2), low), high), 2)
            self._move(number)
        return 0

    def _status(self, number: int, data: bytes) -> bytes:
        body = bytes((number, len(data) + 2, self.get(number, 65))) + data
        return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))


class FakeDynamixel(ServoBus):
    """X-series servos, by the e-Manual's "Protocol 2.0" and XL430-W250 control table.

    They start at 2048, limp. `wait` lets time pass without packets, so that bus watchdogs trip.
    """

    SIZE, TORQUE, GOAL, POSITION, GOAL_SIZE = 700, 64, 116, 132, 4

    def __init__(self, ids: Iterable[int], model: int = 1060) -> None:
        super().__init__(ids)
        for i in self.registers:
            self.put(i, 0, model, 2)
            self.put(i, 7, i)
            self.put(i, 11, 3)
            self.put(i, 38, 1750, 2)
            self.put(i, 48, 4095, 4)
            self.put(i, 132, 2048, 4)
            self.put(i, 144, 111, 2)
            self.put(i, 146, 30)
            for k in range(28):
                self.put(i, 168 + 2 * k, 224 + k, 2)

    def wait(self, seconds: float) -> None:
        """Lets time pass without packets on the bus."""
        for i in self.registers:
            count = self.get(i, 98)
            if self.torque(i) and 0 < count < 128 and seconds >= count * 0.02:
                self.put(i, 98, 0xFF)

    def _packet(self) -> bytes | None:
        start = self._pending.find(b"\xff\xff\xfd\x00")
        if start < 0:
            self._pending = self._pending[-3:]
            return None
        self._take(start)
        length = 7 + int.from_bytes(self._pending[5:7], "little")
        if len(self._pending) < 7 or len(self._pending) < length:
            return None
        if dynamixel_crc(self._pending[: length - 2]) != int.from_bytes(
            self._pending[length - 2 : length], "little"
        ):
            self._take(4)
            return b""
        packet = self._take(length)
        return packet[:7] + packet[7:-2].replace(b"\xff\xff\xfd\xfd", b"\xff\xff\xfd") + packet[-2:]

    def _obey(self, packet: bytes) -> bytes:
        number, instruction, data = packet[4], packet[7], packet[8:-2]
        address, length = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little")
        if instruction == 0x83:
            for i in range(4, len(data), length + 1):
                for one in self._answering([data[i]]):
                    self._write(one, address, data[i + 1 : i + 1 + length])
            return b""
        if instruction == 0x82:
            return b"".join(
                self._status(i, self._read(i, address, length)) for i in self._answering(data[4:])
            )
        return b"".join(
            self._single(i, instruction, address, length, data) for i in self._answering([number])
        )

    def _single(self, number: int, instruction: int, address: int, length: int, data: bytes) -> bytes:
        if instruction == 0x01:
            return self._status(number, self._read(number, 0, 2) + self._read(number, 6, 1))
        if instruction == 0x02:
            return self._status(number, self._read(number, address, length))
        if instruction == 0x08:
            for at, size in ((64, 1), (70, 1), (98, 1), (112, 4)):
                self.put(number, at, 0, size)
            for k in range(28):
                self.put(number, 168 + 2 * k, 224 + k, 2)
        error = self._write(number, address, data[2:]) if instruction == 0x03 else 0
        return self._status(number, b"", error)

    def _read(self, number: int, address: int, length: int) -> bytes:
        if not 224 <= address < 252:
            return super()._read(number, address, length)
        sources = [self.get(number, 168 + 2 * (address - 224 + k), 2) for k in range(length)]
        return bytes(self.registers[number][s] for s in sources)

    def _write(self, number: int, address: int, data: bytes) -> int:
        if self.torque(number) and (address < 64 or 168 <= address < 224):
            return 7  # access error
        if self.get(number, 98) == 0xFF and 100 <= address < 120:
            return 4  # data range error: the watchdog has tripped
        value = int.from_bytes(data, "little")
        if address == 116 and not self.get(number, 52, 4) <= value <= self.get(number, 48, 4):
            return 6  # data limit error
        if address == 64 and value and self.get(number, 70):
            return 0  # shut down: no torque before a reboot
        super()._write(number, address, data)
        if self.torque(number) and address in (64, 116):
            self._move(number)
        return 0

    def _status(self, number: int, data: bytes, error: int = 0) -> bytes:
        body = bytes((error | (0x80 if self.get(number, 70) else 0),)) + data
        body = b"\x55" + body.replace(b"\xff\xff\xfd", b"\xff\xff\xfd\xfd")
        packet = b"\xff\xff\xfd\x00" + bytes((number,)) + (len(body) + 2).to_bytes(2, "little") + body
        return packet + dynamixel_crc(packet).to_bytes(2, "little")


def dynamixel_crc(data: bytes) -> int:
    """CRC-16 of Protocol 2.0: polynomial 0x8005, start 0, not reflected."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC_OF_BYTE[crc >> 8 ^ byte]
    return crc


def _crc_of_byte(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1 ^ 0x8005 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


_CRC_OF_BYTE = [_crc_of_byte(byte) for byte in range(256)]
