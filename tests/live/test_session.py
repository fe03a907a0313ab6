"""The loop behind the page, without a browser: modes, files, and a robot that must be armed and heard."""

from __future__ import annotations

import csv
import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from eva_sim import make_face
from eva_sim.agents.mirroring.frame_detector import DetectedFrame
from eva_sim.agents.mirroring.stage_times import StageTimes
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.contract import FaceSpec
from eva_sim.detector import DetectedFace
from eva_sim.live.body import LONGEST_SILENCE
from eva_sim.live.exports import export_animation
from eva_sim.live.panel import describe_panel
from eva_sim.live.scene import LiveScene
from eva_sim.live.session import ARM_WITHIN, Session
from eva_sim.live.wire import CLOSED, Request, Update, parse_request
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.robot import RobotFace
from eva_sim.recording.reader import load_recording
from eva_sim.twin import Twin
from tests.agents.detected_faces import detected


class FakePages:
    """Pages that ask for what a test says."""

    def __init__(self) -> None:
        self.requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self.updates: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.at_once: Callable[[Request], None] = lambda request: None
        self.closed = set[int]()

    def ask(self, kind: str, page: int = 1, **fields: Any) -> None:
        self.pass_on(parse_request(json.dumps({"type": kind, **fields}), page))

    def close(self, page: int) -> None:
        self.closed.add(page)
        self.pass_on(Request(CLOSED, {}, page, perf_counter()))

    def pass_on(self, request: Request) -> None:
        self.at_once(request)
        self.requests.put(request)

    def is_open(self, page: int) -> bool:
        return page not in self.closed

    def publish(self, update: Update) -> None:
        length = int.from_bytes(update.packed[:4], "little")
        self.updates.append(json.loads(update.packed[4 : 4 + length]))

    def answer(self, page: int, message: dict[str, Any]) -> None:
        self.answers.append(message)

    def times(self) -> dict[str, float | None]:
        return {"delay": None}


Open = tuple[Session, FakePages]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    pages = FakePages()
    with Twin() as twin:
        session = Session(twin, twin, pages, LiveScene(twin), tmp_path / "live")
        yield session, pages
        session.close()


def run(session: Session, pages: FakePages, updates: int) -> dict[str, Any]:
    """Runs until so many more updates were sent; returns the last one."""
    wanted = len(pages.updates) + updates
    session.run(lambda: len(pages.updates) >= wanted)
    return pages.updates[-1]


def test_sliders_hold_and_neutral_lets_go(opened: Open, spec: FaceSpec) -> None:
    session, pages = opened
    pages.ask("idle", on=False)
    for name, value in (("jaw", 0.5), ("brow_inner_left", 0.25)):
        pages.ask("slider", name=name, value=value)
    sent = run(session, pages, 3)["sent"]
    assert sent == pytest.approx(spec.command(jaw=0.5, brow_inner_left=0.25), abs=1e-4)
    pages.ask("neutral")
    assert run(session, pages, 2)["sent"] == pytest.approx(spec.neutral, abs=1e-4)
    assert not pages.answers


def test_a_recording_is_played_again_and_exported(opened: Open, spec: FaceSpec) -> None:
    session, pages = opened
    pages.ask("idle", on=False)
    pages.ask("export", what="animation")
    pages.ask("replay")
    pages.ask("record", on=True)
    for value in (0.2, 0.6):
        pages.ask("slider", name="jaw", value=value)
        run(session, pages, 4)
    assert [list(answer) for answer in pages.answers] == [["error"], ["error"]]
    pages.ask("record", on=False)
    assert run(session, pages, 1)["recorded"]
    recording = load_recording(session.recordings[-1])
    assert recording.went_to_its_end and recording.asked[-1, spec.index("jaw")] == pytest.approx(0.6)
    pages.ask("replay")
    pages.ask("export", what="animation")
    pages.ask("export", what="pose")
    run(session, pages, 1)
    session.run(lambda: session.mode == "panel")
    played = [update["sent"][spec.index("jaw")] for update in pages.updates if update["mode"] == "replay"]
    assert max(played) == pytest.approx(0.6) and len(played) > 8
    files = {answer["file"]: answer["text"] for answer in pages.answers if "file" in answer}
    rows = list(csv.reader(files["animation.csv"].splitlines()))
    assert rows[0] == ["time", *spec.names] and len(rows) == len(recording) + 1
    assert np.allclose(np.array(rows[1:], float)[:, 1:], recording.sent, atol=1e-4)
    assert spec.command(**json.loads(files["pose.json"])).shape == (len(spec),)


