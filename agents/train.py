"""Training on a babbled data set: fit, compare with the baselines on held-out faces, write the report."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eva_sim import __version__
from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.evaluation.imagined_pictures import draw_imagined
from eva_sim.agents.evaluation.scores import compare_with_baselines, plot_scores
from eva_sim.agents.models import linear
from eva_sim.agents.models.history import HistoryModel
from eva_sim.agents.models.history_training import HistoryConfig, ManyFaces, fit_history_model
from eva_sim.agents.models.image_route import ImageRoute, ImageTrainingConfig, fit_image_route
from eva_sim.agents.models.inverse import InverseModel, TrainingConfig, fit_inverse_model
from eva_sim.agents.models.linear import LinearModel
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.agents.models.picture_window import read_windows
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.agents.models.routes import check_route
from eva_sim.agents.models.self_image import picture_error
from eva_sim.agents.models.training_state import STATES, TrainingState
from eva_sim.contact_sheet import save_picture
from eva_sim.errors import DataError
from eva_sim.files import (
    atomic_files,
    check_free_space,
    check_output_folder,
    git_commit,
    write_json,
)
from eva_sim.optional import import_optional
from eva_sim.twin import Twins

#: Size of a model's file, about [bytes].
MODEL_SIZE = {"direct": 4e6, "image": 16e6, "linear": 2e6, "history": 5e6}
#: Size of the states that a training keeps beside its model, about [bytes].
STATE_SIZE = {"direct": 9e6, "image": 45e6, "history": 9e6}
#: State of the training of the direct route.
STATE_FILE = f"inverse{STATES}"
#: Faces that move side by side while a history model learns.
FACES = 16
#: Held-out pictures that imagined ones are compared with.
_PICTURES = 500


def train_model(data: Dataset, out: str | os.PathLike[str], route: str = "direct") -> RouteModel:
    """Trains a model of a route with its default settings; see the functions of the routes.

    Raises:
        ArgumentValueError: there is no such route.
        DataError: too few samples, no pictures for the image route, or `out` cannot be written.
        EvaError: matplotlib is not installed.
    """
    check_route(route)
    train: dict[str, Callable[[Dataset, str | os.PathLike[str]], RouteModel]] = {
        "direct": train_inverse_model, "image": train_image_route, "linear": train_linear_model,
        "history": train_history_model,
    }  # fmt: skip
    return train[route](data, out)


def train_inverse_model(
    data: Dataset, out: str | os.PathLike[str], config: TrainingConfig | None = None
) -> InverseModel:
    """Trains on most shards, tests on those held out, and writes the model and a report.

    Writes `inverse.pt`, `training.json` (config, metrics, error per actuator beside the baselines) and
    `training.png` into `out`; they appear together. The state of the training lies beside them. An
    interrupted call goes on from it, and ends with the same model.

    Raises:
        DataError: too few samples, or `out` cannot be written.
        EvaError: matplotlib is not installed.
    """
    recipe = vars(config := config or TrainingConfig())
    writer = _ReportWriter(data, out, "direct", recipe, STATE_SIZE["direct"])
    model, metrics = _fit_direct(writer, config)
    writer.write(model, config.seed, metrics)
    return model


def train_history_model(
    data: Dataset,
    out: str | os.PathLike[str],
    config: HistoryConfig | None = None,
    direct: TrainingConfig | None = None,
    faces: ManyFaces | None = None,
) -> HistoryModel:
    """Trains the direct route, then the history model upon it; files and errors as of `train_inverse_model`.

    The state holds the direct route only. The history model, a minute or two, starts over.

    Args:
        data: the data set.
        out: folder for the files.
        config: hyperparameters of the history model.
        direct: those of the direct route.
        faces: that move while the history model learns; by default twins with the reduced skin.

    Raises:
        DataError: also if the data are not of a twin and no faces are given, or the faces are others.
    """
    if faces is None and data.manifest.body != "twin":
        raise DataError(
            f"these data are of the body {data.manifest.body!r}; a history model learns on twins that move, "
            "so it needs data of the twin. Train `--route direct`, or babble with the twin."
        )
    config, direct = config or HistoryConfig(), direct or TrainingConfig()
    recipe = {**vars(direct), "history": vars(config)}
    writer = _ReportWriter(data, out, "history", recipe, STATE_SIZE["history"])
    base, metrics = _fit_direct(writer, direct)
    with nullcontext(faces) if faces is not None else Twins(FACES, "reduced") as moving:
        model, losses = fit_history_model(base, moving, config)
    writer.write(model, config.seed, {**metrics, "losses": losses})
    return model


def train_image_route(
    data: Dataset, out: str | os.PathLike[str], config: ImageTrainingConfig | None = None
) -> ImageRoute:
    """Trains self-image and image inverse; files and errors as of `train_inverse_model`.

    Writes `imagined.png` too: recorded and imagined pictures of held-out faces. Each network has a state of
    its own.

    Raises:
        DataError: also if the data were recorded without pictures, or with very small ones.
    """
    writer = _ReportWriter(
        data, out, "image", vars(config := config or ImageTrainingConfig()), STATE_SIZE["image"]
    )
    model, history = fit_image_route(writer.training, config, writer.folder, writer.origin)
    shown = writer.held_out.take(_spread(len(writer.held_out), _PICTURES))
    windows = read_windows(shown, model.self_image.window)
    levels = picture_error(model.self_image, shown, windows)
    sheet = draw_imagined(model.self_image, shown)
    writer.write(model, config.seed, {"losses": history, "picture_levels": levels}, sheet)
    return model


def train_linear_model(data: Dataset, out: str | os.PathLike[str]) -> LinearModel:
    """Fits the linear route; files and errors as of `train_inverse_model`."""
    writer = _ReportWriter(data, out, "linear", {"noise": linear.NOISE})
    model = LinearModel.fit(writer.training)
    writer.write(model, 0, {})
    return model


def _fit_direct(writer: _ReportWriter, config: TrainingConfig) -> tuple[InverseModel, dict[str, Any]]:
    """Trains the direct route, and keeps its state beside the model; returns it and its metrics."""
    state = TrainingState(writer.folder / STATE_FILE, {"data": writer.origin, "config": vars(config)})
    model, history = fit_inverse_model(writer.training, config, state)
    return model, {"epochs": len(history), "validation_mae": min(history)}


class _ReportWriter:
    """Checks before a training, and files after it.

    Args:
        data: the data set; a part of it is held out.
        out: folder for the files.
        route: that is trained.
        recipe: settings of the training.
        further: size of what the training itself writes into the folder [bytes].

    Attributes:
        folder: for the files.
        training: samples to learn from.
        held_out: samples to test on.
        origin: what a training depends on beside its settings, as JSON.
    """

    def __init__(
        self,
        data: Dataset,
        out: str | os.PathLike[str],
        route: str,
        recipe: dict[str, Any],
        further: float = 0,
    ) -> None:
        self.folder, self._started = check_output_folder(out), time.perf_counter()
        import_optional("matplotlib", "train")  # which draws at the end
        check_free_space(self.folder, 2 * MODEL_SIZE[route] + further, "model and report")
        data.check_size()
        self._route, self._recipe, self._digest = route, recipe, data.manifest.digest
        self._commit = git_commit()
        self.training, self.held_out = data.split()
        arrays = (data.commands, data.positions, data.landmarks)
        self.origin = {
            "version": __version__, "manifest": asdict(data.manifest),
            "checksums": [zlib.crc32(array.tobytes()) for array in arrays],
        }  # fmt: skip

    def write(
        self, model: RouteModel, seed: int, metrics: dict[str, Any], imagined: Image.Image | None = None
    ) -> None:
        """Scores the model on the held-out samples and writes all files together."""
        scores = compare_with_baselines(model, self.training, self.held_out, seed)
        report = {
            "route": self._route, "digest": self._digest, "commit": self._commit, "recipe": self._recipe,
            "samples": {"training": len(self.training), "held_out": len(self.held_out)},
            "seconds": round(time.perf_counter() - self._started, 1), "mae": scores, **metrics,
        }  # fmt: skip
        with atomic_files(self.folder) as part:
            model.save(part / MODEL_FILE)
            write_json(part / "training.json", report)
            plot_scores(scores, part / "training.png")
            if imagined is not None:
                save_picture(imagined, part / "imagined.png")


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """Returns up to `most` indices, spread evenly over `count`."""
    return np.unique(np.linspace(0, count - 1, most).astype(np.intp))
