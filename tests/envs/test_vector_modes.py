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
#: Those that differ in what they need of a process: threads of torch, of lanes, of the renderer.
QUICK = [("fork", "reduced", "landmarks"), ("fork", "full", "both"), ("spawn", "reduced", "both"),
         ("native", "reduced", "both"), ("native", "full", "landmarks")]  # fmt: skip
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

PROGRAM = """
import gymnasium as gym
import numpy as np
import eva_sim
{first}
envs = gym.make_vec("EVA/Pose-v0", num_envs=2, skin={skin!r}, observe={observe!r}, **{mode})
envs.reset(seed=0)
seen, reward, *_ = envs.step(np.zeros(envs.action_space.shape, np.float32))
assert np.isfinite(reward).all() and np.ptp(seen.get("image", [0, 1])) > 0
envs.close()
print("stepped")
"""


def run(mode: str, skin: str, observe: str, first: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in THREADS}
    program = PROGRAM.format(mode=MODES[mode], skin=skin, observe=observe, first=first)
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=240
    )


@pytest.mark.parametrize("choice", QUICK, ids="-".join)
def test_it_steps(choice: tuple[str, str, str]) -> None:
    done = run(*choice)
    assert done.returncode == 0 and done.stdout == "stepped\n", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("choice", [choice for choice in ALL if choice not in QUICK], ids="-".join)
def test_every_other_choice_steps(choice: tuple[str, str, str]) -> None:
    test_it_steps(choice)


PICTURE = 'gym.make("EVA/Pose-v0", render_mode="rgb_array", skin="reduced").unwrapped.face.render(32)'


def test_copies_with_pictures_after_a_picture_are_refused_at_once() -> None:
    done = run("fork", "reduced", "both", first=PICTURE)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "RenderError" in last and 'vector_kwargs={"context": "spawn"}' in last


@pytest.mark.parametrize(("mode", "observe"), [("spawn", "both"), ("fork", "landmarks")])
def test_what_the_refusal_names_works(mode: str, observe: str) -> None:
    done = run(mode, "reduced", observe, first=PICTURE)
    assert done.stdout == "stepped\n", done.stderr
