"""Signals that ask a program to end: a wish in the middle of a motion, an exception elsewhere, never lost."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from eva_sim.command_start import ENDING_SIGNALS
from eva_sim.interrupts import (
    Interrupted,
    accepted_signals,
    describe_interruption,
    interruptible,
    interruptions,
    signal_of,
)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Python's own handlers during a test, whatever the shell began with."""
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING_SIGNALS)
def test_each_signal_is_raised_and_remembered(number: signal.Signals) -> None:
    with interruptions() as first:
        assert first() == 0
        with pytest.raises(Interrupted) as ended:
            signal.raise_signal(number)
        assert first() == number == signal_of(ended.value)
        assert describe_interruption(ended.value) == (
            "stopped by Ctrl-C" if number == signal.SIGINT else f"stopped by {number.name}"
        )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_another_handler_took_is_remembered() -> None:
    with interruptions() as first:
        with interruptible() as stopped:
            signal.raise_signal(signal.SIGINT)
            assert stopped()
        assert first() == signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_wish_to_end_the_program_goes_on_after_the_motion(number: signal.Signals) -> None:
    heard = list[int]()
    signal.signal(number, lambda given, frame: heard.append(given))
    with interruptible() as stopped:
        signal.raise_signal(number)
        assert stopped() and not heard
    assert heard == [number]


def test_ctrl_c_is_answered_by_the_end_of_the_motion() -> None:
    with interruptible() as stopped:
        signal.raise_signal(signal.SIGINT)
        assert stopped()
    with interruptible() as stopped:
        assert not stopped()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_exception_that_compiled_code_drops_comes_again(number: signal.Signals) -> None:
    """Callbacks of numba, PyBullet and OpenGL print an exception and go on."""
    callback = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(number))
    with interruptions(), pytest.raises(Interrupted):
        _call_and_wait(callback)


def test_an_exception_that_a_destructor_drops_comes_again() -> None:
    class Closing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def drop() -> None:
        closing = Closing()
        del closing

    with interruptions(), pytest.raises(Interrupted):
        _call_and_wait(drop)


def _call_and_wait(function: object) -> None:
    assert callable(function)
    function()
    time.sleep(5)


def test_signals_that_nobody_wants_are_left_alone() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    assert accepted_signals() == (signal.SIGINT, signal.SIGTERM)
    with interruptions(), interruptible() as stopped:
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        signal.raise_signal(signal.SIGHUP)
        assert not stopped()


def test_importing_the_package_blocks_no_signals() -> None:
    """Only the command holds them back until it can answer."""
    program = "import signal, eva_sim; print(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "0", done.stderr
    program = program.replace("eva_sim;", "sys; sys.orig_argv[1:] = ['-m', 'eva_sim.cli']; import eva_sim;")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "3", done.stderr
