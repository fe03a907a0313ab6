"""The firmware's portable core, compiled for this computer with sanitizers, for the tests of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eva_sim.real.firmware_table import rows
from tests import wire
from tests.wire import Host

SOURCES = Path(__file__).resolve().parent.parent / "real/firmware"
CAN_COMPILE = bool(shutil.which("cc") and shutil.which("make"))
REST = [row.rest for row in rows()]


def make(goal: str, out: Path) -> Path:
    done = subprocess.run(
        ["make", "-s", "-C", str(SOURCES), f"OUT={out}", goal], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out / goal


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not CAN_COMPILE:
        pytest.skip("no C compiler and make here (apt-get install gcc make)")
    return make("driver", tmp_path_factory.mktemp("driver"))


class Core:
    """The core in its driver; every call says what the lines say after it."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.sent, self.outputs, self.fed, self.counts, self.now = b"", False, 0, [0] * 25, 0
        self.do("erase")
        self.reset(1)
        self.host = Host(lambda data: self.do("rx", data.hex()), self.wait)

    def do(self, word: str, value: object = "") -> None:
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.process.stdin.write(f"{word} {value}\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline().split()
        assert told, self.process.stderr.read()  # a sanitizer's report
        self.sent += b"" if told[0] == "-" else bytes.fromhex(told[0])
        self.outputs, self.fed = told[1] == "1", int(told[2])
        self.counts = [int(value) for value in told[3:]]

    def reset(self, cause: int) -> None:
        self.do("reset", cause)
        self.run(30)

    def run(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.do("run", milliseconds)

    def wait(self) -> bytes:
        self.run(1)
        sent, self.sent = self.sent, b""
        return sent

    def keep_aiming(self, pulses: list[int], milliseconds: int) -> wire.Status:
        for _ in range(milliseconds // 20):
            status = self.host.targets(pulses)
            self.run(19)
        return status

    def close(self) -> None:
        assert self.process.stdin and self.process.stderr
        self.process.stdin.close()
        assert self.process.wait() == 0, self.process.stderr.read()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()


@pytest.fixture
def core(program: Path) -> Iterator[Core]:
    core = Core(program)
    yield core
    core.close()


@pytest.fixture
def active(core: Core) -> Core:
    """All channels armed, at rest."""
    core.host.hello()
    assert core.host.calibrate().answer == wire.TAKEN
    assert core.host.arm().answer == wire.TAKEN
    assert core.keep_aiming(REST, 500).state == wire.ACTIVE
    return core
