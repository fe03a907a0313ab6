"""The wire protocol of docs/protocol.md: messages, frames, and a decoder that recovers from damaged frames.

This module converts between bytes and numbers only; `eva_sim.real.wire.link` sends and receives.
"""

from __future__ import annotations

import binascii
import enum
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

from eva_sim.errors import LinkError

VERSION = 2
#: Most bytes that a decoded frame may have.
LONGEST_FRAME = 128
#: Key that `CLEAR` must carry, so that no stray bytes end an emergency stop.
CLEAR_KEY = 0x5241454C
#: Type and sequence number of a frame; the second one is that of messages that look the same in all versions.
_HEAD, _HEAD_OF_ALL_VERSIONS = struct.Struct("<BI"), struct.Struct("<BH")
_TAIL = struct.Struct("<H")


class Answer(enum.IntEnum):
    """The board's answer to a message; the names are those of `real/firmware/protocol.h`."""

    TAKEN = 0
    WRONG_SESSION = 1
    STALE = 2
    WRONG_STATE = 3
    BAD_VALUE = 4
    NOT_CALIBRATED = 5
    BAD_SUPPLY = 6


class Fault(enum.IntFlag):
    """The bits of `Status.faults`."""

    SUPPLY = 1
    BUS = 2
    WATCHDOG = 4
    SILENCE = 8
    UNCALIBRATED = 16
    CLAMPED = 32
    OVERVOLTAGE = 64


class Message:
    """Base of all messages: a frozen dataclass whose fields are packed by `FORMAT`, in order.

    Attributes:
        TYPE: number of the message.
        FORMAT: format of its fields, see `struct`, without the pulses.
        PULSES: whether one pulse for each channel follows, as a tuple, the last field.
        HEAD: what stands before the fields: type and sequence number.
    """

    TYPE: ClassVar[int]
    FORMAT: ClassVar[str]
    PULSES: ClassVar[bool] = False
    HEAD: ClassVar[struct.Struct] = _HEAD

    @classmethod
    def number(cls, sequence: int) -> int:
        """The part of a sequence number that this message carries."""
        return sequence % (1 << 8 * (cls.HEAD.size - 1))

    def pack(self) -> bytes:
        """The payload.

        Raises:
            LinkError: a field does not fit its place.
        """
        fields = tuple(vars(self).values())  # in the order of the fields
        pulses = fields[-1] if self.PULSES else ()
        values = (*fields[:-1], *pulses) if self.PULSES else fields
        try:
            return struct.pack(f"{self.FORMAT}{len(pulses)}H", *values)
        except struct.error as error:
            raise LinkError(f"{self} does not fit the wire ({error}).") from error

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """The message of a payload; the number of pulses follows from its length.

        Raises:
            struct.error: no message of this type has a payload of this length.
        """
        if not cls.PULSES:
            return cls(*struct.unpack(cls.FORMAT, payload))
        length = struct.calcsize(cls.FORMAT)
        pulses = struct.unpack(f"<{(len(payload) - length) // 2}H", payload[length:])
        values = (*struct.unpack_from(cls.FORMAT, payload), pulses)
        return cls(*values)


@dataclass(frozen=True)
class Hello(Message):
    """Opens a session. The board goes limp."""

    version: int = VERSION
    TYPE, FORMAT, HEAD = 0x01, "<B", _HEAD_OF_ALL_VERSIONS


@dataclass(frozen=True)
class Targets(Message):
    """Target of each channel [quarters of a us]; 0 is limp. The board counts it as a sign of life."""

    session: int
    pulses: tuple[int, ...]
    TYPE, FORMAT, PULSES = 0x02, "<I", True


@dataclass(frozen=True)
class Arm(Message):
    """Arms the channels whose bit is set. Only a limp board takes it."""

    session: int
    channels: int
    TYPE, FORMAT = 0x03, "<II"


@dataclass(frozen=True)
class Disarm(Message):
    """Makes all channels limp at once. It needs no session: whoever wants the face limp is heard."""

    TYPE, FORMAT = 0x04, "<"


@dataclass(frozen=True)
class Stop(Message):
    """Emergency stop: limp and latched. It needs no session."""

    TYPE, FORMAT = 0x05, "<"


@dataclass(frozen=True)
class Clear(Message):
    """Ends an emergency stop, or a fault whose cause is gone."""

    session: int
    key: int = CLEAR_KEY
    TYPE, FORMAT = 0x06, "<II"


@dataclass(frozen=True)
class Limits(Message):
    """Calibrated limits of one channel [quarters of a us]."""

    session: int
    channel: int
    low: int
    high: int
    rest: int
    slew: int
    TYPE, FORMAT = 0x07, "<IBHHHH"


@dataclass(frozen=True)
class Commit(Message):
    """Stores all limits, with the number of their calibration."""

    session: int
    calibration: int
    TYPE, FORMAT = 0x08, "<II"


@dataclass(frozen=True)
class Query(Message):
    """Asks for the status. It has no other effect."""

    TYPE, FORMAT = 0x09, "<"


