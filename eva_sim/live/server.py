"""Serves the page on this computer: one HTML page, the fixed scene, and a WebSocket for each page.

Every page gets the newest update only, and the next one after it has drawn the one before, so a slow page
delays nobody and never lags behind.
"""

from __future__ import annotations

import asyncio
import hmac
import http
import ipaddress
import json
import logging
import queue
import secrets
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from eva_sim.errors import EvaError
from eva_sim.files import Closing
from eva_sim.live.browser_camera import LONGEST_JPEG, BrowserCamera
from eva_sim.live.wire import CLOSED, LONGEST_REQUEST, Request, RequestError, Update, parse_request
from eva_sim.optional import import_optional

#: Number of updates that a page may have received and not drawn yet.
_IN_FLIGHT = 2
#: Number of latest updates over which the delay is measured.
_MEASURED = 300
#: After this silence a page that may not draw, such as a hidden one, gets another update [s].
_PATIENCE = 1.0
#: Names of this computer for itself.
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
#: Nothing but this server is asked for anything, and no other page may frame this one.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class ServerError(EvaError, RuntimeError):
    """The page cannot be served."""


class _Page:
    """One open page."""

    def __init__(self, number: int, socket: Any) -> None:
        self.number, self.socket = number, socket
        self.sent, self.seen = deque[tuple[int, float | None]](), perf_counter()
        self.wake = asyncio.Event()
        self.answers: deque[dict[str, Any]] = deque(maxlen=20)


