"""Port and clock of the simulated board while it runs in lockstep with the host."""

from __future__ import annotations

from collections.abc import Callable

from eva_sim.clock import Clock


class VirtualPort:
    """The host's end of the line in lockstep, with the methods of `serial.Serial` that a link needs.

    Args:
        outgoing: buffer of bytes from the host that are not yet on the line.
        incoming: buffer of bytes from the board that the host has not read yet.

    Attributes:
        is_open: False once it is closed or the plug is pulled.
    """

    def __init__(self, outgoing: bytearray, incoming: bytearray) -> None:
        self._outgoing, self._incoming, self.is_open = outgoing, incoming, True

    def write(self, data: bytes) -> int:
        """Puts bytes on the line; they are sent at the baud rate while time passes.

        Raises:
            SerialException: the plug was pulled.
        """
        self._check_open()
        self._outgoing += data
        return len(data)

    def read(self, size: int = 1) -> bytes:
        """Returns at most `size` of the bytes that have arrived; never waits.

        Raises:
            SerialException: the plug was pulled.
        """
        self._check_open()
        taken = bytes(self._incoming[:size])
        del self._incoming[:size]
        return taken

    def close(self) -> None:
        """Closes the port."""
        self.is_open = False

    def _check_open(self) -> None:
        if not self.is_open:
            from serial import SerialException

            raise SerialException("the virtual port is closed or unplugged")


class VirtualClock(Clock):
    """Time that passes only during a sleep.

    Args:
        now: returns the time of the simulation [s].
        run: lets a time pass in the simulation [s].
    """

    def __init__(self, now: Callable[[], float], run: Callable[[float], None]) -> None:
        self._now, self._run = now, run

    def now(self) -> float:
        return self._now()

    def sleep(self, duration: float) -> None:
        if duration > 0:
            self._run(duration)
