"""The correction of what the detector reads of a face's motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eva_sim.agents.data.babbling import sample_command
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.agents.mirroring.person_tracker import PersonTracker
from eva_sim.contract import Floats, load_spec
from eva_sim.detector import DetectedFace, Detector, canonical_face, mirror_order
from eva_sim.errors import DataError
from eva_sim.files import write_arrays
from eva_sim.landmarks import POINTS, Aligner
from eva_sim.reading_correction import ReadingCorrection, person_correction, robot_correction
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin
from tools.build_robot_reading import LookReader


def motions(rng: np.random.Generator, count: int) -> Floats:
    """Motions of a face that moves in five ways, and in their mirror images, (S, N, 3)."""
    ways = 0.05 * rng.normal(size=(5, len(POINTS), 3))
    ways = np.concatenate([ways, ways[:, mirror_order()[0]] * [-1, 1, 1]])
    made: Floats = np.tensordot(rng.normal(size=(count, 10)), ways, 1)
    return made


def lost(motion: Floats) -> Floats:
    """A detector that reads half of what moves in the upper half of the face, and a quarter of all depth."""
    upper = canonical_face()[:, 1] > 0
    return motion * np.where(upper, 0.5, 1.0)[:, None] * [1, 1, 0.25]


def test_what_is_lost_in_every_picture_is_given_back() -> None:
    rng = np.random.default_rng(0)
    made = motions(rng, 400)
    fitted = ReadingCorrection.fit(lost(made[:300]), made[:300], ridge=1e-9)
    before, after = (
        np.abs(read - made[300:]).mean() for read in (lost(made[300:]), fitted(lost(made[300:])))
    )
    assert after < 0.01 * before


def test_rest_stays_rest_and_sides_are_alike() -> None:
    rng = np.random.default_rng(1)
    rows, flip = mirror_order()[0], np.array([-1, 1, 1])
    for correction in (person_correction(), robot_correction(load_spec())):
        assert correction.modes.shape[1] > 0
        assert not correction(np.zeros((2, len(POINTS), 3))).any()
        motion = motions(rng, 1)[0]
        mirrored = correction(motion[rows] * flip)
        assert mirrored == pytest.approx(correction(motion)[rows] * flip, abs=1e-5)


def test_what_a_jaw_adds_to_a_nod_is_taken_off() -> None:
    rng = np.random.default_rng(3)
    made, leak = motions(rng, 400), 0.1 * rng.normal(size=(len(POINTS), 3))
    leak = leak + leak[mirror_order()[0]] * [-1, 1, 1]  # a nod is that of the mirror image
    nods = (made * leak).sum((1, 2))
    fitted = ReadingCorrection.fit(lost(made[:300]), made[:300], nods[:300], ridge=1e-9)
    left = nods[300:] - fitted.missing_head_nod(lost(made[300:]))
    assert np.abs(left).mean() < 0.01 * np.abs(nods).mean()


def test_files(tmp_path: Path) -> None:
    made = motions(np.random.default_rng(2), 60)
    fitted = ReadingCorrection.fit(lost(made), made, made[:, 0, 1])
    fitted.save(tmp_path / "part.npz")
    loaded = ReadingCorrection.load(tmp_path / "part.npz")
    assert loaded(made) == pytest.approx(fitted(made), abs=1e-5)
    assert (
        loaded.missing_head_nod(made) == pytest.approx(fitted.missing_head_nod(made), abs=1e-5)
        and fitted.missing_head_nod(made).any()
    )
    write_arrays(tmp_path / "part.npz", points=np.array(POINTS))
    with pytest.raises(DataError, match="no correction of readings"):
        ReadingCorrection.load(tmp_path / "part.npz")
    for points in (np.arange(3), np.array(POINTS[::-1])):
        write_arrays(tmp_path / "part.npz", points=points, **vars(fitted))
        with pytest.raises(DataError, match="another landmark set"):
            ReadingCorrection.load(tmp_path / "part.npz")


def test_a_head_of_ones_own_has_none(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        correction, motion = robot_correction(replace(load_spec(), folder=folder)), np.ones((len(POINTS), 3))
        assert np.array_equal(correction(motion), motion)


@pytest.mark.parametrize("look", [("fast", "grey"), ("plain", "blue")])
def test_the_robot_is_read_better(look: tuple[str, str]) -> None:
    """Commands that were not among those of the fit."""
    rng = np.random.default_rng(7)
    with Twin() as twin, Detector() as detector:
        reader = LookReader(twin, detector, look, 128)
        for _ in range(8):
            reset_and_hold(twin, sample_command(twin.spec, rng))
            reader.look_once()
        read, made = np.array(reader.read), np.array(reader.made)
        corrected = robot_correction(twin.spec)(read)
    assert np.linalg.norm(corrected - made, axis=2).mean() < 0.6 * np.linalg.norm(read - made, axis=2).mean()


def test_a_known_person_is_corrected_and_a_stranger_is_not() -> None:
    face = canonical_face()
    opened = face.copy()
    opened[face[:, 1] < face[:, 1].mean()] -= [0, 0.1 * np.ptp(face[:, 0]), 0]
    rest, aligner = PersonAtRest.stranger(), Aligner.of(face)
    shown = DetectedFace(opened, face[:2], np.zeros(52))
    motion = rest.align(shown)[0] - aligner.neutral
    states = {
        name: PersonTracker(rest, max_residual=1.0, correction=correction)(0.0, shown)
        for name, correction in {"stranger": None, "known": person_correction()}.items()
    }
    as_seen, corrected = (state.expression - aligner.neutral for state in states.values())
    assert as_seen == pytest.approx(motion, abs=1e-6)
    # The line of sight is the z of the picture: in depth the correction counts whole, across it a half.
    added, whole = (
        (each @ rest.orientation) for each in (corrected - motion, person_correction()(motion) - motion)
    )
    assert added[..., 2] == pytest.approx(whole[..., 2], abs=1e-6) and np.abs(whole[..., 2]).max() > 0.01
    assert added[..., :2] == pytest.approx(0.5 * whole[..., :2], abs=1e-6)
    nods = {name: state.head.turn[0] for name, state in states.items()}
    assert nods["known"] - nods["stranger"] == pytest.approx(
        person_correction().missing_head_nod(motion), abs=1e-6
    )
