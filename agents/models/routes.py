"""The routes from landmarks to commands, and the one function that opens a model of any of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.agents.models.history import HistoryModel
from eva_sim.agents.models.image_route import ImageRoute
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.agents.models.linear import LinearModel
from eva_sim.agents.models.model_file import MODEL_FILE, read_model, route_of
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import ArgumentValueError, DataError, known_names


class RouteModel(Protocol):
    """A model that maps landmarks to commands, by whatever route, and knows the face that babbled.

    Attributes:
        spec: of that face.
        neutral: its landmarks at rest, (N, 3) [outer-eye distances].
        range_low: 1st percentile of its babbled landmarks, (N, 3).
        range_high: 99th percentile of its babbled landmarks, (N, 3).
        forward_model: pulls of the actuators that move landmarks to displacement, (3 N,).
    """

    spec: FaceSpec
    neutral: Array
    range_low: Array
    range_high: Array
    forward_model: ForwardModel

    def predict(self, landmarks: Floats) -> Array:
        """Returns commands for aligned landmarks: (N, 3) -> (25,), or (B, N, 3) -> (B, 25)."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model atomically."""


_LOADERS: Mapping[str, Callable[[Path], RouteModel]] = {
    "direct": InverseModel.load, "image": ImageRoute.load, "linear": LinearModel.load,
    "history": HistoryModel.load,
}  # fmt: skip
#: Names of the routes; the first is the default.
ROUTES = tuple(_LOADERS)


def check_route(route: str) -> None:
    """Checks the name of a route.

    Raises:
        ArgumentValueError: there is none of that name.
    """
    if route not in ROUTES:
        raise ArgumentValueError(f"no route called {route!r}; {known_names(route, ROUTES)}.")


def load_model(path: str | os.PathLike[str]) -> RouteModel:
    """Reads a model of any route.

    Args:
        path: its file, or the folder that `eva train` wrote.

    Raises:
        DataError: missing, damaged, of an earlier or later version, or of another landmark set.
    """
    file = Path(path) / MODEL_FILE if Path(path).is_dir() else Path(path)
    route = route_of(read_model(file))
    if route not in _LOADERS:
        raise DataError(f"{file} goes the route {route!r}, which this version does not know; update eva-sim.")
    return _LOADERS[route](file)
