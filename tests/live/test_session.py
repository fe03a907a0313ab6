"""The loop behind the page, without a browser: modes, files, and a robot that must be armed and heard."""

from __future__ import annotations

import csv
import json
import queue
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from eva_sim import make_face
from eva_sim.contract import FaceSpec
from eva_sim.live.body import LONGEST_SILENCE
from eva_sim.live.panel import describe_panel
from eva_sim.live.scene import LiveScene
from eva_sim.live.session import Session
from eva_sim.live.wire import Request, Update, parse_request
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.robot import RobotFace
from eva_sim.recording.reader import load_recording
from eva_sim.twin import Twin


class FakePages:
    """Pages that ask for what a test says."""

    def __init__(self) -> None:
        self.requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self.updates: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []

    def ask(self, kind: str, page: int = 1, **fields: Any) -> None:
        self.requests.put(parse_request(json.dumps({"type": kind, **fields}), page))

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
    recording = load_recording(session._recorded or "")
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
        folders.add(session._recorded)
    assert len(folders) == 2 and all(folder and load_recording(folder) for folder in folders)


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
