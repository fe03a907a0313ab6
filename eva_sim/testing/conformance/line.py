"""What a line may do to bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.protocol import encode_frame
from eva_sim.testing.conformance.bench import ALL, CHANNEL, PERIOD, Bench, Trial, answered
from eva_sim.testing.fault_injection import (
    Disturbance,
    cut_after,
    disturb_exchange,
    disturb_frames,
    flip_bit,
    plug_in,
    pull_plug,
)

_STATUS = wire.Status(*(0,) * 11, (0,) * 25)
#: Further targets of which one must be answered in time by the wall clock, on a busy computer.
LATER = 5
BAUDS = (9600, 19200, 38400, 57600, 115200, 230400, 250000, 460800, 921600, 1000000)


def bad_frames(bench: Bench) -> int:
    """Frames that the board counted as bad."""
    return bench.ask().bad


def flips_of_targets(trial: Trial) -> None:
    """Every bit of `TARGETS`, while it moves."""
    _flips(trial, "out", 8 * _size(wire.Targets(1, (0,) * 25)))


def flips_of_status(trial: Trial) -> None:
    """Every bit of `STATUS`, which the host reads."""
    _flips(trial, "back", 8 * _size(_STATUS))


def _flips(trial: Trial, direction: str, bits: int) -> None:
    with trial.bench() as bench:
        bench.ready()
        for bit in trial.some(range(bits), 30):
            _one_disturbed(trial, bench, direction, flip_bit(bit))


def _one_disturbed(trial: Trial, bench: Bench, direction: str, disturbance: Disturbance) -> None:
    before = bench.link.counters
    status, after = disturb_exchange(
        bench.board, bench.port, bench.clock, direction, disturbance, bench.aim()
    )
    # On a busy computer, an answer to earlier targets may come now, whole or disturbed in place of the one
    # that was meant, and the answer to the next ones later.
    now = bench.link.counters
    came_late = trial.real_time and (now.late > before.late or now.bad > before.bad)
    was_refused = not answered(status) or came_late
    later = 0
    while trial.real_time and later < LATER and not answered(after):
        after, later = bench.move(1), later + 1
    goes_on = answered(after) and after.state in trial.going_on
    which = "a later one" if later else "the next but one"
    outcome = f"frame refused, {which} taken" if goes_on else "lost for longer"
    trial.saw(outcome if was_refused else "taken", was_refused and goes_on)


def flips_of_the_rest(trial: Trial) -> None:
    """Every bit of every other message to the board, all right but for that bit, while it moves."""
    with trial.bench() as bench:
        bench.ready()
        for message in _orders(bench):
            for bit in trial.some(range(8 * _size(message)), 10):
                _one_order(trial, bench, message, flip_bit(bit))


def cuts_of_the_rest(trial: Trial) -> None:
    """The same, cut to every length; but for its last 00 alone, which the next frame may bring."""
    with trial.bench() as bench:
        bench.ready()
        for message in _orders(bench):
            for length in trial.some(range(1, _size(message) - 1), 5):
                _one_order(trial, bench, message, cut_after(length))


def _orders(bench: Bench) -> list[wire.Message]:
    session = bench.board._session
    return [
        wire.Hello(), wire.Arm(session, (1 << 25) - 1), wire.Disarm(), wire.Stop(),
        wire.Clear(session),
        wire.Limits(session, 12, 5300, 7500, 5400, 300), wire.Commit(session, 7), wire.Query(), wire.Read(3),
    ]  # fmt: skip


def _one_order(trial: Trial, bench: Bench, message: wire.Message, disturbance: Disturbance) -> None:
    """With the next number: were it taken, the host's next targets would be stale."""
    bad, number = bad_frames(bench), bench.link._sequence + 2
    bench.machine.port.write(disturbance(encode_frame(message, number)) + b"\0")
    bench.clock.sleep(0.001)
    status, later = bench.move(1), 0
    while trial.real_time and later < LATER and not answered(status):
        status, later = bench.move(1), later + 1
    good = answered(status) and status.state in trial.going_on and bad_frames(bench) > bad
    trial.saw("frame refused" if good else "frame taken", good)


def flips_of_answers(trial: Trial) -> None:
    """Every bit of `IDENT` and `CHANNEL`, which the host reads."""
    with trial.bench() as bench:
        bench.connect()
        for ask, kind, size in ((wire.Hello(), wire.Ident, 53), (wire.Read(3), wire.Channel, 19)):
            reply = bench.link.demand(ask, kind, 0.1)
            trial.expect(_size(reply) == size, "another length")
            for bit in trial.some(range(8 * size), 15):
                bench.port.back = flip_bit(bit)
                taken = bench.link.ask(ask, kind, 0.02)
                bench.port.back = bytes
                good = taken is None and bench.link.ask(ask, kind, 0.1, tries=2) is not None
                trial.saw("answer refused, one of the next two read" if good else "answer believed", good)
        bench.ready()