def test_a_second_recording_gets_a_folder_of_its_own(opened: Open) -> None:
    session, pages = opened
    folders = set()
    for _ in range(2):
        for on in (True, False):
            pages.ask("record", on=on)
            run(session, pages, 2)
        folders.add(session.recordings[-1])
    assert len(folders) == 2 and all(load_recording(folder) for folder in folders)
    session.close()
    assert (
        session.describe_end() == f"The page is closed. Recordings: {', '.join(map(str, sorted(folders)))}."
    )


def test_the_end_is_told_where_nothing_was_recorded(opened: Open) -> None:
    assert opened[0].describe_end() == "The page is closed. Nothing was recorded."


def test_the_panel_has_every_actuator_once_with_its_action_units(spec: FaceSpec) -> None:
    sliders = [slider for region in describe_panel(spec)["regions"].values() for slider in region]
    assert sorted(slider["name"] for slider in sliders) == sorted(spec.names)
    by_name = {slider["name"]: slider for slider in sliders}
    assert by_name["zygomaticus_left"]["meaning"] == "lip corner puller"
    assert by_name["jaw"]["codes"] == "AU26"
    assert by_name["lid_left"]["other_side"] == "lid_right" and by_name["jaw"]["other_side"] == ""


@pytest.fixture(params=["mock", pytest.param("virtual", marks=pytest.mark.slow)])
def robot(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Session, FakePages, RobotFace]]:
    pages = FakePages()
    with make_face(request.param, realtime=True, camera_size=None) as face, Twin() as twin:
        assert isinstance(face, RobotFace)
        session = Session(face, twin, pages, LiveScene(twin), tmp_path / "live")
        yield session, pages, face
        session.close()


def state_of(face: RobotFace) -> BoardState:
    return face._board.status().state


def test_a_robot_does_not_move_before_it_is_armed(robot: tuple[Session, FakePages, RobotFace]) -> None:
    session, pages, face = robot
    pages.ask("slider", name="jaw", value=0.5)
    update = run(session, pages, 5)
    assert update["robot"] and not update["armed"]
    assert state_of(face) is BoardState.LIMP
    assert update["mouth"] == pages.updates[0]["mouth"]


def test_stop_makes_an_armed_robot_limp_until_it_is_armed_again(
    robot: tuple[Session, FakePages, RobotFace],
) -> None:
    session, pages, face = robot
    pages.ask("arm")
    assert run(session, pages, 3)["armed"]
    assert state_of(face) is BoardState.ACTIVE
    pages.ask("stop", page=2)
    update = run(session, pages, 1)
    assert not update["armed"] and update["trouble"] == "stopped from the page"
    assert state_of(face) in (BoardState.STOPPED, BoardState.LIMP)
    pages.ask("slider", name="jaw", value=0.5)
    assert not run(session, pages, 3)["armed"]
    pages.ask("arm")
    assert run(session, pages, 2)["armed"]


@pytest.mark.parametrize("how", ["stop", "close", "signal"])
def test_arming_is_stopped_at_once(robot: tuple[Session, FakePages, RobotFace], how: str) -> None:
    """By STOP of another page, by the end of its own page, and by Ctrl-C, as soon as servos are driven."""
    session, pages, face = robot
    asked, steps = threading.Event(), list[BoardState]()
    send = face._board._send

    def press() -> None:
        asked.set()
        if how == "stop":
            pages.ask("stop", page=2)
        elif how == "close":
            pages.close(1)

    def pressed(raw: Any, began: float) -> Any:
        status = send(raw, began)
        if len(steps) == 2:
            press()
        steps.append(status.state)
        return status

    face._board._send = pressed  # type: ignore[method-assign]
    pages.ask("arm")
    session.run(lambda: asked.is_set() and (how == "signal" or len(pages.updates) > 2))
    assert BoardState.ARMING in steps and BoardState.ACTIVE not in steps
    assert state_of(face) in (BoardState.STOPPED, BoardState.LIMP) and session.body.armed_by is None
    assert any("could not be armed" in answer.get("error", "") for answer in pages.answers)
    if how != "signal":
        wanted = {"stop": "stopped from the page", "close": "the page closed while the robot was being armed"}
        assert wanted[how] in session.body.trouble


@pytest.mark.parametrize("how", ["stop", "close", "age"])
def test_a_request_to_arm_that_nobody_means_any_more_is_refused(
    robot: tuple[Session, FakePages, RobotFace], how: str
) -> None:
    """The loop was busy meanwhile."""
    session, pages, face = robot
    if how == "age":
        pages.pass_on(Request("arm", {}, 1, perf_counter() - ARM_WITHIN))
    else:
        pages.ask("arm")
    if how == "stop":
        pages.ask("stop", page=2)
    elif how == "close":
        pages.close(1)
    armed: list[int] = []
    arm = face.arm
    face.arm = lambda: (armed.append(1), arm())  # type: ignore[method-assign, assignment, func-returns-value]
    assert not run(session, pages, 2)["armed"]
    assert not armed and "not armed" in pages.answers[-1]["error"]
    pages.ask("arm", page=3)
    assert run(session, pages, 2)["armed"] and armed


