"""Ctrl-C, SIGTERM and the end of the program leave a limp robot."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from eva_sim import make_face
from eva_sim.errors import RobotError
from eva_sim.real.robot import RobotFace
from eva_sim.real.safety import shutdown
from eva_sim.real.safety.shutdown import ShutdownHandler
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.testing.pulse_watcher import PulseWatcher
from eva_sim.testing.robot_fixtures import play, wild


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_makes_it_limp_and_goes_on(
    face: RobotFace, watcher: PulseWatcher, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    ours = signal.getsignal(number)
    face._shutdown._previous[number] = lambda n, frame: heard.append(n)
    face.reset()
    signal.raise_signal(number)
    assert heard == [number]
    assert watcher.limp
    with pytest.raises(RobotError, match="disarmed by a signal"):
        face.move(face.spec.neutral)
    assert signal.getsignal(number) == ours
    face.arm()


def test_a_signal_in_the_middle_of_a_frame_waits_for_its_end(
    face: RobotFace, mock: MockBoard, watcher: PulseWatcher
) -> None:
    face.reset()
    face._shutdown._previous[signal.SIGINT] = signal.default_int_handler  # whatever the shell began with
    asked: list[float] = []

    def interrupt(time: float, channel: int, width: float) -> None:
        """Called while a frame is being answered."""
        if not asked:
            asked.append(time)
            signal.raise_signal(signal.SIGINT)
            assert not np.isnan(mock._pulses).any()  # not yet limp

    mock.listen(interrupt)
    with pytest.raises(KeyboardInterrupt):
        play(face, wild(3))
    assert asked
    assert watcher.limp


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with make_face("mock", camera_size=None):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


EXITS = """
import signal, sys
from eva_sim.contract import load_spec
from eva_sim.real.opening import open_hidden
from eva_sim.real.simulation.mock_board import MockBoard
mock = MockBoard(load_spec())
face = open_hidden(mock, camera_size=None)
face.reset()
mock.listen(lambda time, channel, width: print(width, flush=True) if channel == 3 else None)
{end}
"""


@pytest.mark.parametrize(
    "end, code", [("sys.exit(3)", 3), ("signal.raise_signal(signal.SIGTERM)", -15), ("1 / 0", 1)]
)
def test_the_end_of_the_program_makes_it_limp(end: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXITS.format(end=end)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["nan"], done.stderr
    assert done.returncode == code


def test_ctrl_c_while_a_hidden_robot_is_drawn_ends_the_program() -> None:
    """The will needs the board, the board moves the plant, and the plant is busy with a picture."""
    ended = subprocess.run([sys.executable, "-c", DRAWN], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["interrupted", "limp"]


DRAWN = """
import signal
import numpy as np
from eva_sim.contract import load_spec
from eva_sim.real.opening import open_hidden
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.twin import Twin

signal.signal(signal.SIGINT, signal.default_int_handler)
machine = MockBoard(load_spec())
draw, drawn = Twin.render, []

def render(twin, size):
    drawn.append(size)
    if len(drawn) == 20:
        signal.raise_signal(signal.SIGINT)
    return draw(twin, size)

Twin.render = render
face = open_hidden(machine, 0, 64)
face.reset()
try:
    while True:
        face.move(face.spec.neutral)
except KeyboardInterrupt:
    print("interrupted", "limp" if np.isnan(machine.pulses).all() else "armed", flush=True)
face.close()
"""


def test_a_block_in_another_thread_does_not_keep_a_signal_from_the_main_thread() -> None:
    acted, inside, end = list[str](), threading.Event(), threading.Event()
    handler = ShutdownHandler(lambda: acted.append("limp"))
    handler._previous[signal.SIGINT] = signal.default_int_handler

    def work() -> None:
        with handler:
            inside.set()
            end.wait()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        inside.wait()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert acted == ["limp"]
    finally:
        end.set()
        worker.join()
        handler.close()


def test_handlers_that_are_closed_in_the_order_of_opening_pass_signals_on() -> None:
    heard, acted = list[int](), list[str]()
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        first = ShutdownHandler(lambda: acted.append("first"))
        second = ShutdownHandler(lambda: acted.append("second"))
        first.close()
        signal.raise_signal(signal.SIGTERM)
        second.close()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] and acted == ["second"]


def test_a_robot_that_another_thread_closes_is_limp(face: RobotFace, watcher: PulseWatcher) -> None:
    face.reset()
    closer = threading.Thread(target=face.close)
    closer.start()
    closer.join()
    assert watcher.limp
    with pytest.raises(RobotError, match="closed"):
        face.reset()
    face._shutdown.close()  # here, where handlers may be restored


def test_a_picture_that_never_comes_keeps_no_signal_waiting(
    face: RobotFace, watcher: PulseWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "PATIENCE", 0.0)
    face.reset()
    face._shutdown._previous[signal.SIGINT] = signal.default_int_handler
    with face._shutdown:  # the block that reads the camera
        face.hold_still()
        signal.raise_signal(signal.SIGINT)
        assert not watcher.limp
        with pytest.raises(KeyboardInterrupt):
            face.hold_still()
    assert watcher.limp
