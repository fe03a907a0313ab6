"""Trains the inverse model that comes with the package, `assets/models/eva/`, and writes its model card.

    python -m tools.build_model

It babbles 10,000 expressions of the twin and trains on them, in about ten minutes on two cores. A call
that was interrupted goes on if the head is still the same. Run it after every change of the head.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from eva_sim import make_face
from eva_sim.agents.data.babbling import babble
from eva_sim.agents.data.dataset import Dataset, load_dataset
from eva_sim.agents.demo import REPLAYS
from eva_sim.agents.evaluation.scores import replay_errors
from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.agents.train import train_inverse_model
from eva_sim.contract import FaceSpec, load_spec
from eva_sim.files import atomic_files, atomic_path, read_json
from eva_sim.skin.anatomy import load_anatomy

ROOT = Path(__file__).resolve().parents[1]
WORK, OUT = ROOT / "out" / "build_model", ROOT / "assets" / SHIPPED_MODEL
#: Files of a head's folder on which its babbled faces depend.
HEAD = (
    "face.toml", "robot.toml", "precomputed/landmark_embedding.npz", "precomputed/reduced_skin.npz",
)  # fmt: skip
SAMPLES = 10_000  # more than the demo takes, since nobody waits for them
CARD = """\
# Model card: inverse model of EVA
`inverse.pt` is a network with two hidden layers: from the aligned landmarks of a face to the 25 commands that
make it. `eva mirror` uses it where there is no model of the user's own.

- **Data:** {samples} expressions of the twin with its skin `full`, drawn and settled by `eva babble`,
  seed {seed}. No people.
- **Held-out error:** {mae:.4f} of the actuators' travel, mean absolute, on {held_out} expressions;
  nearest neighbour {nearest:.4f}, neutral command {neutral:.4f}.
- **Replay:** the landmarks of {replays} held-out faces, made again from predicted commands, are
  {replay:.2f} mm off on average.
- **For:** the actuator table with this digest; another one is refused.
  `{digest}`
- **Not for:** people's faces directly. `eva mirror` maps them into the robot's range first.
- **Made by:** `python -m tools.build_model`. Licence: that of the project.
"""


def build_model(work: Path, out: Path) -> None:
    """Babbles and trains under `work`, then writes model and card into `out`."""
    prepare_work_folder(work, load_spec())
    manifest = babble(work / "data", SAMPLES, image_size=None)
    data = load_dataset(work / "data")
    model = train_inverse_model(data, work / "model")
    with make_face("twin") as face:
        errors = replay_errors(face, model, data.split()[1].landmarks[:REPLAYS], manifest.settle)
    report = read_json(work / "model" / "training.json")
    out.mkdir(parents=True, exist_ok=True)
    with atomic_files(out) as part:
        shutil.copy(work / "model" / MODEL_FILE, part / MODEL_FILE)
        (part / "README.md").write_text(model_card(report, data, errors["mean"]))


def prepare_work_folder(work: Path, spec: FaceSpec) -> None:
    """Empties `work`, unless a call was interrupted there and the head is still the same.

    A data set tells its actuator table only, so faces of another skin would go unnoticed.
    """
    mark, head = work / "head.txt", head_digest(spec)
    finished = (work / "model" / MODEL_FILE).exists()
    if not finished and mark.exists() and mark.read_text() == head:
        return
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    with atomic_path(mark) as part:
        part.write_text(head)


def head_digest(spec: FaceSpec) -> str:
    """Returns the SHA-256 of everything in a head's folder that its babbled faces depend on."""
    digest = hashlib.sha256(load_anatomy(spec).digest.encode())
    for name in HEAD:
        digest.update(Path(spec.file(name)).read_bytes())
    return digest.hexdigest()


def model_card(report: dict[str, Any], data: Dataset, replay: float) -> str:
    """Returns the model card for a training report."""
    overall = report["mae"]["overall"]
    return CARD.format(
        samples=sum(report["samples"].values()), held_out=report["samples"]["held_out"],
        seed=data.manifest.seed, mae=overall["model"], nearest=overall["nearest"], neutral=overall["neutral"],
        replays=REPLAYS, replay=replay, digest=report["digest"],
    )  # fmt: skip


if __name__ == "__main__":
    build_model(WORK, OUT)
    print(f"wrote {OUT / MODEL_FILE}")
