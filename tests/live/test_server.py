"""Who can reach the page, and what happens to those who may not."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eva_sim.live.server import PageServer, ServerError, is_loopback
from eva_sim.live.wire import CLOSED, LONGEST_REQUEST, Request, Update, pack_update

client = pytest.importorskip("websockets.sync.client", reason="the extra web is not installed")
exceptions = pytest.importorskip("websockets.exceptions")


@pytest.fixture
def server() -> Iterator[PageServer]:
    with PageServer("<html>page</html>", lambda: b"scene") as opened:
        yield opened


@pytest.fixture
def wide() -> Iterator[PageServer]:
    with PageServer("<html>page</html>", lambda: b"scene", host="0.0.0.0") as opened:
        yield opened


def get(address: str, **headers: str) -> tuple[int, bytes, Any]:
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read(), refused.headers


def own_address() -> str | None:
    """An address of this computer that is not its loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        name = str(probe.getsockname()[0])
    return None if is_loopback(name) else name


def test_nothing_listens_beyond_loopback(server: PageServer) -> None:
    listening = [
        line.split()[1].split(":")
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    mine = [address for address, port in listening if int(port, 16) == server.port]
    assert mine == ["0100007F"]
    other = own_address()
    if other:
        with pytest.raises((ConnectionRefusedError, TimeoutError)):
            socket.create_connection((other, server.port), timeout=2).close()


def test_the_page_may_load_nothing_from_elsewhere(server: PageServer) -> None:
    status, body, headers = get(server.address)
    assert (status, body) == (200, b"<html>page</html>")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert get(f"{server.address}scene")[:2] == (200, b"scene")
    assert get(f"{server.address}../etc/passwd")[0] == 404


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:80"},
                                     {"Origin": "http://evil.example"}, {"Origin": "null"},
                                     {"Origin": "http://localhost:1"}])  # fmt: skip
def test_pages_of_other_sites_are_refused(server: PageServer, headers: dict[str, str]) -> None:
    assert get(server.address, **headers)[0] == 403
    if "Origin" in headers:
        with pytest.raises(exceptions.InvalidStatus):
            client.connect(f"ws://127.0.0.1:{server.port}/updates", origin=headers["Origin"]).close()


def test_its_own_page_is_let_in(server: PageServer) -> None:
    for host in ("127.0.0.1", "localhost"):
        origin = f"http://{host}:{server.port}"
        client.connect(f"ws://{host}:{server.port}/updates", origin=origin).close()


@pytest.mark.parametrize("token", ["", "?token=", "?token=guess", "?token=%00%ff"])
def test_a_wider_server_wants_its_token(wide: PageServer, token: str) -> None:
    base = f"http://127.0.0.1:{wide.port}"
    assert get(f"{base}/{token}")[0] == get(f"{base}/scene{token}")[0] == 403
    with pytest.raises(exceptions.InvalidStatus):
        client.connect(f"ws://127.0.0.1:{wide.port}/updates{token}").close()


def test_a_wider_server_lets_its_token_in(wide: PageServer) -> None:
    assert len(wide.token) >= 32 and wide.token in wide.address
    assert get(f"http://127.0.0.1:{wide.port}/?token={wide.token}")[0] == 200
    client.connect(f"ws://127.0.0.1:{wide.port}/updates?token={wide.token}").close()


def test_each_start_has_a_new_token() -> None:
    tokens = set()
    for _ in range(2):
        with PageServer("", lambda: b"", host="0.0.0.0") as opened:
            tokens.add(opened.token)
    assert len(tokens) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "no.such.host.invalid"])
def test_what_cannot_be_listened_at_is_said(server: PageServer, host: str) -> None:
    with pytest.raises(ServerError, match="choose another --web-port, or --host"):
        PageServer("", lambda: b"", host=host, port=server.port)


ALONE = {
    "127.0.0.1": True, "127.8.9.1": True, "::1": True, "localhost": True,
    "0.0.0.0": False, "::": False, "10.1.2.3": False, "host": False,
}  # fmt: skip


@pytest.mark.parametrize("host, alone", ALONE.items())
def test_loopback_is_told_from_the_rest(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone


def test_a_flood_ends_its_own_connection_only(server: PageServer) -> None:
    with client.connect(f"ws://127.0.0.1:{server.port}/updates") as good:
        with client.connect(f"ws://127.0.0.1:{server.port}/updates") as bad:
            bad.send("x" * (LONGEST_REQUEST + 1))
            with pytest.raises(exceptions.ConnectionClosed):
                bad.recv(timeout=5)
        server.publish(Update(1, pack_update({"number": 1}, b"1234", b"")))
        assert b'"number":1' in good.recv(timeout=5)


def test_the_loop_hears_that_a_page_has_closed(server: PageServer) -> None:
    """Also at once, in the server's thread, as it hears of every request."""
    at_once = list[Request]()
    server.at_once = at_once.append
    with client.connect(f"ws://127.0.0.1:{server.port}/updates") as page:
        page.send(json.dumps({"type": "arm"}))
        arm = server.requests.get(timeout=5)
        assert server.is_open(arm.page)
        page.send(json.dumps({"type": CLOSED}))  # a page cannot say so itself
        assert "no request of type 'closed'" in json.loads(page.recv(timeout=5))["error"]
    closed = server.requests.get(timeout=5)
    assert (closed.kind, closed.page) == (CLOSED, arm.page) and at_once == [arm, closed]
    assert not server.is_open(arm.page)


def test_a_page_gets_the_newest_update_after_it_has_seen_the_last(server: PageServer) -> None:
    with client.connect(f"ws://127.0.0.1:{server.port}/updates") as page:

        def receive() -> int:
            return int(json.loads(page.recv(timeout=5)[4:])["number"])

        for number in range(1, 30):
            server.publish(Update(number, pack_update({"number": number}, b"", b""), arrival=0.0))
            if number == 1:
                assert receive() == 1
        unseen = receive()
        with pytest.raises(TimeoutError):  # two are in flight
            page.recv(timeout=0.2)
        server.publish(Update(30, pack_update({"number": 30}, b"", b"")))
        page.send(json.dumps({"type": "seen", "number": unseen}))
        assert receive() == 30
    assert len(server.delays()) <= 2
