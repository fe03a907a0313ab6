"""Trains the inverse model that comes with the package, `assets/models/eva/`, and writes its model card.

    python -m tools.build_model

It babbles 10,000 expressions of the twin and trains on them, in about ten minutes on two cores. An
interrupted call continues. Run it after every change of the head.
"""

from __future__ import annotations

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
from eva_sim.files import atomic_files, read_json

ROOT = Path(__file__).resolve().parents[1]
WORK, OUT = ROOT / "out" / "build_model", ROOT / "assets" / SHIPPED_MODEL
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
