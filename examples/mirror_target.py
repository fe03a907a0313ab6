"""A trained model mirrors a moving target face, on any body.

    python examples/mirror_target.py --body twin      # then virtual, mock, or robot
    python examples/mirror_target.py --body virtual --model out/demo/model --out out/mirror_target.png

The model is the one that comes with the package, or one of `eva demo` or `eva train`. The script prints the
distance between the face and its target, beside that of a face that never moves, and writes a strip of
pictures: targets above, body below.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import eva_sim
from eva_sim.agents.models.inverse import SHIPPED_MODEL, InverseModel
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.contact_sheet import check_picture_name, draw_contact_sheet, save_picture
from eva_sim.errors import EvaError
from eva_sim.files import asset, check_output_file
from eva_sim.progress import progress
from eva_sim.settling import reset_and_hold

PICTURES, SIZE = 6, 240


@dataclass
class Episode:
    """Results of one episode.

    Attributes:
        errors: mean distance of the landmarks from the target, by step [mm].
        rest_errors: the same of a face at rest [mm].
        faults: number of steps with each fault.
        pictures: some commands of the target, each with the body's picture.
    """

    errors: list[float] = field(default_factory=list)
    rest_errors: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    pictures: list[tuple[Any, NDArray[np.uint8]]] = field(default_factory=list)


def main() -> None:
    options = parse_options()
    check_picture_name(options.out)
    check_output_file(options.out)
    model = InverseModel.load(options.model / MODEL_FILE)
    connection = {"board": options.board, "port": options.port} if options.body == "robot" else {}
    env = gym.make(
        "EVA/Mimic-v0",
        body=options.body,
        max_episode_steps=options.steps,
        render_mode="rgb_array",
        **connection,
    )
    episode = run_episode(env, model, options.expression, options.seed)
    env.close()
    print(f"{options.body}: landmarks {summary(episode.errors)} from the target")
    print(f"a face at rest: {summary(episode.rest_errors)}")
    faults = ", ".join(f"{fault} ({count} steps)" for fault, count in episode.faults.items())
    print("faults:", faults or "none")
    save_picture(draw_strip(episode.pictures, options.body), options.out)
    print(options.out)


def run_episode(env: Any, model: InverseModel, expression: str, seed: int) -> Episode:
    face, steps = env.unwrapped.face, env.spec.max_episode_steps
    goal = {} if expression == "random" else {"expression": expression}
    observation, _ = env.reset(seed=seed, options=goal)
    episode = Episode()
    for step in progress(range(steps), "mirror", unit="steps"):
        observation, _, _, _, info = env.step(model.predict(observation["target"]))
        distance = np.linalg.norm(observation["target"] - face.neutral_landmarks, axis=1).mean()
        episode.rest_errors.append(1000 * face.outer_eye * float(distance))
        episode.errors.append(info["landmark_error_mm"])
        episode.faults.update(info.get("faults", ()))
        if (step + 1) % (steps // PICTURES) == 0:
            episode.pictures.append((info["target_command"], env.render()))
    return episode


def draw_strip(pictures: list[tuple[Any, NDArray[np.uint8]]], body: str) -> Image.Image:
    """The targets as the twin makes them, without gaze and pose, which landmarks do not show."""
    targets, bodies = [], []
    with eva_sim.make_face("twin") as twin:
        not_shown = twin.spec.where("eye", "leg")
        for command, picture in pictures:
            command[not_shown] = twin.spec.neutral[not_shown]
            reset_and_hold(twin, command)
            targets.append(("target", twin.render(SIZE)))
            bodies.append((body, np.asarray(Image.fromarray(picture).resize((SIZE, SIZE)))))
    return draw_contact_sheet(targets + bodies, columns=len(pictures))


def summary(errors: list[float]) -> str:
    return f"{np.mean(errors):.2f} mm (p95 {np.percentile(errors, 95):.2f} mm)"


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--body", default="twin", choices=("twin", "virtual", "mock", "robot"))
    parser.add_argument("--board", default="firmware", help="of the physical robot, see docs/boards.md")
    parser.add_argument("--port", default="auto", help="serial port of that board")
    parser.add_argument("--model", type=Path, default=asset(SHIPPED_MODEL), help="folder of a trained model")
    parser.add_argument("--out", type=Path, default=Path("out/mirror_target.png"))
    parser.add_argument(
        "--expression", default="surprise", help="expression that comes and goes, or `random` ones"
    )
    parser.add_argument("--steps", type=int, default=250, help="control steps")
    parser.add_argument("--seed", type=int, default=1, help="of the sequence of targets")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except EvaError as error:
        raise SystemExit(f"mirror_target: {error}") from None
