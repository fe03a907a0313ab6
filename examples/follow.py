"""A trained policy follows a moving face, on whichever body.

    python examples/follow.py --body twin      # then virtual, mock, or robot
    python examples/follow.py --body virtual --model out/demo/model --out out/follow.png

The model comes from `eva demo` or `eva train`. Prints how far the face was from the one it was to make,
beside a face that never moved, and writes a strip: the face asked for above, the body's picture below.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import eva_sim
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.errors import EvaError
from eva_sim.files import atomic_path
from eva_sim.settling import reset_and_hold

PICTURES, SIZE = 6, 240


def main() -> None:
    options = asked()
    model = InverseModel.load(options.model / "inverse.pt")
    where = {"board": options.board, "port": options.port} if options.body == "robot" else {}
    env = gym.make(
        "EVA/Mimic-v0", body=options.body, episode_steps=options.steps, render_mode="rgb_array", **where
    )
    errors, still, faults, shown = follow(env, model, options.expression, options.seed)
    env.close()
    print(f"{options.body}: landmarks {np.mean(errors):.2f} mm from the target (p95 {p95(errors):.2f})")
    print(f"a face at rest would be {np.mean(still):.2f} mm away (p95 {p95(still):.2f})")
    print("faults:", ", ".join(f"{fault} ({count} steps)" for fault, count in faults.items()) or "none")
    with atomic_path(options.out) as part:
        strip(shown).save(part, "png")
    print(options.out)


def follow(
    env: Any, model: InverseModel, expression: str, seed: int
) -> tuple[list[float], list[float], Counter[str], list[tuple[Any, NDArray[np.uint8]]]]:
    """One episode: the errors [mm], those of a resting face, faults, and some pictures with their target."""
    face, steps = env.unwrapped.face, env.unwrapped.episode_steps
    goal = {} if expression == "random" else {"expression": expression}
    observation, _ = env.reset(seed=seed, options=goal)
    errors, still, faults, shown = [], [], Counter[str](), []
    for step in range(steps):
        observation, _, _, _, info = env.step(model.predict(observation["target"]))
        away = observation["target"] - face.neutral_landmarks
        still.append(1000 * face.outer_eye * float(np.linalg.norm(away, axis=1).mean()))
        errors.append(info["landmark_error_mm"])
        faults.update(info["faults"])
        if (step + 1) % (steps // PICTURES) == 0:
            shown.append((info["target_command"], env.render()))
    return errors, still, faults, shown


def strip(shown: list[tuple[Any, NDArray[np.uint8]]]) -> Image.Image:
    """The faces asked for, as the twin makes them, without gaze and pose, which landmarks do not show."""
    whole = Image.new("RGB", (SIZE * len(shown), 2 * SIZE))
    with eva_sim.make_face("twin") as twin:
        silent = twin.spec.where("eye", "leg")
        for column, (command, picture) in enumerate(shown):
            command[silent] = twin.spec.neutral[silent]
            reset_and_hold(twin, command)
            whole.paste(Image.fromarray(twin.render(SIZE)), (SIZE * column, 0))
            whole.paste(Image.fromarray(picture).resize((SIZE, SIZE)), (SIZE * column, SIZE))
    return whole


def p95(values: list[float]) -> float:
    return float(np.percentile(values, 95))


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--body", default="twin", choices=("twin", "virtual", "mock", "robot"))
    parser.add_argument("--board", default="firmware", help="of the physical robot, see docs/boards.md")
    parser.add_argument("--port", default="auto", help="of that board")
    parser.add_argument("--model", type=Path, default=Path("out/demo/model"))
    parser.add_argument("--out", type=Path, default=Path("out/follow.png"))
    parser.add_argument("--expression", default="surprise", help="that comes and goes; or random, many")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1, help="of the path to follow")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except EvaError as error:
        raise SystemExit(f"follow: {error}") from None
