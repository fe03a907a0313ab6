"""What may happen to host, board, servo drivers, files and camera."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eva_sim.contract import Reading, load_spec
from eva_sim.errors import CommandError, DataError, LinkError, RobotError
from eva_sim.real.boards.firmware import TOOK_OVER
from eva_sim.real.boards.interface import TARGETS_STOPPED, UNANSWERED, BoardState
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.robot import RobotFace
from eva_sim.real.wire import protocol as wire
from eva_sim.testing.conformance.bench import CHANNEL, PERIOD, STEP, Bench, Trial, open_machine
from eva_sim.testing.conformance.line import LATER, refused
from eva_sim.testing.fault_injection import FailingCamera, MockTerminal, flip_bit, kill_mover, kill_recorder

FACE = """
from eva_sim import make_face
face = make_face("{body}", camera_size=None)
"""


def silence(trial: Trial) -> None:
    """The host sends nothing more, from any millisecond of a period on."""
    with trial.bench() as bench:
        for into in trial.some(range(20), 4):
            bench.ready()
            bench.move(4, into)
            bench.fall_silent(bench.send_far())
            good = bench.stays_limp() and bench.arms_again()
            trial.saw("hold, limp, moves after arm()", good)


def killed(trial: Trial) -> None:
    """A process that moves the face gets SIGKILL; all in real time, on a pseudo-terminal."""
    for _ in range(trial.choose(5, 1)):
        with MockTerminal() if trial.body == "mock" else open_machine("virtual", realtime=True) as machine:
            watcher = trial.watch(machine)
            begin = kill_mover(machine.terminal, watcher)
            trial.holds.append(watcher.stopped_at - begin)
            trial.limps.append(watcher.moved_at - begin)
            events = watcher.events
            machine.clock.sleep(0.5)
            trial.saw("hold, limp", watcher.limp and watcher.events == events)
            trial.expect(trial.limps[-1] - trial.holds[-1] > 0.5, "it did not hold before it was limp")
            trial.add(watcher)


def hang(trial: Trial) -> None:
    """The program of the board runs into an endless loop, at any tenth of a millisecond of its work."""
    trial.limp_by = 0.3
    _disturbed(trial, lambda bench: bench.machine.hang(), "reset by the watchdog, limp, moves after arm()")


def power_cycle(trial: Trial) -> None:
    """The board's own power is switched off and on."""
    trial.limp_by = 0.02
    _disturbed(trial, lambda bench: bench.machine.power_cycle(), "limp, moves after arm()")


def _disturbed(trial: Trial, disturb: Callable[[Bench], None], outcome: str) -> None:
    """Resets the board while it moves, at many times within its loop."""
    with trial.bench() as bench:
        bench.ready()
        for n in range(trial.choose(100, 4)):
            bench.move(6)
            bench.clock.sleep(n * 2e-4)
            begin = bench.clock.now()
            disturb(bench)
            bench.went_limp(begin, 0.5)
            limp = bench.stays_limp()
            bench.ready()
            trial.saw(outcome, limp)


def brown_out(trial: Trial) -> None:
    """The servos' supply sags, for a long or a short time."""
    trial.limp_by = 0.085  # 60 ms, one period to notice, and what reading the supply takes
    with trial.bench() as bench:
        bench.ready()
        for n in range(trial.choose(80, 4)):
            volts = (4.4, 4.0, 2.5, 0.0)[n % 4]
            _sag_shortly(trial, bench, volts)
            bench.move(6, n % 20)
            begin = bench.clock.now()
            bench.machine.supply(volts)
            bench.went_limp(begin, 0.15)
            refusal = refused(bench.board.clear, RobotError)
            bench.machine.supply(6.0)
            bench.clock.sleep(0.1)
            _latched(trial, bench, refusal)


