"""The table of a model beside its baselines, and the floor that noise sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from eva_sim.agents import evaluate
from eva_sim.agents.data.babbling import babble
from eva_sim.agents.data.dataset import Dataset, load_dataset
from eva_sim.agents.evaluate import FLOOR, MILLIMETRES, MODEL, TRAVEL, TRUE, EvaluationConfig, evaluate_model
from eva_sim.agents.evaluation.summary import Interval, print_summary
from eva_sim.agents.models.baselines import UniformCommandBaseline
from eva_sim.agents.models.inverse import SHIPPED_MODEL, InverseModel, TrainingConfig
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.agents.optimisation.noise_floor import noise_floor
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.files import asset, read_json
from eva_sim.landmarks import POINTS
from tests.agents.test_learning_another_face import SPEC as NINE

FEW = EvaluationConfig(faces=2, seeds=2)


@pytest.fixture(scope="module", autouse=True)
def short_training() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "_ONE_HIDDEN_LAYER", TrainingConfig(hidden=(64,), epochs=15))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("babble")
    babble(folder, 200, 3, workers=1, image_size=None, options={"skin": "reduced"})
    return load_dataset(folder)


@pytest.fixture(scope="module")
def shipped() -> InverseModel:
    return InverseModel.load(asset(SHIPPED_MODEL) / MODEL_FILE)


@pytest.fixture(scope="module")
def evaluated(
    shipped: InverseModel, data: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("evaluated")
    return evaluate_model(shipped, out, FEW, data), out


def test_rows_stand_in_the_order_that_they_must(evaluated: tuple[dict[str, Any], Path]) -> None:
    rows = evaluated[0]["rows"]
    millimetres = {name: row[MILLIMETRES]["mean"] for name, row in rows.items()}
    travel = {name: row[TRAVEL]["mean"] for name, row in rows.items()}
    assert list(rows) == [
        "neutral", "random command", "random training face", "linear", "nearest neighbour",
        "one hidden layer", MODEL, "search through the twin", TRUE, FLOOR,
    ]  # fmt: skip
    assert travel[TRUE] == 0 and millimetres[TRUE] < 0.1
    assert millimetres[FLOOR] < millimetres["search through the twin"] < 0.15
    assert millimetres[MODEL] < 0.3 and travel[FLOOR] < travel[MODEL] < 0.02
    assert max(travel[MODEL], travel["linear"]) < travel["nearest neighbour"]
    assert travel["nearest neighbour"] < travel["neutral"] < travel["random command"]


def test_the_report_holds_each_seed_and_its_interval(evaluated: tuple[dict[str, Any], Path]) -> None:
    content, out = evaluated
    written = read_json(out / "evaluation.json")
    for name, row in content["rows"].items():
        for score, interval in row.items():
            seeds = [read_json(out / f"seed-{seed}.json")["scores"][name][score] for seed in range(FEW.seeds)]
            assert written["rows"][name][score] == {**interval, "values": seeds}
            assert interval["mean"] == pytest.approx(np.mean(seeds))
    neutral = content["rows"]["neutral"][TRAVEL]
    assert neutral["values"][0] != neutral["values"][1]  # each seed has its own faces


def test_the_sheet_shows_every_face_in_a_row(evaluated: tuple[dict[str, Any], Path]) -> None:
    with Image.open(evaluated[1] / "evaluation.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape[1] == 3 * 240 and pixels.shape[0] > FEW.faces * 240
    target, robot, error = (pixels[40:240, 240 * column : 240 * (column + 1)] for column in range(3))
    assert np.abs(target.astype(int) - robot).mean() < 1 < np.abs(target.astype(int) - error).mean()


def test_finished_seeds_are_kept_and_repeat(
    evaluated: tuple[dict[str, Any], Path],
    shipped: InverseModel,
    data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, out = evaluated
    (out / "seed-1.json").write_text("{")  # as a full disk would leave it
    assert evaluate_model(shipped, out, FEW, data) == content
    monkeypatch.setattr(evaluate, "_score", None)  # nothing is scored again
    assert evaluate_model(shipped, out, FEW, data) == content


@pytest.mark.parametrize("change", ["model", "data", "noise", "faces"])
def test_seeds_of_another_evaluation_are_not_kept(
    evaluated: tuple[dict[str, Any], Path], model: InverseModel, shipped: InverseModel, data: Dataset,
    monkeypatch: pytest.MonkeyPatch, change: str,
) -> None:  # fmt: skip
    class Scored(Exception):
        """Something was scored anew."""

    def score(*given: Any) -> None:
        raise Scored

    monkeypatch.setattr(evaluate, "_score", score)
    faces, noise = 4 if change == "faces" else FEW.faces, 0.001 if change == "noise" else FEW.noise
    with pytest.raises(Scored):
        evaluate_model(
            model if change == "model" else shipped, evaluated[1], EvaluationConfig(faces, FEW.seeds, noise),
            data.take(np.arange(150)) if change == "data" else data,
        )  # fmt: skip


def test_what_belongs_to_another_face_is_refused(
    shipped: InverseModel, data: Dataset, tmp_path: Path
) -> None:
    foreign = InverseModel(replace(shipped.face, spec=NINE), shipped.mean.numpy(), shipped.scale.numpy())
    with pytest.raises(DataError, match=r"the model belongs to a face with another face\.toml"):
        evaluate_model(foreign, tmp_path / "out", FEW)
    other = replace(data, manifest=replace(data.manifest, digest=NINE.digest))
    with pytest.raises(DataError, match=r"belongs to a face with another face\.toml"):
        evaluate_model(shipped, tmp_path / "out", FEW, other)


@pytest.mark.parametrize(("faces", "noise"), [(0, 0.003), (3, -1.0), (3, float("nan"))])
def test_numbers_without_meaning_are_refused(
    shipped: InverseModel, tmp_path: Path, faces: int, noise: float
) -> None:
    with pytest.raises(EvaError, match="evaluation needs"):
        evaluate_model(shipped, tmp_path / "out", EvaluationConfig(faces=faces, noise=noise))


class LinearFace:
    """A face whose landmarks are linear in the commands; stands in for `SettledFace`."""

    def __init__(self, spec: FaceSpec, hidden: tuple[int, ...] = ()) -> None:
        self.slopes = np.random.default_rng(2).normal(0, 0.01, (3 * len(POINTS), len(spec.expressive)))
        self.slopes[:, hidden] = 0

    def jacobian(self, command: Floats) -> Floats:
        return self.slopes


@pytest.mark.parametrize(("spec", "noise"), [(load_spec(), 0.003), (load_spec(), 0.02), (NINE, 0.01)])
def test_least_squares_reaches_the_floor(spec: FaceSpec, noise: float) -> None:
    """It is the best unbiased estimate of a linear map, so its errors are those of the bound."""
    face, rng, rows = LinearFace(spec), np.random.default_rng(6), spec.expressive
    command = spec.neutral.astype(float)
    pulled = rows[:5]
    command[pulled] = 0.3
    floor = noise_floor(spec, face, command, noise)  # type: ignore[arg-type]
    slopes = face.slopes[:, :5]
    off = np.linalg.pinv(slopes) @ rng.normal(0, noise, (3 * len(POINTS), 4000))
    assert floor.travel == pytest.approx(np.abs(off).mean() / 2 * 5 / len(rows), rel=0.03)
    moved = (slopes @ off).T.reshape(4000, -1, 3)
    assert floor.landmarks == pytest.approx(np.linalg.norm(moved, axis=2).mean(), rel=0.03)


def test_what_rests_or_is_not_shown_counts_as_known() -> None:
    spec = load_spec()
    rest = spec.neutral.astype(float)
    assert noise_floor(spec, LinearFace(spec), rest, 0.003) == (0, 0)  # type: ignore[arg-type]
    pulled = rest.copy()
    pulled[spec.expressive[:2]] = 0.5
    both, one = (noise_floor(spec, LinearFace(spec, hidden), pulled, 0.003) for hidden in ((), (1,)))  # type: ignore[arg-type]
    assert 0 < one.travel < both.travel and 0 < one.landmarks < both.landmarks
    assert noise_floor(spec, LinearFace(spec), pulled, 50.0).travel <= 0.5  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", [load_spec(), NINE])
def test_uniform_commands_fill_the_travel_and_leave_gaze_and_head_at_rest(spec: FaceSpec) -> None:
    drawn = UniformCommandBaseline(spec, 4).predict(np.zeros((2000, len(POINTS), 3)))
    rest = np.setdiff1d(np.arange(len(spec)), spec.expressive)
    assert np.array_equal(drawn[:, rest], np.tile(spec.neutral[rest], (2000, 1)))
    moving = drawn[:, spec.expressive]
    assert moving.min() < -0.99 < 0.99 < moving.max() and np.abs(moving.mean(0)).max() < 0.06


def test_an_interval_is_that_of_students_t() -> None:
    interval = Interval.of([1.0, 2.0, 4.0])
    assert interval.mean == pytest.approx(7 / 3) and interval.values == (1, 2, 4)
    assert interval.half_width == pytest.approx(4.302653 * 1.527525 / np.sqrt(3), rel=1e-5)
    assert Interval.of([2.0]).half_width is None and Interval.of([2.0]).describe(2) == "2.00"
    assert interval.describe(1) == "2.3 ± 3.8"


def test_the_table_shows_units_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"nobody": {TRAVEL: Interval.of([0.012, 0.014]), MILLIMETRES: Interval.of([0.25])}}
    print_summary("a title", rows, Console(width=200))
    text = capsys.readouterr().out
    assert all(
        each in text for each in ("a title", TRAVEL, MILLIMETRES, "nobody", "0.0130 ± 0.0127", "0.250")
    )
