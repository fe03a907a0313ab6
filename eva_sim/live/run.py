"""Everything behind the page, opened and closed together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from eva_sim.agents.models.route_model import RouteModel
from eva_sim.contract import Face
from eva_sim.live.camera_feed import CameraFeed
from eva_sim.live.page import build_page
from eva_sim.live.panel import describe_panel
from eva_sim.live.scene import LiveScene
from eva_sim.live.server import PageServer
from eva_sim.live.session import Session
from eva_sim.media.sources import FrameSource
from eva_sim.twin import Twin


@contextmanager
def open_session(
    face: Face,
    folder: Path,
    source: FrameSource | None = None,
    model: RouteModel | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    mirror_image: bool = False,
    title: str = "",
    fine: bool = False,
) -> Iterator[tuple[Session, PageServer]]:
    """Serves a page for a face.

    Args:
        face: the body; a robot is moved only after it was armed from the page.
        folder: for recordings.
        source: the person; None without a camera.
        model: turns landmarks into commands; needed with a source.
        host: address to listen at; beyond this computer pages need the token.
        port: to listen at; 0 for any.
        mirror_image: whether the robot's right side does what the person's left side does.
        title: of the page.
        fine: whether the skin is subdivided, as in stills; an update is three times as large.

    Yields:
        The session, which the caller runs, and the server.

    Raises:
        ServerError: nothing can listen there.
        EvaError: the extra `web` is missing.
    """
    with ExitStack() as stack:
        shown = face if isinstance(face, Twin) else stack.enter_context(Twin(spec=face.spec))
        shown.reset()
        scene = LiveScene(shown, fine)
        page = build_page(describe_panel(face.spec), title)
        server = stack.enter_context(PageServer(page, lambda: scene.fixed, host, port))
        feed = None
        if source is not None:
            feed = CameraFeed(source, mirror_image)
            stack.callback(feed.close)
        session = Session(face, shown, server, scene, folder, feed, model)
        stack.callback(session.close)
        yield session, server
