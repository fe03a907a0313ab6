"""Many twins at once: each as one alone, faults face by face, states that repeat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tqdm import tqdm

from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.errors import ClosedError, CommandError, EvaError
from eva_sim.landmarks import Aligner, fit_similarity
from eva_sim.randomise import draw_parameters
from eva_sim.skin import batch
from eva_sim.skin.batch import Skins
from eva_sim.skin.block import TOLERANCE, Block
from eva_sim.twin import Twin
from eva_sim.twin.twins import UNSETTLED, Twins

FACES = 18  # more than one block of lanes
#: Outer-eye distances; 46 um. Lanes and one face add up in another order, in single precision, and the
#: descent ends after a fixed number of evaluations.
NEAR = 5e-4


@pytest.fixture(scope="module")
def shared() -> Iterator[Twins]:
    twins = Twins(FACES)
    yield twins
    twins.close()


@pytest.fixture
def twins(shared: Twins) -> Twins:
    for face in range(FACES):
        shared.set_parameters(face, {})
    shared.reset()
    return shared


def walk(spec: FaceSpec, steps: int, seed: int, faces: int = FACES) -> Floats:
    """Commands of a random walk from neutral, calm enough for the usual evaluations, (steps, faces, 25)."""
    rng, command, path = np.random.default_rng(seed), np.tile(spec.neutral, (faces, 1)), []
    for _ in range(steps):
        command = np.clip(command + rng.normal(0, 0.05, command.shape), -1, 1).astype(np.float32)
        path.append(command)
    return np.array(path)


@pytest.mark.slow
def test_a_million_random_steps_over_random_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    """Episodes of 100 steps, each face with a body of its own in each; commands walk, and at times jump."""
    faces, episodes, steps, rng = 512, 20, 100, np.random.default_rng(0)
    twins, failures, silent = Twins(faces), 0, 0
    for _ in tqdm(range(episodes), "episodes", disable=None):
        for face in range(faces):
            twins.set_parameters(face, draw_parameters(load_spec(), rng))
        twins.reset()
        commands = np.tile(twins.spec.neutral, (faces, 1))
        for _ in range(steps):
            jump = rng.random((faces, 1)) < 0.02
            walked = commands + rng.normal(0, 0.12, commands.shape)
            wanted = np.where(jump, rng.uniform(-1, 1, commands.shape), walked)
            commands = np.clip(wanted, -1, 1).astype(np.float32)
            readings = twins.move(commands)
            failures += sum(UNSETTLED in faults for faults in readings.faults)
            numbers = np.isfinite(readings.landmarks).all((1, 2)) & np.isfinite(twins.skins.tension).all(1)
            silent += int((~numbers | (twins.skins.residual > TOLERANCE)).sum())
    assert isinstance(twins.skins, Skins)
    more, newtons = twins.skins.extra_solves
    twins.close()
    with capsys.disabled():
        print(
            f"\n{faces * episodes * steps:,} steps: {more:,} helped, {newtons:,} by Newton's method; "
            f"{failures:,} failed and were reported, {silent:,} were not finite or not settled unreported"
        )
    assert silent == 0
    assert failures < 1e-5 * faces * episodes * steps


def test_each_face_does_what_a_twin_alone_does(twins: Twins) -> None:
    checked, path = (0, 15, 16, 17), walk(twins.spec, 20, seed=1)
    alone = {face: Twin() for face in checked}
    assert np.allclose(twins.neutral_landmarks, alone[0].neutral_landmarks, atol=1e-7)
    for face in checked[1:]:
        parameters = draw_parameters(load_spec(), np.random.default_rng(face))
        twins.set_parameters(face, parameters)
        alone[face].set_parameters(parameters)
    for commands in path:
        together = twins.move(commands)
        for face, twin in alone.items():
            reading = twin.move(commands[face])
            apart = np.abs(together.landmarks[face] - reading.landmarks)
            assert apart.max() < NEAR and apart.mean() < NEAR / 10
            assert np.abs(together.position[face] - reading.position).max() == 0
            assert together.time[face] == reading.time
            assert np.array_equal(together.sent[face], reading.sent)


def test_faces_do_not_depend_on_their_neighbours(twins: Twins) -> None:
    path = walk(twins.spec, 6, seed=2)
    first = [twins.move(commands).landmarks[3] for commands in path]
    twins.reset()
    other = walk(twins.spec, 6, seed=3)
    other[:, 3] = path[:, 3]
    again = [twins.move(commands).landmarks[3] for commands in other]
    assert np.array_equal(first, again)


def test_a_reset_face_starts_anew_and_the_others_go_on(twins: Twins) -> None:
    path = walk(twins.spec, 8, seed=4)
    for commands in path[:4]:
        twins.move(commands)
    before = twins.read()
    twins.reset(16)
    after = twins.read()
    assert after.time[16] == 0
    assert np.allclose(after.landmarks[16], twins.neutral_landmarks, atol=1e-6)
    others = np.arange(FACES) != 16
    assert np.array_equal(after.landmarks[others], before.landmarks[others])
    with Twin() as alone:
        for commands in path[4:]:
            together, reading = twins.move(commands), alone.move(commands[16])
            assert np.abs(together.landmarks[16] - reading.landmarks).max() < NEAR


def test_save_and_restore_repeat_bit_for_bit(twins: Twins) -> None:
    twins.set_parameters(2, draw_parameters(load_spec(), np.random.default_rng(5)))
    path = walk(twins.spec, 8, seed=5)
    for commands in path[:4]:
        twins.move(commands)
    state = twins.save()
    first = [twins.move(commands) for commands in path[4:]]
    twins.set_parameters(2, {})
    twins.restore(state)
    for one, commands in zip(first, path[4:], strict=True):
        two = twins.move(commands)
        assert all(np.array_equal(a, b) for a, b in zip(one[:4], two[:4], strict=True))


@pytest.mark.parametrize("skin", ["full", "dynamic", "reduced"])
def test_some_faces_are_restored_and_the_others_go_on(skin: str) -> None:
    """Faces 1 and 16 go back by three steps; 16 is alone in its block. The rest never notices."""
    back, path = [1, 16], walk(load_spec(), 8, seed=8)
    with Twins(FACES, skin) as one, Twins(FACES, skin) as undisturbed:
        for commands in path[:3]:
            one.move(commands)
            undisturbed.move(commands)
        state = one.save()
        first = [one.move(commands).landmarks[back] for commands in path[3:5]]
        for commands in path[3:6]:
            undisturbed.move(commands)
        one.move(path[5])
        one.restore(state, back)
        others = np.delete(np.arange(FACES), back)
        for step, commands in enumerate(path[6:]):
            mixed = commands.copy()
            mixed[back] = path[3 + step][back]
            seen, wanted = one.move(mixed), undisturbed.move(commands)
            assert np.array_equal(seen.landmarks[back], first[step])
            assert np.array_equal(seen.landmarks[others], wanted.landmarks[others])
            assert seen.time[1] == pytest.approx(0.04 * (4 + step))


def test_a_face_that_does_not_settle_is_reset_and_told(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    path = walk(twins.spec, 3, seed=6)
    twins.move(path[0])
    descend, skins = Block.descend, twins.skins
    assert isinstance(skins, Skins)

    def broken(block: Block, evaluations: int) -> None:
        descend(block, evaluations)
        if block is skins._blocks[1]:
            block.set_shape(1, np.full_like(block.points[1], np.nan))
            block.residual[1] = np.nan

    with monkeypatch.context() as patch:
        patch.setattr(Block, "descend", broken)
        reading = twins.move(path[1])
    assert [face for face, faults in enumerate(reading.faults) if faults] == [17]
    assert UNSETTLED in reading.faults[17]
    assert reading.time[17] == 0 and reading.time[16] == pytest.approx(0.08)
    assert np.isfinite(reading.landmarks).all()
    assert np.allclose(reading.landmarks[17], twins.neutral_landmarks, atol=1e-6)
    assert not any(twins.move(path[2]).faults)


def test_faces_in_need_are_settled_near_where_one_alone_would_be(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "TOLERANCE", 1e-3)  # the usual evaluations leave more
    rng = np.random.default_rng(8)
    assert isinstance(twins.skins, Skins)
    before, worst = twins.skins.extra_solves[0], 0.0
    with Twin() as alone:
        for _ in range(3):
            commands = rng.uniform(-1, 1, (FACES, 25)).astype(np.float32)
            together, reading = twins.move(commands), alone.move(commands[4])
            if together.faults[4]:
                break
            worst = max(worst, np.abs(together.landmarks[4] - reading.landmarks).max())
    assert twins.skins.extra_solves[0] > before
    assert 0 < worst < 0.01  # 1 mm: both stop as soon as the residual is small enough


def test_malformed_commands_name_the_face_and_change_nothing(twins: Twins) -> None:
    commands = walk(twins.spec, 1, seed=7)[0]
    commands[5, 12] = np.nan
    before = twins.read()
    with pytest.raises(CommandError, match=r"face 5: .*jaw"):
        twins.move(commands)
    with pytest.raises(CommandError, match="shape"):
        twins.move(commands[:4])
    assert np.array_equal(twins.read().landmarks, before.landmarks)


def test_the_neck_of_a_face_is_where_its_legs_put_it(twins: Twins) -> None:
    commands = np.tile(twins.spec.neutral, (FACES, 1))
    commands[9, twins.spec.where("leg")] = 0.5
    for _ in range(5):
        twins.move(commands)
    assert twins.pose(9).skull[1, 3] == pytest.approx(0.006, abs=0.002)
    assert np.allclose(twins.pose(8).skull, np.eye(4))


def test_after_a_reset_nothing_pulls(twins: Twins) -> None:
    """Tension a step old acts on the cables: what is left of it would be history."""
    pulled = twins.spec.command(zygomaticus=1.0, jaw=1.0)
    with Twin() as alone:
        for _ in range(10):
            twins.move(np.tile(pulled, (FACES, 1)))
            alone.move(pulled)
        assert alone.skin.tension.max() > 1 and twins.skins.tension[3].max() > 1
        twins.reset(3)
        alone.reset()
        assert not alone.skin.tension.any() and not twins.skins.tension[3].any()
        assert twins.skins.tension[4].max() > 1


def test_bad_arguments_are_told() -> None:
    with pytest.raises(EvaError, match="faces=0"):
        Twins(0)
    with pytest.raises(EvaError, match="no skin called 'rubber'"):
        Twins(1, "rubber")
    with pytest.raises(EvaError, match="one at a time"):
        Twins(1, "reference")


def test_many_faces_are_aligned_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    aligner = Aligner.of(rng.uniform(-1, 1, (150, 3)))
    points = rng.uniform(-1, 1, (7, 150, 3))
    together = aligner(points)
    for face, one in enumerate(points):
        np.testing.assert_allclose(together[face], aligner(one), rtol=0, atol=1e-12)
    scales, turns, shifts = fit_similarity(points, points[0])
    assert scales.shape == (7,) and turns.shape == (7, 3, 3) and shifts.shape == (7, 3)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0)
    np.testing.assert_allclose(turns[0], np.eye(3), atol=1e-12)


def test_closed_twins_neither_move_nor_are_drawn() -> None:
    twins = Twins(2, skin="reduced")
    twins.close()
    for use in (twins.reset, lambda: twins.move(np.zeros((2, 25))), lambda: twins.render(32)):
        with pytest.raises(ClosedError, match="these twins were closed"):
            use()
