"""The firmware's portable core, compiled for this computer with sanitizers, for its tests."""

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

SOURCES = Path(__file__).resolve().parents[1] / "real/firmware"
CAN_COMPILE = bool(shutil.which("cc") and shutil.which("make"))
#: What `make pico` needs, in packages of Debian.
PICO_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi make"
REST = [row.rest for row in channel_rows(load_spec())]


def can_compile_pico() -> bool:
    """Whether `make pico` has its compiler here, and the C library that is a package of its own."""
    if not (shutil.which("arm-none-eabi-gcc") and shutil.which("make")):
        return False
    asked = ["arm-none-eabi-gcc", "-print-file-name=libc.a"]
    return Path(subprocess.run(asked, capture_output=True, text=True).stdout.strip()).is_absolute()


def make(goal: str, out: Path) -> Path:
    """Compiles a goal of the firmware's Makefile into a folder; returns the file of the same name."""
    done = subprocess.run(
        ["make", "-s", "-C", str(SOURCES), f"OUT={out}", goal], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out / goal


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled driver program, see real/firmware/driver.c."""
    if not CAN_COMPILE:
        pytest.skip("no C compiler and make here (apt-get install gcc make)")
    return make("driver", tmp_path_factory.mktemp("driver"))


class FirmwareHost:
    """The firmware's core in its driver program.

    Args:
        command: the driver program, or another one that takes and gives the same lines, and its arguments.

    Attributes:
        process: the driver program.
        sent: bytes from the firmware that were not read yet.
        outputs: whether the outputs are enabled.
        fed: how often the hardware watchdog was fed.
        counts: pulse of each channel [steps of the PCA9685]; 0 is off.
        more: numbers that only another program gives.
        now: time in virtual time [ms].
        host: host that speaks the protocol with it.
    """

    def __init__(self, *command: str | Path) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.sent, self.outputs, self.fed, self.counts, self.now = b"", False, 0, [0] * 25, 0
        self.more: list[int] = []
        self.do("erase")
        self.reset(1)
        self.host = Host(lambda data: self.do("rx", data.hex()), self.wait)

    def do(self, word: str, value: object = "") -> None:
        """Sends a command to the driver program and reads its report."""
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.process.stdin.write(f"{word} {value}\n")
        self.process.stdin.flush()
        report = self.process.stdout.readline().split()
        assert report, self.process.stderr.read()  # a sanitizer's report
        self.sent += b"" if report[0] == "-" else bytes.fromhex(report[0])
        self.outputs, self.fed = report[1] == "1", int(report[2])
        numbers = [int(value) for value in report[3:]]
        self.counts, self.more = numbers[: len(REST)], numbers[len(REST) :]

    def reset(self, cause: int) -> None:
        """Resets the microcontroller, with a cause as in MCUSR."""
        self.do("reset", cause)
        self.run(30)

    def run(self, milliseconds: int) -> None:
        """Lets virtual time pass."""
        self.now += milliseconds
        self.do("run", milliseconds)

    def wait(self) -> bytes:
        """Lets a millisecond pass; the bytes that the firmware sent."""
        self.run(1)
        sent, self.sent = self.sent, b""
        return sent

    def keep_aiming(self, pulses: list[int], milliseconds: int) -> protocol_oracle.Status:
        """Sends the same targets every 20 ms."""
        for _ in range(milliseconds // 20):
            status = self.host.targets(pulses)
            self.run(19)
        return status

    def close(self) -> None:
        """Ends the driver program and checks that no sanitizer complained."""
        assert self.process.stdin and self.process.stderr
        self.process.stdin.close()
        assert self.process.wait() == 0, self.process.stderr.read()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()


@pytest.fixture
def firmware_host(program: Path) -> Iterator[FirmwareHost]:
    """The core after power-up."""
    started = FirmwareHost(program)
    yield started
    started.close()


@pytest.fixture
def active(firmware_host: FirmwareHost) -> FirmwareHost:
    """The core with all channels armed, at rest."""
    firmware_host.host.hello()
    assert firmware_host.host.calibrate().answer == protocol_oracle.TAKEN
    assert firmware_host.host.arm().answer == protocol_oracle.TAKEN
    assert firmware_host.keep_aiming(REST, 500).state == protocol_oracle.ACTIVE
    return firmware_host
