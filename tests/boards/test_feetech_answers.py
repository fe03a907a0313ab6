"""Answers of many Feetech servos in one run of bytes: found as the maker's library finds them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eva_sim.real.boards.feetech import find_answers

group_sync_read = pytest.importorskip("scservo_sdk.group_sync_read", reason="needs eva-sim[feetech]")
IDS, LENGTH = (1, 2, 3, 25), 6
#: Bytes that heads of answers have, and others.
VALUES = (*IDS, LENGTH + 2, 255, 254, 0)


def answer(number: int, registers: bytes) -> bytes:
    body = bytes((number, LENGTH + 2, 0)) + registers
    return b"\xff\xff" + body + bytes((~sum(body) & 255,))


def found_by_library(received: bytes) -> dict[int, bytes]:
    group = group_sync_read.GroupSyncRead(None, 0, LENGTH)
    found = {number: group.readRx(list(received), number, LENGTH)[0] for number in IDS}
    return {number: bytes(data[1:]) for number, data in found.items() if data is not None}


@given(
    registers=st.lists(st.binary(min_size=LENGTH, max_size=LENGTH), min_size=4, max_size=4),
    damage=st.lists(st.tuples(st.integers(0, 47), st.sampled_from(VALUES)), max_size=3),
    cut=st.integers(0, 48),
    noise=st.binary(max_size=3),
)
def test_answers_are_those_that_the_library_finds(
    registers: list[bytes], damage: list[tuple[int, int]], cut: int, noise: bytes
) -> None:
    sent = b"".join(map(answer, IDS, registers))
    received = bytearray(noise + sent)
    for at, value in damage:
        received[at] = value
    whole = bytes(received[: len(received) - cut])
    assert find_answers(whole, LENGTH, IDS) == found_by_library(whole)


def test_whole_answers_are_all_found() -> None:
    registers = [bytes((number, 255, 255, number, 8, 0)) for number in IDS]
    sent = b"".join(map(answer, IDS, registers))
    assert find_answers(sent, LENGTH, IDS) == dict(zip(IDS, registers, strict=True))