def high_supply(trial: Trial) -> None:
    """The servos get more than they bear, as from a battery of two cells; and nothing is armed at it."""
    trial.limp_by = 0.085
    with trial.bench() as bench:
        bench.ready()
        for n in range(trial.choose(80, 4)):
            bench.move(6, n % 20)
            begin = bench.clock.now()
            bench.machine.supply((6.6, 7.4, 8.4, 9.9)[n % 4])
            bench.went_limp(begin, 0.15)
            refusal = refused(bench.board.clear, RobotError) and refused(
                lambda: bench.board.arm(range(25)), RobotError
            )
            bench.machine.supply(6.0)
            bench.clock.sleep(0.1)
            _latched(trial, bench, refusal)


def dips(trial: Trial) -> None:
    """Dips that are each too short for a fault, as servos that start together make them."""
    trial.limp_by = 1.1
    spans = ((50, 4), (55, 2), (20, 40), (8, 30), (3, 12), (30, 100))
    with trial.bench() as bench:
        bench.ready()
        for n, (low, high) in enumerate(spans * trial.choose(10, 1)):
            bench.move(40, n)
            begin = bench.clock.now()
            while bench.clock.now() - begin < 1.0:
                for volts, span in ((3.0, low), (6.0, high)):
                    bench.machine.supply(volts)
                    bench.board.send(bench.aim())
                    bench.clock.sleep(span / 1000)
            bench.went_limp(begin, 1.1)
            _latched(trial, bench, True)


def bus_noise(trial: Trial) -> None:
    """Flips bits of the bus: after one in a period pulses are written again, a period of noise is a fault.

    Pulses are written twice at most. So single bits are flipped between two writings, or one would spoil the
    second try after another one.
    """
    trial.limp_by = 0.05
    with trial.bench() as bench:
        bench.ready()
        repeats = _repeats(bench)
        bench.await_quiet_bus()
        for bit in trial.some(range(1776), 40):
            bench.machine.flip_bus_bit(bit)
            status = bench.move(1)
            shown = bench.machine.pulses[CHANNEL]
            near = np.abs(shown - status.output) <= bench.limits.slew + STEP.get(trial.body, 0.0)
            good = status.state == BoardState.ACTIVE and bool(near.all())
            trial.saw("one bit, no wrong pulse, it goes on" if good else "a wrong pulse, or limp", good)
        trial.expect(_repeats(bench) - repeats > 0.8 * trial.tried, "flips were not noticed")
        for n in range(trial.choose(40, 4)):
            _noise_for_a_period(trial, bench, n)


def _noise_for_a_period(trial: Trial, bench: Bench, into: int) -> None:
    """A bit of what is written in each half of a millisecond, which spoils every try."""
    bench.move(6, into)
    begin = bench.clock.now()
    for n in range(round(2000 * PERIOD)):
        bench.machine.flip_bus_bit(n % 8)
        bench.clock.sleep(0.0005)
    bench.went_limp(begin, 0.1)
    _latched(trial, bench, True)


def _repeats(bench: Bench) -> int:
    return bench.ask().repeats


def second_host(trial: Trial) -> None:
    """Another host opens a session while the first one moves; then the first one wants the face limp."""
    with trial.bench() as bench:
        bench.ready()
        for n in range(trial.choose(40, 4)):
            bench.move(6, n % 20)
            first = bench.board
            bench.ready()
            tries = LATER if trial.real_time else 1  # on a busy computer, an answer may be late
            new_one_told = any(TOOK_OVER in bench.move(1).faults for _ in range(tries))
            told = new_one_told and refused(partial(first.send, bench.aim()), LinkError)
            moves = bench.move(5).state in trial.going_on
            first.disarm()
            limp = bench.limp and bench.stays_limp()
            good = "both told, limp when the first one disarms"
            outcome = "not limp" if told and moves else "a host not told, or does not move"
            trial.saw(good if told and moves and limp else outcome, told and moves and limp)
            bench.ready()


