"""Which inverse model a command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eva_sim.cli.output import remark
from eva_sim.errors import DataError
from eva_sim.files import asset, read_json

_HELP = (
    "folder or file that `eva train` wrote; by default out/model, or else the demo's, or else "
    "the one that comes with the package"
)
ModelArgument = Annotated[Path | None, typer.Argument(help=_HELP, show_default=False)]
ModelOption = Annotated[Path | None, typer.Option(help=_HELP)]
#: Where a model is looked for first: what `eva train` writes, then what `eva demo` writes.
_MODELS = (Path("out/model"), Path("out/demo/model"))


def choose_model(model: Path | None) -> Path:
    """Returns the file of the model that was named, or else of the default one, and says which that is.

    Args:
        model: its folder or file; None for the default.

    Raises:
        DataError: the default one is missing from the installation.
    """
    from eva_sim.agents.models.model_file import MODEL_FILE

    model = model or default_model()
    return model / MODEL_FILE if model.is_dir() else model


def default_model() -> Path:
    """Returns the folder of the user's own model, or else of the demo's, or else of the one that is shipped.

    Says which it is, why, and how to take another.

    Raises:
        DataError: the installation lacks that one.
    """
    from eva_sim.agents.models.inverse import SHIPPED_MODEL
    from eva_sim.agents.models.model_file import MODEL_FILE

    shipped = asset(SHIPPED_MODEL)
    folder = next((folder for folder in _MODELS if (folder / MODEL_FILE).exists()), None)
    if folder is None:
        absent = " nor ".join(map(str, _MODELS))
        remark(f"The model is the one that comes with the package, since there is neither {absent}.")
        return shipped
    others = f"name another to use that, such as the package's: {shipped}"
    remark(f"The model is that of {folder}, {_origin(folder)}; {others}")
    return folder


def _origin(folder: Path) -> str:
    """Says where a model in a folder is from, as far as its report tells."""
    try:
        samples = read_json(folder / "training.json")["samples"]
        return f"learned from {samples['training'] + samples['held_out']:,} expressions"
    except (DataError, KeyError, TypeError):
        return "which lies here"
