"""The subcommand `live`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from eva_sim.cli import options
from eva_sim.cli.model_choice import ModelOption, choose_model
from eva_sim.cli.output import remark

if TYPE_CHECKING:
    from eva_sim.cli.body_choice import BodyChoice
    from eva_sim.contract import Face
    from eva_sim.media.sources import FrameSource


Source = Annotated[
    str | None,
    typer.Argument(
        help="camera (its number or device), a clip that is played as one, or browser, for the camera of "
        "the browser that shows the page; by default sliders only"
    ),
]
Out = Annotated[Path, typer.Option(help="folder for recordings")]
MirrorImage = Annotated[
    bool, typer.Option(help="the robot's right side does what your left side does, as in a mirror")
]
RobotCamera = Annotated[str, typer.Option(help="camera before a robot: its number or device; -1: none")]
Host = Annotated[
    str,
    typer.Option(
        help="address to serve at; beyond this computer (0.0.0.0) pages need the token that is printed"
    ),
]
Fine = Annotated[
    bool, typer.Option("--fine", help="smoother outlines, for three times as many bytes an update")
]
WebPort = Annotated[int, typer.Option(min=0, max=65535, help="port of the page; 0: any")]


def live(
    source: Source = None,
    model: ModelOption = None,
    out: Out = Path("out/live"),
    mirror_image: MirrorImage = False,
    body: options.Body = "twin",
    board: options.Board = "firmware",
    port: options.Port = "auto",
    camera: RobotCamera = "-1",
    seed: options.Seed = 1,
    robot_id: options.RobotId = None,
    calibration: options.Calibration = None,
    host: Host = "127.0.0.1",
    fine: Fine = False,
    web_port: WebPort = 8600,
) -> None:
    """Opens a page with the live mirror and the muscle panel, until Ctrl-C.

    A robot is moved only after it was armed from the page.
    """
    from eva_sim.cli.body_choice import BodyChoice
    from eva_sim.files import check_output_folder
    from eva_sim.optional import import_optional

    import_optional("websockets", "web")
    choice = BodyChoice(body, board, port, camera, seed, robot_id, calibration)
    check_output_folder(out)
    opened = None if source is None else _open_source(source)
    learned = None if opened is None else _load_model(model)
    title = choice.body if opened is None else f"{choice.body} – {opened.name}"
    with _open_face(choice) as face:
        _serve(face, out, opened, learned, host, web_port, mirror_image, title, fine)


def _serve(face: Face, *page: Any) -> None:
    """Serves the page until Ctrl-C; says how it ended. Arguments are those of `open_session`."""
    from eva_sim.interrupts import interruptible
    from eva_sim.live.run import open_session

    with interruptible() as stopped:
        with open_session(face, *page) as (session, server):
            Console(stderr=True, emoji=False).print(
                f"The page is at {server.address} - Ctrl-C ends.", soft_wrap=True
            )
            session.run(stopped)
        remark(session.describe_end())  # before SIGTERM or SIGHUP goes on and ends the program


def _open_source(source: str) -> FrameSource:
    """Opens a camera, a clip as a camera, or that of the browser.

    Raises:
        MediaError: there is none of that name, or it is a single picture.
    """
    from eva_sim.errors import MediaError
    from eva_sim.live.browser_camera import BrowserCamera
    from eva_sim.media.clip_as_camera import ClipAsCamera
    from eva_sim.media.sources import StillSource, open_source

    if source.lower() == "browser":
        return BrowserCamera()
    opened = open_source(source)
    if opened.live:
        return opened
    if isinstance(opened, StillSource):
        raise MediaError(f"{opened.name} is one picture; give a camera or a clip, or use eva mirror.")
    return ClipAsCamera(Path(source))


def _load_model(model: Path | None) -> Any:
    from eva_sim.agents.models.routes import load_model

    return load_model(choose_model(model))


def _open_face(choice: BodyChoice) -> Face:
    """Opens the body. The page draws the twin, and simulated robots live by the wall clock."""
    from eva_sim import make_face

    if choice.body == "twin":
        return make_face("twin")
    hidden = {"realtime": True} if choice.body != "robot" else {}
    return make_face(choice.body, **choice.options, **hidden)
