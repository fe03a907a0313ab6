"""The wire protocol of docs/protocol.md: frames, messages, and a decoder that finds its way back.

Only bytes and numbers live here; asking and answering is `eva_sim.real.wire.link`.
"""

from __future__ import annotations

import binascii
import enum
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

from eva_sim.errors import LinkError

VERSION = 1
CHANNELS = 25
#: Most bytes a decoded frame may have.
LARGEST = 128
#: What `CLEAR` must carry, so that no stray bytes end an emergency stop.
CLEAR_KEY = 0x5241454C
_HEAD = struct.Struct("<BH")
_TAIL = struct.Struct("<H")


class Answer(enum.IntEnum):
    """What the board says to a message that wants something."""

    TAKEN = 0
    SESSION = 1
    STALE = 2
    STATE = 3
    VALUE = 4
    UNCALIBRATED = 5


class Fault(enum.IntFlag):
    """The bits of `Status.faults`."""

    SUPPLY = 1
    BUS = 2
    WATCHDOG = 4
    SILENCE = 8
    UNCALIBRATED = 16
    CLAMPED = 32


class Message:
    """Base of all messages: a frozen dataclass whose fields are `FORMAT`, in order.

    A field of 25 pulses comes last, as a tuple of quarters of a microsecond; 0 is limp.
    """

    TYPE: ClassVar[int]
    FORMAT: ClassVar[str]
    PULSES: ClassVar[bool] = False

    def pack(self) -> bytes:
        """The payload.

        Raises:
            LinkError: a field does not fit its place.
        """
        fields = tuple(vars(self).values())  # in the order of the fields
        values = (*fields[:-1], *fields[-1]) if self.PULSES else fields
        try:
            return struct.pack(self.FORMAT, *values)
        except struct.error as error:
            raise LinkError(f"{self} does not fit the wire ({error}).") from error

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """The message of a payload.

        Raises:
            struct.error: another length.
        """
        values = struct.unpack(cls.FORMAT, payload)
        if cls.PULSES:
            values = (*values[:-CHANNELS], values[-CHANNELS:])
        return cls(*values)


@dataclass(frozen=True)
class Hello(Message):
    """Opens a session; the board goes limp."""

    version: int = VERSION
    TYPE, FORMAT = 0x01, "<B"


@dataclass(frozen=True)
class Targets(Message):
    """Where each channel shall go; a sign of life."""

    session: int
    pulses: tuple[int, ...]
    TYPE, FORMAT, PULSES = 0x02, "<H25H", True


@dataclass(frozen=True)
class Arm(Message):
    """Arms the channels whose bit is set, from limp."""

    session: int
    channels: int
    TYPE, FORMAT = 0x03, "<HI"


@dataclass(frozen=True)
class Disarm(Message):
    """Limp at once."""

    session: int
    TYPE, FORMAT = 0x04, "<H"


@dataclass(frozen=True)
class Stop(Message):
    """Emergency stop, from anybody: limp and latched."""

    TYPE, FORMAT = 0x05, "<"


@dataclass(frozen=True)
class Clear(Message):
    """Ends a stop or a fault whose cause is gone."""

    session: int
    key: int = CLEAR_KEY
    TYPE, FORMAT = 0x06, "<HI"


@dataclass(frozen=True)
class Limits(Message):
    """Calibrated limits of one channel; pulses in quarters of a microsecond."""

    session: int
    channel: int
    low: int
    high: int
    rest: int
    slew: int
    TYPE, FORMAT = 0x07, "<HBHHHH"


@dataclass(frozen=True)
class Commit(Message):
    """Keeps all limits under the number of their calibration."""

    session: int
    calibration: int
    TYPE, FORMAT = 0x08, "<HI"


@dataclass(frozen=True)
class Query(Message):
    """Asks for the status, without any effect."""

    TYPE, FORMAT = 0x09, "<"


@dataclass(frozen=True)
class Read(Message):
    """Asks for the limits of one channel."""

    channel: int
    TYPE, FORMAT = 0x0A, "<B"


@dataclass(frozen=True)
class Ident(Message):
    """Who the board is; `robot` is 8 bytes, `table` and `calibration` are CRC-32."""

    version: int
    major: int
    minor: int
    robot: bytes
    session: int
    channels: int
    table: int
    calibration: int
    reset: int
    TYPE, FORMAT = 0x81, "<BBB8sHBIIB"