def cut_to_board(trial: Trial) -> None:
    """`TARGETS` cut to every length."""
    _cuts(trial, "out", _size(wire.Targets(1, (0,) * 25)))


def cut_to_host(trial: Trial) -> None:
    """`STATUS` cut to every length."""
    _cuts(trial, "back", _size(_STATUS))


def _cuts(trial: Trial, direction: str, size: int) -> None:
    with trial.bench() as bench:
        bench.ready()
        for length in trial.some(range(size), 20):
            _one_disturbed(trial, bench, direction, cut_after(length))


def _size(message: wire.Message) -> int:
    """Bytes on the wire; stuffing adds one and the end another."""
    return len(encode_frame(message, 1))


def whole_frames(trial: Trial, how: str) -> None:
    """Frames twice, two swapped, or three frames late."""
    with trial.bench() as bench:
        bench.ready()
        stale = _stale(bench)
        bench.port.out = disturb_frames(how)
        for _ in range(trial.choose(500, 60)):
            try:
                status = bench.board.send(bench.aim())
                good = status.state in (BoardState.ACTIVE, BoardState.HOLD)
                trial.saw("answered" if answered(status) else "not answered, it goes on", good)
            except LinkError:
                trial.saw("the host raises LinkError")
            bench.rest_of_period()
        bench.port.out = bytes
        bench.clock.sleep(0.05)
        trial.expect((_stale(bench) > stale) == (how != "late"), "stale frames were not counted")
        trial.expect(bench.board.status().state == BoardState.ACTIVE, "it stopped")


def _stale(bench: Bench) -> int:
    return bench.ask().stale


def twice(trial: Trial) -> None:
    """Every frame comes twice."""
    whole_frames(trial, "twice")


def swapped(trial: Trial) -> None:
    """Every second frame comes before the first."""
    whole_frames(trial, "swapped")


def late(trial: Trial) -> None:
    """Every frame comes three frames late."""
    whole_frames(trial, "late")


def held_back_frames(trial: Trial) -> None:
    """Frames that a busy computer held back come all at once, at every ms of a period."""
    with trial.bench() as bench:
        bench.ready()
        for size in range(2, 9):
            for into in trial.some(range(20), 7):
                bench.send_far()
                bench.await_pulses()
                bench.clock.sleep(into / 1000)
                bench.port.write(b"".join(_targets(bench, bench.aim()) for _ in range(size)))
                bench.clock.sleep(0.03)  # longer than the line needs
                bench.machine.port.read(1_000_000)
                good = bench.move(2).state == BoardState.ACTIVE
                trial.saw("it goes on" if good else "it stopped", good)


def _targets(bench: Bench, raw: Floats) -> bytes:
    """The next frame of the host, with these positions of the actuators, (25,) [us]."""
    pulses = np.zeros(len(ALL), dtype=int)
    pulses[CHANNEL] = np.round(4 * raw)
    bench.link._sequence += 1
    return encode_frame(wire.Targets(bench.board._session, tuple(pulses.tolist())), bench.link._sequence)


def stale(trial: Trial) -> None:
    """A whole session on tape, played to a limp board: in its session, after its session, after a reset."""
    tape: list[bytes] = []
    with trial.bench() as bench:
        bench.connect()
        bench.port.out = _keep(tape)
        calibration = Calibration.nominal(load_spec(), bench.board.identity.robot_id)
        bench.board.configure(calibration.limits, calibration.crc)
        tape[:-1] = []  # what is to be replayed begins with the HELLO of the session that moved
        bench.board.arm(range(25))
        bench.move(trial.choose(300, 40))
        bench.port.out = bytes
        bench.board.disarm()
        _play(trial, bench, tape[1:], "same session, refused")
        bench.connect()
        _play(trial, bench, tape[1:], "next session, refused")
        _play(trial, bench, tape, "with its HELLO, refused")
        if trial.body != "port":
            bench.machine.power_cycle()
            bench.clock.sleep(0.05)
            _play(trial, bench, tape, "after a reset, refused")
        bench.ready()


def _keep(frames: list[bytes]) -> Disturbance:
    """Passes everything on and keeps it."""

    def keep(data: bytes) -> bytes:
        frames.append(data)
        return data

    return keep


def old_frames(trial: Trial) -> None:
    """A frame that was held back in its own session, while any number of others passed."""
    with trial.bench() as bench:
        bench.ready()
        kept: list[bytes] = []
        bench.port.out = _keep(kept)
        bench.move(1)
        bench.port.out = bytes
        for skipped in [*trial.some(range(0, 0x20000, 0x400), 8), 0x7FFE, 0x8000, 0xFFFF, 0x10000]:
            bench.link._sequence += skipped
            bench.move(1)
            stale = _stale(bench)
            bench.machine.port.write(kept[0])
            bench.clock.sleep(0.01)
            bench.machine.port.read(1_000_000)
            good = _stale(bench) == stale + 1 and bench.move(1).state == BoardState.ACTIVE
            trial.saw("refused, it goes on" if good else "taken", good)