def test_a_lost_page_is_silence(robot: tuple[Session, FakePages, RobotFace], spec: FaceSpec) -> None:
    """The board holds, then goes limp, also while another page is heard; nothing moves it afterwards."""
    session, pages, face = robot
    pages.ask("arm", page=1)
    run(session, pages, 2)
    states, start = [], perf_counter()
    while perf_counter() < start + LONGEST_SILENCE + 2.0:
        pages.ask("seen", page=2, number=1)
        pages.ask("slider", page=2, name="jaw", value=0.5)
        update = run(session, pages, 1)
        states.append(state_of(face))
    assert states[0] is BoardState.ACTIVE and states[-1] is BoardState.LIMP
    assert not update["armed"] and update["trouble"]  # on a slow machine the board's own word for it


@contextmanager
def page_that_is_there(pages: FakePages) -> Iterator[None]:
    """A page that is heard all the time."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(0.1):
            pages.ask("seen", number=1)

    thread = threading.Thread(target=tell)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_an_armed_robot_is_held_while_an_animation_is_made(
    robot: tuple[Session, FakePages, RobotFace], spec: FaceSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording of ten minutes takes seconds. Its page gives signs of life only where it gets updates."""
    session, pages, face = robot
    for request in ("arm", "record"):
        pages.ask(request, **({"on": True} if request == "record" else {}))
    run(session, pages, 3)
    pages.ask("record", on=False)
    states, publish = list[BoardState](), pages.publish

    def draw(update: Update) -> None:
        publish(update)
        pages.ask("seen", number=update.number)
        states.append(state_of(face))

    def slow(*given: Any) -> Any:
        sleep(2.0)
        return export_animation(*given)

    monkeypatch.setattr("eva_sim.live.session.export_animation", slow)
    pages.publish = draw  # type: ignore[method-assign]
    for _ in range(2):
        pages.ask("export", what="animation")
    session.run(lambda: any("file" in answer for answer in pages.answers))
    update = run(session, pages, 2)
    assert update["armed"] and {*states} <= {BoardState.ACTIVE, BoardState.HOLD}
    assert {"error": "an animation is being made already."} in pages.answers
    assert [answer["file"] for answer in pages.answers if "file" in answer] == ["animation.csv"]


class ScriptedFeed:
    """A camera that gives the same face, or none, at its own pace, by the wall clock."""

    ended, asks_page = "", False

    def __init__(self, face: DetectedFace | None, frames: int, pause: float) -> None:
        self._face, self._frames, self._pause = face, frames, pause
        self.detector = SimpleNamespace(stages=StageTimes())
        self.given = self.newest = None

    def frames(self, attend: Callable[[], None], stopped: Callable[[], bool]) -> Iterator[DetectedFrame]:
        for number in range(self._frames):
            end = perf_counter() + self._pause
            while perf_counter() < end:
                sleep(0.02)
                attend()
            yield DetectedFrame(number, number * self._pause, self._face)


@pytest.mark.parametrize("seen", [True, False], ids=["a face", "nobody"])
@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_an_armed_robot_is_held_while_a_person_is_learned(
    seen: bool, pause: float, tmp_path: Path, model: InverseModel
) -> None:
    pages, states = FakePages(), set[BoardState]()
    with make_face("mock", realtime=True, camera_size=None) as face, Twin() as twin:
        assert isinstance(face, RobotFace)
        person = detected(twin.neutral_landmarks) if seen else None
        feed: Any = ScriptedFeed(person, round(1.5 / max(pause, 0.03)), pause)
        session = Session(face, twin, pages, LiveScene(twin), tmp_path / "live", feed, model)
        pages.ask("arm")
        run(session, pages, 1)
        pages.ask("mode", mode="mirror")
        start, before = perf_counter(), len(pages.updates)
        publish = pages.publish

        def look(update: Update, robot: RobotFace = face) -> None:
            publish(update)
            states.add(state_of(robot))
            sleep(0.03 if not pause else 0.0)

        pages.publish = look  # type: ignore[method-assign]
        with page_that_is_there(pages):
            session.run(lambda: session.mode == "panel" and len(pages.updates) > before)
        assert perf_counter() - start > 1.2 and states <= {BoardState.ACTIVE, BoardState.HOLD}
        assert session.body.armed_by == 1
        session.close()
