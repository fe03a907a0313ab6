"""An independent implementation of docs/protocol.md, to check those of the host and of the firmware."""

from __future__ import annotations

import binascii
import struct
from typing import Any, NamedTuple

from eva_sim.contract import load_spec
from eva_sim.real.wire.firmware_table import channel_rows

HELLO, TARGETS, ARM, DISARM, STOP, CLEAR, LIMITS, COMMIT, QUERY, READ = range(1, 11)
IDENT, STATUS, CHANNEL = 0x81, 0x82, 0x8A
TAKEN, WRONG_SESSION, STALE, WRONG_STATE, BAD_VALUE, NOT_CALIBRATED, BAD_SUPPLY = range(7)
LIMP, ARMING, ACTIVE, HOLD, STOPPED, FAULT = range(6)
SUPPLY, BUS, WATCHDOG, SILENCE, UNCALIBRATED, CLAMPED, OVERVOLTAGE = (1 << bit for bit in range(7))
KEY = 0x5241454C
ALL = (1 << 25) - 1


class Ident(NamedTuple):
    """Content of `IDENT`."""

    version: int
    major: int
    minor: int
    robot: bytes
    session: int
    channels: int
    table: int
    calibration: int
    cause: int
    before: int
    build: int
    chip: bytes


class Status(NamedTuple):
    """Content of `STATUS`."""

    answer: int
    state: int
    faults: int
    armed: int
    session: int
    supply: int
    uptime: int
    worst: int
    bad: int
    stale: int
    repeats: int
    pulses: tuple[int, ...]


class Channel(NamedTuple):
    """Content of `CHANNEL`."""

    channel: int
    low: int
    high: int
    rest: int
    slew: int
    partner: int


class Message(NamedTuple):
    """A decoded frame: its sequence number and content."""

    sequence: int
    content: Any


def _head(kind: int) -> str:
    """HELLO and IDENT look as in version 1: only their sequence numbers are short."""
    return "<BH" if kind in (HELLO, IDENT) else "<BI"


def frame(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    """Bytes of a frame, with the zero that ends it."""
    body = struct.pack(_head(kind), kind, sequence) + payload
    return encode(body + struct.pack("<H", binascii.crc_hqx(body, 0xFFFF))) + b"\0"


def encode(data: bytes) -> bytes:
    """COBS, for data whose pieces between zeros are shorter than 254 bytes."""
    return b"".join(bytes([len(piece) + 1]) + piece for piece in data.split(b"\0"))


def decode(data: bytes) -> bytes:
    """The inverse of `encode`."""
    out, at = [], 0
    while at < len(data):
        out.append(data[at + 1 : at + data[at]])
        at += data[at]
    return b"\0".join(out)


def parse(raw: bytes) -> Message:
    """Decodes a frame without its zero; a bad frame fails the test."""
    body = decode(raw)
    assert binascii.crc_hqx(body[:-2], 0xFFFF) == struct.unpack("<H", body[-2:])[0]
    kind, sequence = struct.unpack_from(_head(body[0]), body)
    return Message(sequence, _content(kind, body[struct.calcsize(_head(kind)) : -2]))


def _content(kind: int, payload: bytes) -> Any:
    if kind == IDENT:
        return Ident(*struct.unpack("<BBB8sIBIIBBI16s", payload))
    if kind == STATUS:
        assert len(payload) == 76
        head = struct.unpack_from("<BBHIIHIHHHH", payload)
        return Status._make([*head, struct.unpack_from("<25H", payload, 26)])
    assert kind == CHANNEL
    return Channel(*struct.unpack("<BHHHHB", payload))


class Host:
    """A host of the protocol.

    Args:
        send: sends bytes to the board.
        wait: lets a little time pass and returns the bytes that arrived.
    """

    def __init__(self, send: Any, wait: Any) -> None:
        self._send, self._wait, self._buffer = send, wait, b""
        self.session, self.sequence = 0, 0

    def ask(self, kind: int, payload: bytes = b"", sequence: int | None = None) -> Any:
        """Sends a message and returns the answer's content, or None without an answer."""
        self.sequence += 1
        number = self.sequence if sequence is None else sequence
        self._send(frame(kind, number, payload))
        return self.answer(number)

    def answer(self, sequence: int) -> Any:
        """Waits for the answer with this sequence number; None if none came."""
        for _ in range(20):
            self._buffer += self._wait()
            while b"\0" in self._buffer:
                raw, _, self._buffer = self._buffer.partition(b"\0")
                message = parse(raw)
                if message.sequence == sequence:
                    return message.content
        return None

    def hello(self) -> Ident:
        """Opens a session; a new board first has to keep its numbers."""
        for _ in range(200):
            ident: Ident = self.ask(HELLO, b"\2")
            if ident.session:
                break
        self.session = ident.session
        return ident

    def in_session(self, kind: int, payload: bytes = b"") -> Status:
        """Sends a message that begins with the session number."""
        status: Status = self.ask(kind, struct.pack("<I", self.session) + payload)
        return status

    def targets(self, pulses: Any) -> Status:
        """Sends targets [quarters of a us]."""
        return self.in_session(TARGETS, struct.pack("<25H", *map(int, pulses)))

    def arm(self, channels: int = ALL) -> Status:
        """Arms the channels whose bit is set."""
        return self.in_session(ARM, struct.pack("<I", channels))

    def limits(self, channel: int, low: int, high: int, rest: int, slew: int) -> Status:
        """Sends the limits of one channel."""
        return self.in_session(LIMITS, struct.pack("<BHHHH", channel, low, high, rest, slew))

    def commit(self, number: int) -> Status:
        """Commits the limits under a number."""
        return self.in_session(COMMIT, struct.pack("<I", number))

    def clear(self, key: int = KEY) -> Status:
        """Ends a stop or a fault."""
        return self.in_session(CLEAR, struct.pack("<I", key))

    def calibrate(self, number: int = 7) -> Status:
        """Sends and commits the widest limits that the firmware's table allows."""
        for channel, row in enumerate(channel_rows(load_spec())):
            assert self.limits(channel, row.low, row.high, row.rest, row.slew).answer == TAKEN
        return self.commit(number)

    def status(self) -> Status:
        """Asks for the status."""
        status: Status = self.ask(QUERY)
        return status
