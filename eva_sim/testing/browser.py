"""A headless Chromium that is driven over its DevTools protocol, for tests and benchmarks of the page."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from eva_sim.errors import EvaError
from eva_sim.files import Closing
from eva_sim.optional import import_optional

#: Names of the program.
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Longest time for a start, and for an answer [s].
_PATIENCE = 30.0


class BrowserError(EvaError, RuntimeError):
    """The browser does not start, or a script in a page fails."""


def find_browser() -> str | None:
    """Returns the path of Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser(Closing):
    """A Chromium without a screen, with a new empty profile.

    Args:
        size: width and height of its window [pixels].

    Raises:
        BrowserError: there is no Chromium, or it does not start.
    """

    def __init__(self, size: tuple[int, int] = (1400, 860)) -> None:
        self._client = import_optional("websockets.sync.client", "web")
        program = find_browser()
        if program is None:
            raise BrowserError("there is no Chromium; on Debian, apt-get install chromium.")
        self._profile = tempfile.TemporaryDirectory(prefix="eva-browser-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                program, "--headless=new", "--remote-debugging-port=0",
                f"--user-data-dir={self._profile.name}",
                "--no-first-run", "--no-sandbox", "--disable-dev-shm-usage", "--disable-extensions",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--no-default-browser-check",
                # As Chromium draws by itself without a graphics card: WebGL by its own rasteriser, and the
                # page around it without WebGL.
                "--disable-gpu", "--enable-unsafe-swiftshader",
                f"--window-size={size[0]},{size[1]}", "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self._tabs: list[Tab] = []
        try:
            self._address = self._find_address()
            self._socket = self._client.connect(self._address, max_size=None)
        except BaseException:
            self.close()
            raise
        self._number = 0

    def open(self, address: str) -> Tab:
        """Opens a tab with a page."""
        target = self._ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        host = self._address.split("/devtools/")[0]
        tab = Tab(self._client.connect(f"{host}/devtools/page/{target}", max_size=None))
        self._tabs.append(tab)
        tab.ask("Page.enable")
        tab.ask("Page.navigate", {"url": address})
        return tab

    def close(self) -> None:
        """Ends the browser. May be called twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=5.0)
        self._profile.cleanup()

    def processor_time(self) -> float:
        """Returns the processor time of all processes of the browser so far [s]."""
        ticks = 0
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # a process that ended
                fields = file.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self._process.pid:  # its session
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        return _ask(self._socket, self._number, method, parameters)

    def _find_address(self) -> str:
        """Returns where the browser listens for commands, which it writes into its profile."""
        file, deadline = Path(self._profile.name) / "DevToolsActivePort", monotonic() + _PATIENCE
        while monotonic() < deadline and self._process.poll() is None:
            lines = file.read_text().split() if file.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            sleep(0.05)
        raise BrowserError("Chromium did not start; try it by hand with --headless.")


class Tab:
    """One tab of the browser."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._number = socket, 0

    def ask(self, method: str, parameters: dict[str, Any] | None = None) -> Any:
        """Sends a command of the DevTools protocol; returns its result."""
        self._number += 1
        return _ask(self._socket, self._number, method, parameters or {})

    def run(self, script: str) -> Any:
        """Runs JavaScript in the page; returns its value, awaited if it is a promise.

        Raises:
            BrowserError: it throws.
        """
        asked = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self.ask("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            told = answer["exceptionDetails"]
            raise BrowserError(f"{script[:200]}: {told.get('exception', {}).get('description', told)}")
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = _PATIENCE) -> None:
        """Waits until a condition in JavaScript holds.

        Raises:
            BrowserError: it does not.
        """
        deadline = monotonic() + seconds
        guarded = f"(() => {{ try {{ return Boolean({condition}); }} catch {{ return false; }} }})()"
        while not self.run(guarded):  # a page that is not loaded yet lacks the names
            if monotonic() > deadline:
                raise BrowserError(f"the page does not come to: {condition}.")
            sleep(0.05)

    def screenshot(self) -> bytes:
        """Returns a picture of the page, PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot", {"format": "png"})["data"])

    def close(self) -> None:
        """Closes the tab."""
        self.ask("Page.close")
        self._socket.close()


def _ask(socket: Any, number: int, method: str, parameters: dict[str, Any]) -> Any:
    socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
    while True:
        answer = json.loads(socket.recv(timeout=_PATIENCE))
        if answer.get("id") == number:
            break
    if "error" in answer:
        raise BrowserError(f"{method}: {answer['error']['message']}")
    return answer["result"]
