"""Subcommands of a trained model: `evaluate`, `export-model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eva_sim.cli import options
from eva_sim.cli.model_choice import ModelArgument, choose_model
from eva_sim.cli.output import as_json, print_result, remark
from eva_sim.cli.preparation import work_in


def evaluate(
    model: ModelArgument = None,
    data: Annotated[
        Path | None,
        typer.Option(help="data set to which the baselines are fitted; by default 3,000 faces are babbled"),
    ] = None,
    out: Annotated[Path, typer.Option(help="folder for table, sheet and faces")] = Path("out/evaluation"),
    faces: Annotated[int, typer.Option(min=1, help="new faces of each seed")] = 40,
    seeds: Annotated[int, typer.Option(min=1, help="number of seeds")] = 3,
    noise: Annotated[
        float, typer.Option(min=0, max=0.1, help="noise of each coordinate [outer-eye distances]")
    ] = 0.003,
    workers: options.Workers = 1,
    ray: options.Ray = None,
) -> None:
    """Scores a model beside its baselines on new faces.

    All see the same noisy landmarks. Their commands are replayed on the twin. Finished seeds are kept.
    """
    from eva_sim.agents.data.dataset import load_dataset
    from eva_sim.agents.evaluate import REPORT_FILE, SHEET_FILE, EvaluationConfig, evaluate_model
    from eva_sim.agents.models.routes import load_model
    from eva_sim.workers.choice import choose_workers

    with work_in(out, f"{out} keeps the finished seeds.", goes_on=True):
        helpers = choose_workers(workers, out, ray)
        chosen = load_model(choose_model(model))
        fitted = None if data is None else load_dataset(data)
        report = evaluate_model(chosen, out, EvaluationConfig(faces, seeds, noise), fitted, helpers)
    if as_json():
        print_result({"folder": out, **report})
    remark(f"Done: {REPORT_FILE} and {SHEET_FILE} are in {out}.")


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
        contract = export_onnx(InverseModel.load(choose_model(model)), out)
    told = f"Done: {ONNX_FILE} and its contract {CONTRACT_FILE} are in {out}."
    print_result({"folder": out, "contract": contract}, told)
