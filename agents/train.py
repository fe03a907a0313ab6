"""Training on a babbled data set: fit, compare with the baselines on held-out faces, write the report."""

from __future__ import annotations

import os
import time

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.evaluation.scores import compare_with_baselines, plot_scores
from eva_sim.agents.models.inverse import MODEL_FILE, InverseModel, TrainingConfig, fit_inverse_model
from eva_sim.files import atomic_files, check_free_space, check_output_folder, write_json
from eva_sim.optional import import_optional

#: Size of a model's file, about [bytes].
MODEL_SIZE = 4e6


def train_inverse_model(
    data: Dataset, out: str | os.PathLike[str], config: TrainingConfig | None = None
) -> InverseModel:
    """Trains on most shards, tests on those held out, and writes the model and a report.

    Writes `inverse.pt`, `training.json` (config, metrics, error per actuator beside the baselines) and
    `training.png` into `out`; they appear together.

    Raises:
        DataError: too few samples, or `out` cannot be written.
        EvaError: matplotlib is not installed.
    """
    folder, config, started = check_output_folder(out), config or TrainingConfig(), time.perf_counter()
    import_optional("matplotlib", "train")  # which draws at the end
    check_free_space(folder, 2 * MODEL_SIZE, "model and report")
    data.check_size()
    training, held_out = data.split()
    model, history = fit_inverse_model(training, config)
    scores = compare_with_baselines(model, training, held_out, config.seed)
    report = {
        "digest": data.manifest.digest, "recipe": vars(config),
        "samples": {"training": len(training), "held_out": len(held_out)},
        "epochs": len(history), "validation_mae": min(history),
        "seconds": round(time.perf_counter() - started, 1), "mae": scores,
    }  # fmt: skip
    with atomic_files(folder) as part:
        model.save(part / MODEL_FILE)
        write_json(part / "training.json", report)
        plot_scores(scores, part / "training.png")
    return model
