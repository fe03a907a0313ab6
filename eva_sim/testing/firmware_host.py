"""The firmware's portable core, compiled for this computer with sanitizers, for the tests of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eva_sim.contract import load_spec
from eva_sim.real.wire.firmware_table import channel_rows
from eva_sim.testing import protocol_oracle
from eva_sim.testing.protocol_oracle import Host

SOURCES = Path(__file__).resolve().parents[2] / "real/firmware"
CAN_COMPILE = bool(shutil.which("cc") and shutil.which("make"))
REST = [row.rest for row in channel_rows(load_spec())]


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


class FirmwareHost:
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

    def keep_aiming(self, pulses: list[int], milliseconds: int) -> protocol_oracle.Status:
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
def firmware_host(program: Path) -> Iterator[FirmwareHost]:
    firmware_host = FirmwareHost(program)
    yield firmware_host
    firmware_host.close()


@pytest.fixture
def active(firmware_host: FirmwareHost) -> FirmwareHost:
    """All channels armed, at rest."""
    firmware_host.host.hello()
    assert firmware_host.host.calibrate().answer == protocol_oracle.TAKEN
    assert firmware_host.host.arm().answer == protocol_oracle.TAKEN
    assert firmware_host.keep_aiming(REST, 500).state == protocol_oracle.ACTIVE
    return firmware_host
