"""A watchdog process beside the host process, for boards that would hold their position for ever.

It covers the end of the whole host process: SIGKILL, a crash, a frozen interpreter. These end or stop every
thread of the host, and neither a Maestro as shipped nor a Feetech servo has a timeout. The process shares
the open ports with the host, and receives a beat from the host's watchdog thread. When beats stop, or the
pipe closes because the host has ended, it writes the torque-off packets to every port.

This file is also the program of that process. It needs the standard library only, so that it starts quickly.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

BEAT, GOODBYE = b".", b"!"
#: How often the torque-off packets are written, and the time between [s]; the host may have ended within
#: a packet, which spoils the first one.
REPEATS, PAUSE = 5, 0.02


class WatchdogProcess:
    """The host's side of the watchdog process.

    Args:
        packets: torque-off packets, by the file number of each port.
        timeout: time without a beat after which they are written [s].
    """

    def __init__(self, packets: Mapping[int, bytes], timeout: float) -> None:
        import subprocess

        arguments = [f"{number}:{packet.hex()}" for number, packet in packets.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.realpath(__file__), str(timeout), *arguments],
            stdin=subprocess.PIPE,
            bufsize=0,
            pass_fds=tuple(packets),
            start_new_session=True,  # Ctrl-C is for the host alone
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        os.set_blocking(self._pipe.fileno(), False)

    @property
    def watching(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def beat(self) -> None:
        """Reports that the host is alive."""
        self._write(BEAT)

    def close(self, torque_off: bool = False) -> None:
        """Ends the process. May be called twice.

        Args:
            torque_off: whether it writes the torque-off packets first.
        """
        import subprocess

        if self._pipe.closed:
            return
        if not torque_off:
            self._write(GOODBYE)
        self._pipe.close()
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, signal: bytes) -> None:
        with suppress(OSError, ValueError):  # the process has ended or the pipe is closed: see `watching`
            self._pipe.write(signal)


def watch_host(pipe: int, timeout: float, packets: Mapping[int, bytes]) -> None:
    """Runs in the watchdog process until the host says goodbye or has ended."""
    while True:
        received = os.read(pipe, 4096) if select.select([pipe], [], [], timeout)[0] else None
        if received and received.endswith(GOODBYE):
            return
        if not received:
            send_packets(packets)
        if received == b"":
            return


def send_packets(packets: Mapping[int, bytes]) -> None:
    """Writes the torque-off packets to every port that still accepts them."""
    for _ in range(REPEATS):
        for number, packet in packets.items():
            with suppress(OSError):  # unplugged; the other ports may still be there
                os.write(number, packet)
        time.sleep(PAUSE)


if __name__ == "__main__":
    _pairs = (argument.split(":") for argument in sys.argv[2:])
    watch_host(0, float(sys.argv[1]), {int(number): bytes.fromhex(packet) for number, packet in _pairs})
