"""Files of models: written whole or not at all, and checked before anything in them is used.

Every model that turns landmarks into commands is one file with the same name, `MODEL_FILE`. The file says by
which route it goes: `direct`, `image` or `linear`.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from eva_sim.agents.data.dataset import check_landmark_set
from eva_sim.errors import DataError
from eva_sim.files import atomic_path, require_regular_file, unreadable
from eva_sim.landmarks import POINTS

MODEL_FILE = "inverse.pt"
#: Rises when earlier models can no longer be read. 4: the forward model is of third order.
FORMAT = 4
_NO_MODEL = "is damaged or not a model"
_REMEDY = "train it again with `eva train`"
#: What reading an entry raises that is missing or wrong.
_WRONG_ENTRY = (KeyError, AttributeError, RuntimeError, TypeError, ValueError)


def write_content(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Writes numbers, texts and tensors atomically."""
    buffer = io.BytesIO()  # torch itself hides why a file could not be written
    torch.save(content, buffer)
    with atomic_path(path) as part:
        part.write_bytes(buffer.getbuffer())


def read_content(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what `write_content` wrote; runs no code that a file may hold.

    Raises:
        Exception: the file is missing, damaged or of another kind; zip, pickle and torch each have their own.
    """
    with zipfile.ZipFile(path) as file:
        if file.testzip():  # torch itself does not look at checksums
            raise ValueError("wrong checksum")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise ValueError("it holds no entries")
    return content


def write_model(path: str | os.PathLike[str], route: str, content: dict[str, Any]) -> None:
    """Writes a model atomically.

    Args:
        path: of the file.
        route: from landmarks to commands.
        content: of the model, with the entries of `BabbledFace.content`.
    """
    write_content(path, {"format": FORMAT, "route": route, "points": list(POINTS), **content})


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the content of a model's file; `route_of` tells the route.

    Raises:
        DataError: missing, damaged, of an earlier version, or of another landmark set.
    """
    if not Path(path).exists():
        raise DataError(f"{path} does not exist; train a model with `eva train`.")
    require_regular_file(path)
    try:
        content = read_content(path)
        version, points = content.get("format"), tuple(content["points"])
    except Exception as error:  # zip, pickle and torch each have their own
        raise unreadable(path, error, _REMEDY, _NO_MODEL) from error
    if version != FORMAT:
        raise DataError(f"{path} was trained by an earlier version; train it again with `eva train`.")
    check_landmark_set(points, str(path))
    return content


def route_of(content: dict[str, Any]) -> str:
    """Returns the route of a model's content. Files without that entry go the direct route."""
    return str(content.get("route", "direct"))


def read_model_of(path: str | os.PathLike[str], route: str) -> dict[str, Any]:
    """Reads the content of a model that must go a certain route.

    Raises:
        DataError: as of `read_model`, or it goes another route.
    """
    content = read_model(path)
    if route_of(content) != route:
        raise DataError(
            f"{path} goes the route {route_of(content)!r}, not {route!r}; "
            "open it with `load_model`, or name another file."
        )
    return content


@contextmanager
def explain_wrong_entries(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the errors of entries that are missing or wrong into one that says what to do.

    Raises:
        DataError: an entry is missing or wrong.
    """
    try:
        yield
    except _WRONG_ENTRY as error:
        raise unreadable(path, error, _REMEDY, _NO_MODEL) from error
