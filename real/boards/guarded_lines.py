"""The ports of a board behind their guard, which is told of each packet whether it drives servos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from eva_sim.errors import LinkError
from eva_sim.real.boards.arming import ArmingAct
from eva_sim.real.boards.guard_process import Guard, GuardProcess, LocalGuard
from eva_sim.real.boards.line_guard import ENDED, FAILED
from eva_sim.real.wire.bus_port import BusPort


class GuardedLines:
    """Ports whose packets pass a guard from now on.

    Args:
        packets: torque-off packets for each port.
        timeout: time without a beat after which the guard makes the face limp [s].
    """

    def __init__(self, packets: Mapping[BusPort, bytes], timeout: float) -> None:
        self._packets, self._act = packets, None
        self.guard = self._start(timeout)
        for number, port in enumerate(packets):
            port.write_through(partial(self._write, number))

    _act: ArmingAct | None

    @contextmanager
    def driving(self, act: ArmingAct | None) -> Iterator[None]:
        """Within this context, packets drive servos: they are written as long as the act is valid."""
        self._act = act
        try:
            yield
        finally:
            self._act = None

    def acts_ended(self) -> set[int]:
        """Returns numbers of the acts that the guard has ended by itself since the last call.

        Raises:
            LinkError: a port took no bytes.
        """
        notices = self.guard.notices()
        if any(kind == FAILED for kind, _ in notices):
            raise LinkError("a port takes no bytes; check its cable.")
        return {act for kind, act in notices if kind == ENDED}

    def _start(self, timeout: float) -> Guard:
        files = {n: packet for port, packet in self._packets.items() if (n := port.file_number()) is not None}
        return GuardProcess(files, timeout) if files else LocalGuard(self._write_line, self._go_limp)

    def _write(self, port: int, data: bytes) -> int:
        return self.guard.write(port, data, self._act)

    def _write_line(self, number: int, data: bytes) -> int:
        return list(self._packets)[number].write_line(data)

    def _go_limp(self) -> None:
        for port, packet in self._packets.items():
            with suppress(OSError):
                port.write_line(packet)
