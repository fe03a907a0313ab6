"""A face in a folder of its own: other constants, other cables, and what is missing or does not match."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.files import read_arrays, write_arrays
from eva_sim.skin.anatomy import drive_ranges, load_anatomy
from eva_sim.skin.block import solver_context
from eva_sim.skin.reduced import load_reduced
from eva_sim.skin.sensitivity import driven_actuators
from eva_sim.twin import Twin, Twins

LEFT_OUT = ("depressor_left", "depressor_right")  # the last two of EVA's twelve cables


def copy_face(folder: Path, pattern: str, replacement: str) -> Path:
    """Links all files of EVA into a folder, with an edited `face.toml`."""
    source = load_spec().file("face.toml").parent
    folder.mkdir()
    for path in source.rglob("*"):
        target = folder / path.relative_to(source)
        if path.is_dir():
            target.mkdir(parents=True)
        elif path.name != "face.toml":
            target.symlink_to(path)
    text, count = re.subn(pattern, replacement, load_spec().text, flags=re.MULTILINE)
    assert count
    (folder / "face.toml").write_text(text)
    return folder


def fewer_cables(folder: Path) -> FaceSpec:
    """A face without `LEFT_OUT` in its actuator table."""
    rows = "|".join(LEFT_OUT)
    return load_spec(copy_face(folder, rf"^.*name = \"({rows})\".*\n", ""))


def test_constants_come_from_the_faces_own_folder(tmp_path: Path) -> None:
    spec = load_spec(copy_face(tmp_path / "face", r"^stiffness = \S+", "stiffness = 1500.0"))
    anatomy = load_anatomy(spec)
    assert anatomy.cables.stiffness == 1500.0 and load_anatomy(load_spec()).cables.stiffness != 1500.0
    assert anatomy.spec is spec and anatomy.digest != load_anatomy(load_spec()).digest
    assert solver_context(anatomy).warm_start.rank == 0  # the copied file is of EVA's skin
    (spec.file("precomputed/reduced_skin.npz")).unlink()
    assert solver_context(replace(anatomy)).warm_start.rank == 0  # no file at all
    with pytest.raises(DataError, match=r"another skin; run `python -m tools\.build_reduced`"):
        load_reduced(anatomy)
    with Twin(spec=spec) as stiff, Twin() as eva:
        smile = {"zygomaticus": 1.0}
        for _ in range(6):
            a, b = stiff.move(spec.command(**smile)), eva.move(eva.spec.command(**smile))
        assert stiff.spec is spec and stiff.skin.anatomy is anatomy
        assert np.abs(a.landmarks - b.landmarks).max() > 1e-3
        assert stiff.render(32).shape == (32, 32, 3)


def test_a_face_may_have_fewer_cables(tmp_path: Path) -> None:
    spec = fewer_cables(tmp_path / "face")
    arrays = read_arrays(load_spec().file("meshes/skin.npz"))
    (tmp_path / "face/meshes/skin.npz").unlink()
    cut = {name: arrays[name][:10] for name in ("patches", "exits", "exit_jaw")}
    write_arrays(tmp_path / "face/meshes/skin.npz", **(arrays | cut))
    assert len(spec) == 23 and len(drive_ranges(spec)[0]) == 13
    command = spec.command(zygomaticus=1.0, jaw=0.3)
    twins = Twins(3, spec=spec)
    with Twin(spec=spec) as twin:
        for _ in range(4):
            reading, readings = twin.move(command), twins.move(np.tile(command, (3, 1)))
        assert twin.skin.tension.shape == (10,) and twins.skins.tension.shape == (3, 10)
        assert reading.position.shape == (23,)
        assert np.abs(readings.landmarks - reading.landmarks).max() < 1e-2
        assert len(twin.actuators.drawn) == 10 and len(driven_actuators(spec)) == 13
    twins.close()


def test_a_skin_with_other_cables_than_the_table_is_refused(tmp_path: Path) -> None:
    spec = fewer_cables(tmp_path / "face")
    with pytest.raises(DataError, match=r"skin\.npz has 12 cables, but face\.toml has 10"):
        Twin(spec=spec)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    spec = load_spec(copy_face(tmp_path / "face", r"^stiffness = \S+", "stiffness = 1600.0"))
    (tmp_path / "face/meshes/skin.npz").unlink()
    with pytest.raises(EvaError, match=r"meshes/skin\.npz is missing"):
        Twin(spec=spec)
