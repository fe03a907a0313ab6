"""The package as others get it: light to import, whole in its wheel, naming nobody's machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import eva_sim
from eva_sim.registration import IDS
from tests.checkout import ROOT, build_wheel, listed, run

HEAVY = [
    "av",
    "cv2",
    "gymnasium",
    "matplotlib",
    "mediapipe",
    "numba",
    "numpy",
    "OpenGL",
    "PIL",
    "pybullet",
    "pyrender",
    "rich",
    "scipy",
    "serial",
    "torch",
    "trimesh",
    "typer",
]

# Brackets keep this file from matching itself.
PRIVATE = re.compile(
    r"/wor[k]/(main|shared)|/tm[p]/(w|probe)\b|/opt/(pyp[i]|wheel[s])|/roo[t]/"
    r"|pyp[i]\.(org|io)|python[h]osted|download\.pytorc[h]|registry\.np[m]js|deb\.debia[n]",
    re.IGNORECASE,
)

SMOKE = """
import json, pathlib, sys
import gymnasium as gym
import numpy as np
import eva_sim
from eva_sim.files import asset

env = gym.make("eva_sim:EVA/Pose-v0")
observation, _ = env.reset(seed=0)
stepped, reward, *_ = env.step(env.action_space.sample())
print(json.dumps({
    "actuators": len(eva_sim.load_spec()),
    "observed": env.observation_space.contains(observation) and env.observation_space.contains(stepped),
    "reward": bool(np.isfinite(reward)),
    "files": [
        sys.modules[name].__file__
        for name in ("eva_sim", "eva_sim.envs.pose", "eva_sim.twin")
    ] + [str(asset("face.toml"))],
    "strays": [name for name in ("envs", "agents", "real", "assets") if name in sys.modules],
}))
env.close()
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of an environment outside the checkout that has the wheel and, by a path, our libraries.

    The path line brings the libraries but not the editable install: Python does not read the .pth
    files of a folder that itself came from one.
    """
    root = tmp_path_factory.mktemp("elsewhere") / "env"
    venv.create(root, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(root)}))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", root / "bin/python", "install")
    run(*pip, "--no-deps", "--no-index", "--disable-pip-version-check", wheel, cwd=root)
    return root


def test_import_loads_nothing_heavy() -> None:
    code = f"import sys, eva_sim; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    assert run(sys.executable, "-c", code, cwd=ROOT).split() == []


def test_help_loads_nothing_heavy() -> None:
    loaded = [name for name in HEAVY if name not in ("rich", "typer")]  # they make the help
    code = f"""import sys; sys.argv = ["eva", "--help"]
from eva_sim.cli import main
try: main()
except SystemExit: print("LOADED", *(m for m in {loaded!r} if m in sys.modules))"""
    assert run(sys.executable, "-c", code, cwd=ROOT).rpartition("LOADED")[2].split() == []


@pytest.mark.parametrize("code", [
    "import eva_sim; import gymnasium",
    "import gymnasium; import eva_sim",
    "import eva_sim; import eva_sim.contract; from gymnasium.envs import registration; import gymnasium",
])  # fmt: skip
def test_ids_are_registered_in_whatever_order_modules_are_imported(code: str) -> None:
    code += "; print(*(name for name in gymnasium.registry if name.startswith('EVA/')))"
    assert run(sys.executable, "-W", "error", "-c", code, cwd=ROOT).split() == list(IDS)


def test_names_of_the_package_are_imported_when_they_are_used() -> None:
    assert set(eva_sim.__all__) <= set(dir(eva_sim))
    assert all(getattr(eva_sim, name) is not None for name in eva_sim.__all__)
    with pytest.raises(AttributeError, match="no attribute 'make_fase'"):
        eva_sim.make_fase  # type: ignore[attr-defined]  # noqa: B018


def test_a_checkout_without_links_says_what_to_do(tmp_path: Path) -> None:
    """Git without symbolic links leaves text files in their place."""
    package = tmp_path / "eva_sim"
    package.mkdir()
    for path in (ROOT / "eva_sim").iterdir():
        if path.is_symlink():
            (package / path.name).write_text(os.readlink(path))
        elif path.suffix == ".py":
            shutil.copy2(path, package)
    done = subprocess.run(
        [sys.executable, "-c", "import eva_sim"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith("ImportError: agents, assets, envs, real in"), done.stderr
    assert "git config core.symlinks true" in last and "pip install" in last


def test_installed_wheel_makes_an_environment(installed: Path, tmp_path: Path) -> None:
    message = json.loads(run(installed / "bin/python", "-c", SMOKE, cwd=tmp_path).splitlines()[-1])
    assert message["actuators"] == 25
    assert message["observed"]
    assert message["reward"]
    assert message["strays"] == []
    for file in message["files"]:
        assert Path(file).is_relative_to(installed), file


def test_installed_command_answers(installed: Path, tmp_path: Path) -> None:
    assert "mirror" in run(installed / "bin/eva", "--help", cwd=tmp_path)


def test_wheel_holds_every_asset_and_module_once(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    wanted = {f"eva_sim/{name}" for name in listed("assets")}
    wanted |= {
        f"eva_sim/{name}"
        for name in listed("agents/*.py", "envs/*.py", "real/*.py", "real/*.[ch]", "real/*Makefile")
    }
    wanted |= set(listed("eva_sim/*.py"))
    assert wanted
    assert wanted - set(names) == set()


def test_wheel_installs_one_package(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"eva_sim"}


def test_no_file_names_a_private_path_or_registry() -> None:
    found = []
    for name in listed():
        path = ROOT / name
        if path.is_symlink():
            continue
        for number, line in enumerate(path.read_bytes().decode(errors="ignore").splitlines(), 1):
            if PRIVATE.search(line):
                found.append(f"{name}:{number}: {line.strip()[:80]}")
    assert found == []


def test_nothing_large_is_in_git() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in listed()}
    assert {name for name, size in sizes.items() if size > 8 * 2**20} == set()
