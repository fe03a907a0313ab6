"""Frames and messages: what goes in comes out, and nothing else does."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eva_sim.errors import LinkError
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.protocol import (
    TO_BOARD,
    TO_HOST,
    Decoder,
    Message,
    cobs_decode,
    cobs_encode,
    encode_frame,
)

MESSAGES = TO_BOARD + TO_HOST
#: Channels of EVA; any other number is another face's.
CHANNELS = 25
RANGES = {"B": 0xFF, "H": 0xFFFF, "I": 0xFFFFFFFF}


def _values(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Messages of one kind with any numbers that their format holds."""
    parts: list[st.SearchStrategy[Any]] = [
        st.binary(min_size=int(size), max_size=int(size)) if code == "s" else st.integers(0, RANGES[code])
        for size, code in re.findall(r"(\d*)([BHIs])", kind.FORMAT)
    ]
    if kind is wire.Ident:  # of other versions only the version is known
        parts[0] = st.just(wire.VERSION)
    if kind.PULSES:
        pulses = st.lists(st.integers(0, 0xFFFF), min_size=CHANNELS, max_size=CHANNELS)
        parts.append(pulses.map(tuple))
    return st.tuples(*parts).map(lambda values: kind(*values))


ANY = st.one_of([_values(kind) for kind in MESSAGES])
SEQUENCE = st.integers(0, 0xFFFFFFFF)
TARGETS = wire.Targets(7, tuple(range(6000, 6000 + CHANNELS)))


def test_crc_is_that_of_the_page() -> None:
    assert wire.crc16(b"123456789") == 0x29B1  # the check value of CRC-16/CCITT-FALSE


def test_a_known_frame_byte_by_byte() -> None:
    body = bytes([0x0A, 0x02, 0x01, 0x03, 0x00, 0x07])
    crc = struct.pack("<H", wire.crc16(body))
    assert encode_frame(wire.Read(7), 0x030102) == bytes([5, *body[:4], 4, 7, *crc, 0])


@pytest.mark.parametrize("message", [wire.Hello(), wire.Ident(wire.VERSION)])
def test_board_and_host_of_any_version_introduce_themselves_alike(message: Message) -> None:
    body = struct.pack("<BH", message.TYPE, 0x0102) + message.pack()
    whole = cobs_encode(body + struct.pack("<H", wire.crc16(body))) + b"\0"
    assert encode_frame(message, 0x030102) == whole


@pytest.mark.parametrize("version, rest", [(1, bytes(22)), (3, bytes(90)), (9, b"")])
def test_of_another_version_only_the_version_is_read(version: int, rest: bytes) -> None:
    body = struct.pack("<BHB", wire.Ident.TYPE, 5, version) + rest
    frame = cobs_encode(body + struct.pack("<H", wire.crc16(body))) + b"\0"
    assert Decoder(TO_HOST).feed(frame) == [(5, wire.Ident(version))]


def test_lengths_are_those_of_the_page() -> None:
    lengths = {kind.__name__: struct.calcsize(f"{kind.FORMAT}{CHANNELS * kind.PULSES}H") for kind in MESSAGES}
    assert lengths == {
        "Hello": 1, "Targets": 54, "Arm": 8, "Disarm": 0, "Stop": 0, "Clear": 8, "Limits": 13, "Commit": 8,
        "Query": 0, "Read": 1, "Ident": 46, "Status": 76, "Channel": 10,
    }  # fmt: skip


def test_a_number_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(LinkError, match="does not fit"):
        wire.Read(256).pack()


@given(st.binary(max_size=600))
def test_stuffing_goes_both_ways_and_has_no_zero(data: bytes) -> None:
    assert 0 not in cobs_encode(data)
    assert cobs_decode(cobs_encode(data)) == data


@given(ANY, SEQUENCE)
def test_a_message_comes_back(message: Message, sequence: int) -> None:
    assert Decoder(MESSAGES).feed(encode_frame(message, sequence)) == [(message.number(sequence), message)]


