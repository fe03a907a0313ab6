"""Commands found by optimisation through the twin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from eva_sim.agents.data.babbling import sample_command
from eva_sim.agents.optimisation.load_target import load_target
from eva_sim.agents.optimisation.solve_command import solve_command, write_solution
from eva_sim.cli.app import app
from eva_sim.errors import DataError, MediaError
from eva_sim.files import asset, read_json
from eva_sim.horns import cable_drawn_in
from eva_sim.landmarks import POINTS
from eva_sim.limits.command_search import CommandSearch
from eva_sim.media.sources import open_source
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin
from tests.media.media_files import two_people


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin() as opened:
        yield opened


@pytest.mark.parametrize("seed", [3, 4])
def test_known_command_is_found_again(twin: Twin, seed: int) -> None:
    command = sample_command(twin.spec, np.random.default_rng(seed))
    target = reset_and_hold(twin, command).landmarks.astype(float)
    slack = twin.spec.where("cable")[twin.skin.tension == 0]
    command[slack] = twin.spec.neutral[slack]  # a slack cable moves no landmark
    found = solve_command(target, twin)
    assert found.error < 0.3
    rows = twin.spec.where("jaw", "lid")
    assert np.abs(found.command - command)[rows].max() / 2 < 0.03
    taut = twin.spec.cable["slack"] + twin.spec.cable["backlash"]  # before that a cable moves nothing
    drawn, again = (
        np.maximum(0.0, cable_drawn_in(twin.spec, twin.spec.to_physical(each)) - taut)
        for each in (command, found.command)
    )
    assert np.abs(drawn - again).max() < 0.03 * cable_drawn_in(twin.spec, twin.spec.column("high")).max()


@pytest.mark.parametrize("pulls", [{"jaw": 1.0, "levator": 1.0}, {"brow_inner": 0.9, "corrugator": 0.7}])
def test_what_is_found_is_within_the_limits_and_nearer_than_what_they_leave(
    twin: Twin, pulls: dict[str, float]
) -> None:
    """The face is of a twin without limits."""
    command = twin.spec.command(**pulls)
    with Twin(limits=False) as free:
        target = reset_and_hold(free, command).landmarks.astype(float)
    left = reset_and_hold(twin, command)
    assert np.abs(left.sent - command).max() > 0.1
    found = solve_command(target, twin)
    assert CommandSearch(twin.spec, 1.0).loads(found.command.astype(float)).max() < 1.001
    np.testing.assert_allclose(reset_and_hold(twin, found.command).sent, found.command, atol=1e-3)
    assert found.error < 1000 * twin.outer_eye * np.linalg.norm(left.landmarks - target, axis=1).mean()


def test_targets_are_expressions_and_files_and_nothing_else(twin: Twin, tmp_path: Path) -> None:
    joy = load_target("joy", twin).landmarks
    np.savez(tmp_path / "joy.npz", landmarks=joy)
    assert np.array_equal(load_target(str(tmp_path / "joy.npz"), twin).landmarks, joy)
    assert np.array_equal(load_target("JOY", twin).landmarks, joy)
    moved = [np.linalg.norm(face - twin.neutral_landmarks, axis=1).max() for face in
             (load_target("joy:slight", twin).landmarks, joy)]  # fmt: skip
    assert 0.01 < moved[0] < 0.8 * moved[1]
    np.savez(tmp_path / "other.npz", points=joy)
    np.savez(tmp_path / "short.npz", landmarks=joy[1:])
    for wrong, message in (
        ("other.npz", "no array"),
        ("short.npz", f"{len(POINTS)}, 3"),
        ("none", "no file"),
        ("sadnes", "did you mean sadness"),
    ):
        with pytest.raises(DataError, match=message):
            load_target(str(tmp_path / wrong) if "." in wrong else wrong, twin)


def test_picture_of_a_person_becomes_a_face_that_the_robot_can_make(twin: Twin, tmp_path: Path) -> None:
    clip = open_source(asset("samples/person.mp4"))
    frame = next(picture for number, (_, picture) in enumerate(clip) if number == 100)
    Image.fromarray(frame).save(tmp_path / "person.png")
    target, origin, guessed = load_target(str(tmp_path / "person.png"), twin)
    assert guessed and origin.startswith("a guess")
    assert solve_command(target, twin).error < 0.3
    assert 1000 * twin.outer_eye * np.linalg.norm(target - twin.neutral_landmarks, axis=1).mean() > 0.3
    with pytest.raises(MediaError, match="holds several pictures; give one"):
        load_target(str(asset("samples/person.mp4")), twin)
    Image.new("RGB", (64, 64)).save(tmp_path / "nobody.png")
    with pytest.raises(MediaError, match="no face"):
        load_target(str(tmp_path / "nobody.png"), twin)


@pytest.mark.parametrize("alone", [True, False])
def test_of_two_people_it_is_told_which_one_is_taken(twin: Twin, tmp_path: Path, alone: bool) -> None:
    picture = two_people(0, 120)
    Image.fromarray(picture[:, :200] if alone else picture).save(tmp_path / "two.png")
    origin = load_target(str(tmp_path / "two.png"), twin).origin
    assert bool(re.search("more than one face is seen, and the one on the (left|right)", origin)) != alone


def test_command_line_writes_command_and_picture(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["fit", "joy", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    report = read_json(tmp_path / "fit.json")
    assert report["mean_error_mm"] < 0.3 and len(report["command"]) == 25
    with Image.open(tmp_path / "fit.png") as picture:
        assert picture.size == (640, 640)
    assert report["target_face"] == "the twin's face of this expression"
    assert "mean_error_to_guess_mm" not in report


def test_the_error_to_a_person_is_not_claimed_to_be_known(tmp_path: Path) -> None:
    _, frame = next(iter(open_source(asset("samples/person.mp4"))))
    Image.fromarray(frame).save(tmp_path / "person.png")
    report = write_solution(str(tmp_path / "person.png"), tmp_path / "out")
    assert report["mean_error_mm"] is None and report["mean_error_to_guess_mm"] < 1
    assert report["target_face"].startswith("a guess") and report == read_json(tmp_path / "out" / "fit.json")
