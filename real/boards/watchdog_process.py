"""Who notices that the whole host process is gone: a small process of its own that holds the port, too.

`SIGKILL` and a frozen interpreter end every thread of ours, and neither a Maestro as shipped nor a Feetech
servo would ever let go by itself. The guard hears a beat from the dead man's thread. When beats stop, or
the pipe ends because the host is dead, it says the last words, which make everything limp, on every port.

This file is also what the guard's process runs, and needs the standard library only: it starts at once.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

BEAT, GOODBYE = b".", b"!"
#: How often the last words are said, and the time between [s]: the host may have died in mid-packet.
REPEATS, PAUSE = 5, 0.02


class WatchdogProcess:
    """The host's end of it.

    Args:
        words: what to say, by the file number of each port.
        patience: silence until it is said [s].
    """

    def __init__(self, words: Mapping[int, bytes], patience: float) -> None:
        import subprocess

        told = [f"{number}:{said.hex()}" for number, said in words.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.realpath(__file__), str(patience), *told],
            stdin=subprocess.PIPE,
            bufsize=0,
            pass_fds=tuple(words),
            start_new_session=True,  # Ctrl-C is for the host alone
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        os.set_blocking(self._pipe.fileno(), False)

    @property
    def watching(self) -> bool:
        """Whether its process lives."""
        return self._process.poll() is None

    def beat(self) -> None:
        """Says that the host lives."""
        self._say(BEAT)

    def close(self, speak: bool = False) -> None:
        """Sends it away, without last words unless it shall `send_packets`. May be called twice."""
        import subprocess

        if self._pipe.closed:
            return
        if not speak:
            self._say(GOODBYE)
        self._pipe.close()
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _say(self, word: bytes) -> None:
        with suppress(OSError, ValueError):  # it is gone, stopped or closed: `watching` tells
            self._pipe.write(word)


def watch_host(pipe: int, patience: float, words: Mapping[int, bytes]) -> None:
    """What the guard does until the host says goodbye or is gone."""
    while True:
        said = os.read(pipe, 4096) if select.select([pipe], [], [], patience)[0] else None
        if said and said.endswith(GOODBYE):
            return
        if not said:
            send_packets(words)
        if said == b"":
            return


def send_packets(words: Mapping[int, bytes]) -> None:
    """The last words, on every port that still takes them."""
    for _ in range(REPEATS):
        for number, said in words.items():
            with suppress(OSError):  # unplugged; the others may still be there
                os.write(number, said)
        time.sleep(PAUSE)


if __name__ == "__main__":
    _pairs = (argument.split(":") for argument in sys.argv[2:])
    watch_host(0, float(sys.argv[1]), {int(number): bytes.fromhex(said) for number, said in _pairs})