@given(st.lists(st.tuples(ANY, SEQUENCE), max_size=5), st.lists(st.integers(1, 40), min_size=1))
def test_frames_may_arrive_in_any_pieces(frames: list[tuple[Message, int]], cuts: list[int]) -> None:
    stream, decoder, found = b"".join(encode_frame(*frame) for frame in frames), Decoder(MESSAGES), []
    while stream:
        cuts = [*cuts[1:], cuts[0]]
        found += decoder.feed(stream[: cuts[0]])
        stream = stream[cuts[0] :]
    assert found == [(message.number(sequence), message) for message, sequence in frames]
    assert decoder.bad == 0


@given(st.binary(max_size=400), ANY, SEQUENCE)
def test_after_any_bytes_the_next_zero_starts_afresh(noise: bytes, message: Message, sequence: int) -> None:
    found = Decoder(MESSAGES).feed(noise + b"\0" + encode_frame(message, sequence))
    assert found[-1] == (message.number(sequence), message)


@pytest.mark.parametrize("message", [TARGETS, wire.Stop(), wire.Ident(2, 1, 0, bytes(8), 1, 25, 9, 0, 0)])
def test_no_single_flipped_bit_is_taken(message: Message) -> None:
    """Every bit of a frame but the 00 that ends it; that one may only lose the frame."""
    whole = encode_frame(message, 513)
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        decoder = Decoder(MESSAGES)
        assert decoder.feed(bytes(damaged) + b"\0") == []
        assert decoder.bad >= 1
        assert decoder.feed(whole) == [(513, message)]


@given(ANY, SEQUENCE, st.integers(1, 90))
def test_a_truncated_frame_is_not_taken(message: Message, sequence: int, cut: int) -> None:
    whole = encode_frame(message, sequence)
    decoder = Decoder(MESSAGES)
    assert decoder.feed(whole[: -1 - cut] + b"\0") == []
    assert decoder.feed(whole) == [(message.number(sequence), message)]


def test_an_endless_frame_takes_no_memory() -> None:
    decoder = Decoder(MESSAGES)
    for _ in range(1000):
        decoder.feed(b"\x11" * 1000)
    assert len(decoder._buffer) <= wire.LONGEST_FRAME + 1
    assert decoder.feed(b"\0" + encode_frame(TARGETS, 1)) == [(1, TARGETS)]
    assert decoder.bad == 1


def test_messages_of_the_other_direction_are_bad() -> None:
    decoder = Decoder(TO_HOST)
    assert decoder.feed(encode_frame(TARGETS, 1)) == []
    assert decoder.bad == 1


@pytest.mark.parametrize("count", [0, 7, 24, 26, 40])
def test_pulses_of_another_face_are_bad(count: int) -> None:
    other, decoder = encode_frame(wire.Targets(7, (6000,) * count), 1), Decoder(TO_BOARD, CHANNELS)
    assert Decoder(TO_BOARD).feed(other) == [(1, wire.Targets(7, (6000,) * count))]
    assert decoder.feed(other) == [] and decoder.bad == 1
    assert decoder.feed(encode_frame(TARGETS, 2)) == [(2, TARGETS)]


def test_half_a_pulse_is_bad() -> None:
    with pytest.raises(struct.error):
        wire.Targets.unpack(bytes(4 + 2 * CHANNELS + 1))


@settings(max_examples=max(300, settings().max_examples))
@given(st.binary(max_size=3000))
def test_random_bytes_neither_crash_nor_pass(data: bytes) -> None:
    assert Decoder(MESSAGES).feed(data) == []


def test_a_million_random_bytes() -> None:
    import numpy as np

    stream = np.random.default_rng(0).bytes(1_000_000)
    decoder = Decoder(MESSAGES)
    assert [decoder.feed(stream[at : at + 4096]) for at in range(0, len(stream), 4096)].count([]) == 245
    assert decoder.bad > 3000
