"""The whole path in one call: babble, learn, test, mirror the sample clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from eva_sim import make_face
from eva_sim.agents.data import dataset
from eva_sim.agents.data.babbling import babble
from eva_sim.agents.evaluation import scores
from eva_sim.agents.mirroring import mirror, video_panels
from eva_sim.agents.models import inverse
from eva_sim.contract import load_spec
from eva_sim.errors import DataError
from eva_sim.files import asset, read_json, write_json
from eva_sim.media import sources

SAMPLES = 3000  # expressions; about five minutes on two cores
REPLAYS = 40  # held-out faces that are made again from predicted commands


def demo(out: Path, samples: int = SAMPLES) -> dict[str, Any]:
    """Runs what is not done yet under `out`, and prints what came of it.

    Returns:
        The mirror's metrics.
    """
    console = Console()
    console.print("[bold]1/3 babble[/]: random muscles, watched")
    babble(out / "data", samples)
    console.print("[bold]2/3 train[/]: which muscles make which face")
    model = _model(out, samples)
    console.print("[bold]3/3 mimic[/]: a real person's clip")
    figures = _mimic(out, model, samples)
    for name in figures["correlation"]:
        console.print(f"  {name:14s} {video_panels.describe_measurement(name, figures)}")
    for name in ("mimic/mimic.mp4", "mimic/mimic.png", "mimic/metrics.json", "model/inverse.pt"):
        console.print(f"  {out / name}")
    return figures


def _model(out: Path, samples: int) -> inverse.InverseModel:
    """The trained model of this data, trained and replayed if need be."""
    stamp = _stamp(samples)
    if _done(out / "model" / "demo.json", stamp):
        return inverse.InverseModel.load(out / "model" / "inverse.pt")
    data = dataset.load_dataset(out / "data")
    model = inverse.train_inverse_model(data, out / "model")
    held_out = data.split()[1]
    with make_face("twin") as face:
        replayed = scores.replay_error(face, model, held_out.landmarks[:REPLAYS], data.manifest.settle)
    Console().print(f"replayed held-out faces: mean landmark error {replayed['mean']:.2f} mm")
    write_json(out / "model" / "demo.json", {**stamp, "replay_mm": replayed})
    return model


def _mimic(out: Path, model: inverse.InverseModel, samples: int) -> dict[str, Any]:
    stamp = _stamp(samples)
    if not _done(out / "mimic" / "demo.json", stamp):
        with make_face("twin") as face:
            mirror.mirror(sources.open_source(asset("samples/person.mp4")), model, face, out / "mimic")
        write_json(out / "mimic" / "demo.json", stamp)
    return read_json(out / "mimic" / "metrics.json")


def _stamp(samples: int) -> dict[str, Any]:
    return {"digest": load_spec().digest, "samples": samples, "format": inverse.FORMAT}


def _done(path: Path, stamp: dict[str, Any]) -> bool:
    """Whether a stage was finished with the same face, amount of data and format."""
    try:
        earlier = read_json(path)
    except DataError:
        return False
    return all(earlier.get(name) == value for name, value in stamp.items())