def _play(trial: Trial, bench: Bench, tape: list[bytes], what: str) -> None:
    for data in tape:
        bench.machine.port.write(data)
        bench.clock.sleep(0.01)
        trial.saw(what if bench.limp else "it moved", bench.limp)
    bench.machine.port.read(1_000_000)


def wrong_baud(trial: Trial) -> None:
    """A whole session at a wrong rate moves nothing; a rate that changes while it moves is silence."""
    with trial.bench() as bench:  # every new board of this seed makes the same noise
        first = bench.connect()._session
    with trial.bench(baud=500_000) as bench:
        bench.watcher.armable = set(ALL)
        _play_slowly(bench, _session(bench, first), 500_000)
        trial.expect(bench.watcher.events > 100, "the session moves nothing at the right rate either")
    for baud in BAUDS[:: 4 if trial.quick else 1]:
        with trial.bench(baud=baud) as bench:
            _play_slowly(bench, _session(bench, first), baud)
            trial.saw("whole session, nothing moves", bench.watcher.events == 0)
        with trial.bench() as bench:
            _change_baud(trial, bench, baud)


def _change_baud(trial: Trial, bench: Bench, baud: int) -> None:
    bench.ready()
    begin = bench.send_far()
    bench.machine.set_baud(baud)
    _play_slowly(bench, _session(bench, bench.board._session)[-20:], baud)
    bench.machine.set_baud(500_000)
    bench.fall_silent(begin, max(1.3, bench.clock.now() - begin))
    bench.machine.port.write(b"\0")
    bench.machine.port.read(1_000_000)
    trial.saw("changed while it moves, hold, limp", bench.stays_limp())


def _play_slowly(bench: Bench, frames: list[bytes], baud: int) -> None:
    bench.clock.sleep(0.15)  # a new board wakes up, and keeps its first session numbers
    for data in frames:
        bench.machine.port.write(data)
        bench.clock.sleep(max(PERIOD, 12 * len(data) / baud))


def _session(bench: Bench, session: int) -> list[bytes]:
    """All that makes a board move, in a session of this number."""
    limits = bench.limits
    table = np.empty((len(ALL), 4), int)
    table[CHANNEL] = 4 * np.stack([limits.low, limits.high, limits.rest, limits.slew], 1)
    messages: list[wire.Message] = [wire.Hello()]
    messages += [wire.Limits(session, n, *map(int, row)) for n, row in enumerate(table)]
    messages += [wire.Commit(session, 7), wire.Arm(session, (1 << 25) - 1)]
    messages += [wire.Targets(session, tuple(map(int, table[:, 1])))] * 40
    return [encode_frame(message, 30_000 + n) for n, message in enumerate(messages)]


def unplugged(trial: Trial) -> None:
    """At every byte of `TARGETS`; then replugged; then armed."""
    size = _size(wire.Targets(1, (0,) * 25))
    with trial.bench() as bench:
        for count in trial.some(range(size + 1), 4):
            with bench.face() as face:  # a new one each time, since arming after faults needs pauses
                face.reset()
                _unplug_once(trial, bench, face, count)


def _unplug_once(trial: Trial, bench: Bench, face: Any, count: int) -> None:
    ends = [np.where(np.arange(25) % 2, sign, -sign) for sign in (0.9, -0.9)]
    times, whole = list[float](), _size(wire.Targets(1, (0,) * 25))

    def note(data: bytes) -> bytes:
        times.append(bench.clock.now())
        return data

    def pull(data: bytes) -> bytes:
        if bench.port.out is pull:
            bench.port.out = note
            times.extend([bench.clock.now()] * (count == whole))
            pull_plug(bench.machine, data, count)
        return b""

    bench.port.out = note
    for n in range(12):
        face.move(ends[n // 6])
    bench.port.out = pull
    lost = refused(lambda: face.move(-ends[1]), LinkError)
    bench.fall_silent(times[-1])
    plug_in(bench.machine)
    reported = refused(lambda: face.move(ends[0]), RobotError) and face.reset().faults
    bench.clock.sleep(0.3)
    limp = bench.limp
    face.arm()
    good = bool(lost and reported and limp and not face.move(face.spec.neutral).faults)
    trial.saw("reported, hold, limp, moves after arm()" if good else "not reported, or not back", good)


def refused(act: Any, kind: type[Exception]) -> bool:
    """Whether something raises this error."""
    try:
        act()
    except kind:
        return True
    return False