@dataclass(frozen=True)
class Status(Message):
    """How the board is: supply [mV], uptime [ms], worst loop [us], pulses that are out."""

    answer: int
    state: int
    faults: int
    armed: int
    supply: int
    uptime: int
    loop: int
    bad: int
    stale: int
    pulses: tuple[int, ...]
    TYPE, FORMAT, PULSES = 0x82, "<BBHIHIHHH25H", True


@dataclass(frozen=True)
class Channel(Message):
    """Limits of one channel and its exclusion partner; 255 for none."""

    channel: int
    low: int
    high: int
    rest: int
    slew: int
    partner: int
    TYPE, FORMAT = 0x8A, "<BHHHHB"


TO_BOARD: tuple[type[Message], ...] = (
    Hello, Targets, Arm, Disarm, Stop, Clear, Limits, Commit, Query, Read,
)  # fmt: skip
TO_HOST: tuple[type[Message], ...] = (Ident, Status, Channel)


class WireFrame(NamedTuple):
    """A message and its sequence number."""

    sequence: int
    message: Message


def encode_frame(message: Message, sequence: int) -> bytes:
    """The bytes of a frame, with the 00 that ends it."""
    body = _HEAD.pack(message.TYPE, sequence & 0xFFFF) + message.pack()
    return cobs_encode(body + _TAIL.pack(crc16(body))) + b"\0"


class Decoder:
    """Finds frames in a stream of bytes. Whatever comes in, the next 00 starts afresh.

    Args:
        known: the messages of this direction; others count as bad.

    Attributes:
        bad: frames so far that were too long, damaged, unknown or of another length.
    """

    def __init__(self, known: Iterable[type[Message]]) -> None:
        self._known = {message.TYPE: message for message in known}
        self._buffer, self._drop = bytearray(), False
        self.bad = 0

    def feed(self, data: bytes) -> list[WireFrame]:
        """The frames that end in `data`, in order."""
        *ended, rest = data.split(b"\0")
        found = [frame for part in ended if (frame := self._end(part)) is not None]
        self._keep(rest)
        return found

    def _keep(self, part: bytes) -> None:
        """Collects an unfinished frame, but never more than the longest one has."""
        self._drop = self._drop or len(self._buffer) + len(part) > LARGEST + 1
        self._buffer = bytearray() if self._drop else self._buffer + part

    def _end(self, part: bytes) -> WireFrame | None:
        self._keep(part)
        stuffed, too_long = bytes(self._buffer), self._drop
        self._buffer, self._drop = bytearray(), False
        if not stuffed and not too_long:
            return None  # two 00 in a row are no frame
        frame = None if too_long else self._open(stuffed)
        self.bad += frame is None
        return frame

    def _open(self, stuffed: bytes) -> WireFrame | None:
        raw = cobs_decode(stuffed)
        if raw is None or not _HEAD.size + _TAIL.size <= len(raw) <= LARGEST:
            return None
        body, (crc,) = raw[: -_TAIL.size], _TAIL.unpack(raw[-_TAIL.size :])
        kind, sequence = _HEAD.unpack_from(body)
        if crc != crc16(body) or kind not in self._known:
            return None
        try:
            return WireFrame(sequence, self._known[kind].unpack(body[_HEAD.size :]))
        except struct.error:
            return None


def cobs_encode(data: bytes) -> bytes:
    """COBS: the same data without a 00. Each run up to a 00 is led by its length plus one."""
    out = bytearray()
    for run in data.split(b"\0"):
        while len(run) >= 254:
            out += b"\xff" + run[:254]
            run = run[254:]
        out += bytes([len(run) + 1]) + run
    return bytes(out)


def cobs_decode(stuffed: bytes) -> bytes | None:
    """What `cobs_encode` was given; None if no `cobs_encode` made this."""
    out, at = bytearray(), 0
    while at < len(stuffed):
        end = at + stuffed[at]
        if end == at or end > len(stuffed) or 0 in stuffed[at:end]:
            return None
        out += stuffed[at + 1 : end]
        if stuffed[at] < 0xFF and end < len(stuffed):
            out.append(0)
        at = end
    return bytes(out)


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    return binascii.crc_hqx(data, 0xFFFF)
