"""Subcommands of a trained model: `export-model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eva_sim.cli.model_choice import ModelArgument, choose_model
from eva_sim.cli.preparation import work_in


def export_model(
    model: ModelArgument = None,
    out: Annotated[Path, typer.Option(help="folder for the ONNX file and its contract")] = Path("out/onnx"),
) -> None:
    """Writes an inverse model as ONNX, with its contract.

    The ONNX file takes aligned landmarks and gives whole commands. It is compared with the model first.
    """
    from eva_sim.agents.models.inverse import InverseModel
    from eva_sim.agents.models.onnx_export import CONTRACT_FILE, ONNX_FILE, export_onnx

    with work_in(out, f"Nothing was written to {out}."):
        export_onnx(InverseModel.load(choose_model(model)), out)
    Console().print(f"Done: {ONNX_FILE} and its contract {CONTRACT_FILE} are in {out}.", soft_wrap=True)
