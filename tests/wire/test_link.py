"""Asking a board over a bad line, a lost line, and finding the right port."""

from __future__ import annotations

import termios
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial

from eva_sim.clock import SimulatedClock
from eva_sim.contract import load_spec
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire import serial_ports
from eva_sim.real.wire.bus_port import BusPort
from eva_sim.real.wire.known_ports import UsbDevice, known_devices, remember_devices
from eva_sim.real.wire.link import Link
from eva_sim.real.wire.serial_ports import FoundPort, find_firmware_port, open_serial
from eva_sim.testing.board_rigs import Listed
from eva_sim.testing.fault_injection import LateAnswers, LineFilter

BAUD = 500_000


class Deaf:
    """A port at which nobody is; it counts what is sent."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.written.append(data)
        return len(data)

    def read(self, size: int) -> bytes:
        return b""

    def close(self) -> None:
        self.written.append(b"closed")


@pytest.fixture
def mock() -> MockBoard:
    return MockBoard(load_spec())


def test_a_question_is_answered(mock: MockBoard) -> None:
    link = Link(mock.port, mock.clock)
    ident = link.demand(wire.Hello(), wire.Ident, 0.1)
    assert (ident.version, ident.channels) == (wire.VERSION, 25)
    assert link.counters.answered == link.counters.sent == 1


def test_silence_takes_as_long_as_said_and_is_reported() -> None:
    clock, port = SimulatedClock(), Deaf()
    link = Link(port, clock)
    assert link.ask(wire.Query(), wire.Status, 0.1) is None
    assert clock.now() == pytest.approx(0.1)
    with pytest.raises(LinkError, match="does not answer to QUERY"):
        link.demand(wire.Query(), wire.Status, 0.1, tries=3)
    assert clock.now() == pytest.approx(0.4)
    assert len(port.written) == 1 + 4  # the 00 that ends half a frame, then four questions
    assert link.counters.unanswered == 4


class Ticking(SimulatedClock):
    """A simulated clock that has ticks, and drops what is less than one."""

    def sleep(self, duration: float) -> None:
        super().sleep(round(duration * 16e6) / 16e6)


def test_silence_ends_by_a_clock_that_ticks() -> None:
    clock = Ticking()
    link = Link(Deaf(), clock)
    for timeout in np.random.default_rng(0).uniform(0.001, 0.02, 200):
        assert link.ask(wire.Query(), wire.Status, timeout) is None
    assert 1 < clock.now() < 4


def test_an_answer_to_an_earlier_question_is_not_taken(mock: MockBoard) -> None:
    kept: list[bytes] = []

    def late(data: bytes) -> bytes:
        """Answers come one question late."""
        if data:
            kept.append(data)
        return kept.pop(0) if len(kept) > 1 else b""

    link = Link(LineFilter(mock.port, back=late), mock.clock)
    assert link.ask(wire.Query(), wire.Status, 0.01) is None
    assert link.ask(wire.Query(), wire.Status, 0.01) is None  # the answer to the first came now
    assert link.counters.late == 1


@pytest.mark.parametrize("late", [0.05, 0.13, 0.29])
def test_an_answer_to_an_earlier_try_of_the_same_message_is_taken(mock: MockBoard, late: float) -> None:
    link = Link(LineFilter(mock.port, back=LateAnswers(mock.clock, late)), mock.clock)
    assert link.ask(wire.Query(), wire.Status, 0.04, tries=2 + int(late / 0.04)) is not None
    assert mock.clock.now() == pytest.approx(late, abs=0.045)


def targets(mock: MockBoard, pulse: int) -> wire.Targets:
    return wire.Targets(0, (pulse,) * 25)


@pytest.mark.parametrize("late", [0.05, 0.13, 0.29])
@pytest.mark.parametrize("accepted", [0.0, 0.04, 0.5])
def test_an_answer_to_replaced_targets_is_taken_up_to_an_age(
    mock: MockBoard, late: float, accepted: float
) -> None:
    link = Link(LineFilter(mock.port, back=LateAnswers(mock.clock, late)), mock.clock)
    answers = [link.ask(targets(mock, n), wire.Status, 0.02, late=accepted) for n in range(6000, 6030)]
    first = next((n for n, answer in enumerate(answers) if answer), None)
    if accepted < late:
        assert first is None
    else:
        assert first == pytest.approx(late / 0.02, abs=1.5)
        missed = [answer is None for answer in answers[first:]]  # one may come right after its try has ended
        assert not any(map(all, pairwise(missed)))


def test_of_several_answers_the_newest_counts(mock: MockBoard) -> None:
    """They are read at once, as after this program was not run for a while."""
    held: list[bytes] = []

    def hold(data: bytes) -> bytes:
        held.append(data)
        return b""

    def release(data: bytes) -> bytes:
        everything = b"".join([*held, data])
        held.clear()
        return everything

    port = LineFilter(mock.port, back=hold)
    link = Link(port, mock.clock)
    for pulse in (6000, 6100):
        assert link.ask(targets(mock, pulse), wire.Status, 0.02, late=0.5) is None
    came = [frame.message for frame in wire.Decoder(wire.TO_HOST).feed(b"".join(held))]
    port.back = release
    answer = link.ask(targets(mock, 6200), wire.Status, 0.02, late=0.5)
    first, second = (message.uptime for message in came if isinstance(message, wire.Status))
    assert answer is not None and answer.uptime >= second > first


def test_no_answer_is_taken_for_another_message(mock: MockBoard) -> None:
    """A status from before a stop would tell of a face that moves; the limits of two channels are two."""
    link = Link(LineFilter(mock.port, back=LateAnswers(mock.clock, 0.05)), mock.clock)
    for before, after in (
        (targets(mock, 6000), wire.Disarm()),
        (wire.Limits(0, 0, 1, 2, 3, 4), wire.Limits(0, 1, 1, 2, 3, 4)),
        (wire.Disarm(), targets(mock, 6000)),
    ):
        assert (
            link.ask(before, wire.Status, 0.04, late=0.5 if isinstance(before, wire.Targets) else 0.0) is None
        )
        began, accepted = mock.clock.now(), 0.5 if isinstance(after, wire.Targets) else 0.0
        assert link.ask(after, wire.Status, 0.2, late=accepted) is not None
        assert mock.clock.now() - began == pytest.approx(0.05, abs=0.01)  # its own, and not 0.01 s after it


@pytest.mark.parametrize("after", range(1, 9))
def test_an_answer_in_any_two_pieces_is_one(mock: MockBoard, after: int) -> None:
    """The cut is after every eighth part of the answer."""
    rest: list[bytes] = []

    def cut(data: bytes) -> bytes:
        if data:
            rest.append(data[len(data) * after // 9 :])
            return data[: len(data) * after // 9]
        return rest.pop() if rest else b""

    assert Link(LineFilter(mock.port, back=cut), mock.clock).ask(wire.Query(), wire.Status, 0.1) is not None


FAILURES = [
    serial.SerialException("device reports readiness to read but returned no data"),
    serial.SerialTimeoutException("Write timeout"),
    OSError(5, "Input/output error"),
    termios.error(5, "Input/output error"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("where", ["out", "back"])
def test_every_failure_of_a_port_is_one_error(mock: MockBoard, error: Exception, where: str) -> None:
    port = LineFilter(mock.port)
    link = Link(port, mock.clock)

    def fail(data: bytes) -> bytes:
        raise error

    setattr(port, where, fail)
    with pytest.raises(LinkError, match="is the cable plugged in"):
        link.ask(wire.Query(), wire.Status, 0.1)
    setattr(port, where, bytes)
    with pytest.raises(LinkError, match="connect again"):  # what was lost stays lost
        link.ask(wire.Query(), wire.Status, 0.1)


def test_a_port_that_takes_no_bytes_is_lost() -> None:
    port = Deaf()
    port.write = lambda data: 0  # type: ignore[method-assign]
    with pytest.raises(LinkError, match="takes no bytes"):
        Link(port, SimulatedClock())


def test_closing_twice_is_fine_and_then_it_is_closed(mock: MockBoard) -> None:
    link = Link(mock.port, mock.clock)
    link.close()
    link.close()
    with pytest.raises(LinkError, match="closed"):
        link.ask(wire.Query(), wire.Status, 0.1)


def opener(*robots: str) -> Callable[[str], Any]:
    """Opens mocks at some paths and nobody at others; notes every path that was opened."""

    def open_port(path: str) -> Any:
        opened.append(path)
        return MockBoard(load_spec(), ord(path[-1])).port if path in robots else Deaf()

    opened: list[str] = []
    open_port.opened = opened  # type: ignore[attr-defined]
    return open_port


HERE = [
    FoundPort("/dev/a", "Arduino", "Mega"),
    FoundPort("/dev/b", "CH340", "?"),
    FoundPort("/dev/c", "", "a modem"),
]


def test_the_port_at_which_a_robot_answers_is_found() -> None:
    open_port = opener("/dev/b")
    assert find_firmware_port(BAUD, HERE, open_port, SimulatedClock()) == "/dev/b"
    assert open_port.opened == ["/dev/a", "/dev/b"]  # type: ignore[attr-defined]  # no modem is touched


@pytest.mark.parametrize(
    "robots, message",
    [((), "no robot answers"), (("/dev/a", "/dev/b"), "several robots"), (("/dev/c",), "not asked, a modem")],
)
def test_the_error_lists_what_was_found(robots: tuple[str, ...], message: str) -> None:
    with pytest.raises(RobotError, match=message) as error:
        find_firmware_port(BAUD, HERE, opener(*robots), SimulatedClock())
    assert all(port.path in str(error.value) for port in HERE)


def test_a_printer_is_listed_and_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """General adapters, unknown devices and ports that are no USB: listed; only what is known is opened."""
    printer, modem = Listed("/dev/p", 0x1A86, 0x7523, "9"), Listed("/dev/m", 0x2C99, 2, "1")
    mine, board = Listed("/dev/b", 0x0403, 0x6001, "7"), Listed("/dev/a", 0x2E8A, 0x000A, "2")
    unnumbered, python = Listed("/dev/u", 0x10C4, 0xEA60), Listed("/dev/v", 0x2E8A, 0x0005, "3")
    everything = [printer, modem, mine, board, unnumbered, python, Listed("/dev/ttyS0")]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: everything)
    open_port = opener("/dev/b", "/dev/p", "/dev/u")
    with pytest.raises(RobotError, match="no robot answers") as error:
        find_firmware_port(BAUD, opener=open_port, clock=SimulatedClock())
    assert open_port.opened == ["/dev/a"]  # type: ignore[attr-defined]
    assert all(port.device in str(error.value) for port in everything)
    assert "/dev/p: CH340, not asked: it may be any device; name it once" in str(error.value)
    remember_devices("firmware", [UsbDevice.of(mine), UsbDevice.of(unnumbered)])
    assert find_firmware_port(BAUD, opener=open_port, clock=SimulatedClock()) == "/dev/b"
    assert open_port.opened == ["/dev/a", "/dev/a", "/dev/b"]  # type: ignore[attr-defined]
    for kind in ("feetech", "dynamixel"):
        assert serial_ports.likely_ports(kind) == []


@pytest.mark.parametrize(
    ("ids", "name"),
    [
        ((0x2E8A, 0x000A), "Raspberry Pi Pico"),
        ((0x2E8A, 0x000C), "Debug Probe"),
        ((0x303A, 0x1001), "Espressif"),
        ((0x1A86, 0x55D3), "CH343"),
    ],
)
def test_the_names_of_adapters(monkeypatch: pytest.MonkeyPatch, ids: tuple[int, int], name: str) -> None:
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [Listed("/dev/x", *ids, "1")])
    assert serial_ports.find_ports("firmware")[0].adapter == name


@pytest.mark.parametrize("content", ["", "[]", '{"firmware": 3}', '{"firmware": [[1, 2]]}', '{"firmware": ['])
def test_a_damaged_list_of_known_ports_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("EVA_CONFIG", str(tmp_path))
    (tmp_path / "ports").mkdir()
    (tmp_path / "ports" / "known.json").write_text(content)
    device = UsbDevice(1, 2, "A", "1.0")
    assert known_devices("firmware") == set()
    remember_devices("firmware", [device, None])
    remember_devices("maestro", [device])
    assert known_devices("firmware") == known_devices("maestro") == {device}


def test_no_port_at_all_is_an_error() -> None:
    with pytest.raises(RobotError, match="no serial port at all"):
        find_firmware_port(BAUD, [], opener(), SimulatedClock())


def test_ports_of_known_adapters_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class Listed:
        def __init__(self, device: str, vid: int | None, pid: int | None) -> None:
            self.device, self.vid, self.pid, self.description = device, vid, pid, device

    listed = [Listed("/dev/1", None, None), Listed("/dev/2", 0x2341, 0x0042), Listed("/dev/3", 0x1234, 1)]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: listed)
    assert [(port.path, port.adapter) for port in serial_ports.find_ports("firmware")] == [
        ("/dev/2", "Arduino"),
        ("/dev/1", ""),
        ("/dev/3", ""),
    ]


def test_a_path_without_a_port_is_an_error() -> None:
    with pytest.raises(LinkError, match=r"/dev/nowhere cannot be opened .*ports here"):
        open_serial("/dev/nowhere", BAUD)


def test_a_pseudo_terminal_is_a_port_and_pulling_it_is_an_error() -> None:
    import os
    import pty
    import tty

    master, slave = pty.openpty()
    tty.setraw(slave)
    port = open_serial(os.ttyname(slave), BAUD)
    link = Link(port, SimulatedClock())
    assert os.read(master, 10) == b"\0"
    os.write(master, b"\0" * 3)  # noise
    assert link.ask(wire.Query(), wire.Status, 0.01) is None
    os.close(slave)
    os.close(master)
    with pytest.raises(LinkError):
        link.ask(wire.Query(), wire.Status, 0.01)
    link.close()


@pytest.fixture
def forked() -> Iterator[Callable[[], None]]:
    """Forks a worker, as of a data loader, which has all that is open and lives until the test ends."""
    import os

    children, (waits, ends) = list[int](), os.pipe()

    def fork() -> None:
        child = os.fork()
        if child == 0:
            os.close(ends)
            os.read(waits, 1)
            os._exit(0)
        children.append(child)

    yield fork
    os.close(ends)
    os.close(waits)
    for child in children:
        os.waitpid(child, 0)


@pytest.mark.parametrize("opened", [open_serial, BusPort.open])
def test_a_forked_worker_does_not_keep_the_lock_of_a_port(
    opened: Callable[[str, int], Any], forked: Callable[[], None]
) -> None:
    import os
    import pty

    master, slave = pty.openpty()
    path = os.ttyname(slave)
    port = opened(path, BAUD)
    forked()
    with pytest.raises(LinkError, match="cannot be opened"):
        opened(path, BAUD)
    port.close()
    opened(path, BAUD).close()
    port.close()
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize("asks", [(wire.Query(), wire.Query()), (wire.Query(), wire.Disarm())])
def test_two_threads_get_their_own_answers(asks: tuple[wire.Message, wire.Message]) -> None:
    """A stop may come from another thread than motion, and no answer is lost to the other one."""
    mock = MockBoard(load_spec(), realtime=True)
    link, missing = Link(mock.port, mock.clock), list[wire.Message]()

    def ask(message: wire.Message) -> None:
        for _ in range(300):
            if link.ask(message, wire.Status, 0.5) is None:
                missing.append(message)
                return

    threads = [threading.Thread(target=ask, args=(message,)) for message in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not missing and link.counters.late == 0
