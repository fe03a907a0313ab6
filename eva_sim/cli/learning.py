"""Subcommands that learn: `babble`, `train`, `demo`, `fit`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from eva_sim.cli import options
from eva_sim.cli.output import as_json, print_result, remark
from eva_sim.cli.preparation import work_in
from eva_sim.progress import report


def babble(
    out: Annotated[Path, typer.Option(help="folder to fill")] = Path("out/data"),
    samples: Annotated[int, typer.Option(min=1, help="number of expressions")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="seed of the random expressions")] = 0,
    workers: options.Workers = 2,
    ray: options.Ray = None,
    resume: Annotated[bool, typer.Option(help="continue with the content of the folder")] = True,
    picture_size: Annotated[
        int,
        typer.Option(min=32, max=512, help="side of the pictures [pixels]; 96 or more for `--route image`"),
    ] = 64,
    style: Annotated[
        str, typer.Option(help="style of the pictures: plain, or fast or fine in studio light")
    ] = "plain",
    neutral: Annotated[float, typer.Option(min=0, max=1, help="share of the samples that rest")] = 0.0,
) -> None:
    """Records random expressions; stops and resumes.

    The data set holds commands, landmarks and small pictures.
    """
    from eva_sim.agents.data import babbling
    from eva_sim.agents.data.dataset import SHARDS_TO_TRAIN, count_shards
    from eva_sim.twin.head_camera import check_style
    from eva_sim.workers.choice import choose_workers

    check_style(style, "blue")

    def describe_kept() -> str:
        parts = count_shards(out)
        return f"{out} keeps the finished parts: {parts}." if parts else f"{out} holds no finished part yet."

    with work_in(out, describe_kept, goes_on=True):
        babbling.babble(
            out, samples, seed, workers=choose_workers(workers, out, ray), resume=resume,
            image_size=picture_size, options={} if style == "plain" else {"style": style},
            neutral_share=neutral,
        )  # fmt: skip
    least = SHARDS_TO_TRAIN * babbling.SHARD_SIZE
    if samples < least:
        report(f"{out} has {samples} expressions; training needs {least}. Add some with --samples {least}.")
    print_result({"folder": out, "samples": samples}, f"{out}")


def train(
    data: Annotated[Path, typer.Argument(help="folder that babbling filled")],
    out: Annotated[Path, typer.Option(help="folder for the checkpoint and its report")] = Path("out/model"),
    route: Annotated[
        str,
        typer.Option(
            help="direct: landmarks to commands. image: landmarks to a picture that the robot imagines of "
            "itself, and from the picture to commands. linear: ridge regression. history: direct, "
            "corrected by what was asked, sent and read lately",
            autocompletion=options.one_of(["direct", "image", "linear", "history"]),
        ),
    ] = "direct",
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="write the losses into a folder tensorboard beside the model (extra: tensorboard)",
        ),
    ] = False,
) -> None:
    """Learns commands from landmarks in a babbled data set.

    The result is the inverse model, with its report. The training stops and resumes.
    """
    from eva_sim.agents.data.dataset import load_dataset
    from eva_sim.agents.models.routes import check_route
    from eva_sim.agents.models.training_log import EVENTS, log_to_tensorboard
    from eva_sim.agents.models.training_state import STATES
    from eva_sim.agents.train import train_model

    check_route(route)

    def describe_kept() -> str:
        states = any(out.glob(f"*{STATES}"))
        return f"{out} keeps the state of the training." if states else f"No model was written to {out}."

    log = log_to_tensorboard(out / EVENTS) if tensorboard else nullcontext()
    with work_in(out, describe_kept, goes_on=True), log:
        train_model(load_dataset(data), out, route)
    print_result({"folder": out, "route": route}, f"{out}")


def demo(out: Annotated[Path, typer.Option(help="folder for all results")] = Path("out/demo")) -> None:
    """Babbles, trains and mirrors the sample clip.

    Running it again is quick: finished stages are kept.
    """
    from eva_sim.agents import demo as whole_path

    with work_in(out, f"{out} keeps what is finished.", goes_on=True):
        metrics = whole_path.demo(out)
    if as_json():
        print_result({"folder": out, "metrics": metrics})


def solve_command(
    target: Annotated[str, typer.Argument(help="expression, .npz with landmarks, or picture of a person")],
    out: Annotated[Path, typer.Option(help="folder for command, residual and picture")] = Path("out/fit"),
) -> None:
    """Finds the command nearest to a given face.

    Of a picture, the face is guessed first: the robot's face nearest to the person's.
    The search runs through the reduced skin and ends on the full one.
    """
    from eva_sim.agents.optimisation.solve_command import write_solution

    with work_in(out, f"Nothing was written to {out}."):
        solution = write_solution(target, out)
    print_result(solution)
    remark(f"Done: fit.json and fit.png are in {out}.")