def _sag_shortly(trial: Trial, bench: Bench, volts: float) -> None:
    """For a time that is too short for a fault."""
    bench.machine.supply(volts)
    bench.move(1, 10)
    bench.machine.supply(6.0)
    status = bench.move(20)  # until the sag is made up for
    trial.saw("for 30 ms, it goes on", status.state == BoardState.ACTIVE)


def _latched(trial: Trial, bench: Bench, refusal: bool) -> None:
    """The cause is gone, and nothing happens until somebody clears and arms."""
    latched = bench.board.status().state == BoardState.FAULT and bench.stays_limp()
    bench.board.clear()
    limp = bench.stays_limp()
    good = refusal and latched and limp and bench.arms_again()
    trial.saw("limp, latched, moves after clear and arm()", good)


def broken_bus(trial: Trial) -> None:
    """Whatever may happen to a bus, also in the middle of a transfer; what lasts, and what has passed."""
    lasting, passed = ("first", "second", "stuck"), ("held", "first cut", "second cut")
    trial.limp_by = 0.05
    with trial.bench() as bench:
        bench.ready()
        for n in range(trial.choose(180, 6)):
            bench.move(6)
            bench.clock.sleep(n * 1.2e-4)
            begin, how = bench.clock.now(), (*lasting, *passed)[n % 6]
            bench.machine.break_bus(how)
            bench.went_limp(begin, 0.1)
            refusal = how in passed or refused(bench.board.clear, RobotError)
            bench.machine.break_bus("none")
            bench.clock.sleep(0.05)
            _latched(trial, bench, refusal)


