"""`gym.make_vec` in every mode, with each skin, with and without pictures: none waits for ever.

Each is made in a fresh process, without any variable for threads, as a user's script would make it.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

MODES = {
    "sync": {"vectorization_mode": "sync"},
    "fork": {"vectorization_mode": "async", "vector_kwargs": {"context": "fork"}},
    "spawn": {"vectorization_mode": "async", "vector_kwargs": {"context": "spawn"}},
    "native": {"vectorization_mode": "vector_entry_point"},
}
SKINS = ("full", "fine", "dynamic", "reduced")
ALL = list(itertools.product(MODES, SKINS, ("landmarks", "both")))
#: Those that differ in what they need of a process: threads of torch, of lanes, of the renderer. Spawned
#: ones, and forks without pictures, come after a picture below.
QUICK = [("fork", "full", "both"), ("native", "reduced", "both"), ("native", "full", "landmarks")]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

PROGRAM = """
import gymnasium as gym
import numpy as np
import eva_sim

def step(skin, observe, **mode):
    envs = gym.make_vec("EVA/Pose-v0", num_envs=2, skin=skin, observe=observe, **mode)
    envs.reset(seed=0)
    seen, reward, *_ = envs.step(np.zeros(envs.action_space.shape, np.float32))
    assert np.isfinite(reward).all() and np.ptp(seen.get("image", [0, 1])) > 0
    envs.close()
    print("stepped")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in THREADS}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize("choice", QUICK, ids="-".join)
def test_it_steps(choice: tuple[str, str, str]) -> None:
    mode, skin, observe = choice
    done = run(f"step({skin!r}, {observe!r}, **{MODES[mode]})")
    assert done.returncode == 0 and done.stdout == "stepped\n", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("choice", [choice for choice in ALL if choice not in QUICK], ids="-".join)
def test_every_other_choice_steps(choice: tuple[str, str, str]) -> None:
    test_it_steps(choice)


AFTER_A_PICTURE = f"""
from eva_sim.errors import RenderError
gym.make("EVA/Pose-v0", render_mode="rgb_array", skin="reduced").unwrapped.face.render(32)
try:
    step("reduced", "both", **{MODES["fork"]})
except RenderError as error:
    print(error)
step("reduced", "landmarks", **{MODES["fork"]})
step("reduced", "both", **{MODES["spawn"]})
"""


def test_after_a_picture_copies_with_pictures_are_refused_and_what_the_refusal_names_works() -> None:
    done = run(AFTER_A_PICTURE)
    assert done.returncode == 0, done.stderr
    refused, *stepped = done.stdout.splitlines()
    assert 'vector_kwargs={"context": "spawn"}' in refused and stepped == ["stepped", "stepped"]
