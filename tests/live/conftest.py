"""A session that runs in a thread, and a headless browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from eva_sim.contract import Face
from eva_sim.live.run import open_session
from eva_sim.live.server import PageServer
from eva_sim.live.session import Session
from eva_sim.testing.browser import Browser, find_browser

pytest.importorskip("websockets", reason="the extra web is not installed")

Served = tuple[Session, PageServer]


@contextmanager
def serving(face: Face, folder: Path, **options: Any) -> Iterator[Served]:
    """Runs a session in a thread until the block ends."""
    with open_session(face, folder, **options) as (session, server):
        done = threading.Event()
        thread = threading.Thread(target=session.run, args=(done.is_set,), daemon=True)
        thread.start()
        try:
            yield session, server
        finally:
            done.set()
            thread.join(timeout=10.0)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it does not come to that"
        sleep(0.02)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if find_browser() is None:
        pytest.skip("no Chromium is installed, which draws the page; on Debian: apt-get install chromium")
    with Browser() as opened:
        yield opened
