"""Known returns: what policies that need no training reach on both environments.

    python -m benchmarks.returns [--json FILE] [--copies 64] [--skin full] [--seed 2000000] [--model FOLDER]

Each policy has one episode on each copy, with equal targets, drawn by babbling, and equal bodies. `error` is
the mean landmark error over whole episodes [mm], `settled` that of their second half, with a 95 % interval
over the episodes, `jitter` the root mean square of the change of command in a step of the second half. The
told command is that which made the target: the best that can be reached of a still face; on another body, or
of a moving face, a policy can do better. The inverse model is the one that comes with the package.
A model of any route, such as one with history, gets a row of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gymnasium as gym

from eva_sim.agents.models.following import ModelPolicy
from eva_sim.agents.models.inverse import SHIPPED_MODEL, InverseModel
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.agents.models.routes import load_model
from eva_sim.envs.evaluation import Policy, known_policies, score_policies, score_table
from eva_sim.errors import EvaError
from eva_sim.files import asset, write_json
from eva_sim.registration import IDS


def policies(options: argparse.Namespace) -> dict[str, Policy]:
    inverse = InverseModel.load(asset(SHIPPED_MODEL) / MODEL_FILE)
    known = known_policies(inverse.spec, options.seed) | {"inverse model": ModelPolicy(inverse)}
    if options.model:
        model = load_model(options.model)
        known[f"{model.route} model"] = ModelPolicy(model)
    return known


def measure(name: str, randomise: bool, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    envs: Any = gym.make_vec(
        name,
        options.copies,
        vectorization_mode="vector_entry_point",
        skin=options.skin,
        targets="babbling",
        randomise=randomise,
    )
    scores = score_policies(envs, policies(options), options.seed)
    envs.close()
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--copies", type=int, default=64, help="episodes of each policy")
    parser.add_argument("--skin", default="full", choices=("full", "reduced"))
    parser.add_argument("--seed", type=int, default=2_000_000, help="of bodies and targets")
    parser.add_argument("--model", type=Path, help="folder of another model, of any route")
    options = parser.parse_args()
    found = {}
    for name in IDS:
        for randomise in (False, True):
            found[f"{name} randomise={randomise}"] = scores = measure(name, randomise, options)
            print(f"{name}, randomise={randomise}, {options.skin} skin", score_table(scores), "", sep="\n")
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    try:
        main()
    except EvaError as error:
        raise SystemExit(f"returns: {error}") from None
