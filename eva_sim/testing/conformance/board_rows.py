"""The rows of the table of faults for boards whose rules the host keeps: Maestro, Feetech, Dynamixel.

Their fakes stand at the far end of the line; nothing of a session or of our firmware is at hand there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from eva_sim.errors import EvaError, LinkError, RobotError
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.simulation.fake_bus import FakeFeetech, ServoBus
from eva_sim.real.simulation.fake_maestro import FakeMaestro
from eva_sim.testing.conformance.bench import Trial
from eva_sim.testing.conformance.board_bench import (
    MOVING,
    BoardBench,
    board_bench,
    disturbed,
    writes_of_a_send,
)
from eva_sim.testing.conformance.line import refused
from eva_sim.testing.conformance.rows import Row
from eva_sim.testing.fault_injection import Disturbance, cut_after, flip_bit

REQUESTS, ANSWERS = "spoil_requests", "spoil"
#: Error bits that a Maestro or a servo may report.
_ERROR_BITS = {"maestro": range(9), "feetech": range(6), "dynamixel": (0, 2, 3, 4, 5)}


def flips_to_board(trial: Trial) -> None:
    """Bits of what one `send` writes."""
    _each(trial, REQUESTS, lambda size: (flip_bit(bit) for bit in range(8 * size)))


def flips_to_host(trial: Trial) -> None:
    """Bits of what the board answers."""
    _each(trial, ANSWERS, lambda size: (flip_bit(bit) for bit in range(8 * size)))


def cuts_to_board(trial: Trial) -> None:
    """What one `send` writes, cut to some length."""
    _each(trial, REQUESTS, lambda size: (cut_after(length) for length in range(size)))


def cuts_to_host(trial: Trial) -> None:
    """The answers, cut to some length."""
    _each(trial, ANSWERS, lambda size: (cut_after(length) for length in range(size)))


def noise_to_board(trial: Trial) -> None:
    """Random bytes before what is written."""
    rng = np.random.default_rng(0)
    _each(trial, REQUESTS, lambda size: (_before(rng.bytes(1 + n % 40)) for n in range(200)))


def noise_to_host(trial: Trial) -> None:
    """Random bytes before the answers."""
    rng = np.random.default_rng(1)
    _each(trial, ANSWERS, lambda size: (_before(rng.bytes(1 + n % 40)) for n in range(200)))


def _before(noise: bytes) -> Disturbance:
    return lambda data: noise + data


def _each(trial: Trial, place: str, disturbances: Callable[[int], Iterator[Disturbance]]) -> None:
    """Disturbs each write of a `send`, or each answer, in each way; of many ways some, evenly."""
    with board_bench(trial) as bench:
        bench.ready()
        sizes = [answer if place == ANSWERS else request for request, answer in writes_of_a_send(bench)]
        sizes = [size for size in sizes if size]
        cases = [(n, how) for n, size in enumerate(sizes) for how in disturbances(size)]
        most = trial.choose(60, 8) if trial.real_time else trial.choose(120, 20)
        for number, how in cases[:: max(1, len(cases) // most)]:
            outcome = disturbed(bench, place, number, how)
            trial.saw(outcome or "neither moving nor latched", bool(outcome))


def lost(trial: Trial) -> None:
    """One to three packets in a row are lost, or their answers."""
    with board_bench(trial) as bench:
        bench.ready()
        for n in range(trial.choose(60, 12)):
            setattr(bench.line, ("lose_requests", "lose_replies")[n % 2], 1 + n // 2 % 3)
            bench.rest_of_period()
            bench.board.send(bench.aim())
            bench.line.lose_requests = bench.line.lose_replies = 0
            outcome = bench.goes_on_or_is_latched()
            trial.saw(outcome or "neither moving nor latched", outcome == "it goes on")


def unplugged(trial: Trial) -> None:
    """Pulled within each write of a `send`, plugged in again, armed."""
    with board_bench(trial) as bench:
        bench.ready()
        count = len(writes_of_a_send(bench))
        for n in range(trial.choose(24, 4)):
            _unplug_once(trial, bench, n % count, 3 * (n // count))


def _unplug_once(trial: Trial, bench: BoardBench, number: int, length: int) -> None:
    line = bench.line

    def pull(data: bytes) -> bytes:
        line.plugged = False
        return data[:length]

    line.spoil_requests = [*[bytes] * number, pull]
    reported = refused(lambda: bench.move(60), LinkError)
    if trial.real_time:
        bench.board.close()
        bench.plug_in()
    else:
        line.spoil_requests, line.plugged = [], True
        bench.wait(0.1)  # the torque-off is pending
    limp = bench.watcher.limp and bench.stays_limp()
    bench.ready()
    trial.saw("reported, limp when plugged in, moves after arm()", reported and limp)


def silence(trial: Trial) -> None:
    """The host sends nothing more, from any time of a period on."""
    with board_bench(trial) as bench:
        for into in range(trial.choose(20, 4)):
            bench.ready()
            bench.move(4)
            bench.clock.sleep(into / 1000)
            begin = bench.clock.now()
            bench.board.send(bench.aim())
            bench.wait(1.3)
            trial.holds.append(max(0.0, bench.watcher.stopped_at - begin))
            trial.limps.append(bench.watcher.moved_at - begin)
            trial.saw("hold, limp, moves after arm()", bench.watcher.limp and bench.stays_limp())


def power_cut(trial: Trial) -> None:
    """The board's or the servos' power is off for a moment."""
    _fault(trial, _lose_power, trial.choose(20, 4))


def servo_errors(trial: Trial) -> None:
    """Each error that a Maestro or a servo may report, of different servos."""
    bits = _ERROR_BITS[trial.body]
    for n in range(len(bits) * trial.choose(3, 1)):
        _fault(trial, lambda bench, n=n: _complain(bench, bits[n % len(bits)], 1 + n), 1, _repair)  # type: ignore[misc]


def dead_servo(trial: Trial) -> None:
    """A servo answers no more, and comes back."""
    with board_bench(trial) as bench:
        assert isinstance(bench.device, ServoBus)
        bench.ready()
        for n in range(trial.choose(24, 4)):
            dead = n % 25
            bench.device.dead.add(bench.ids[dead])
            for _ in range(60):
                if refused(lambda: bench.move(1), LinkError) or bench.others_limp(dead):
                    break
            others = bench.others_limp(dead)
            bench.device.dead.clear()
            bench.wait(0.1)  # its torque-off is pending
            trial.saw("others limp, it too when it answers again", others and bench.stays_limp())
            bench.ready()


def _fault(
    trial: Trial,
    disturb: Callable[[BoardBench], None],
    cases: int,
    repair: Callable[[BoardBench], None] = lambda bench: None,
) -> None:
    """Something that makes the whole face limp, and latches until its cause is gone."""
    with board_bench(trial) as bench:
        bench.ready()
        for _ in range(cases):
            bench.move(6)
            disturb(bench)
            for _ in range(5):
                with_error = refused(lambda: bench.move(1), EvaError)
                if with_error or bench.watcher.limp:
                    break
            limp = bench.stays_limp()
            latched = bench.board.status().state in (BoardState.FAULT, BoardState.LIMP)
            repair(bench)
            bench.ready()
            trial.saw("limp, moves after clear and arm()", limp and latched)


def _lose_power(bench: BoardBench) -> None:
    device = bench.device
    if isinstance(device, FakeMaestro):
        device.lose_power()
    elif isinstance(device, ServoBus):
        device.dead.update(device.registers)
        for number in device.registers:
            device.put(number, device.TORQUE, 0)
        bench.wait(0.1)
        device.dead.clear()


def _error_register(bus: ServoBus) -> int:
    return 65 if isinstance(bus, FakeFeetech) else 70


def _complain(bench: BoardBench, bit: int, number: int) -> None:
    if isinstance(bench.device, FakeMaestro):
        bench.device.complain(bit)
    elif isinstance(bench.device, ServoBus):
        bench.device.put(1 + number % 25, _error_register(bench.device), 1 << bit)


def _repair(bench: BoardBench) -> None:
    if isinstance(bench.device, FakeFeetech):  # a Dynamixel is rebooted by `clear`
        for number in bench.device.registers:
            bench.device.put(number, _error_register(bench.device), 0)


def malformed(trial: Trial) -> None:
    """Targets that are no numbers: refused, and it goes on."""
    with board_bench(trial) as bench:
        bench.ready()
        for n in range(25):
            for value in (np.nan, np.inf, -np.inf):
                targets = bench.limits.rest.copy()
                targets[n] = value
                bad = refused(lambda: bench.board.send(targets), RobotError)  # noqa: B023
                good = bad and bench.move(1).state in MOVING
                trial.saw("refused, it goes on" if good else "sent", good)


def wild_targets(trial: Trial) -> None:
    """Targets far out of range."""
    rng = np.random.default_rng(0)
    with board_bench(trial) as bench:
        bench.ready()
        for _ in range(trial.choose(200, 20)):
            bench.rest_of_period()
            status = bench.board.send(rng.uniform(-1e5, 1e5, 25))
            told = any(fault.startswith("clamped") for fault in status.faults)
            good = told and status.state in MOVING
            trial.saw("clamped" if good else "taken as it is", good)


BOARD_ROWS = (
    Row("random bytes", "host to board", noise_to_board),
    Row("random bytes", "board to host", noise_to_host),
    Row("bits of what is written flipped", "host to board", flips_to_board),
    Row("bits of answers flipped", "board to host", flips_to_host),
    Row("what is written cut", "host to board", cuts_to_board),
    Row("answers cut", "board to host", cuts_to_host),
    Row("packets or answers lost", "line", lost),
    Row("unplugged within each packet, replugged", "line", unplugged),
    Row("silence, at every ms of a period", "host", silence),
    Row("power off for a moment", "board", power_cut),
    Row("each error that is reported", "board", servo_errors),
    Row("a servo answers no more", "board", dead_servo, "bus servos"),
    Row("NaN, inf", "host", malformed),
    Row("targets out of range", "host", wild_targets),
)