@dataclass(frozen=True)
class Read(Message):
    """Asks for the limits of one channel."""

    channel: int
    TYPE, FORMAT = 0x0A, "<B"


@dataclass(frozen=True)
class Ident(Message):
    """Identity of the board; `robot` is 8 bytes, `table` and `calibration` are CRC-32.

    `session` is 0 if none could be opened, `before` the state until `HELLO` came, `build` a number of the
    firmware's sources, and `chip` the microcontroller's name, filled up with zeros. Of a board of another
    version only `version` is known; the rest is 0.
    """

    version: int
    major: int = 0
    minor: int = 0
    robot: bytes = bytes(8)
    session: int = 0
    channels: int = 0
    table: int = 0
    calibration: int = 0
    reset: int = 0
    before: int = 0
    build: int = 0
    chip: bytes = bytes(16)
    TYPE, FORMAT, HEAD = 0x81, "<BBB8sIBIIBBI16s", _HEAD_OF_ALL_VERSIONS

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        if payload and payload[0] != VERSION:
            return cls(payload[0])
        return super().unpack(payload)


@dataclass(frozen=True)
class Status(Message):
    """State of the board: supply [mV], uptime [ms], longest loop [us], output pulses [quarters of a us].

    `session` is the one in force, 0 for none; `repeats` counts writes to the servo drivers that were made
    once more.
    """

    answer: int
    state: int
    faults: int
    armed: int
    session: int
    supply: int
    uptime: int
    loop: int
    bad: int
    stale: int
    repeats: int
    pulses: tuple[int, ...]
    TYPE, FORMAT, PULSES = 0x82, "<BBHIIHIHHHH", True


@dataclass(frozen=True)
class Channel(Message):
    """Limits of one channel [quarters of a us] and its exclusion partner; 255 for none."""

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
    """A message and its sequence number, see `Message.number`."""

    sequence: int
    message: Message


def encode_frame(message: Message, sequence: int) -> bytes:
    """The bytes of a frame, with the 00 that ends it."""
    body = message.HEAD.pack(message.TYPE, message.number(sequence)) + message.pack()
    return cobs_encode(body + _TAIL.pack(crc16(body))) + b"\0"


class Decoder:
    """Finds frames in a stream of bytes. After damaged bytes, the next 00 starts a new frame.

    Args:
        known: messages of this direction; frames with other messages count as bad.
        channels: number of pulses that a message must carry; None accepts any number.

    Attributes:
        bad: frames so far that were too long, damaged, unknown or of a wrong length.
        channels: number of pulses that a message must carry; set it once the face is known.
    """

    def __init__(self, known: Iterable[type[Message]], channels: int | None = None) -> None:
        self._known = {message.TYPE: message for message in known}
        self._buffer, self._too_long = bytearray(), False
        self.bad, self.channels = 0, channels

    def feed(self, data: bytes) -> list[WireFrame]:
        """The frames that end in `data`, in order."""
        *ended, rest = data.split(b"\0")
        found = [frame for part in ended if (frame := self._end(part)) is not None]
        self._keep(rest)
        return found

    def _keep(self, part: bytes) -> None:
        """Collects an unfinished frame, but never more bytes than the longest frame has."""
        self._too_long = self._too_long or len(self._buffer) + len(part) > LONGEST_FRAME + 1
        self._buffer = bytearray() if self._too_long else self._buffer + part

    def _end(self, part: bytes) -> WireFrame | None:
        self._keep(part)
        stuffed, too_long = bytes(self._buffer), self._too_long
        self._buffer, self._too_long = bytearray(), False
        if not stuffed and not too_long:
            return None  # two 00 in a row are no frame
        frame = None if too_long else self._decode(stuffed)
        self.bad += frame is None
        return frame

    def _decode(self, stuffed: bytes) -> WireFrame | None:
        raw = cobs_decode(stuffed)
        if raw is None or not 1 + _TAIL.size <= len(raw) <= LONGEST_FRAME:
            return None
        body, (crc,) = raw[: -_TAIL.size], _TAIL.unpack(raw[-_TAIL.size :])
        kind = self._known.get(body[0])
        if crc != crc16(body) or kind is None:
            return None
        try:
            _, sequence = kind.HEAD.unpack_from(body)
            message = kind.unpack(body[kind.HEAD.size :])
        except struct.error:
            return None
        return WireFrame(sequence, message) if self._has_all_pulses(message) else None

    def _has_all_pulses(self, message: Message) -> bool:
        if self.channels is None or not message.PULSES:
            return True
        pulses: tuple[int, ...] = vars(message)["pulses"]
        return len(pulses) == self.channels


def cobs_encode(data: bytes) -> bytes:
    """COBS: the same data without a 00. Each run up to a 00 is preceded by its length plus one."""
    out = bytearray()
    for run in data.split(b"\0"):
        while len(run) >= 254:
            out += b"\xff" + run[:254]
            run = run[254:]
        out += bytes([len(run) + 1]) + run
    return bytes(out)


def cobs_decode(stuffed: bytes) -> bytes | None:
    """The inverse of `cobs_encode`; None if `stuffed` is no COBS."""
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
