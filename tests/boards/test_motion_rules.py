"""The mock's rules and the firmware itself answer the same messages alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from eva_sim.contract import load_spec
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.firmware_table import channel_rows
from eva_sim.real.wire.link import Link
from eva_sim.testing.robot_fixtures import open_machine

ROWS = channel_rows(load_spec())
#: None of their sums is where a period matters: 0 to 20 ms after a group is armed or silence counts.
WAITS = (0.066, 0.066, 0.066, 0.37, 1.3)


class Pair:
    """A mock and a simulated board, asked the same."""

    def __init__(self) -> None:
        self.machines = [open_machine("mock"), open_machine("virtual")]
        self.links = [Link(machine.port, machine.clock) for machine in self.machines]
        self.sessions, self.until = [0, 0], 0.0

    def ask(self, message: Any, shift: int = 0, skip: int = 0) -> list[Any]:
        """Answers of both; `shift` is added to the session, `skip` to the number of the message."""
        answers = []
        for link, session in zip(self.links, self.sessions, strict=True):
            link._sequence += skip
            own = message(session + shift) if callable(message) else message
            answers.append(link.ask(own, wire.Message, 0.1))
        return answers

    def hello(self) -> None:
        self.sessions = [answer.session for answer in self.ask(wire.Hello())]

    def wait(self, duration: float) -> None:
        """Lets time pass until both are as late as the later one then is."""
        self.until += duration
        for machine in self.machines:
            assert machine.clock.now() < self.until
            machine.clock.sleep(self.until - machine.clock.now())

    def close(self) -> None:
        for machine in self.machines:
            machine.close()


def limits(rng: np.random.Generator, spoil: bool) -> Any:
    channel = int(rng.integers(25))
    row = ROWS[channel]
    low, rest, high = sorted(int(v) for v in rng.integers(row.low, row.high, 3))
    slew = int(rng.integers(1, row.slew + 1))
    if spoil:
        low, slew = [(row.low - 1, slew), (high + 1, slew), (low, row.slew + 1), (low, 0)][rng.integers(4)]
    return lambda session: wire.Limits(session, channel, low, high, rest, slew)


def draw(rng: np.random.Generator) -> tuple[Any, int, int]:
    """A message, now and then with a wrong session or an old number."""
    pulses = tuple(int(v) for v in rng.integers(1500, 11000, 25))
    gentle = tuple(row.rest for row in ROWS)
    some = int(rng.integers(1, 1 << 25))
    choices: list[Any] = [
        lambda s: wire.Targets(s, pulses),
        lambda s: wire.Targets(s, gentle),
        lambda s: wire.Targets(s, (0, *gentle[1:])),
        lambda s: wire.Arm(s, (1 << 25) - 1),
        lambda s: wire.Arm(s, some),
        lambda s: wire.Arm(s, 0 if some % 2 else 1 << 25),
        wire.Disarm(),
        wire.Stop(),
        lambda s: wire.Clear(s),
        lambda s: wire.Clear(s, some),
        limits(rng, False),
        limits(rng, True),
        lambda s: wire.Commit(s, some % 3),
        wire.Query(),
        wire.Read(int(rng.integers(30))),
        wire.Hello(9),
    ]
    weights = np.array([8, 4, 1, 6, 3, 1, 1, 1, 4, 1, 1, 1, 1, 1, 1, 1], dtype=float)
    message = choices[rng.choice(len(choices), p=weights / weights.sum())]
    shift = int(rng.random() < 0.04)
    return message, shift, -3 if rng.random() < 0.04 else 0


def alike(mock: Any, firmware: Any) -> None:
    """What must be equal. Arming and its end differ by a period, so do pulses on their way."""
    assert type(mock) is type(firmware)
    if isinstance(mock, wire.Channel):
        assert mock == firmware
    if not isinstance(mock, wire.Status):
        return
    for name in ("answer", "faults", "stale", "bad"):
        assert getattr(mock, name) == getattr(firmware, name), name
    on_the_way = {BoardState.ARMING, BoardState.ACTIVE}
    assert mock.state == firmware.state or {mock.state, firmware.state} == on_the_way
    if BoardState.ARMING not in (mock.state, firmware.state) and mock.state == firmware.state:
        assert mock.armed == firmware.armed
        slack = [3 * row.slew for row in ROWS]
        assert (np.abs(np.subtract(mock.pulses, firmware.pulses)) <= slack).all()


def keep_arming(pair: Pair) -> None:
    """Signs of life until all groups are armed on both; meanwhile they may be a few periods apart."""
    for _ in range(5):
        pair.wait(0.12)
        answers = pair.ask(lambda s: wire.Targets(s, tuple(row.rest for row in ROWS)))
    pair.wait(0.12)
    alike(*answers)


@pytest.fixture
def pair() -> Iterator[Pair]:
    both = Pair()
    yield both
    both.close()


@pytest.mark.parametrize("seed", range(3))
def test_random_messages_are_answered_alike(pair: Pair, seed: int) -> None:
    rng, seen = np.random.default_rng(seed), set()
    pair.wait(0.3)
    pair.hello()
    for channel, row in enumerate(ROWS):
        alike(*pair.ask(lambda s, c=channel, r=row: wire.Limits(s, c, r.low, r.high, r.rest, r.slew)))
    alike(*pair.ask(lambda s: wire.Commit(s, 77)))
    pair.wait(2.5)
    for _ in range(250):
        message, shift, skip = draw(rng)
        answers = pair.ask(message, shift, skip)
        if skip:
            pair.ask(wire.Query(), skip=-skip)
        alike(*answers)
        seen.add((getattr(answers[0], "answer", None), getattr(answers[0], "state", None)))
        if getattr(answers[0], "state", None) == BoardState.ARMING:
            keep_arming(pair)
        pair.wait(float(rng.choice(WAITS)))
    assert len(seen) > 10
