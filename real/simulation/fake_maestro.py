"""Maestros without hardware, by the Maestro User's Guide."""

from __future__ import annotations

from collections.abc import Iterable

from eva_sim.real.simulation.fake_line import FakeDevice

#: Number of data bytes of each command, except Set Multiple Targets, which carries its number.
LENGTHS = {0x04: 3, 0x07: 3, 0x09: 3, 0x10: 1, 0x21: 0, 0x22: 0}


class FakeMaestro(FakeDevice):
    """Maestros on one line, by the User's Guide, section 5 ("Serial Interface").

    Args:
        devices: their device numbers.
        crc: whether "Enable CRC" is ticked.
        channels: number of channels of each.

    Attributes:
        pulses: pulse of each device and channel [quarters of a us]; 0 is off.
        errors: error bits of each device.
        speeds: greatest speed of each device and channel [quarters of a us per 10 ms].
    """

    def __init__(self, devices: Iterable[int] = (12, 13), crc: bool = True, channels: int = 24) -> None:
        super().__init__()
        self.pulses = {d: [0] * channels for d in devices}
        self.speeds = {d: [0] * channels for d in self.pulses}
        self.errors = dict.fromkeys(self.pulses, 0)
        self._crc, self._channels = crc, channels

    def complain(self, bit: int) -> None:
        """Raises an error: its bit is set, and all servos go to their home, which is off."""
        for device in self.errors:
            self.errors[device] |= 1 << bit
            self.pulses[device] = [0] * self._channels

    def lose_power(self) -> None:
        """Switches the power off and on: there are no pulses and no errors then."""
        for device in self.pulses:
            self.pulses[device], self.errors[device] = [0] * self._channels, 0

    def _packet(self) -> bytes | None:
        if not self._pending:
            return None
        if not self._pending[0] & 0x80:  # data without a command
            self._take(1)
            self.complain(4)
            return b""
        length = self._length()
        if length is None:
            return None
        # A command byte in the middle: the packet was cut short, and the next one begins.
        cut = next((i for i, b in enumerate(self._pending[1:length], 1) if b & 0x80), None)
        if cut is not None:
            self._take(cut)
            self.complain(4)
            return b""
        return self._checked(self._take(length)) if len(self._pending) >= length else None

    def _length(self) -> int | None:
        """Length of the next packet; None while it is not known."""
        start = 3 if self._pending[0] == 0xAA else 1  # Pololu or compact protocol
        if len(self._pending) < start:
            return None
        code = self._pending[start - 1] & 0x7F
        if code != 0x1F:
            return start + LENGTHS.get(code, 0) + self._crc
        return start + 2 + 2 * self._pending[start] + self._crc if len(self._pending) > start else None

    def _checked(self, packet: bytes) -> bytes:
        if not self._crc:
            return packet
        if _maestro_crc(packet[:-1]) != packet[-1]:
            self.complain(3)
            return b""
        return packet[:-1]

    def _obey(self, packet: bytes) -> bytes:
        if packet[0] == 0xAA:
            devices, code, data = [packet[1]], packet[2], packet[3:]
        else:
            devices, code, data = list(self.pulses), packet[0] & 0x7F, packet[1:]
        return b"".join(self._command(d, code, data) for d in devices if d in self.pulses)

    def _command(self, device: int, code: int, data: bytes) -> bytes:
        if code == 0x21:
            bits, self.errors[device] = self.errors[device], 0
            return bits.to_bytes(2, "little")
        if code == 0x22:
            self.pulses[device] = [0] * self._channels
            return b""
        return self._channel_command(device, code, data)

    def _channel_command(self, device: int, code: int, data: bytes) -> bytes:
        first, values = (data[1], data[2:]) if code == 0x1F else (data[0] if data else 0, data[1:])
        numbers = [values[i] | values[i + 1] << 7 for i in range(0, len(values), 2)]
        if code not in (0x1F, *LENGTHS) or first + max(len(numbers), 1) > self._channels:
            self.complain(4)
            return b""
        if code == 0x10:
            return self.pulses[device][first].to_bytes(2, "little")
        if code == 0x07:
            self.speeds[device][first] = numbers[0]
        elif code in (0x04, 0x1F):
            base = first + self._channels * list(self.pulses).index(device)
            self.pulses[device][first : first + len(numbers)] = numbers
            self.driven += [(base + i, n) for i, n in enumerate(numbers)]
        return b""


def _maestro_crc(data: bytes) -> int:
    """CRC by long division of the bits, least significant first, as in the guide's section 5.d."""
    bits = [byte >> i & 1 for byte in data for i in range(8)] + [0] * 7
    divisor = [1, 0, 0, 0, 1, 0, 0, 1]
    for i in range(len(bits) - 7):
        if bits[i]:
            bits[i : i + 8] = [a ^ b for a, b in zip(bits[i : i + 8], divisor, strict=True)]
    return sum(bit << i for i, bit in enumerate(bits[-7:]))
