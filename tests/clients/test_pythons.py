"""The wheel in an empty environment of each Python that it is for, outside the checkout.

Pythons that are not installed are skipped. Their environments are kept in `out/clients`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.checkout import ROOT, build_wheel
from tests.clients.installed_pythons import find_python

pytestmark = pytest.mark.clients
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("checkout"))


@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_works_in_an_empty_environment(version: str, wheel: Path, tmp_path: Path) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no python{version} here")
    place = ROOT / "out" / "clients" / f"python{version}"
    here = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if not place.exists():
        subprocess.run([python, "-m", "venv", place], check=True, timeout=INSTALLING, env=here)
    pip: list[str | Path] = [place / "bin/python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, wheel], check=True, timeout=INSTALLING, env=here)
    subprocess.run([*pip, "--no-deps", "--force-reinstall", wheel], check=True, timeout=INSTALLING, env=here)
    commands: list[list[str | Path]] = [[place / "bin/python", "-c", CHECK], [place / "bin/eva", "doctor"]]
    for command in commands:
        done = subprocess.run(
            command, cwd=tmp_path, env=here, timeout=RUNNING, text=True, capture_output=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
