"""The image and linear routes: what they learn, files of every route, and interrupted trainings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eva_sim.agents.data import babbling
from eva_sim.agents.data.babbling import babble
from eva_sim.agents.data.dataset import Dataset, load_dataset
from eva_sim.agents.evaluation.scores import score_predictors
from eva_sim.agents.mirroring.controller import MirrorController
from eva_sim.agents.mirroring.frame_detector import DetectedFrame
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.agents.mirroring.person_tracker import PersonTracker
from eva_sim.agents.mirroring.video_panels import INSET
from eva_sim.agents.models import descent, inverse, training_state
from eva_sim.agents.models.baselines import NeutralBaseline
from eva_sim.agents.models.descent import Descent
from eva_sim.agents.models.history import HistoryModel
from eva_sim.agents.models.history_training import HistoryConfig
from eva_sim.agents.models.image_route import (
    COMMAND_STATE,
    PICTURE_STATE,
    ImageRoute,
    ImageTrainingConfig,
    fit_image_route,
)
from eva_sim.agents.models.inverse import InverseModel, TrainingConfig, fit_inverse_model
from eva_sim.agents.models.linear import LinearModel
from eva_sim.agents.models.picture_window import find_window, read_windows
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.agents.models.routes import ROUTES, load_model
from eva_sim.agents.models.self_image import SelfImage, picture_error
from eva_sim.agents.models.training_state import TrainingState
from eva_sim.agents.train import (
    train_history_model,
    train_image_route,
    train_inverse_model,
    train_linear_model,
    train_model,
)
from eva_sim.contract import load_spec
from eva_sim.detector import canonical_face
from eva_sim.errors import ArgumentValueError, DataError
from eva_sim.files import read_json
from eva_sim.landmarks import POINTS
from eva_sim.media.encoding import PictureStore
from eva_sim.testing.fake_face import FakeFace, open_fake
from tests.agents.detected_faces import detected
from tests.agents.fake_faces import FakeFaces

SPEC = load_spec()
MOVING = SPEC.expressive
QUICK = ImageTrainingConfig(picture_steps=200, command_steps=150, parts=20, picture_batch=16)
BRIEF = HistoryConfig(rounds=1, seconds=4, motion_steps=10, steps=5, batch=4, length=8)
SHORT = ImageTrainingConfig(picture_steps=12, command_steps=12, parts=4)


def record(folder: Path, samples: int, picture_size: int | None) -> Dataset:
    """Babbles the fake face, whose pictures are stripes that show its positions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babbling, "SHARD_SIZE", 50)
        babble(folder, samples, 3, body="fake", workers=1, image_size=picture_size, open_face=open_fake)
    return load_dataset(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return record(tmp_path_factory.mktemp("babble"), 400, 25)


Trained = tuple[dict[str, RouteModel], Path]


@pytest.fixture(scope="module")
def trained(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of each route, and the folder of their folders."""
    out = tmp_path_factory.mktemp("trained")
    models: dict[str, RouteModel] = {
        "direct": train_inverse_model(data, out / "direct", TrainingConfig(epochs=3)),
        "image": train_image_route(data, out / "image", QUICK),
        "linear": train_linear_model(data, out / "linear"),
        "history": train_history_model(
            data, out / "history", BRIEF, TrainingConfig(epochs=3), FakeFaces(faces=4)
        ),
    }
    return models, out


@pytest.fixture(scope="module")
def image(trained: Trained) -> ImageRoute:
    model = trained[0]["image"]
    assert isinstance(model, ImageRoute)
    return model


def test_image_and_linear_route_learn_the_commands(trained: Trained, data: Dataset) -> None:
    held_out = data.split()[1]
    scores = score_predictors({**trained[0], "neutral": NeutralBaseline(SPEC)}, held_out)["overall"]
    assert scores["image"] < 0.5 * scores["neutral"]
    assert scores["linear"] < 0.2 * scores["neutral"]


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_writes_model_and_report(trained: Trained, route: str) -> None:
    folder = trained[1] / route
    report = read_json(folder / "training.json")
    assert report["route"] == route and report["digest"] == SPEC.digest
    assert set(report["mae"]) == {"overall", *(SPEC.names[i] for i in MOVING)}
    assert report["samples"] == {"training": 350, "held_out": 50}
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert (folder / "training.png").exists() and (folder / "imagined.png").exists() == (route == "image")


def test_the_imagined_pictures_show_the_face(image: ImageRoute, data: Dataset) -> None:
    """Imagined windows are nearer to the recorded ones than those of a self-image that learned nothing."""
    training, held_out = data.split()
    window, background = find_window(training)
    windows = read_windows(held_out, window)
    untrained = SelfImage.untrained(training, window, background, QUICK.parts, QUICK.floor)
    assert picture_error(image.self_image, held_out, windows) < 0.7 * picture_error(
        untrained, held_out, windows
    )


def test_one_face_and_many_are_imagined_alike(image: ImageRoute, data: Dataset) -> None:
    many, one = image.imagine(data.landmarks[:5]), image.imagine(data.landmarks[2])
    assert many.dtype == one.dtype == np.uint8
    assert (many.shape, one.shape) == ((5, 25, 25, 3), (25, 25, 3))
    assert np.abs(many[2].astype(int) - one).max() <= 1
    assert image.imagine(data.landmarks[:0]).shape == (0, 25, 25, 3)
    window, background = image.self_image.window, image.self_image.background
    outside = np.ones((25, 25), bool)
    outside[window.top : window.top + window.height, window.left : window.left + window.width] = False
    assert outside.any() and np.array_equal(one[outside], background[outside])


def test_commands_come_from_the_imagined_picture_alone(image: ImageRoute, data: Dataset) -> None:
    pictures = image.imagine(data.landmarks[:20])
    assert np.array_equal(image.predict(data.landmarks[:20]), image.image_inverse.predict(pictures))
    one = image.image_inverse.predict(pictures[3])
    np.testing.assert_allclose(one, image.image_inverse.predict(pictures)[3], atol=1e-5)


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_predicts_one_face_and_many(trained: Trained, data: Dataset, route: str) -> None:
    model = trained[0][route]
    many, one = model.predict(data.landmarks[:7]), model.predict(data.landmarks[2])
    assert (many.shape, one.shape) == ((7, 25), (25,)) and many.dtype == one.dtype == np.float32
    np.testing.assert_allclose(one, many[2], atol=0.02)  # pictures are rounded to bytes
    rest = np.setdiff1d(np.arange(25), MOVING)
    assert np.array_equal(many[:, rest], np.tile(SPEC.neutral[rest], (7, 1)))
    assert np.abs(model.predict(5 * data.landmarks[:7])).max() <= 1
    assert model.predict(data.landmarks[:0]).shape == (0, 25)
    with pytest.raises(DataError, match="shape"):
        model.predict(data.landmarks[0, :5])
    with pytest.raises(DataError, match="finite"):
        model.predict(np.full((len(POINTS), 3), np.inf))


def test_pictures_of_another_kind_are_refused(image: ImageRoute) -> None:
    for wrong in (np.zeros((24, 24, 3), np.uint8), np.zeros((25, 25, 3)), np.zeros((25, 25), np.uint8)):
        with pytest.raises(DataError, match=r"pictures are uint8 with shape \(25, 25, 3\)"):
            image.image_inverse.predict(wrong)  # type: ignore[arg-type]


def test_the_linear_route_is_exact_where_commands_are_linear(data: Dataset) -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 0.2, (3 * len(POINTS), len(MOVING)))
    landmarks = rng.normal(0, 0.1, data.landmarks.shape).astype(np.float32)
    landmarks.reshape(len(data), -1)[:, 60:] = 0  # fewer coordinates than samples
    commands = data.commands.copy()
    commands[:, MOVING] = 0.1 + landmarks.reshape(len(data), -1) @ weights
    linear = LinearModel.fit(dataclasses.replace(data, commands=commands, landmarks=landmarks), noise=1e-4)
    np.testing.assert_allclose(
        linear.predict(landmarks)[:, MOVING], commands[:, MOVING].clip(-1, 1), atol=1e-3
    )


@pytest.mark.parametrize("route", ROUTES)
def test_models_load_bit_by_bit(trained: Trained, data: Dataset, route: str) -> None:
    models, out = trained
    kind = {
        "direct": InverseModel, "image": ImageRoute, "linear": LinearModel, "history": HistoryModel,
    }[route]  # fmt: skip
    for path in (out / route, out / route / "inverse.pt"):
        loaded = load_model(path)
        assert isinstance(loaded, kind)
        assert np.array_equal(loaded.predict(data.landmarks[:20]), models[route].predict(data.landmarks[:20]))
        assert np.array_equal(loaded.neutral, data.neutral) and loaded.spec.digest == SPEC.digest
        assert np.array_equal(loaded.range_low, models[route].range_low)
    if isinstance(loaded, ImageRoute):
        original = models["image"]
        assert isinstance(original, ImageRoute)
        assert np.array_equal(loaded.imagine(data.landmarks[:3]), original.imagine(data.landmarks[:3]))


@pytest.mark.parametrize("route", ROUTES)
def test_damaged_models_are_refused_in_one_line(trained: Trained, tmp_path: Path, route: str) -> None:
    whole, path = (trained[1] / route / "inverse.pt").read_bytes(), tmp_path / "m.pt"
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (b"", b"hello", whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="damaged") as raised:
            load_model(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(DataError, match="does not exist"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("route", "changes", "message"),
    [
        ("image", {"format": 2}, "was trained by an earlier version"),
        ("image", {"digest": "0" * 64}, "its actuator table has another digest"),
        ("image", {"self_image": {}}, "damaged or not a model"),
        ("image", {"image_inverse": None}, "damaged or not a model"),
        ("image", {"products": None}, "damaged or not a model"),
        ("history", {"history": {}}, "damaged or not a model"),
        ("history", {"mean": None}, "damaged or not a model"),
        ("linear", {"points": [1, 2]}, "another set of landmarks"),
        ("linear", {"weights": torch.zeros(3, 2)}, "damaged or not a model"),
        ("linear", {"mean": None}, "damaged or not a model"),
        ("linear", {"route": "teleport"}, "does not know; update eva-sim"),
    ],
)
def test_wrong_entries_are_refused(
    trained: Trained, tmp_path: Path, route: str, changes: dict[str, Any], message: str
) -> None:
    content = torch.load(trained[1] / route / "inverse.pt", weights_only=True)
    torch.save({**content, **changes}, tmp_path / "m.pt")
    with pytest.raises(DataError, match=message):
        load_model(tmp_path / "m.pt")


@pytest.mark.parametrize(
    ("kind", "route"),
    [(InverseModel, "image"), (ImageRoute, "linear"), (HistoryModel, "direct"), (InverseModel, "history")],
)
def test_a_model_of_another_route_is_refused(trained: Trained, kind: Any, route: str) -> None:
    with pytest.raises(DataError, match=f"goes the route '{route}'"):
        kind.load(trained[1] / route / "inverse.pt")


def test_an_unknown_route_is_refused(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ArgumentValueError, match="did you mean image"):
        train_model(data, tmp_path / "out", "imaje")
    assert not (tmp_path / "out").exists()


class Stop(Exception):
    """Ends a training in its middle."""


def _stop_at(step: int, patch: pytest.MonkeyPatch, does: str) -> None:
    """Makes the descent of this name end with an error at a step, after its state was saved."""
    original = descent.descend

    def stopping(
        network: nn.Module, loss: Callable[..., Tensor], plan: Descent, state: TrainingState, **kept: Any
    ) -> list[float]:
        taken = 0

        def counted(generator: torch.Generator) -> Tensor:
            nonlocal taken
            taken += 1
            if kept["does"] == does and taken > step:
                raise Stop
            return loss(generator)

        return original(network, counted, plan, state, **kept)

    patch.setattr("eva_sim.agents.models.image_route.descend", stopping)


@pytest.mark.parametrize("does", ["self-image", "image inverse"])
def test_an_interrupted_training_ends_with_the_same_model(
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    does: str,
) -> None:
    whole, losses = fit_image_route(data, SHORT)
    monkeypatch.setattr(training_state, "SAVE_EVERY", 0.0)
    with monkeypatch.context() as patch:
        _stop_at(5, patch, does)
        with pytest.raises(Stop):
            fit_image_route(data, SHORT, tmp_path)
    resumed, again = fit_image_route(data, SHORT, tmp_path)
    assert "the training goes on after 5 of 12 steps" in capsys.readouterr().err
    assert np.array_equal(resumed.predict(data.landmarks), whole.predict(data.landmarks))
    assert np.array_equal(resumed.imagine(data.landmarks[:9]), whole.imagine(data.landmarks[:9]))
    assert again == losses


@pytest.mark.parametrize("epoch", [1, 4])
def test_an_interrupted_direct_training_ends_with_the_same_model(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    config = TrainingConfig(epochs=6, seed=2)
    whole, history = fit_inverse_model(data, config)
    monkeypatch.setattr(training_state, "SAVE_EVERY", 0.0)
    original, taken = inverse._epoch, 0

    def stopping(*arguments: Any) -> None:
        nonlocal taken
        taken += 1
        if taken > epoch:
            raise Stop
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(inverse, "_epoch", stopping)
        with pytest.raises(Stop):
            fit_inverse_model(data, config, TrainingState(tmp_path / "state.pt", {"a": 1}))
    resumed, again = fit_inverse_model(data, config, TrainingState(tmp_path / "state.pt", {"a": 1}))
    assert again == history
    assert np.array_equal(resumed.predict(data.landmarks), whole.predict(data.landmarks))


def test_a_state_is_a_checkpoint(data: Dataset, trained: Trained) -> None:
    """It holds optimiser, normalisers, settings, digest of the spec, and the commit if there is one."""
    for name in ("direct/inverse-state.pt", "image/self-image-state.pt", "image/image-inverse-state.pt"):
        content = torch.load(trained[1] / name, weights_only=True)
        assert content.keys() >= {"normaliser", "commit", "origin"}
        assert content.keys() & {"optimiser", "AdamW"}
        origin = json.loads(content["origin"])
        assert origin["data"]["manifest"]["digest"] == SPEC.digest and origin["config"]["seed"] == 0


@pytest.mark.parametrize("content", [None, b"", b"no state"])
def test_a_damaged_state_is_told_and_not_used(
    data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    whole, _ = fit_image_route(data, SHORT, tmp_path)
    for name in (PICTURE_STATE, COMMAND_STATE):
        half = (tmp_path / name).read_bytes()[:5000]
        (tmp_path / name).write_bytes(half if content is None else content)
    again, _ = fit_image_route(data, SHORT, tmp_path)
    assert capsys.readouterr().err.count("this part starts over") == 2
    assert np.array_equal(again.predict(data.landmarks), whole.predict(data.landmarks))


def test_a_state_of_other_settings_or_data_is_not_used(
    data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_image_route(data, tmp_path, SHORT)
    capsys.readouterr()
    other = dataclasses.replace(SHORT, seed=1)
    train_image_route(data, tmp_path, other)
    assert capsys.readouterr().err.count("this part starts over") == 2
    changed = dataclasses.replace(data, landmarks=data.landmarks + np.float32(1e-3))
    train_image_route(changed, tmp_path, other)
    assert capsys.readouterr().err.count("this part starts over") == 2
    train_image_route(changed, tmp_path, other)
    assert capsys.readouterr().err.count("goes on after 12 of 12 steps") == 2


@pytest.mark.parametrize("size", [None, 4])
def test_data_without_useful_pictures_are_refused(tmp_path: Path, size: int | None) -> None:
    data = record(tmp_path / "data", 150, size)
    with pytest.raises(DataError, match="without pictures" if size is None else "too small"):
        train_image_route(data, tmp_path / "out", SHORT)
    assert not (tmp_path / "out").exists()


def test_the_imagined_picture_is_shown_beside_the_robot(trained: Trained) -> None:
    """By the image route only: in the lower left corner of the robot's picture."""
    frame = DetectedFrame(0, 0.0, detected(canonical_face()))
    shown = {}
    for route in ("direct", "image"):
        with closing(PictureStore()) as pictures:
            controller = MirrorController(trained[0][route], FakeFace(), pictures, 64)
            controller.begin(PersonTracker(PersonAtRest.stranger()))
            plain = controller.picture
            controller.observe(frame)
            controller.step(0.0)
            shown[route] = controller.picture
    side = round(INSET * len(plain))
    assert np.array_equal(shown["direct"], plain)
    changed = (shown["image"] != plain).any(2)
    assert changed[-side:, :side].mean() > 0.9
    assert not changed[:-side].any() and not changed[:, side:].any()
