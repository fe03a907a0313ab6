"""The demo: babble, train, replay, and mirror the sample clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from eva_sim import make_face
from eva_sim.agents.data import dataset
from eva_sim.agents.data.babbling import babble
from eva_sim.agents.evaluation.scores import replay_errors
from eva_sim.agents.mirroring.mirror import mirror
from eva_sim.agents.mirroring.video_panels import describe_measurement
from eva_sim.agents.models import inverse
from eva_sim.agents.train import train_inverse_model
from eva_sim.errors import DataError
from eva_sim.files import asset, read_json, write_json
from eva_sim.media.sources import open_source

SAMPLES = 3000  # expressions; about five minutes on two cores
REPLAYS = 40  # held-out faces that are made again from predicted commands


def demo(out: Path, samples: int = SAMPLES) -> dict[str, Any]:
    """Runs the stages that are not done yet under `out`, and prints their results.

    Returns:
        The metrics of mirroring.
    """
    console = Console()
    console.print("[bold]1/3 babble[/]: random expressions are recorded")
    data = out / "data"
    manifest = babble(data, samples)
    stamp = {"digest": manifest.digest, "samples": samples, "format": inverse.FORMAT}
    console.print("[bold]2/3 train[/]: a model learns which commands make which face")
    model = _train(out / "model", data, stamp)
    console.print("[bold]3/3 mirror[/]: the robot mirrors the clip of a person")
    metrics = _mirror(out / "mirror", model, stamp)
    for name in metrics["correlation"]:
        console.print(f"  {name:14s} {describe_measurement(name, metrics)}")
    for name in ("mirror/mirror.mp4", "mirror/mirror.png", "mirror/metrics.json", "model/inverse.pt"):
        console.print(f"  {out / name}")
    return metrics


def _train(out: Path, data_folder: Path, stamp: dict[str, Any]) -> inverse.InverseModel:
    """Returns the model of this data; trains it and replays held-out faces if that is not done yet."""
    if _is_done(out, stamp):
        return inverse.InverseModel.load(out / inverse.MODEL_FILE)
    data = dataset.load_dataset(data_folder)
    model = train_inverse_model(data, out)
    held_out = data.split()[1]
    with make_face("twin") as face:
        errors = replay_errors(face, model, held_out.landmarks[:REPLAYS], data.manifest.settle)
    Console().print(f"replayed held-out faces: mean landmark error {errors['mean']:.2f} mm")
    write_json(out / "demo.json", {**stamp, "replay_mm": errors})
    return model


def _mirror(out: Path, model: inverse.InverseModel, stamp: dict[str, Any]) -> dict[str, Any]:
    if not _is_done(out, stamp):
        with make_face("twin") as face:
            mirror(open_source(asset("samples/person.mp4")), model, face, out)
        write_json(out / "demo.json", stamp)
    return read_json(out / "metrics.json")


def _is_done(folder: Path, stamp: dict[str, Any]) -> bool:
    """Whether a stage was finished with the same face, amount of data and format."""
    try:
        earlier = read_json(folder / "demo.json")
    except DataError:
        return False
    return all(earlier.get(name) == value for name, value in stamp.items())
