"""The wheel in an empty environment of each Python that it is for, outside the checkout.

Pythons that are not installed are skipped. Their environments are kept in `out/clients`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients
ROOT = Path(__file__).resolve().parents[2]
INSTALLING, RUNNING = 1800, 600
PYTHONS = ("3.11", "3.12", "3.13")
CHECK = """
import sys
import gymnasium as gym
import eva_sim
from eva_sim.errors import EvaError

env = gym.make("EVA/Pose-v0", render_mode="rgb_array")
env.reset(seed=1)
env.step(env.action_space.sample())
assert env.render().std() > 10
with eva_sim.make_face("twin", style="fast") as twin:
    twin.reset()
    assert twin.render(64).std() > 10
with eva_sim.make_face("mock", camera_size=None) as robot:
    robot.reset()
try:
    gym.make("EVA/Pose-v0", neck="legs").reset()
    legs = True
except EvaError as error:
    assert "pip install 'pybullet>=3.2.6'" in str(error), error
    legs = False
assert legs == (sys.version_info < (3, 12))
try:
    from eva_sim.detector import Detector
    Detector()
    raise SystemExit("the detector needs no extra")
except EvaError as error:
    assert "eva-sim[mirror]" in str(error), error
"""


@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_works_in_an_empty_environment(version: str, tmp_path: Path) -> None:
    python = shutil.which(f"python{version}")
    found = python and subprocess.run([python, "-c", ""], capture_output=True, timeout=60).returncode == 0
    if not found:
        pytest.skip(f"no python{version} here")
    place, dist = ROOT / "out" / "clients" / f"python{version}", tmp_path / "dist"
    here = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    build: list[str | Path] = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        dist,
        ROOT,
    ]
    subprocess.run(build, check=True, timeout=INSTALLING, capture_output=True)
    if not place.exists():
        subprocess.run([str(python), "-m", "venv", place], check=True, timeout=INSTALLING, env=here)
    pip: list[str | Path] = [place / "bin/python", "-m", "pip", "install", "--quiet"]
    (wheel,) = dist.glob("*.whl")
    subprocess.run([*pip, wheel], check=True, timeout=INSTALLING, env=here)
    subprocess.run([*pip, "--no-deps", "--force-reinstall", wheel], check=True, timeout=INSTALLING, env=here)
    commands: list[list[str | Path]] = [[place / "bin/python", "-c", CHECK], [place / "bin/eva", "doctor"]]
    for command in commands:
        done = subprocess.run(
            command, cwd=tmp_path, env=here, timeout=RUNNING, text=True, capture_output=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
