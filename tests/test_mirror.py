"""A person's clip in, the robot's account out: files, figures, and what is refused."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eva_sim.agents.inverse import InverseModel
from eva_sim.agents.media import open_source, write_video
from eva_sim.agents.mirror import mirror
from eva_sim.agents.person import EASE, HOLD, Person
from eva_sim.agents.retarget import Retargeter
from eva_sim.contract import load_spec
from eva_sim.detector import average_face
from eva_sim.errors import MediaError
from eva_sim.files import asset
from eva_sim.landmarks import POINTS, measures
from tests.fakes import FakeFace

FRAMES = 40


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
        "mimic.mp4",
        "mimic.png",
        "traces.npz",
    ]
    assert traces["points"].tolist() == list(POINTS)
    steps = len(traces["time"])
    assert steps == FRAMES
    for name in ("person", "robot", "target"):
        assert traces[name].shape == (steps, len(POINTS), 3)
        assert np.isfinite(traces[name]).all()
    assert traces["commands"].shape == (steps, 25)
    assert np.abs(traces["commands"]).max() <= 1
    assert traces["found"].all()
    film = open_source(mirrored / "mimic.mp4")
    assert sum(1 for _ in film) == steps
    with Image.open(mirrored / "mimic.png") as page:
        assert page.width > 800


def test_figures_can_be_computed_again(mirrored: Path) -> None:
    traces, figures = np.load(mirrored / "traces.npz"), json.loads((mirrored / "metrics.json").read_text())
    person, robot = (measures(traces[name])["brow_height"] for name in ("person", "robot"))
    assert figures["correlation"]["brow_height"] == pytest.approx(np.corrcoef(person, robot)[0, 1], abs=1e-5)
    assert figures["found"] == traces["found"].mean()
    assert figures["spec"] == load_spec().digest


def test_a_picture_is_enough(model: InverseModel, tmp_path: Path) -> None:
    _, picture = next(iter(open_source(asset("samples/person.mp4"))))
    Image.fromarray(picture).save(tmp_path / "person.png")
    figures = mirror(open_source(tmp_path / "person.png"), model, FakeFace(), tmp_path / "out")
    assert figures["steps"] > 20
    assert figures["correlation"]["jaw_opening"] is None  # a still person correlates with nothing


def test_nobody_in_the_picture_leaves_nothing(model: InverseModel, tmp_path: Path) -> None:
    Image.fromarray(np.full((200, 300, 3), 128, np.uint8)).save(tmp_path / "wall.png")
    with pytest.raises(MediaError, match=r"no face in wall\.png"):
        mirror(open_source(tmp_path / "wall.png"), model, FakeFace(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_and_missing_clips_are_named(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        open_source(tmp_path / "none.mp4")
    (tmp_path / "half.mp4").write_bytes(clip.read_bytes()[:2000])
    with pytest.raises(MediaError, match="damaged"):
        list(open_source(tmp_path / "half.mp4"))


def test_a_lost_face_holds_then_eases_to_neutral() -> None:
    neutral = average_face()
    person = Person(neutral)
    smile = neutral + 0.3 * np.random.default_rng(0).normal(size=neutral.shape) * 0.1
    shown = person(0.0, smile)
    assert person.found
    held = person(0.5 * HOLD, None)
    assert not person.found
    assert np.array_equal(held, shown)
    half = person(HOLD + 0.5 * EASE, None)
    assert 0 < np.abs(half - person.neutral).max() < np.abs(shown - person.neutral).max()
    assert np.allclose(person(HOLD + EASE + 0.1, None), person.neutral)


def test_an_impossible_jump_is_not_believed() -> None:
    neutral = average_face()
    person = Person(neutral)
    person(0.0, neutral)
    moved = neutral.copy()
    moved[:, 1] += 5.0 * (neutral[:, 1] < neutral[:, 1].mean())  # the lower face leaps up
    person(0.04, moved)
    assert not person.found


def test_retargeting_stays_in_the_robots_own_range() -> None:
    rng = np.random.default_rng(1)
    neutral = rng.normal(size=(len(POINTS), 3))
    low, high = neutral - 0.1, neutral + 0.2
    retarget = Retargeter(neutral, low, high)
    person = rng.normal(size=neutral.shape)
    assert np.allclose(retarget(person, person), neutral)
    asked = retarget(person + 1.0, person)
    assert np.allclose(asked, np.minimum(neutral + 0.9 * np.array([1, 1, 0.5]), high))
    assert (retarget(person - 1.0, person) >= low - 1e-12).all()