def calibration_file(trial: Trial) -> None:
    """Cut to every length, every byte changed, of another robot: refused, and nothing moves."""
    with tempfile.TemporaryDirectory() as folder, trial.bench() as bench:
        path, nominal = (
            Path(folder) / "robot.json",
            Calibration.nominal(load_spec(), bench.connect().identity.robot_id),
        )
        whole = nominal.save(path).read_bytes().rstrip()
        for length in trial.some(range(len(whole)), 60):
            path.write_bytes(whole[:length])
            good = refused(lambda: Calibration.load(path, load_spec()), DataError)
            trial.saw("cut, refused" if good else "cut, taken", good)
        for at in trial.some(range(len(whole)), 60):
            path.write_bytes(flip_bit(8 * at + at % 8)(whole))
            _load_changed(trial, path, nominal)
        for others in ("feed", nominal.robot_id[:-1], nominal.robot_id[::-1]):
            _open_with(trial, bench, Calibration.nominal(load_spec(), others).save(path), RobotError)
        _open_with(
            trial, bench, Calibration.nominal(load_spec(), nominal.robot_id, "maestro").save(path), RobotError
        )
        for length in range(0, len(whole), len(whole) // 10):
            path.write_bytes(whole[:length])
            _open_with(trial, bench, path, DataError)
        bench.ready()


def _load_changed(trial: Trial, path: Path, nominal: Calibration) -> None:
    """A changed bit of what means nothing, such as white space, is harmless."""
    try:
        same = Calibration.load(path, load_spec()).crc == nominal.crc
        trial.saw("a bit flipped, means the same" if same else "a bit flipped, taken", same)
    except DataError:
        trial.saw("a bit flipped, refused")


def _open_with(trial: Trial, bench: Bench, path: Path, error: type[Exception]) -> None:
    """Opens the whole adapter with a file that must not do."""
    opened = partial(
        RobotFace,
        load_spec(),
        bench.connect,
        bench.clock,
        lambda identity: Calibration.load(path, load_spec()),
    )
    good = refused(opened, error) and bench.watcher.events == 0
    trial.saw("robot opened with it, refused, nothing moves" if good else "robot opened", good)


def lost_camera(trial: Trial) -> None:
    """It goes and comes while the face moves."""
    eye = FailingCamera()
    with trial.bench() as bench, bench.face(eye) as face:
        face.reset()
        for n in range(trial.choose(40, 5)):
            eye.error = "the camera stopped."
            readings = [face.move(np.full(25, (-0.8, 0.8)[n % 2])) for _ in range(3)]
            reported = all("camera lost: the camera stopped." in r.faults and not r.found for r in readings)
            dark = all(r.image is None and not r.landmarks.any() for r in readings)
            eye.error = ""
            back = face.move(face.spec.neutral)
            good = reported and dark and back.image is not None and (trial.real_time or not face.late)
            trial.saw("reported, found is False, it goes on, sees again" if good else "not reported", good)


def killed_recorder(trial: Trial) -> None:
    """SIGKILL while a robot is recorded; how much is lost of what the recorder said it had."""
    for _ in range(trial.choose(3, 1)):
        with tempfile.TemporaryDirectory() as folder:
            opening = FACE.format(body=trial.body)
            promised, lost, back = kill_recorder(Path(folder) / "session", opening, trial.choose(400, 60))
        whole = np.array_equal(back.number, np.arange(len(back)))
        frames = max(0, promised - int(back.number[-1]))
        good = whole and lost < 1.0 and promised >= 60
        trial.saw(f"{frames} frames, {max(0.0, lost):.2f} s lost", good)


def malformed(trial: Trial) -> None:
    """Commands that are no commands: refused, and not a byte is sent."""
    with trial.bench() as bench, bench.face() as face:
        face.reset()
        sent = _count_bytes(bench)
        for n, bad in enumerate(_bad_commands(face.spec.neutral)):
            before = sent[0]
            rejected = refused(lambda: face.move(bad), CommandError)  # noqa: B023
            silent = sent[0] == before
            good = rejected and silent and _moves_on(trial, face.move(np.full(25, (0.9, -0.9)[n // 5 % 2])))
            trial.saw("refused, nothing sent, it goes on" if good else "sent", good)


def _moves_on(trial: Trial, reading: Reading) -> bool:
    """Whether nothing is wrong; by the wall clock a computer may be late, and the face hold."""
    late = (UNANSWERED, TARGETS_STOPPED) if trial.real_time else ()
    return all(fault.startswith(late) for fault in reading.faults)


def _bad_commands(neutral: np.ndarray) -> list[Any]:
    values = (np.nan, np.inf, -np.inf, 1.001, -1.001, 1e30, -1e30)
    out: list[Any] = [np.array([*neutral[:n], v, *neutral[n + 1 :]]) for n in range(25) for v in values]
    shapes: tuple[Any, ...] = (
        np.zeros(24),
        np.zeros(26),
        np.zeros((25, 25)),
        np.zeros((1, 25)),
        0.0,
        [],
        None,
        "0" * 25,
    )
    return [*out, *shapes]


def _count_bytes(bench: Bench) -> list[int]:
    sent = [0]

    def count(data: bytes) -> bytes:
        sent[0] += len(data)
        return data

    bench.port.out = count
    return sent


def wild_targets(trial: Trial) -> None:
    """What a host without our checks might send: any pulse, one channel at a time and all at once."""
    with trial.bench() as bench:
        bench.ready()
        for value in (1, 2000, 12000, 32768, 65535):
            for channel in trial.some(range(25), 3):
                pulses = [value if n == channel else 4 * 1500 for n in range(25)]
                _send_raw(trial, bench, pulses)
            _send_raw(trial, bench, [value] * 25)
        rng = np.random.default_rng(0)
        for _ in range(trial.choose(500, 40)):
            _send_raw(trial, bench, rng.integers(1, 65536, 25).tolist())
        trial.expect(refused(lambda: bench.board.send(np.full(25, np.nan)), RobotError), "NaN was sent")


def _send_raw(trial: Trial, bench: Bench, pulses: list[int]) -> None:
    message = wire.Targets(bench.board._session, tuple(pulses))
    status = bench.link.demand(message, wire.Status, 0.1)
    bench.rest_of_period()
    good = status.state == BoardState.ACTIVE and bool(status.faults & wire.Fault.CLAMPED)
    trial.saw("clamped" if good else "taken as it is", good)