class PageServer(Closing):
    """Serves pages in a thread of its own.

    Args:
        page: the HTML page.
        scene: returns what `LiveScene.fixed` is.
        host: address to listen at.
        port: port; 0 for any that is free.
        camera: takes the pictures that pages send; None if none are wanted.

    Attributes:
        requests: of all pages, in their order; the last one of a page is `CLOSED`.
        at_once: called with each request by the server's thread, before the request joins the others.
        token: that pages must give; empty if only this computer can reach the server.
        port: at which it listens.

    Raises:
        ServerError: the address or port cannot be used.
        EvaError: the extra `web` is not installed.
    """

    def __init__(
        self,
        page: str,
        scene: Callable[[], bytes],
        host: str = "127.0.0.1",
        port: int = 0,
        camera: BrowserCamera | None = None,
    ) -> None:
        self._websockets = import_optional("websockets.asyncio.server", "web")
        self._http = import_optional("websockets.http11", "web")
        self._structures = import_optional("websockets.datastructures", "web")
        self._closed_error = import_optional("websockets.exceptions", "web").ConnectionClosed
        self._text, self._scene, self._host = page.encode(), scene, host
        self._camera = camera
        self.token = "" if is_loopback(host) else secrets.token_urlsafe(24)
        self.requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self.at_once: Callable[[Request], None] = lambda request: None
        self._pages: dict[int, _Page] = {}
        self._numbers, self._newest = 0, Update(0, b"")
        self._delays: deque[float] = deque(maxlen=_MEASURED)
        self._loop, self._end = asyncio.new_event_loop(), asyncio.Event()
        self._logger = logging.getLogger("eva_sim.live")
        self._logger.addHandler(logging.NullHandler())
        self._logger.propagate = False
        self._ready: queue.SimpleQueue[int | OSError] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(port,), name="pages", daemon=True)
        self._thread.start()
        started = self._ready.get()
        if isinstance(started, OSError):
            raise ServerError(
                f"nothing can listen at {host}, port {port} ({started.strerror or started}); "
                "choose another --web-port, or --host."
            )
        self.port = started

    @property
    def address(self) -> str:
        """The address of the page, with its token."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        token = f"?token={self.token}" if self.token else ""
        return f"http://{host}:{self.port}/{token}"

    @property
    def open_pages(self) -> int:
        """Number of pages that are open."""
        return len(self._pages)

    def is_open(self, page: int) -> bool:
        """Whether a page is still there."""
        return page in self._pages

    def publish(self, update: Update) -> None:
        """Sends an update to all pages that have drawn the one before."""
        self._call(self._offer, update)

    def answer(self, page: int, message: dict[str, Any]) -> None:
        """Sends a message to one page; -1 for all."""
        self._call(self._put_answer, page, message)

    def times(self) -> dict[str, float | None]:
        """Returns the `delay` from a picture's arrival until a page had its vertices, p95 [ms]."""
        delays = self.delays()
        return {"delay": round(1000 * float(np.percentile(delays, 95)), 1) if delays else None}

    def delays(self) -> list[float]:
        """Returns the latest delays from a picture's arrival until a page had its vertices [s]."""
        return [*self._delays]

    def close(self) -> None:
        """Closes all pages and the port. May be called twice."""
        self._call(self._end.set)
        self._thread.join(timeout=5.0)

    def _call(self, function: Callable[..., object], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _run(self, port: int) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(port))

    async def _serve(self, port: int) -> None:
        longest = LONGEST_REQUEST if self._camera is None else LONGEST_JPEG
        try:
            serving = await self._websockets.serve(
                self._talk, self._host, port, process_request=self._respond, max_size=longest,
                compression=None, write_limit=4096, close_timeout=1, logger=self._logger,
                server_header=None,
            )  # fmt: skip
        except OSError as error:
            self._ready.put(error)
            return
        self._ready.put(serving.sockets[0].getsockname()[1])
        await self._end.wait()
        serving.close()
        await serving.wait_closed()

    def _offer(self, update: Update) -> None:
        self._newest = update
        for page in self._pages.values():
            page.wake.set()

    def _put_answer(self, number: int, message: dict[str, Any]) -> None:
        for page in self._pages.values():
            if number in (-1, page.number):
                page.answers.append(message)
                page.wake.set()

    def _respond(self, connection: Any, request: Any) -> Any:
        """Answers what is no WebSocket; None for one that may go on."""
        parts = urlsplit(request.path)
        if refusal := self._refusal(request.headers, parse_qs(parts.query).get("token", [""])[0]):
            return self._response(http.HTTPStatus.FORBIDDEN, "text/plain", refusal.encode())
        if parts.path == "/updates":
            return None
        if parts.path == "/":
            return self._response(http.HTTPStatus.OK, "text/html", self._text)
        if parts.path == "/scene":
            return self._response(http.HTTPStatus.OK, "application/octet-stream", self._scene())
        return self._response(http.HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page.")

    def _refusal(self, headers: Any, token: str) -> str:
        """Says why a request is refused: pages of other sites, other names of this computer, no token."""
        hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self.token and urlsplit(f"//{host}").hostname not in [each.strip("[]") for each in _LOOPBACK]:
            return "open this page as http://127.0.0.1 or http://localhost."
        if origins and (len(origins) > 1 or urlsplit(origins[0]).netloc != host):
            return "another site's page may not use this one."
        if self.token and not hmac.compare_digest(token.encode(), self.token.encode()):
            return "the token is missing or wrong; open the whole address that eva live printed."
        return ""

    def _response(self, status: http.HTTPStatus, kind: str, body: bytes) -> Any:
        headers = self._structures.Headers({
            "Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body)), "Connection": "close",
            "Cache-Control": "no-store", "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        })  # fmt: skip
        return self._http.Response(status.value, status.phrase, headers, body)

    async def _talk(self, socket: Any) -> None:
        """Serves one page until it goes."""
        self._numbers += 1
        page = self._pages[self._numbers] = _Page(self._numbers, socket)
        sending = asyncio.ensure_future(self._send(page))
        try:
            async for message in socket:
                self._take(page, message)
        except self._closed_error:
            pass
        finally:
            del self._pages[page.number]
            self._pass_on(Request(CLOSED, {}, page.number, perf_counter()))
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, page: _Page) -> None:
        last = 0
        while True:
            await page.wake.wait()
            page.wake.clear()
            if perf_counter() - page.seen > _PATIENCE:  # perhaps it draws again
                page.sent.clear()
                page.seen = perf_counter()
            while page.answers:
                await page.socket.send(json.dumps(page.answers.popleft()))
            update = self._newest
            if update.number > last and len(page.sent) < _IN_FLIGHT:
                last = update.number
                page.sent.append((update.number, update.arrival))
                await page.socket.send(update.packed)

    def _take(self, page: _Page, message: str | bytes) -> None:
        """Takes one message of a page: a request, or a picture of its camera."""
        if self._camera is not None and isinstance(message, bytes):
            self._camera.offer(page.number, message)
            return
        try:
            request = parse_request(message, page.number)
        except RequestError as error:
            page.answers.append({"error": str(error)})
            page.wake.set()
            return
        if request.kind == "seen":
            self._note_seen(page, request)
        self._pass_on(request)

    def _pass_on(self, request: Request) -> None:
        self.at_once(request)
        self.requests.put(request)

    def _note_seen(self, page: _Page, request: Request) -> None:
        page.seen = request.time
        while page.sent and page.sent[0][0] <= request.fields["number"]:
            number, arrival = page.sent.popleft()
            if number == request.fields["number"] and arrival is not None:
                self._delays.append(request.time - arrival)
        page.wake.set()


def is_loopback(host: str) -> bool:
    """Whether an address reaches this computer only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
