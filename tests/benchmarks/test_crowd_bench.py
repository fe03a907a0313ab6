"""The benchmark on synthetic people, with people whose landmarks are made up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import crowd
from benchmarks.crowd_people import (
    CrowdPerson,
    NearestFaces,
    UnseenTwin,
    mirror_person,
    played_again,
    read_person,
)
from benchmarks.crowd_report import summarise
from eva_sim.agents.mirroring.retargeting import Retargeter
from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.agents.models.routes import load_model
from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.detector import BLEND_SHAPES
from eva_sim.errors import DataError
from eva_sim.files import asset, read_arrays, read_json, write_arrays
from eva_sim.landmarks import REGIONS, landmark_rows

FRAMES = 75


@pytest.fixture(scope="module")
def twin() -> UnseenTwin:
    return UnseenTwin()


def write_person(path: Path, neutral: np.ndarray, rests: str, tuning: bool) -> None:
    """A person who rests for a second, then opens and closes the mouth and nods."""
    time = np.arange(FRAMES) / 25
    opening = np.where(time > 1, 0.5 - 0.5 * np.cos(4 * (time - 1)), 0)
    displacement = np.zeros((FRAMES, len(neutral), 3))
    lower = landmark_rows(14, 87, 317, 88, 318, 17, 84, 314, 181, 405, 152, 148, 377, 176, 400, 199, 200, 18)
    displacement[:, lower, 1] = -0.12 * opening[:, None]
    turn = np.zeros((FRAMES, 3, 3)) + np.eye(3)
    nod = 0.15 * opening
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(nod)
    turn[:, 2, 1], turn[:, 1, 2] = np.sin(nod), -np.sin(nod)
    irises = neutral[landmark_rows(362, 263, 133, 33)].reshape(2, 2, 3).mean(1) + np.array([0, 0, 0.04])
    faces = np.concatenate([neutral + displacement, np.tile(irises, (FRAMES, 1, 1))], axis=1)
    faces = 100 * np.einsum("tij,tnj->tni", turn, faces)
    write_arrays(
        path, landmarks=faces[:, :-2], irises=faces[:, -2:], scores=np.zeros((FRAMES, len(BLEND_SHAPES))),
        neutral_landmarks=100 * neutral, time=time, displacement=displacement, head_rotation=turn,
        gaze=np.zeros((FRAMES, 2, 2)), rest=time <= 1, rests=np.array(rests), tuning=np.array(tuning),
        unit_names=np.array(["eyeBlinkLeft", "eyeBlinkRight"]), units=np.zeros((FRAMES, 2)),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, twin: UnseenTwin) -> Path:
    neutral = twin.neutral_landmarks.astype(float)
    for number, (rests, tuning) in enumerate([("usual", True), ("rare", False), ("none", False)]):
        write_person(tmp_path / f"person_{number:03d}.npz", neutral, rests, tuning)
    return tmp_path


def test_a_person_who_is_read_without_error_is_followed(folder: Path, twin: UnseenTwin) -> None:
    model = load_model(asset(SHIPPED_MODEL))
    person = read_person(folder / "person_001.npz")
    mirrored = mirror_person(person, model, twin)
    retarget = Retargeter.of_model(twin.spec, model)
    metrics = crowd.measure_person(person, mirrored, NearestFaces(twin), retarget)
    assert metrics["held_back"] == 0 and metrics["detected"] == 1
    assert metrics["neutral"]["error"] < 0.005 and metrics["neutral"]["resting"] < 1e-6
    assert metrics["measurements"]["jaw_opening"]["robot"] > 0.9
    assert metrics["measurements"]["head_nod"]["robot"] > 0.9
    assert metrics["measurements"]["gaze_sideways"]["robot"] is None  # it did not move
    mouth = metrics["regions"]["mouth"]
    assert mouth["best"] <= 1.02 * mouth["robot"] and mouth["best"] <= 1.02 * mouth["asked"]
    assert mouth["asked"] == pytest.approx(mouth["robot"], rel=0.3)  # hardly anything is left to reading


def test_the_command_writes_a_report_of_its_part(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    monkeypatch.setattr(sys, "argv", ["crowd", str(folder), "--part", "test", "--out", str(out)])
    crowd.main()
    report = read_json(out / "report.json")
    assert sorted(report["people"]) == ["person_001", "person_002"] and (out / "report.png").exists()
    assert report["summary"]["neutral"]["usual"] == {
        "people": 0, "error": None, "frontal": None, "resting": None, "nine_in_ten": None,
    }  # fmt: skip
    assert "2 people" in capsys.readouterr().out

    # An interrupted run goes on with the person that it lacks, and ends with the same report.
    (out / "report.json").unlink()
    (out / "people" / "person_002.json").unlink()
    mirrored = []

    def note(person: CrowdPerson, *others: Any) -> Any:
        mirrored.append(person.name)
        return mirror_person(person, *others)

    monkeypatch.setattr(crowd, "mirror_person", note)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--resume"])
    crowd.main()
    assert mirrored == ["person_002"] and read_json(out / "report.json") == report
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--passes", "3"])
    with pytest.raises(DataError, match="leave out --resume"):  # the two would be put together
        crowd.main()


def test_a_clip_is_played_forth_and_back(folder: Path, twin: UnseenTwin) -> None:
    person = read_person(folder / "person_001.npz")
    longer = played_again(person, 3)
    assert len(longer.faces) == len(longer.time) == 3 * FRAMES and np.ptp(np.diff(longer.time)) < 1e-9
    np.testing.assert_array_equal(longer.turn[FRAMES : 2 * FRAMES], person.turn[::-1])
    np.testing.assert_array_equal(longer.displacement[2 * FRAMES :], person.displacement)
    last = mirror_person(longer, load_model(asset(SHIPPED_MODEL)), twin).from_frame(2 * FRAMES).trace
    assert last.frame.min() == 2 * FRAMES and len(last.robot) == len(last.frame) == FRAMES


@pytest.mark.parametrize("delay", [0, 2, 7])
def test_the_delay_of_the_robot_is_found(delay: int) -> None:
    rng = np.random.default_rng(delay)
    curve = np.convolve(rng.normal(size=240), np.ones(5), mode="valid")
    truth = {"jaw_opening": curve, "mouth_width": np.zeros(len(curve))}
    robot = {"jaw_opening": np.roll(curve, delay), "mouth_width": np.zeros(len(curve))}
    assert crowd.find_delay(truth, robot, truth) == delay
    assert crowd.find_delay(truth, robot, ["mouth_width"]) == 0  # it did not move
    wanted, made = crowd.delayed(curve, np.roll(curve, delay), delay)
    np.testing.assert_array_equal(wanted, made)


def test_nearest_faces_are_at_least_as_near_as_where_the_search_starts(twin: UnseenTwin) -> None:
    settled, rng = SettledFace(twin), np.random.default_rng(2)
    told = np.stack([twin.spec.command(jaw=0.2), twin.spec.command(zygomaticus=0.6)])
    targets = settled(told.astype(float))
    found = NearestFaces(twin)(targets, np.tile(twin.spec.neutral, (2, 1)))
    assert np.linalg.norm(found - targets, axis=2).mean() < 0.003
    noisy = targets + rng.normal(0, 0.01, targets.shape)
    nearest = NearestFaces(twin)(noisy, told)
    assert (((nearest - noisy) ** 2).sum((1, 2)) <= ((targets - noisy) ** 2).sum((1, 2))).all()


@pytest.mark.parametrize("missing", ["scores", "displacement", "rests"])
def test_files_of_another_version_are_told(folder: Path, missing: str) -> None:
    path = folder / "person_000.npz"
    arrays = read_arrays(path)
    del arrays[missing]
    write_arrays(path, **arrays)
    with pytest.raises(DataError, match=f"has no '{missing}'; film the crowd again"):
        read_person(path)


def test_a_part_without_people_is_told(folder: Path, tmp_path: Path) -> None:
    assert [path.stem for path in crowd.choose_people(folder, "tuning", None)] == ["person_000"]
    assert len(crowd.choose_people(folder, "all", 2)) == 2
    with pytest.raises(DataError, match="no people of the part test"):
        crowd.choose_people(tmp_path / "empty", "test", None)


def test_people_without_a_figure_do_not_count_in_its_median() -> None:
    def person(fit: float | None) -> dict[str, object]:
        one = {"robot": fit, "read": fit, "share": fit, "slope": fit}
        return {
            "rests": "rare", "detected": 1.0, "held_back": 0.0, "delay": 2, "head_delay": 1,
            "measurements": {"mouth_width": one},
            "neutral": {"error": 0.02, "frontal": 0.01, "resting": None}, "reach": {},
            "regions": {name: {"robot": 2.0, "asked": 1.5, "best": 1.0} for name in REGIONS},
        }  # fmt: skip

    summary = summarise({"a": person(0.9), "b": person(None), "c": person(0.7)})
    assert summary["measurements"]["mouth_width"]["robot"] == pytest.approx(0.8)
    assert summary["neutral"]["rare"]["resting"] is None and summary["neutral"]["rare"]["error"] == 0.02
    assert summary["regions"]["mouth"]["ratio"] == 2.0
    assert summary["regions"]["mouth"]["ratio_asked"] == 1.5
