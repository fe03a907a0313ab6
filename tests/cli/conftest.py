"""The `eva` command in this process, over the fake face, in a folder of things to use wrongly."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import eva_sim
import eva_sim.twin
from eva_sim import make_face
from eva_sim.agents.data import babbling as babble_module
from eva_sim.agents.data.babbling import babble
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.cli.app import run
from eva_sim.contract import Face, load_spec
from eva_sim.files import asset
from eva_sim.media.encoding import write_video
from eva_sim.recording.recorder import record_face
from eva_sim.testing.fake_face import FakeFace, open_fake

#: Runs a command line; gives the exit code and what was printed as errors.
MistakenEva = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory, model: InverseModel) -> Path:
    """A folder of things to use wrongly."""
    folder = tmp_path_factory.mktemp("stock")
    (folder / "empty").mkdir()
    (folder / "file").write_text("in the way")
    (folder / "loop").symlink_to(folder / "loop")
    for pipe in ("pipe", "pipe.csv"):  # nobody writes into them
        os.mkfifo(folder / pipe)
    _make_pictures(folder)
    _make_arrays(folder)
    _make_models(folder, model)
    _make_data_sets(folder)
    _make_recordings(folder)
    _make_calibrations(folder)
    return folder


def _make_pictures(folder: Path) -> None:
    with write_video(folder / "wall.mp4", 25) as add:
        for shade in range(20):
            add(np.full((120, 160, 3), 90 + shade, np.uint8))
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(folder / "wall.png")
    whole = asset("samples/person.mp4").read_bytes()
    (folder / "head.mp4").write_bytes(whole[:600])  # cut before its index
    Image.new("L", (1, 30_000)).save(folder / "thin.png")
    (folder / "text.mp4").write_text("this is no film\n" * 200)
    (folder / "nothing.png").touch()
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.jpg")
    (folder / "half.jpg").write_bytes((folder / "noise.jpg").read_bytes()[:4000])


def _make_arrays(folder: Path) -> None:
    np.savez(folder / "other.npz", points=np.zeros((150, 3)))
    np.savez(folder / "short.npz", landmarks=np.zeros((3, 3)))
    np.savez(folder / "nan.npz", landmarks=np.full((150, 3), np.nan))
    (folder / "text.npz").write_text("these are no arrays")


def _make_models(folder: Path, model: InverseModel) -> None:
    model.save(folder / "good.pt")
    good = (folder / "good.pt").read_bytes()
    (folder / "half.pt").write_bytes(good[: len(good) // 2])
    content = torch.load(folder / "good.pt", weights_only=True)
    text = content["spec"] + "\n"
    other = {"spec": text, "digest": hashlib.sha256(text.encode()).hexdigest()}
    torch.save({**content, **other}, folder / "other.pt")
    torch.save({**content, "format": 2}, folder / "old.pt")


def _make_data_sets(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babble_module, "SHARD_SIZE", 10)
        babble(folder / "data", 30, 3, body="fake", workers=1, image_size=None, open_face=open_fake)
        babble(folder / "few", 10, 3, body="fake", workers=1, image_size=None, open_face=open_fake)
    shutil.copytree(folder / "data", folder / "hurt")
    shard = folder / "hurt" / "shard-0001.npz"
    shard.write_bytes(shard.read_bytes()[:700])
    shutil.copytree(folder / "data", folder / "part")
    (folder / "part" / "shard-0002.npz").unlink()
    shutil.copytree(folder / "data", folder / "promise")
    manifest = json.loads((folder / "data" / "manifest.json").read_text())
    (folder / "promise" / "manifest.json").write_text(json.dumps({**manifest, "samples": 10**9}))
    (folder / "zero").mkdir()
    (folder / "zero" / "manifest.json").write_text(json.dumps({**manifest, "shard_size": 0}))
    (folder / "bad").mkdir()
    (folder / "bad" / "manifest.json").write_text("{")


def _make_recordings(folder: Path) -> None:
    with FakeFace() as face, record_face(face, folder / "session") as recorded:
        recorded.reset()
        for _ in range(10):
            recorded.move(face.spec.neutral)
    shutil.copytree(folder / "session", folder / "torn")
    chunk = folder / "torn" / "frames-0000.evr"
    chunk.write_bytes(chunk.read_bytes()[:-3000])
    for name, content in (
        ("scribbled", "no json"),
        ("elsewhere", '{"format": 1}'),
        ("newer", '{"format": 99}'),
    ):
        shutil.copytree(folder / "session", folder / name)
        (folder / name / "session.json").write_text(content)
    shutil.copytree(folder / "session", folder / "foreign")
    info = json.loads((folder / "session" / "session.json").read_text())
    (folder / "foreign" / "session.json").write_text(json.dumps({**info, "digest": "0" * 64}))
    shutil.copytree(folder / "session", folder / "still")
    (folder / "still" / "frames-0000.evr").unlink()


def _make_calibrations(folder: Path) -> None:
    (folder / "half.json").write_text('{"version": 1, "robot":')
    (folder / "list.json").write_text("[1, 2]")
    (folder / "other.part.json").write_text('{"version": 1, "robot": "another"}')


@pytest.fixture
def mistaken_eva(
    stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> MistakenEva:
    """Runs `eva` in this process; the twin is the fake face, and paths are relative to the stock."""
    monkeypatch.chdir(stock)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(eva_sim.twin, "Twin", FakeFace)

    def open_face(body: str = "twin", **options: Any) -> Face:
        return FakeFace() if body == "twin" else make_face(body, **options)

    monkeypatch.setattr(eva_sim, "make_face", open_face)
    record = dict(babble.__kwdefaults__ or {})
    monkeypatch.setattr(babble, "__kwdefaults__", {**record, "spec": load_spec()})

    def call(words: str) -> tuple[int, str]:
        code = run([os.fsdecode(word) for word in shlex.split(words.format(out=tmp_path / "out"))])
        return code, capsys.readouterr().err

    return call
