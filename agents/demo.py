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
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.agents.models.model_file import FORMAT, MODEL_FILE
from eva_sim.agents.train import train_inverse_model
from eva_sim.detector import Detector
from eva_sim.errors import DataError, EvaError
from eva_sim.files import asset, check_output_folder, read_json, write_json
from eva_sim.media.sources import open_source
from eva_sim.optional import import_optional
from eva_sim.progress import report

#: Written last into the folder of a stage, when it is finished.
STAMP_FILE = "demo.json"
METRICS_FILE = "metrics.json"
SAMPLES = 3000  # expressions; about five minutes on two cores
REPLAYS = 40  # held-out faces that are made again from predicted commands


def demo(out: Path, samples: int = SAMPLES) -> dict[str, Any]:
    """Runs the stages that are not done yet under `out`, and prints their results.

    Returns:
        The metrics of mirroring.

    Raises:
        EvaError: mirroring was cut; the next call repeats that stage.
    """
    _check_needs(out)
    console = Console()
    console.print("[bold]1/3 babble[/]: random expressions are recorded")
    data = out / "data"
    manifest = babble(data, samples)
    stamp = {"digest": manifest.digest, "samples": samples, "format": FORMAT}
    console.print("[bold]2/3 train[/]: a model learns which commands make which face")
    model = _train(out / "model", data, stamp)
    console.print("[bold]3/3 mirror[/]: the robot mirrors the clip of a person")
    metrics = _mirror(out / "mirror", model, stamp)
    for name in sorted(metrics["correlation"]):  # as in the file, from which a second call has them
        console.print(f"  {name:14s} {describe_measurement(name, metrics)}")
    for name in ("mirror/mirror.mp4", "mirror/mirror.png", "mirror/metrics.json", "model/inverse.pt"):
        console.print(f"  {out / name}")
    return metrics


def _check_needs(out: Path) -> None:
    """Finds what the last stage would lack before the first one takes minutes."""
    for stage in ("data", "model", "mirror"):
        check_output_folder(out / stage)
    import_optional("matplotlib", "train")
    with Detector():  # loads its model and the system libraries
        pass


def _train(out: Path, data_folder: Path, stamp: dict[str, Any]) -> InverseModel:
    """Returns the model of this data; trains it and replays held-out faces if that is not done yet."""
    if _is_done(out, stamp, MODEL_FILE):
        return InverseModel.load(out / MODEL_FILE)
    data = dataset.load_dataset(data_folder)
    model = train_inverse_model(data, out)
    held_out = data.split()[1]
    with make_face("twin") as face:
        errors = replay_errors(face, model, held_out.landmarks[:REPLAYS], data.manifest.settle)
    Console().print(f"replayed held-out faces: mean landmark error {errors['mean']:.2f} mm")
    write_json(out / STAMP_FILE, {**stamp, "replay_mm": errors})
    return model


def _mirror(out: Path, model: InverseModel, stamp: dict[str, Any]) -> dict[str, Any]:
    earlier = _read_if_there(out / METRICS_FILE)
    if earlier and not earlier.get("complete"):  # it was cut, or an earlier version does not tell
        report(f"{out} does not hold the whole clip, as far as it says; the clip is mirrored again.")
        (out / STAMP_FILE).unlink(missing_ok=True)
    if _is_done(out, stamp, METRICS_FILE, "mirror.mp4", "mirror.png"):
        return earlier
    with make_face("twin", style="fine") as face:
        metrics = mirror(open_source(asset("samples/person.mp4")), model, face, out)
    if not metrics["complete"]:
        raise EvaError(
            f"the clip was mirrored for {metrics['steps']:,} of {metrics['expected_steps']:,} steps "
            f"({metrics['ended']}); run the same command to mirror it again."
        )
    write_json(out / STAMP_FILE, stamp)
    return metrics


def _is_done(folder: Path, stamp: dict[str, Any], *results: str) -> bool:
    """Whether a stage was finished with the same face, amount of data and format, and its results are there.

    If not, the stamp of another run is removed, since the results are about to change.
    """
    stamped = _read_if_there(folder / STAMP_FILE)
    same = all(stamped.get(name) == value for name, value in stamp.items())
    if same and all((folder / name).is_file() for name in results):
        report(f"{folder} is done already.")
        return True
    (folder / STAMP_FILE).unlink(missing_ok=True)
    return False


def _read_if_there(path: Path) -> dict[str, Any]:
    """Content of a JSON file; empty if there is none, or it is damaged."""
    try:
        content = read_json(path)
    except DataError:
        return {}
    return content if isinstance(content, dict) else {}
