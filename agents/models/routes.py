"""The routes from landmarks to commands, and the one function that opens a model of any of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from eva_sim.agents.models.history import HistoryModel
from eva_sim.agents.models.image_route import ImageRoute
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.agents.models.linear import LinearModel
from eva_sim.agents.models.model_file import MODEL_FILE, read_model, route_of
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.errors import ArgumentValueError, DataError, known_names

_MODELS: Mapping[str, type[RouteModel]] = {
    model.route: model for model in (InverseModel, ImageRoute, LinearModel, HistoryModel)
}
#: Names of the routes; the first is the default.
ROUTES = tuple(_MODELS)


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
    if route not in _MODELS:
        raise DataError(f"{file} goes the route {route!r}, which this version does not know; update eva-sim.")
    return _MODELS[route].load(file)
