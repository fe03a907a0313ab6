"""Mirroring a camera live, with a fake `cv2.VideoCapture` and its clock."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from eva_sim.agents.mirroring import video_panels
from eva_sim.agents.mirroring.controller import MirrorController, MirrorTrace
from eva_sim.agents.mirroring.frame_detector import DetectedFrame
from eva_sim.agents.mirroring.live import (
    CALM_PROMPT,
    MIRRORING_PROMPT,
    NEUTRAL_DURATION,
    NO_FACE_HINT,
    NOT_ACCEPTED_HINT,
    TERMINAL_ENDS,
    WINDOW_ENDS,
    MirrorDisplay,
    mirror_live_frames,
)
from eva_sim.agents.mirroring.mirror import mirror
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.agents.mirroring.person_tracker import PersonTracker
from eva_sim.agents.mirroring.recorded import mirror_recorded_frames
from eva_sim.agents.mirroring.video_panels import resize_to_panel
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.detector import DetectedFace, canonical_face
from eva_sim.errors import MediaError, PhysicsError, RenderError
from eva_sim.files import asset
from eva_sim.landmarks import POINTS, face_measurements
from eva_sim.media import sources
from eva_sim.media.encoding import Picture, PictureStore
from eva_sim.media.sources import open_source
from eva_sim.testing.fake_face import FakeFace
from tests.agents.detected_faces import detected

RESULTS = ["metrics.json", "mirror.mp4", "mirror.png", "traces.npz"]
FRAMES = 90
DT = 0.04


class Capture:
    """Stands in for `cv2.VideoCapture`; a frame comes each `period` of fake time.

    Attributes:
        at: called when a frame is read, by its number.
        opened: all captures so far.
    """

    frames: list[Picture]
    period = DT
    at: dict[int, Callable[[], Any]]
    opened: list[Capture]

    def __init__(self, device: int) -> None:
        self.device, self.count, self.released = device, 0, False
        self.opened.append(self)

    def isOpened(self) -> bool:
        return self.device == 0

    def set(self, what: int, value: float) -> bool:
        return what == cv2.CAP_PROP_BUFFERSIZE

    def get(self, what: int) -> float:
        return 25.0 if what == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, Picture | None]:
        self.at.get(self.count, lambda: None)()
        if self.count == len(self.frames):
            return False, None
        self.count += 1
        return True, self.frames[self.count - 1][:, :, ::-1]

    def release(self) -> None:
        self.released = True


@pytest.fixture(scope="module")
def frames() -> list[Picture]:
    """The sample from a calm face to raised brows."""
    clip = islice(open_source(asset("samples/person.mp4")), 0, FRAMES)
    return [picture for _, picture in clip]


@pytest.fixture
def capture(frames: list[Picture], monkeypatch: pytest.MonkeyPatch) -> type[Capture]:
    kind: type[Capture] = type("Fresh", (Capture,), {"frames": frames, "at": {}, "opened": []})
    clock = SimpleNamespace(monotonic=lambda: kind.period * (kind.opened[0].count if kind.opened else 0))
    monkeypatch.setattr(cv2, "VideoCapture", kind)
    monkeypatch.setattr(sources, "time", clock)
    monkeypatch.setattr("eva_sim.display.display_available", lambda: False)
    return kind


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Picture]:
    """A fake display, and the pictures it shows."""
    pictures: list[Picture] = []

    class FakeWindow:
        def show(self, picture: Picture) -> bool:
            pictures.append(picture)
            return len(pictures) < 70  # then q

        def close(self) -> None: ...

    monkeypatch.setattr("eva_sim.display.display_available", lambda: True)
    monkeypatch.setattr("eva_sim.display.DisplayWindow", FakeWindow)
    return pictures


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_camera_is_mirrored_live_until_ctrl_c(
    capture: type[Capture], model: InverseModel, tmp_path: Path, capsys: Any
) -> None:
    capture.at = {FRAMES - 1: lambda: signal.raise_signal(signal.SIGINT)}
    moved_at: list[int] = []

    class Watched(FakeFace):
        def move(self, command: Any) -> Any:
            moved_at.append(capture.opened[0].count)
            return super().move(command)

    before = signal.getsignal(signal.SIGINT)
    metrics = mirror(open_source("0"), model, Watched(), tmp_path)
    assert metrics["ended"] == "stopped by the user"
    assert _names(tmp_path) == RESULTS
    assert metrics == json.loads((tmp_path / "metrics.json").read_text())
    messages = capsys.readouterr().err
    assert messages.index(CALM_PROMPT) < messages.index(MIRRORING_PROMPT)
    # One move for each frame while it is the latest but two at most: live, not after the end. One frame is
    # being read and one may wait.
    read_later = np.subtract(moved_at, range(round(NEUTRAL_DURATION / DT) + 2, FRAMES))
    assert read_later.min() >= 0 and read_later.max() <= 2
    traces = np.load(tmp_path / "traces.npz")
    np.testing.assert_allclose(np.diff(traces["time"]), DT)
    assert traces["found"].all()
    brows = (
        face_measurements(traces["person"])["brow_height"]
        - face_measurements(traces["person_neutral"])["brow_height"]
    )
    assert abs(brows[:3]).max() < 0.01 and brows.max() > 0.03
    assert sum(1 for _ in open_source(tmp_path / "mirror.mp4")) == metrics["steps"] == len(moved_at)
    stages = metrics["stages"]
    assert list(stages) == ["grab", "detect", "track", "map", "picture to command", "move", "draw"]
    whole = sum(stages[name]["median"] for name in ("detect", "track", "map"))
    assert 0.5 * whole < stages["picture to command"]["median"] < 100 * whole
    assert capture.opened[0].released
    assert signal.getsignal(signal.SIGINT) is before


def _mirror_frames(model: InverseModel, frames: list[DetectedFrame], live: bool) -> MirrorTrace:
    with closing(PictureStore()) as pictures:
        controller = MirrorController(model, FakeFace(), pictures, 64)
        controller.begin(PersonTracker(PersonAtRest.stranger()))
        if live:
            mirror_live_frames(controller, frames, lambda frame, accepted: None)
        else:
            mirror_recorded_frames(controller, frames)
        return controller.trace()


def test_live_and_recorded_frames_are_mirrored_alike(model: InverseModel) -> None:
    rng = np.random.default_rng(0)
    steady = [
        DetectedFrame(i, i * DT, detected(canonical_face() + rng.normal(0, 0.02, (len(POINTS), 3))))
        for i in range(20)
    ]
    recorded, live = (_mirror_frames(model, steady, live) for live in (False, True))
    for name in ("time", "frame", "found", "person", "target", "commands", "robot", "robot_turn", "picture"):
        np.testing.assert_array_equal(getattr(recorded, name), getattr(live, name))


def test_a_robot_blinks_by_itself_while_it_sees_nobody(model: InverseModel) -> None:
    """Breath is always there; lids and eyes belong to the person who is seen."""
    frames = [DetectedFrame(i, i * DT, detected(canonical_face()) if i < 400 else None) for i in range(900)]
    with closing(PictureStore()) as pictures:
        face = FakeFace()
        controller = MirrorController(model, face, pictures, 64)
        controller.begin(PersonTracker(PersonAtRest.stranger()))
        for frame in frames:
            controller.observe(frame)
            controller.step(frame.time, render=False)
        trace = controller.trace()
    lids, eyes, legs = (trace.commands[:, face.spec.where(kind)] for kind in ("lid", "eye", "leg"))
    assert trace.found[:400].all() and not trace.found[400:].any()
    assert (lids[:400] > -0.5).all()
    closed = (lids[400:] < -0.999).all(1)
    assert 2 <= (np.diff(closed.astype(int)) == 1).sum() <= 20
    for part in (eyes[400:], legs[:400], legs[400:]):
        assert np.ptp(part, axis=0).min() > 0.02
    assert np.ptp(eyes[:400], axis=0).max() < 1e-3


def test_a_slow_camera_does_not_slow_the_robot(model: InverseModel) -> None:
    frames = [DetectedFrame(i, 3 * i * DT, detected(canonical_face())) for i in range(10)]
    recorded, live = (_mirror_frames(model, frames, live) for live in (False, True))
    np.testing.assert_allclose(live.time, DT * np.arange(28))
    np.testing.assert_allclose(live.time, recorded.time)
    np.testing.assert_array_equal(live.frame, recorded.frame)
    assert len(np.unique(live.picture)) == 10 and len(np.unique(recorded.picture)) == 28


def test_a_camera_that_stalls_leaves_ticks_out(
    capture: type[Capture], model: InverseModel, tmp_path: Path
) -> None:
    capture.at = {70: lambda: setattr(capture, "frames", capture.frames[:80])}
    capture.at[75] = lambda: setattr(capture, "period", 2 * DT)  # a jump by 75 frames' time
    mirror(open_source("0"), model, FakeFace(), tmp_path)
    gaps = np.diff(np.load(tmp_path / "traces.npz")["time"])
    assert gaps.max() > 2.5 and (gaps > 0).all()
    assert (gaps > DT + 1e-6).sum() == 1


def test_a_vanishing_camera_keeps_the_steps_made(
    capture: type[Capture], model: InverseModel, tmp_path: Path
) -> None:
    metrics = mirror(open_source("0"), model, FakeFace(), tmp_path)
    assert metrics["ended"] == "camera 0 stopped sending pictures"
    assert metrics["steps"] > 30
    assert _names(tmp_path) == RESULTS
    assert capture.opened[0].released


def test_a_failing_robot_keeps_the_steps_made(
    capture: type[Capture], model: InverseModel, tmp_path: Path
) -> None:
    class Failing(FakeFace):
        def move(self, command: Any) -> Any:
            if self._steps == 5:
                raise PhysicsError("the skin diverged.")
            return super().move(command)

    metrics = mirror(open_source("0"), model, Failing(), tmp_path)
    assert metrics["ended"] == "the skin diverged"
    assert metrics["steps"] == 5


@pytest.mark.parametrize("last", [10, round(NEUTRAL_DURATION / DT) - 5])
def test_stopping_before_the_person_is_known_leaves_nothing(
    capture: type[Capture], model: InverseModel, tmp_path: Path, last: int
) -> None:
    capture.at = {last: lambda: signal.raise_signal(signal.SIGINT)}
    with pytest.raises(MediaError, match="no face stayed in view for 2 s"):
        mirror(open_source("0"), model, FakeFace(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_face_must_stay_to_be_mirrored(capture: type[Capture], model: InverseModel, tmp_path: Path) -> None:
    wall = np.full_like(capture.frames[0], 90)
    capture.frames = [*capture.frames[:20], wall, wall, *capture.frames[:60]]
    mirror(open_source("0"), model, FakeFace(), tmp_path)
    assert np.load(tmp_path / "traces.npz")["time"][0] >= 22 * DT + NEUTRAL_DURATION


def test_a_window_shows_both_and_q_ends(
    capture: type[Capture], model: InverseModel, shown: list[Picture], tmp_path: Path
) -> None:
    metrics = mirror(open_source("0"), model, FakeFace(), tmp_path)
    assert metrics["ended"] == "stopped by the user"
    assert len(shown) == 70 and 1 <= capture.opened[0].count - 70 <= 3
    assert {picture.shape for picture in shown} == {(480 + 36, 640 + 480, 3)}
    person = [picture[:480, :640].astype(int) for picture in shown]
    assert np.abs(person[5] - person[69]).mean() > 1


def test_a_camera_whose_size_changes_is_fitted_and_told(
    capture: type[Capture], model: InverseModel, tmp_path: Path
) -> None:
    larger = [np.pad(picture, ((40, 0), (0, 0), (0, 0))) for picture in capture.frames[70:]]
    capture.frames = [*capture.frames[:70], *larger]
    metrics = mirror(open_source("0"), model, FakeFace(), tmp_path)
    assert metrics["assumed"] == ["the size changes at 2.8 s: pictures are fitted with bars"]
    assert len({picture.shape for _, picture in open_source(tmp_path / "mirror.mp4")}) == 1


def test_a_window_is_like_a_mirror(
    capture: type[Capture], model: InverseModel, shown: list[Picture], tmp_path: Path
) -> None:
    mirror(open_source("0"), model, FakeFace(), tmp_path)
    first, _, _ = resize_to_panel(capture.frames[0])

    def distance(picture: Picture) -> float:
        return float(np.abs(shown[0][:480, :640].astype(float) - picture).mean())

    assert distance(first[:, ::-1]) < 5 < distance(first)
    film = next(iter(open_source(tmp_path / "mirror.mp4")))[1]
    scale = film.shape[0] / 480
    person = Image.fromarray(film).crop((0, 0, round(640 * scale), film.shape[0])).resize((640, 480))
    frame = capture.frames[round(float(np.load(tmp_path / "traces.npz")["time"][0]) / DT)]
    plain, _, _ = resize_to_panel(frame)
    assert np.abs(np.asarray(person, float) - plain).mean() < 8  # results are not mirrored


@pytest.mark.parametrize("face", [None, detected(canonical_face())])
@pytest.mark.parametrize("accepted", [False, True])
def test_the_window_says_what_to_do_and_the_frame_rate(
    shown: list[Picture], monkeypatch: pytest.MonkeyPatch, face: DetectedFace | None, accepted: bool
) -> None:
    lines: list[tuple[str, str]] = []
    draw = video_panels.side_by_side

    def note(person: Picture, robot: Picture, text: str, right: str) -> Picture:
        lines.append((text, right))
        return draw(person, robot, text, right)

    monkeypatch.setattr(video_panels, "side_by_side", note)
    wall = np.full((480, 640, 3), 90, np.uint8)
    with MirrorDisplay() as screen:
        for _ in range(2):
            screen.show(wall, face, accepted, wall, CALM_PROMPT)
    hint = NO_FACE_HINT if face is None else CALM_PROMPT if accepted else NOT_ACCEPTED_HINT
    assert [text for text, _ in lines] == [f"{hint} {WINDOW_ENDS}"] * 2
    assert lines[0][1] == "0 pictures/s" and re.fullmatch(r"[1-9]\d* pictures/s", lines[1][1])


def test_a_display_that_does_not_answer_leaves_lines_of_text(
    capture: type[Capture], model: InverseModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    def refuse() -> None:
        raise RenderError("the display ':9' shows no window.")

    monkeypatch.setattr("eva_sim.display.display_available", lambda: True)
    monkeypatch.setattr("eva_sim.display.DisplayWindow", refuse)
    assert mirror(open_source("0"), model, FakeFace(), tmp_path)["steps"] > 30
    messages = capsys.readouterr().err
    assert "No window: the display ':9' shows no window." in messages
    assert f"{CALM_PROMPT} {TERMINAL_ENDS}" in messages


def test_a_missing_camera_is_named(capture: type[Capture]) -> None:
    with pytest.raises(MediaError, match="no camera 7"):
        open_source("7")


def test_a_picture_store_returns_its_pictures() -> None:
    rng = np.random.default_rng(0)
    blocks = [np.kron(rng.integers(0, 256, (4, n, 3)), np.ones((16, 16, 1))).astype(np.uint8) for n in (4, 6)]
    store = PictureStore()
    for picture in blocks:
        store.add(picture)
    assert len(store) == 2
    for index in (1, 0):
        assert store[index].shape == blocks[index].shape
        assert np.abs(store[index].astype(int) - blocks[index]).mean() < 20
    store.close()
