"""A user's mistakes at the command line: one line that says what to do, and nothing half done."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import eva_sim.twin
from eva_sim.agents.data import babbling as babble_module
from eva_sim.agents.data.babbling import babble
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.cli.app import run as run_command
from eva_sim.files import asset
from eva_sim.media.encoding import write_video
from eva_sim.media.sources import open_source
from eva_sim.testing.fake_face import FakeFace, open_fake

#: Runs the command with every OpenGL library hidden.
WITHOUT_GL = """
import ctypes, sys
load = ctypes.CDLL.__init__
def refuse(self, name, *rest, **more):
    if name and "GL" in str(name):
        raise OSError(f"{name}: cannot open shared object file")
    load(self, name, *rest, **more)
ctypes.CDLL.__init__ = refuse
from eva_sim.cli import main
main()
"""


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory, model: InverseModel) -> Path:
    """A folder of things to use wrongly."""
    folder = tmp_path_factory.mktemp("stock")
    with write_video(folder / "wall.mp4", 25) as add:
        for shade in range(20):
            add(np.full((120, 160, 3), 90 + shade, np.uint8))
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(folder / "wall.png")
    whole = asset("samples/person.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mp4").write_text("this is no film\n" * 200)
    (folder / "half.jpg").write_bytes(_jpeg(folder)[:4000])
    (folder / "empty").mkdir()
    model.save(folder / "good.pt")
    good = (folder / "good.pt").read_bytes()
    (folder / "half.pt").write_bytes(good[: len(good) // 2])
    content = torch.load(folder / "good.pt", weights_only=True)
    text = content["spec"] + "\n"
    other = {"spec": text, "digest": hashlib.sha256(text.encode()).hexdigest()}
    torch.save({**content, **other}, folder / "other.pt")
    torch.save({**content, "format": 2}, folder / "old.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babble_module, "SHARD_SIZE", 10)
        babble(folder / "data", 30, 3, body="fake", workers=1, image_size=None, open_face=open_fake)
    shutil.copytree(folder / "data", folder / "hurt")
    shard = folder / "hurt" / "shard-0001.npz"
    shard.write_bytes(shard.read_bytes()[:700])
    shutil.copytree(folder / "data", folder / "part")
    (folder / "part" / "shard-0002.npz").unlink()
    return folder


def _jpeg(folder: Path) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "whole.jpg")
    return (folder / "whole.jpg").read_bytes()


Eva = Callable[[str], tuple[int, str]]


@pytest.fixture
def eva(stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Eva:
    """Runs `eva` in this process, over the fake face; paths are relative to the stock."""
    monkeypatch.chdir(stock)
    monkeypatch.setattr(eva_sim.twin, "Twin", FakeFace)

    def run(words: str) -> tuple[int, str]:
        code = run_command(words.format(out=tmp_path / "out").split())
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("mimic none.mp4 --model good.pt --out {out}", r"none\.mp4 does not exist; give a clip"),
        ("mimic empty --model good.pt --out {out}", r"empty is a folder; give a clip"),
        ("mimic wall.mp4 --model good.pt --out {out}", r"no face in wall\.mp4; give a clip or picture"),
        ("mimic wall.png --model good.pt --out {out}", r"no face in wall\.png; give a clip or picture"),
        ("mimic half.mp4 --model good.pt --out {out}", r"half\.mp4 .*damaged"),
        ("mimic half.jpg --model good.pt --out {out}", r"half\.jpg .*damaged"),
        ("mimic text.mp4 --model good.pt --out {out}", r"text\.mp4 is no picture or clip"),
        ("mimic 77 --model good.pt --out {out}", r"no camera 77; is it plugged in"),
        ("mimic wall.png --model none.pt --out {out}", r"none\.pt does not exist; train a model"),
        ("mimic wall.png --model empty --out {out}", r"inverse\.pt does not exist; train a model"),
        ("mimic wall.png --model half.pt --out {out}", r"half\.pt is damaged .*train it again"),
        ("mimic wall.png --model other.pt --out {out}", r"trained on a face with another face\.toml"),
        ("mimic wall.png --model old.pt --out {out}", r"old\.pt was trained by an earlier version; train it"),
        ("train empty --out {out}", r"empty holds no data set; record one with `eva babble`"),
        ("train hurt --out {out}", r"shard-0001\.npz is damaged .*run `eva babble` on the folder again"),
        ("train part --out {out}", r"part lacks 1 of 3 shards; complete it with `eva babble --samples"),
        ("look jaw=nan --out {out}/face.png", r"numbers in \[-1, 1\]: jaw=nan"),
        ("look jaw=1.5 --out {out}/face.png", r"numbers in \[-1, 1\]: jaw=1.5"),
        ("look nose=1 --out {out}/face.png", r"no actuator called 'nose'; there are brow_inner_left"),
        ("look bliss --out {out}/face.png", r"no expression called 'bliss'; there are neutral"),
        ("babble --samples 0 --out {out}", r"samples=0"),
        ("train data --out text.mp4/model", r"text\.mp4"),
    ],
)
def test_a_mistake_ends_in_one_line_and_leaves_nothing(
    eva: Eva, stock: Path, tmp_path: Path, words: str, message: str
) -> None:
    before = sorted(stock.rglob("*"))
    code, err = eva(words)
    assert code == 1
    lines = err.strip().splitlines()
    assert lines[-1].startswith("eva: ") and re.search(message, lines[-1]), err
    assert err.count("eva: ") == 1 and "Traceback" not in err
    assert not (tmp_path / "out").exists()
    assert sorted(stock.rglob("*")) == before


def test_without_opengl_the_packages_are_named(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_GL, "look", "--out", str(tmp_path / "face.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("eva: no picture can be made")
    assert "apt install libegl1 libgl1" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_right_ends_well(eva: Eva, tmp_path: Path) -> None:
    """Through the same door, so that the errors above are those of the inputs."""
    code, err = eva("train data --out {out}")
    assert (code, "eva: " in err) == (0, False)
    picture = tmp_path / "person.png"
    _, frame = next(iter(open_source(asset("samples/person.mp4"))))
    Image.fromarray(frame).save(picture)
    code, err = eva(f"mimic {picture} --model {{out}} --out {{out}}/mirror")
    assert (code, "eva: " in err) == (0, False)
    assert "the source ended: the results until then are in" in err
    assert (tmp_path / "out" / "mirror" / "mirror.mp4").exists()
