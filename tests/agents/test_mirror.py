"""Mirroring a clip: the files it writes, the metrics, and the sources it refuses."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import ArrayLike
from PIL import Image

from eva_sim.agents.mirroring import video_panels
from eva_sim.agents.mirroring.metrics import change_from_rest, measure_faces, tabulate_metrics
from eva_sim.agents.mirroring.mirror import mirror
from eva_sim.agents.mirroring.results import STEP_SIZE
from eva_sim.agents.mirroring.video_panels import MAX_WIDTH, TRACE_WIDTH
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.contract import Reading, load_spec
from eva_sim.errors import DataError, MediaError, RobotError
from eva_sim.files import asset
from eva_sim.landmarks import POINTS, face_measurements
from eva_sim.media.encoding import write_video
from eva_sim.media.sources import ONE_PICTURE, open_source
from eva_sim.testing.fake_face import FakeFace
from tests.media.media_files import two_people

FRAMES = 40
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of the sample in which the brows rise."""
    path = tmp_path_factory.mktemp("clip") / "brows.mp4"
    with write_video(path, 25) as add:
        for _, picture in islice(open_source(asset("samples/person.mp4")), 50, 50 + FRAMES):
            add(picture)
    return path


@pytest.fixture(scope="module")
def mirrored(model: InverseModel, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    mirror(open_source(clip), model, FakeFace(), out)
    return out


def test_all_results_are_there_and_agree(mirrored: Path) -> None:
    traces = np.load(mirrored / "traces.npz")
    assert sorted(p.name for p in mirrored.iterdir()) == [
        "metrics.json",
        "mirror.mp4",
        "mirror.png",
        "traces.npz",
    ]
    assert traces["points"].tolist() == list(POINTS)
    steps = len(traces["time"])
    assert steps == FRAMES
    assert np.array_equal(traces["robot_neutral"], FakeFace().neutral_landmarks)
    for name in ("person", "robot", "target"):
        assert traces[name].shape == (steps, len(POINTS), 3)
        assert np.isfinite(traces[name]).all()
    assert traces["commands"].shape == (steps, 25)
    assert np.abs(traces["commands"]).max() <= 1
    assert traces["found"].all()
    film = open_source(mirrored / "mirror.mp4")
    assert sum(1 for _ in film) == steps
    with Image.open(mirrored / "mirror.png") as page:
        assert page.width > 800


def test_a_full_disk_is_told_before_the_body_moves(
    model: InverseModel, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = FakeFace()
    monkeypatch.setattr(face, "reset", lambda *_, **__: pytest.fail("the body was reset"))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=10**5))
    with pytest.raises(DataError, match=f"the results of {FRAMES} steps need about 0.48 MB, .* 0.1 MB free"):
        mirror(open_source(clip), model, face, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_size_of_a_step_is_about_right(mirrored: Path) -> None:
    size = sum((mirrored / name).stat().st_size for name in ("mirror.mp4", "traces.npz"))
    assert 0.3 < size / FRAMES / STEP_SIZE < 2


def test_the_page_of_results_names_every_key(mirrored: Path) -> None:
    metrics = json.loads((mirrored / "metrics.json").read_text())
    named = set(re.findall(r"`([\w ]+)`", (ROOT / "docs/mirroring.md").read_text()))
    assert {*metrics, *metrics["correlation"], *metrics["stages"]} <= named
    assert {*np.load(mirrored / "traces.npz").files} <= named


def test_metrics_can_be_computed_again(mirrored: Path) -> None:
    traces, metrics = np.load(mirrored / "traces.npz"), json.loads((mirrored / "metrics.json").read_text())
    person, robot = (face_measurements(traces[name])["brow_height"] for name in ("person", "robot"))
    assert metrics["correlation"]["brow_height"] == pytest.approx(np.corrcoef(person, robot)[0, 1], abs=1e-5)
    wide = np.ptp(np.percentile(person, [1, 99])), np.ptp(np.percentile(robot, [1, 99]))
    amplitude = metrics["amplitude"]["brow_height"]
    assert (amplitude["person"], amplitude["robot"]) == pytest.approx(wide, abs=1e-5)
    assert amplitude["share"] == pytest.approx(wide[1] / wide[0], rel=1e-3)
    assert metrics["found"] == traces["found"].mean()
    assert metrics["complete"] and metrics["steps"] == metrics["expected_steps"] == len(traces["time"])
    assert metrics["spec"] == load_spec().digest


def test_a_picture_is_enough(model: InverseModel, tmp_path: Path) -> None:
    _, picture = next(iter(open_source(asset("samples/person.mp4"))))
    Image.fromarray(picture).save(tmp_path / "person.png")
    metrics = mirror(open_source(tmp_path / "person.png"), model, FakeFace(), tmp_path / "out")
    assert metrics["steps"] > 20
    assert not {"correlation", "amplitude"} & metrics.keys()  # a still person correlates with nothing
    assert "null" not in (tmp_path / "out" / "metrics.json").read_text()
    traces = np.load(tmp_path / "out" / "traces.npz")
    for name, each in metrics["change"].items():
        for who in ("person", "robot"):
            faces, turn, gaze = (traces[f"{who}{part}"] for part in ("", "_turn", "_gaze"))
            change = change_from_rest(measure_faces(faces, turn, gaze), traces[f"{who}_neutral"])
            assert each[who] == pytest.approx(change[name][-1], abs=1e-5)
    heading, *rows = tabulate_metrics(metrics)
    assert heading[1:] == ("person", "robot") and len(rows) == len(metrics["change"])


def test_a_person_at_rest_looks_at_rest() -> None:
    spec, rest = load_spec(), FakeFace().neutral_landmarks.astype(float)
    noise = np.random.default_rng(0).normal(0, 0.001, (50, *rest.shape))
    still, commands = (np.zeros((50, 3)), np.zeros((50, 2, 2))), np.tile(spec.neutral, (50, 1))
    person, robot = (
        change_from_rest(measure_faces(rest + each, *still), rest) for each in (noise, noise[::-1])
    )
    curves = video_panels.MirrorCurves.of(spec, np.arange(50.0), person, robot, commands)
    assert all(np.ptp(person) < 0.3 for person, _ in curves.curves.values())


def test_each_bar_of_a_command_has_its_name() -> None:
    spec = load_spec()
    still, commands = dict.fromkeys(video_panels.PLOTTED, np.zeros(2)), np.tile(spec.neutral, (2, 1))
    curves = video_panels.MirrorCurves.of(spec, np.arange(2.0), still, still, commands)
    assert len(curves.labels) == len(spec.expressive)
    assert {"jaw", "zygomaticus L", "brow inner R", "lid R"} <= set(curves.labels)
    blank = np.zeros((480, 480, 3), np.uint8)
    bare = replace(curves, labels=("",) * len(curves.labels))
    named, unnamed = (video_panels.video_frame(blank, blank, each, 0) for each in (curves, bare))
    assert (named != unnamed).any(2)[400:].sum() > 15 * 100


@pytest.mark.parametrize("pairs", [2, 6])
@pytest.mark.parametrize(("height", "width"), [(480, 640), (480, 853), (480, 270)])
def test_no_strip_of_the_page_is_blank(pairs: int, height: int, width: int, tmp_path: Path) -> None:
    spec = load_spec()
    moves = dict.fromkeys(video_panels.PLOTTED, np.linspace(0, 1, 9))
    curves = video_panels.MirrorCurves.of(spec, np.arange(9.0), moves, moves, np.tile(spec.neutral, (9, 1)))
    dark = np.zeros((height, width, 3), np.uint8), np.zeros((480, 480, 3), np.uint8)
    metrics = {
        "correlation": dict.fromkeys(moves, 0.9),
        "amplitude": {name: {"share": 0.9} for name in moves},
    }
    video_panels.write_summary(tmp_path / "page.png", curves, dict.fromkeys(range(pairs), dark), metrics)
    page = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    blank = np.flatnonzero((page > 250).all(axis=1))
    runs = np.split(blank, np.flatnonzero(np.diff(blank) > 1) + 1)
    assert max(map(len, runs)) < 0.04 * len(page)


def test_as_in_a_mirror_the_other_side_of_the_robot_moves(model: InverseModel, tmp_path: Path) -> None:
    """The man turns his head to his own right."""
    clip = tmp_path / "turn.mp4"
    with write_video(clip, 25) as add:
        for _, picture in islice(open_source(asset("samples/person.mp4")), 470, 505):
            add(picture)
    turns = []
    for mirror_image in (False, True):
        mirror(open_source(clip), model, FakeFace(), tmp_path / "out", mirror_image)
        traces = np.load(tmp_path / "out" / "traces.npz")
        for who in ("person", "robot"):
            turns.append(traces[f"{who}_turn"][:, 1])
    person, robot, mirrored_person, mirrored_robot = (turn - turn[0] for turn in turns)
    assert person.min() < -0.1 and robot.min() < -0.1
    np.testing.assert_allclose(mirrored_person, -person, atol=0.02)
    assert mirrored_robot.max() > 0.1


@pytest.mark.parametrize("suffix", [".png", ".mp4"])
@pytest.mark.parametrize("alone", [True, False])
def test_of_two_faces_it_is_told_which_one_is_mirrored(
    model: InverseModel, tmp_path: Path, suffix: str, alone: bool
) -> None:
    picture = two_people(0, 120)
    if alone:
        picture = picture[:, :200]
    if suffix == ".png":
        Image.fromarray(picture).save(tmp_path / "two.png")
    else:
        with write_video(tmp_path / "two.mp4", 25) as add:
            for _ in range(5):
                add(picture)
    metrics = mirror(open_source(tmp_path / f"two{suffix}"), model, FakeFace(), tmp_path / "out")
    told = [each for each in metrics["assumed"] if "more than one face" in each]
    assert len(told) == (not alone)
    if told:
        opened = np.ptp(np.load(tmp_path / "out" / "traces.npz")["person"][0][:, 0])
        assert re.search("is seen at 0.0 s: the one on the (left|right) is mirrored", told[0]) and opened > 0


class Interrupted(FakeFace):
    """Somebody presses Ctrl-C at the sixth step."""

    def move(self, command: ArrayLike) -> Reading:
        if self._steps == 5:
            raise KeyboardInterrupt
        return super().move(command)


def test_ctrl_c_keeps_what_was_mirrored(model: InverseModel, clip: Path, tmp_path: Path) -> None:
    metrics = mirror(open_source(clip), model, Interrupted(), tmp_path)
    assert metrics["ended"] == "stopped by Ctrl-C"
    assert not metrics["complete"] and metrics["steps"] == 5 < metrics["expected_steps"]
    assert json.loads((tmp_path / "metrics.json").read_text())["complete"] is False
    assert len(np.load(tmp_path / "traces.npz")["time"]) == 5
    assert sum(1 for _ in open_source(tmp_path / "mirror.mp4")) == 5


def test_a_body_that_fails_leaves_a_mirror_that_is_marked_as_cut(
    model: InverseModel, clip: Path, tmp_path: Path
) -> None:
    class Tired(FakeFace):
        def move(self, command: ArrayLike) -> Reading:
            if self._steps == 7:
                raise RobotError("too hot; let it cool.")
            return super().move(command)

    metrics = mirror(open_source(clip), model, Tired(), tmp_path)
    assert (metrics["complete"], metrics["steps"], metrics["ended"]) == (False, 7, "too hot; let it cool")


def test_ctrl_c_while_the_results_are_written_leaves_the_earlier_ones(
    model: InverseModel, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(open_source(clip), model, FakeFace(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(video_panels, "write_summary", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mirror(open_source(clip), model, Interrupted(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_where_nothing_can_be_written_nothing_begins(model: InverseModel, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="is not a folder"):
        mirror(open_source(clip), model, FakeFace(fail_after=0), tmp_path / "file" / "out")


def test_nobody_in_the_picture_leaves_nothing(model: InverseModel, tmp_path: Path) -> None:
    Image.fromarray(np.full((200, 300, 3), 128, np.uint8)).save(tmp_path / "wall.png")
    with pytest.raises(MediaError, match=r"no face in wall\.png"):
        mirror(open_source(tmp_path / "wall.png"), model, FakeFace(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_clips_are_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        open_source(tmp_path / "none.mp4")


def test_what_came_before_a_cut_is_mirrored_and_told(model: InverseModel, clip: Path, tmp_path: Path) -> None:
    whole = clip.read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    metrics = mirror(open_source(tmp_path / "half.mp4"), model, FakeFace(), tmp_path / "out")
    assert 5 < metrics["steps"] < FRAMES - 5 and metrics["found"] == 1
    assert any(each.startswith("the file is cut: it ends after") for each in metrics["assumed"])
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics


def test_one_picture_is_mirrored_alike_whoever_decodes_it(model: InverseModel, tmp_path: Path) -> None:
    _, picture = next(islice(open_source(asset("samples/person.mp4")), 120, 121))
    Image.fromarray(picture).save(tmp_path / "person.png")
    Image.fromarray(picture).save(tmp_path / "person.webp", lossless=True)
    with write_video(tmp_path / "person.mp4", 25) as add:
        add(picture)
    all_metrics = [
        mirror(open_source(tmp_path / name), model, FakeFace(), tmp_path / "out")
        for name in ("person.png", "person.webp", "person.mp4")
    ]
    for metrics in all_metrics:
        assert metrics["assumed"] == [ONE_PICTURE]
        traces = np.load(tmp_path / "out" / "traces.npz")
        opened = face_measurements(traces["person"])["jaw_opening"][-1]
        assert opened > face_measurements(traces["person_neutral"])["jaw_opening"] + 0.1


def test_a_very_wide_clip_of_varying_rate_is_mirrored_to_its_end(model: InverseModel, tmp_path: Path) -> None:
    clip = islice(open_source(asset("samples/person.mp4")), 100, 110)
    heads = [picture[40:270, 120:280] for _, picture in clip]
    wide = [np.pad(picture, ((0, 0), (420, 420), (0, 0))) for picture in heads]
    durations = [40] * 9 + [2000]
    first, *rest = (Image.fromarray(picture) for picture in wide)
    first.save(tmp_path / "wide.webp", save_all=True, append_images=rest, duration=durations, quality=90)
    metrics = mirror(open_source(tmp_path / "wide.webp"), model, FakeFace(), tmp_path / "out")
    time = np.load(tmp_path / "out" / "traces.npz")["time"]
    assert time == pytest.approx(0.04 * np.arange(59)) and metrics["steps"] == 59
    assert metrics["found"] > 0.9  # the face is small
    assert metrics["assumed"] == ["the face is seen in 10 pictures only: its neutral face is a guess"]
    assert {picture.shape[0] for _, picture in open_source(tmp_path / "out" / "mirror.mp4")} == {
        round(480 * 1280 / (MAX_WIDTH + 480 + TRACE_WIDTH))
    }
