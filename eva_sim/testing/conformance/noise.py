"""Random bytes on the line."""

from __future__ import annotations

from typing import Any

import numpy as np

from eva_sim.errors import LinkError
from eva_sim.real.boards.interface import BoardState, BoardStatus
from eva_sim.real.wire.link import Counters
from eva_sim.testing.conformance.bench import PERIOD, Bench, Trial, answered
from eva_sim.testing.conformance.line import bad_frames, refused

#: Within what a host gives a silent board up: when the board would be limp, and one wait [s].
GIVES_UP = 1.2
#: How much later that may be by the wall clock, on a busy computer [s].
BUSY = 0.3


def between_frames(trial: Trial) -> int:
    """Bytes of noise that fit between two frames; by the wall clock fewer, since computers are late."""
    return 250 if trial.real_time else 650


def noise_to_board(trial: Trial) -> None:
    """Random bytes between the frames of a host that keeps moving; then nothing but random bytes."""
    count, rng, most = trial.choose(1_000_000, 20_000), np.random.default_rng(0), between_frames(trial)
    with trial.bench() as bench:
        bench.ready()
        bad, before = bad_frames(bench), bench.link.counters
        for at in range(0, count, most):
            size = min(most, count - at)
            status = bench.board.send(bench.aim())
            bench.machine.port.write(rng.bytes(size) + b"\0")  # the 00 gives the next frame a chance
            bench.rest_of_period()
            good = _goes_on(trial, status)
            trial.saw("while it moves, it goes on" if good else "a frame lost", good, size)
        _none_lost(trial, bench, before)
        trial.expect(bad_frames(bench) - bad > count // 500, "noise was not counted")
        _noise_alone(trial, bench, rng)
        trial.expect(bench.stays_limp() and bench.arms_again(), "it does not come back")


def _goes_on(trial: Trial, status: BoardStatus) -> bool:
    """Whether targets were answered and obeyed; by the wall clock an answer may be late (`_none_lost`)."""
    if trial.real_time:
        return status.state in (BoardState.ACTIVE, BoardState.HOLD)
    return answered(status) and status.state == BoardState.ACTIVE


def _none_lost(trial: Trial, bench: Bench, before: Counters) -> None:
    """Every answer came since the counters were as before, be it late."""
    bench.board.send(bench.aim())
    now = bench.link.counters
    trial.expect(now.late - before.late >= now.unanswered - before.unanswered, "a frame lost")


def _noise_alone(trial: Trial, bench: Bench, rng: np.random.Generator) -> None:
    """Noise is no sign of life."""
    begin = bench.send_far()
    while bench.clock.now() < begin + 1.3:
        bench.machine.port.write(rng.bytes(500))
        trial.saw("then nothing else, hold, limp", count=500)
        bench.clock.sleep(PERIOD / 2)
    bench.machine.port.write(b"\0")
    bench.machine.port.read(1_000_000)
    bench.fall_silent(begin)


def noise_to_host(trial: Trial) -> None:
    """Random bytes before each answer; then before whatever is read, until the host gives up."""
    count, rng, most = trial.choose(1_000_000, 20_000), np.random.default_rng(1), between_frames(trial)
    with trial.bench() as bench:
        bench.ready()
        bad, before = bench.link.counters.bad, bench.link.counters
        for at in range(0, count, most):
            size = min(most, count - at)
            bench.port.back = _before(rng.bytes(size) + b"\0")
            status = bench.move(1)
            good = _goes_on(trial, status)
            trial.saw("before answers, which are read" if good else "an answer lost", good, size)
        _none_lost(trial, bench, before)
        trial.expect(bench.link.counters.bad - bad > count // 500, "noise was not counted")
        bench.port.back = lambda data: rng.bytes(200) + data
        begin, gave_up = bench.clock.now(), refused(lambda: bench.move(50), LinkError)
        in_time = bench.clock.now() - begin < GIVES_UP + BUSY * trial.real_time
        trial.expect(gave_up and in_time, "the host did not give up when the board would be limp")
        bench.port.back = bytes
        bench.fall_silent(bench.sent_at)
        trial.expect(bench.stays_limp() and bench.arms_again(), "it does not come back")


def _before(noise: bytes) -> Any:
    """Puts noise before the first that comes."""
    left = [noise]
    return lambda data: (left.pop() if left else b"") + data
