"""The reduced skin against the full one, and what it promises as a skin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import DataError, PhysicsError
from eva_sim.files import asset, read_arrays
from eva_sim.skin.anatomy import Anatomy, Drive, Drives, drive_ranges, load_anatomy
from eva_sim.skin.batch import Skins
from eva_sim.skin.lane_instructions import LANES
from eva_sim.skin.reduced import CPU_BATCH, ReducedSkins, build_reduced_model, load_reduced
from eva_sim.skin.reduced_face import ReducedSkin
from eva_sim.skin.reduced_map import drive_matrix, load_reduced_map
from eva_sim.skin.sensitivity import reduced_jacobian
from eva_sim.skin.solver import make_skin
from eva_sim.twin import Twin
from tools import build_reduced


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return load_anatomy(load_spec())


def random_drives(faces: int, seed: int = 0) -> Drives:
    """Random drives; a third of the muscles pull."""
    (low, high), rng = drive_ranges(load_spec()), np.random.default_rng(seed)
    given = rng.uniform(low, high, (faces, len(low)))
    given[:, 3:] *= rng.random((faces, 12)) < 1 / 3
    return Drives(given[:, 0], given[:, 1:3], given[:, 3:])


def test_is_near_the_settled_skin(anatomy: Anatomy) -> None:
    drives, skins, reduced = random_drives(16, seed=5), Skins(anatomy, 16, "fine"), ReducedSkins(anatomy, 16)
    for share in np.linspace(0.1, 1, 10).tolist() + [1.0] * 5:
        skins.step(Drives(*(share * part for part in drives)))
    skins.close()
    reduced.step(drives)
    error = 1000 * np.linalg.norm(reduced.points - skins.points, axis=2)
    assert np.sqrt((error**2).mean()) < 0.15
    assert np.percentile(error, 99) < 1.0
    assert np.sqrt(((reduced.tension - skins.tension) ** 2).mean()) < 0.5


def test_landmarks_are_those_of_the_vertices(anatomy: Anatomy) -> None:
    skins, embedding = ReducedSkins(anatomy, 3), read_arrays(asset("precomputed/landmark_embedding.npz"))
    skins.step(random_drives(3))
    expected = np.einsum("pk,npkd->npd", embedding["shares"], skins.points[:, embedding["corners"]])
    assert np.abs(skins.landmarks - expected).max() < 1e-6


@pytest.mark.parametrize("faces", [2, CPU_BATCH - 1, CPU_BATCH + 1, 300])
def test_a_face_does_not_depend_on_the_others(anatomy: Anatomy, faces: int) -> None:
    drives, many = random_drives(faces), ReducedSkins(anatomy, faces)
    many.step(drives)
    order = np.random.default_rng(1).permutation(faces)
    shuffled = ReducedSkins(anatomy, faces)
    shuffled.step(Drives(*(part[order] for part in drives)))
    alone = ReducedSkin(anatomy)
    for quantity in ("points", "landmarks", "tension"):
        assert np.array_equal(getattr(many, quantity)[order], getattr(shuffled, quantity))
    for face in (0, faces // 2, faces - 1):
        alone.step(drives.face(face))
        assert np.abs(alone.points - many.points[face]).max() < 1e-6  # in another order of additions [m]
        assert np.abs(alone.landmarks - many.landmarks[face]).max() < 1e-6
        assert np.abs(alone.tension - many.tension[face]).max() < 1e-4


def test_lanes_one_face_and_torch_evaluate_the_same_map(anatomy: Anatomy) -> None:
    drives, network = drive_matrix(random_drives(LANES, seed=2)), load_reduced_map(anatomy).network
    drives[0] = -0.05  # beyond what was learned
    expected = load_reduced(anatomy).network(torch.from_numpy(drives)).numpy().T
    many = network.outputs(drives.T)
    assert np.abs(many - expected).max() < 1e-6
    assert np.array_equal(network.outputs(drives[::-1].T), many[:, ::-1])
    for face in (0, 5):
        alone = network.outputs(drives[face : face + 1].T)[:, 0]
        assert np.abs(alone - many[:, face]).max() < 1e-6
    few = network.first_outputs(10).outputs(drives.T)
    assert np.array_equal(few, many[:10])


def test_reset_save_and_restore(anatomy: Anatomy) -> None:
    skins, drives = ReducedSkins(anatomy, 5), random_drives(5)
    rest = skins.points.copy()
    skins.step(drives)
    saved, points, tension = skins.save(), skins.points.copy(), skins.tension.copy()
    skins.reset(2)
    assert np.array_equal(skins.points[2], rest[2])
    assert np.array_equal(np.delete(skins.points, 2, 0), np.delete(points, 2, 0))
    skins.reset()
    assert np.array_equal(skins.points, rest)
    skins.restore(saved)
    skins.reset(0)  # must not reach into what was saved
    skins.restore(saved)
    assert np.array_equal(skins.points, points) and np.array_equal(skins.tension, tension)
    assert np.linalg.norm(rest[0] - anatomy.points, axis=1).max() < 3e-4
    assert (skins.tension >= 0).all() and not ReducedSkins(anatomy, 1).tension.any()


def test_jacobian_matches_finite_differences(anatomy: Anatomy) -> None:
    drive = random_drives(1, seed=3).face(0)
    points, landmarks = reduced_jacobian(anatomy, drive)
    model = load_reduced(anatomy)
    values = torch.tensor([drive.jaw, *drive.lids, *drive.take_up], dtype=torch.float64)
    precise = load_reduced.__wrapped__(anatomy).double()
    assert model.modes.dtype == torch.float32  # the shared one stays as it was

    def at(values: torch.Tensor) -> Floats:
        found: Floats = precise.landmarks(precise.network(values[None]))[0].numpy()
        return found

    for column in range(15):
        step = torch.zeros(15, dtype=torch.float64)
        step[column] = 1e-6
        measured = (at(values + step) - at(values - step)) / 2e-6
        error = np.linalg.norm(landmarks.points[..., column] - measured)
        assert error < 1e-4 * np.linalg.norm(measured) + 1e-5
    assert np.abs(points.at_landmarks(anatomy.spec).points - landmarks.points).max() < 1e-4


def test_another_skin_wrong_drives_and_drives_beyond(anatomy: Anatomy) -> None:
    with pytest.raises(DataError, match=r"another skin; run `python -m tools\.build_reduced`"):
        ReducedSkin(replace(anatomy, digest="of another"))
    loose, looser = ReducedSkin(anatomy), ReducedSkin(anatomy)
    loose.step(Drive(0.1, np.zeros(2), np.full(12, -0.01)))
    looser.step(Drive(0.1, np.zeros(2), np.full(12, -0.05)))
    assert np.array_equal(loose.points, looser.points) and not looser.tension.any()
    with pytest.raises(PhysicsError, match="not finite"):
        ReducedSkin(anatomy).step(Drive(float("nan"), np.zeros(2), np.zeros(12)))


def test_twin_with_the_reduced_skin_follows_the_full_one() -> None:
    rng = np.random.default_rng(2)
    with Twin(skin="reduced") as reduced, Twin() as full:
        assert isinstance(make_skin(reduced.skin.anatomy, "reduced"), ReducedSkin)
        for _ in range(12):
            command = np.clip(full.spec.neutral + rng.uniform(0, 1, 25), -1, 1)
            a, b = reduced.move(command), full.move(command)
        error = 1000 * full.outer_eye * np.linalg.norm(a.landmarks - b.landmarks, axis=1)
        assert error.mean() < 0.3
        state = reduced.save()
        first = reduced.move(full.spec.neutral)
        reduced.restore(state)
        assert np.array_equal(reduced.move(full.spec.neutral).landmarks, first.landmarks)


def test_tool_writes_what_the_skin_reads(
    anatomy: Anatomy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WALKS": 3, "GOALS": 1, "HOPS": 8, "EPOCHS": 30, "BATCH": 64, "RANK": 16}.items():
        monkeypatch.setattr(build_reduced, name, value)
    build_reduced.build_reduced(anatomy, tmp_path / "reduced.npz")
    arrays = read_arrays(tmp_path / "reduced.npz")
    assert str(arrays["digest"]) == anatomy.digest
    model = build_reduced_model(arrays, anatomy.spec)
    with torch.inference_mode():
        rest = model.points(model.network(torch.zeros(1, 15)))[0].numpy()
    assert np.linalg.norm(rest - anatomy.points, axis=1).mean() < 0.005
    del arrays["modes"]
    with pytest.raises(DataError, match="another version"):
        build_reduced_model(arrays, anatomy.spec)
