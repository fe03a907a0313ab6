"""The fast solver: forces equal to the reference's, lanes that agree, and reported failures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tqdm import tqdm

from eva_sim.actuators import Actuators
from eva_sim.contract import load_spec
from eva_sim.errors import EvaError, PhysicsError
from eva_sim.skin import block, newton
from eva_sim.skin.anatomy import Anatomy, Drive, Drives, drive_ranges, load_anatomy
from eva_sim.skin.batch import Skins
from eva_sim.skin.block import Block, solver_context
from eva_sim.skin.forces import evaluate
from eva_sim.skin.lane_instructions import LANES
from eva_sim.skin.solver import ReferenceSkin, Skin

OPEN = Drive(0.26, np.zeros(2), np.zeros(12))


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return load_anatomy(load_spec())


def walk(faces: int, steps: int, seed: int = 0, change: float | None = 0.12) -> list[Drives]:
    """Drives of faces on a random walk of all commands, through their actuators.

    `change` is the standard deviation of a command's step; None draws every command anew, as an untrained
    policy does.
    """
    spec, rng = load_spec(), np.random.default_rng(seed)
    jaw, lids = spec.where("jaw")[0], spec.where("lid")
    chains = [Actuators(spec) for _ in range(faces)]
    commands, out = np.tile(spec.neutral, (faces, 1)), []
    for _ in range(steps):
        if change is None:
            commands = rng.uniform(-1, 1, commands.shape).astype(np.float32)
        else:
            commands = np.clip(commands + rng.normal(0, change, commands.shape), -1, 1).astype(np.float32)
        for chain, command in zip(chains, commands, strict=True):
            chain.step(command, np.ones(12))
        positions = np.array([chain.position for chain in chains])
        take_up = np.array([chain.take_up for chain in chains])
        out.append(Drives(positions[:, jaw], positions[:, lids], take_up))
    return out


@pytest.mark.parametrize("faces", [None, LANES])
def test_forces_are_those_of_the_reference(anatomy: Anatomy, faces: int | None) -> None:
    context, rng = solver_context(anatomy), np.random.default_rng(0)
    block = Block(context, faces)
    expected = []
    for lane in range(block.lanes):
        drive = Drive(0.2 * rng.random(), rng.uniform(-0.4, 0.2, 2), rng.uniform(0, 0.01, 12))
        points = anatomy.kinematic_points(drive) + rng.normal(0, 3e-5, anatomy.points.shape)
        expected.append((drive, *anatomy.energy(points, anatomy.load(drive))))
        block.set_shape(lane, points)
    drives = [drive for drive, *_ in expected]
    block.set_loads(Drives(*(np.array([d[part] for d in drives]) for part in range(3))))
    energy = np.zeros(block.lanes, np.float32)
    elements = context.lane_elements if faces else context.single_elements
    evaluate(block._x, elements, block._loads, block._scratch.force, energy)
    force = np.moveaxis(block._scratch.force.reshape(-1, 3, block.lanes)[context.position], 2, 0)
    force[:, anatomy.fixed] = 0
    for lane, (_, joules, gradient) in enumerate(expected):
        assert energy[lane] == pytest.approx(joules, rel=1e-4)
        assert np.abs(force[lane] - gradient).max() < 1e-4 * np.abs(gradient).max()


def test_a_lane_is_the_face_alone(anatomy: Anatomy) -> None:
    drives = walk(LANES + 3, 6)
    many, alone = Skins(anatomy, LANES + 3), Skin(anatomy)
    for drives_now in drives:
        many.step(drives_now)
        alone.step(drives_now.face(LANES + 1))
        assert 1000 * np.abs(many.points[LANES + 1] - alone.points).max() < 0.01
        assert many.tension[LANES + 1] == pytest.approx(alone.tension, abs=0.02)


@pytest.mark.parametrize("change", [0.12, None])
def test_results_do_not_depend_on_neighbours(anatomy: Anatomy, change: float | None) -> None:
    drives, order = walk(2 * LANES, 4, change=change), np.random.default_rng(1).permutation(2 * LANES)
    straight, shuffled, few = (
        Skins(anatomy, 2 * LANES),
        Skins(anatomy, 2 * LANES),
        Skins(anatomy, 3, threads=1),
    )
    for drives_now in drives:
        straight.step(drives_now)
        shuffled.step(Drives(*(part[order] for part in drives_now)))
        few.step(Drives(*(part[:3] for part in drives_now)))
    assert np.array_equal(straight.points[order], shuffled.points)
    assert np.array_equal(straight.points[:3], few.points)


def test_each_face_has_its_own_material(anatomy: Anatomy) -> None:
    material = np.ones((5, 2))
    material[0, 1], material[2, 1] = 2.0, 3.0  # membrane, attachment
    skins = Skins(anatomy, 2, "fine", material)
    take_up = np.zeros((2, 12))
    take_up[:, 8:10] = 0.01
    for _ in range(5):
        skins.step(Drives(np.zeros(2), np.zeros((2, 2)), take_up))
    reference = ReferenceSkin(anatomy.scaled(material[:, 1]))
    for share in (0.5, 1.0):
        reference.step(Drive(0.0, np.zeros(2), share * take_up[1]))
    assert 1000 * np.abs(skins.points[1] - reference.points).max() < 0.05
    assert skins.tension[1, 8] > 1.2 * skins.tension[0, 8]


def test_one_face_can_be_reset(anatomy: Anatomy) -> None:
    skins = Skins(anatomy, 3)
    for drives_now in walk(3, 3):
        skins.step(drives_now)
    before = skins.points
    skins.reset(1)
    assert np.array_equal(skins.points[[0, 2]], before[[0, 2]])
    assert skins.points[1] == pytest.approx(anatomy.points, abs=1e-7)


@pytest.mark.parametrize("name", ["full", "dynamic"])
def test_restore_repeats_bit_for_bit(anatomy: Anatomy, name: str) -> None:
    drives, skins = walk(3, 5), Skins(anatomy, 3, name)
    for drives_now in drives[:2]:
        skins.step(drives_now)
    state, shapes = skins.save(), []
    for drives_now in drives[2:]:
        skins.step(drives_now)
        shapes.append(skins.points)
    skins.restore(state)
    for drives_now, shape in zip(drives[2:], shapes, strict=True):
        skins.step(drives_now)
        assert np.array_equal(skins.points, shape)


def test_a_face_that_is_not_settled_gets_more(anatomy: Anatomy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(block.EVALUATIONS, "full", 1)
    skin = Skin(anatomy)
    skin.step(Drive(0.2, np.full(2, -0.3), np.full(12, 0.008)))
    assert skin.residual <= block.TOLERANCE
    settled = ReferenceSkin(anatomy)
    for share in (0.5, 1.0):
        settled.step(Drive(0.2 * share, np.full(2, -0.3 * share), np.full(12, 0.008 * share)))
    assert 1000 * np.sqrt(((skin.points - settled.points) ** 2).sum(1).mean()) < 0.1


def test_failure_tells_the_residual_and_how_to_repeat_it(
    anatomy: Anatomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    skin = Skin(anatomy)
    skin.step(Drive(0.1, np.zeros(2), np.zeros(12)))
    before = skin.points.copy()
    monkeypatch.setitem(block.EVALUATIONS, "full", 1)
    monkeypatch.setattr(block, "STAGES", ())
    monkeypatch.setattr(newton, "MAX_ITERATIONS", 1)
    skin._evaluations = 1
    with pytest.raises(PhysicsError, match=r"did not settle in 1 Newton steps; .* N are left") as caught:
        skin.step(Drive(0.26, np.full(2, -0.6), np.full(12, 0.014)))
    assert np.array_equal(skin.points, before)
    monkeypatch.undo()
    again = Skin(anatomy)
    again.restore(caught.value.state)
    again.step(caught.value.drive)
    assert again.residual <= block.TOLERANCE


def test_faces_that_fail_are_named_and_the_others_go_on(
    anatomy: Anatomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    skins, alone = Skins(anatomy, LANES + 2), Skins(anatomy, LANES + 2)
    drives_now = walk(LANES + 2, 1)[0]
    monkeypatch.setattr(block.Block, "resolve", _refuse)
    skins._blocks[1]._view(skins._blocks[1]._x)[:, :, 1] = np.nan  # face LANES + 1
    with pytest.raises(PhysicsError, match=f"1 of {LANES + 2} faces .* face {LANES + 1}") as caught:
        skins.step(drives_now)
    alone.step(drives_now)
    assert caught.value.faces == (LANES + 1,)
    assert np.isfinite(skins.points).all()
    assert np.array_equal(skins.points[: LANES + 1], alone.points[: LANES + 1])


def _refuse(block: Block, lane: int, drive: Drive) -> None:
    raise PhysicsError("it is not a number")


@pytest.mark.slow
def test_wild_drives_on_strange_skins(anatomy: Anatomy, capsys: pytest.CaptureFixture[str]) -> None:
    """Harder than any face meets: each constant halved or doubled by itself, drives that no servo limits."""
    faces, steps, rng = 512, 100, np.random.default_rng(0)
    low, high = drive_ranges(load_spec())
    skins = Skins(anatomy, faces, material=np.exp(rng.uniform(np.log(0.5), np.log(2.0), (5, faces))))
    drives_now, failures, broken = np.zeros((faces, 15)), 0, 0
    for _ in tqdm(range(steps), "random steps", disable=None):
        # Mostly small steps, now and then to anywhere.
        jump = rng.random((faces, 1)) < 0.02
        walked = drives_now + rng.normal(0, 0.06, drives_now.shape) * (high - low)
        drives_now = np.clip(np.where(jump, rng.uniform(low, high, drives_now.shape), walked), low, high)
        try:
            skins.step(Drives(drives_now[:, 0], drives_now[:, 1:3], drives_now[:, 3:]))
        except PhysicsError as error:
            failures += len(error.faces)
        broken += int((~np.isfinite(skins.tension)).any(1).sum() + (skins.residual > block.TOLERANCE).sum())
    more, newtons = skins.extra_solves
    with capsys.disabled():
        print(
            f"\n{faces * steps:,} steps: {more:,} took more evaluations, {newtons:,} Newton's method, "
            f"{failures:,} failed and were reported, {broken:,} were not finite or not settled unreported"
        )
    assert broken == 0
    assert failures < 1e-3 * faces * steps


def test_random_actions_are_as_accurate_as_a_walk_and_need_few_further_evaluations(anatomy: Anatomy) -> None:
    faces, steps, distance = 3 * LANES, 6, []
    skins = Skins(anatomy, faces)
    for step, drives_now in enumerate(walk(faces, steps, seed=4, change=None)):
        skins.step(drives_now)
        reference, face = ReferenceSkin(anatomy), 7 * step
        reference.points = skins.points[face].astype(float)
        reference.step(drives_now.face(face))
        distance.append(1000 * np.linalg.norm(skins.points[face] - reference.points, axis=1))
    assert np.sqrt(np.square(distance).mean()) < 0.1
    assert np.percentile(distance, 99) < 0.5 and np.max(distance) < 1.0
    more, newtons = skins.extra_solves
    assert more < 0.05 * faces * steps and newtons == 0


def test_random_actions_repeat_bit_for_bit(anatomy: Anatomy) -> None:
    shapes = []
    for threads in (1, 2):
        skins = Skins(anatomy, LANES + 3, threads=threads)
        for drives_now in walk(LANES + 3, 4, seed=5, change=None):
            skins.step(drives_now)
        shapes.append(skins.points)
    assert np.array_equal(shapes[0], shapes[1])


def test_the_warm_start_predicts_most_of_a_step(anatomy: Anatomy) -> None:
    drives, exact = walk(1, 12, seed=3), ReferenceSkin(anatomy)
    warm_start, left, moved = solver_context(anatomy).warm_start, 0.0, 0.0
    order = solver_context(anatomy).order[: len(anatomy.free)]
    known, before = warm_start.coefficients(OPEN._replace(jaw=0.0).as_batch), exact.points
    for drives_now in drives:
        exact.step(drives_now.face(0))
        coefficients, shape = warm_start.coefficients(drives_now), exact.points
        predicted = (warm_start.modes.T @ (coefficients - known)).reshape(-1, 3)
        left += (((shape - before)[order] - predicted) ** 2).sum()
        moved += ((shape - before)[order] ** 2).sum()
        known, before = coefficients, shape
    assert left < 0.06 * moved  # squares


def test_a_moving_skin_overshoots_and_comes_to_the_same_rest(
    anatomy: Anatomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    still, moving = Skin(anatomy, "fine"), Skin(anatomy, "dynamic")
    for _ in range(12):
        still.step(OPEN)
    moved = still.points - anatomy.points
    far = np.linalg.norm(moved, axis=1) > 0.002
    direction = moved[far] / np.linalg.norm(moved[far], axis=1, keepdims=True)
    steps, beyond = anatomy.spec.substeps, []
    # One physics step at a time: after a whole control period the skin is nearly at rest.
    monkeypatch.setattr(moving._block, "_substeps", 1)
    for step in range(14 * steps):
        moving.step(OPEN._replace(jaw=0.26 * min(1.0, (step + 1) / 2 / steps)))
        beyond.append(1000 * ((moving.points - still.points)[far] * direction).sum(1).max())
    assert max(beyond[: 2 * steps]) < 0.05  # until the jaw stops, only what the solver leaves
    assert max(beyond[2 * steps :]) > 0.2
    assert 1000 * np.abs(moving.points - still.points).max() < 0.003  # mm; in single precision


def test_a_warm_start_of_another_skin_is_not_used(anatomy: Anatomy) -> None:
    other = replace(anatomy, digest="of another skin")
    assert solver_context(other).warm_start.rank == 0
    skin = Skin(other)
    skin.step(OPEN)
    assert skin.residual <= block.TOLERANCE


def test_unknown_solver_is_named(anatomy: Anatomy) -> None:
    with pytest.raises(EvaError, match="no skin called 'silk'; there are full, fine, dynamic"):
        Skins(anatomy, 2, "silk")
