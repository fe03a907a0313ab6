"""The history model: what it learns, what it remembers, and that it does not drift."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eva_sim.agents.data import babbling
from eva_sim.agents.data.babbling import babble
from eva_sim.agents.data.dataset import Dataset, load_dataset
from eva_sim.agents.data.motion import sample_motion
from eva_sim.agents.mirroring import controller
from eva_sim.agents.mirroring.controller import MirrorController
from eva_sim.agents.mirroring.frame_detector import DetectedFrame
from eva_sim.agents.mirroring.motion_metrics import lag_between, rms_jerk
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.agents.mirroring.person_tracker import PersonTracker
from eva_sim.agents.models.following import Follower, FrameByFrame, ModelPolicy, open_follower
from eva_sim.agents.models.history import (
    ASKED,
    BOUND,
    MEMORY,
    MOST_BEHIND,
    History,
    HistoryFollower,
    HistoryModel,
    HistoryNetwork,
)
from eva_sim.agents.models.history_training import HistoryConfig, fit_history_model
from eva_sim.agents.models.inverse import InverseModel, TrainingConfig, fit_inverse_model
from eva_sim.agents.train import train_history_model
from eva_sim.contract import Floats, Reading, load_spec, parse_spec
from eva_sim.detector import canonical_face
from eva_sim.errors import DataError
from eva_sim.media.encoding import PictureStore
from eva_sim.testing.fake_face import FakeFace, open_fake
from tests.agents.detected_faces import detected
from tests.agents.fake_faces import FakeFaces

SPEC = load_spec()
MOVING = SPEC.expressive
DT = SPEC.control_dt
QUICK = HistoryConfig(rounds=2, seconds=12, motion_steps=150, steps=80, batch=24, length=16, noise=0.1)
NOISE = 0.03


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("babble")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babbling, "SHARD_SIZE", 50)
        babble(folder, 500, 3, body="fake", workers=1, image_size=None, open_face=open_fake)
    return load_dataset(folder)


@pytest.fixture(scope="module")
def direct(data: Dataset) -> InverseModel:
    return fit_inverse_model(data, TrainingConfig(epochs=25, hidden=(96,)))[0]


@pytest.fixture(scope="module")
def model(direct: InverseModel) -> HistoryModel:
    return fit_history_model(direct, FakeFaces(6), QUICK)[0]


def motion_of_a_face(seconds: float, seed: int) -> Floats:
    """What a fake face does by itself, (T, N, 3)."""
    with FakeFace() as face:
        commands = sample_motion(SPEC, round(seconds / DT), np.random.default_rng(seed))
        return np.array([face.move(command).landmarks for command in commands])


def follow(follower: Follower, targets: Floats) -> Floats:
    """What a fake face does that follows, (T, N, 3)."""
    faces = []
    with FakeFace() as face:
        follower.reset(face.reset())
        for target in targets:
            reading = face.move(follower(target))
            follower.read(reading)
            faces.append(reading.landmarks)
    return np.array(faces)


def errors(faces: Floats, asked: Floats) -> Floats:
    """Mean distance at each step, once the command has effect, (T - 1,)."""
    distances: Floats = np.linalg.norm(faces[1:] - asked[:-1], axis=2).mean(1)
    return distances


def noisy(targets: Floats) -> Floats:
    return (targets + np.random.default_rng(5).normal(0, NOISE, targets.shape)).astype(np.float32)


def test_before_it_is_trained_it_answers_frame_by_frame(direct: InverseModel) -> None:
    targets = motion_of_a_face(4, 1)
    follower = HistoryFollower(HistoryModel(direct, HistoryNetwork(len(MOVING))))
    np.testing.assert_allclose(follow(follower, targets), follow(FrameByFrame(direct), targets), atol=1e-5)


def test_a_minute_of_its_own_motion_is_smoother_and_does_not_drift(
    model: HistoryModel, direct: InverseModel
) -> None:
    asked = motion_of_a_face(60, 2)
    faces, plain = (follow(each, noisy(asked)) for each in (open_follower(model), FrameByFrame(direct)))
    error, quarter = errors(faces, asked), len(asked) // 4
    assert error[-quarter:].mean() < 1.2 * error[:quarter].mean()
    assert rms_jerk(faces, DT) < 0.97 * rms_jerk(plain, DT)
    assert error.mean() < 1.1 * errors(plain, asked).mean()
    assert lag_between(asked, faces, DT) < lag_between(asked, plain, DT) + 0.2 * DT


def test_it_begins_anew_with_the_face(model: HistoryModel) -> None:
    follower, targets = open_follower(model), noisy(motion_of_a_face(2, 3))
    first = follow(follower, targets)
    assert np.array_equal(follow(follower, targets), first)
    with pytest.raises(ValueError, match="call reset first"):
        HistoryFollower(model)(targets[0])


def test_many_faces_follow_as_each_by_itself(model: HistoryModel) -> None:
    """As the actions of a vector environment, with the observations of its copies."""
    targets = [noisy(motion_of_a_face(2, seed)) for seed in (3, 4)]
    faces, followers, policy = (
        [FakeFace(), FakeFace()],
        [HistoryFollower(model) for _ in range(2)],
        ModelPolicy(model),
    )
    readings = [face.reset() for face in faces]
    for follower, reading in zip(followers, readings, strict=True):
        follower.reset(reading)
    for step, asked in enumerate(zip(*targets, strict=True)):
        seen = {
            "target": np.stack(asked),
            "landmarks": np.stack([reading.landmarks for reading in readings]),
            "position": np.stack([reading.position for reading in readings]),
        }
        actions = policy(seen, {}, step == 0)
        alone = np.stack([follower(target) for follower, target in zip(followers, asked, strict=True)])
        assert np.allclose(actions, alone, atol=1e-6)
        readings = [face.move(command) for face, command in zip(faces, alone, strict=True)]
        for follower, reading in zip(followers, readings, strict=True):
            follower.read(reading)


def test_it_remembers_what_was_asked_sent_and_read(model: HistoryModel) -> None:
    """Each of them changes the next command, though the same face is asked for."""
    rest = FakeFace().reset()
    target, other = motion_of_a_face(3, 4)[[-1, -30]]
    pulled = SPEC.command(jaw=0.5, zygomaticus=0.5)

    def next_command(first: Floats, reading: Reading) -> Floats:
        follower = HistoryFollower(model)
        follower.reset(rest)
        follower(first)
        follower.read(reading)
        return follower(target)

    usual = next_command(target, rest)
    changed = [
        next_command(other, rest),
        next_command(target, dataclasses.replace(rest, sent=pulled)),
        next_command(target, dataclasses.replace(rest, position=pulled)),
        next_command(target, dataclasses.replace(rest, landmarks=other)),
    ]
    assert all(np.abs(each - usual).max() > 1e-4 for each in changed)
    resting = np.setdiff1d(np.arange(len(SPEC)), MOVING)
    assert all(np.array_equal(each[resting], SPEC.neutral[resting]) for each in (usual, *changed))


def test_what_the_face_stays_behind_is_summed_up_and_forgotten() -> None:
    rest, off = torch.full((len(MOVING),), -1.0), 0.02
    asked, seen = torch.zeros(2, len(MOVING)), torch.stack([rest * off, rest * 2])
    past = History.at_rest(rest, seen, late=1)
    for _ in range(100):
        past = past.with_asked(asked).with_reading(asked, asked, seen)
    torch.testing.assert_close(past.behind[0], -MEMORY * off * rest, rtol=1e-3, atol=0)
    torch.testing.assert_close(past.behind[1], -MEMORY * MOST_BEHIND * rest, rtol=1e-3, atol=0)
    for _ in range(5 * MEMORY):
        past = past.with_asked(seen).with_reading(asked, asked, seen)
    assert past.behind.abs().max() < 0.01 * MEMORY * MOST_BEHIND


def test_a_correction_by_what_the_face_stays_behind_is_bounded() -> None:
    network, rest = HistoryNetwork(len(MOVING)), torch.zeros(len(MOVING))
    torch.nn.init.constant_(network.gain, 1.0)
    past = History.at_rest(rest, torch.zeros(1, len(MOVING)), late=1)
    for behind, correction in ((0.1, 0.1), (-0.1, -0.1), (5.0, BOUND)):
        answer = network(past._replace(behind=torch.full((1, len(MOVING)), behind)))
        torch.testing.assert_close(answer, torch.full_like(answer, correction))


def test_a_face_that_is_not_found_is_as_it_was_before(model: HistoryModel) -> None:
    rest = FakeFace().reset()
    lost = dataclasses.replace(rest, landmarks=np.zeros_like(rest.landmarks), found=False)
    followers = [HistoryFollower(model) for _ in range(2)]
    answers = []
    for follower, reading in zip(followers, (rest, lost), strict=True):
        follower.reset(rest)
        for _ in range(ASKED):
            command = follower(rest.landmarks)
            follower.read(reading)
        answers.append(command)
    assert np.array_equal(answers[0], answers[1])


def test_equal_seeds_train_equal_models(direct: InverseModel) -> None:
    brief = dataclasses.replace(QUICK, rounds=1, seconds=4, motion_steps=10, steps=5)
    models = [fit_history_model(direct, FakeFaces(2), brief)[0] for _ in range(2)]
    states = [each.network.state_dict() for each in models]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_data_of_another_body_need_faces(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of the body 'fake'; a history model learns on twins"):
        train_history_model(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("control_dt = 0.04 ", "control_dt = 0.02 ", "other actuator tables"),
        ("delay = 1", "delay = 3", "look"),
    ],
)
def test_faces_that_it_cannot_learn_from_are_refused(
    direct: InverseModel, before: str, after: str, message: str
) -> None:
    faces: Any = FakeFaces(1)
    faces.spec = parse_spec(SPEC.text.replace(before, after))
    trained: Any = direct
    if message == "look":
        trained = HistoryModel(direct, HistoryNetwork(len(MOVING)))
        trained.face = dataclasses.replace(direct.face, spec=faces.spec)
    with pytest.raises(DataError, match=message):
        fit_history_model(trained, faces, QUICK)


class Noting:
    """A follower that notes what it is called for."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def reset(self, reading: Reading) -> None:
        self.calls.append("reset")

    def read(self, reading: Reading) -> None:
        self.calls.append(f"read {reading.time:.2f}")

    def __call__(self, target: Floats) -> Any:
        self.calls.append("ask")
        return SPEC.neutral


def test_mirroring_asks_and_reads_each_step_also_without_a_new_picture(
    direct: InverseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    noting = Noting()
    monkeypatch.setattr(controller, "open_follower", lambda model: noting)
    face = detected(canonical_face())
    with FakeFace() as body, closing(PictureStore()) as pictures:
        mirroring = MirrorController(direct, body, pictures, 64)
        mirroring.begin(PersonTracker(PersonAtRest.stranger()))
        mirroring.observe(DetectedFrame(0, 0.0, face))
        for step in range(3):
            mirroring.step(step * DT, render=False)
    assert noting.calls == [
        "reset",
        *(call for step in (1, 2, 3) for call in ("ask", f"read {step * DT:.2f}")),
    ]
