"""The simulated body: skin, cables, camera, and what it answers to bad input."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from eva_sim import EvaError, make_face
from eva_sim.agents.data.babbling import sample_command
from eva_sim.contract import load_spec
from eva_sim.detector import Detector
from eva_sim.errors import ClosedError, CommandError, PhysicsError
from eva_sim.landmarks import face_measurements
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive, load_anatomy
from eva_sim.skin.solver import ReferenceSkin, Skin
from eva_sim.twin import Twin

REST = np.zeros(2)
SLACK = np.zeros(12)


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin() as face:
        yield face


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return load_anatomy(load_spec())


def hold(twin: Twin, values: dict[str, float] | None = None, steps: int = 14) -> np.ndarray:
    """Landmarks after holding a command from neutral."""
    twin.reset()
    for _ in range(steps):
        reading = twin.move(twin.spec.command(**(values or {})))
    return reading.landmarks


def disturbed(anatomy: Anatomy) -> tuple[np.ndarray, Drive]:
    rng = np.random.default_rng(0)
    drive = Drive(0.15, np.array([-0.2, 0.1]), rng.uniform(0, 0.01, 12))
    return anatomy.kinematic_points(drive) + rng.normal(0, 2e-4, anatomy.points.shape), drive


def test_gradient_is_the_slope_of_the_whole_energy(anatomy: Anatomy) -> None:
    points, drive = disturbed(anatomy)
    load, rng, step = anatomy.load(drive), np.random.default_rng(1), 1e-7
    gradient = anatomy.energy(points, load)[1]
    for _ in range(5):
        way = rng.normal(size=points.shape)
        way[anatomy.fixed] = 0
        up, down = (anatomy.energy(points + s * way, load)[0] for s in (step, -step))
        assert (gradient * way).sum() == pytest.approx((up - down) / (2 * step), rel=1e-5)


def test_hessian_is_the_slope_of_the_gradient(anatomy: Anatomy) -> None:
    points, drive = disturbed(anatomy)
    load, step = anatomy.load(drive), 1e-8  # shorter than the way to the nearest kink of a contact
    way = np.random.default_rng(2).normal(size=points.shape)
    way[anatomy.fixed] = 0
    up, down = (anatomy.energy(points + s * way, load)[1] for s in (step, -step))
    expected = ((up - down) / (2 * step))[anatomy.free].ravel()
    found = newton.hessian(anatomy, points, load) @ way[anatomy.free].ravel()
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_neutral_is_free_of_stress(anatomy: Anatomy) -> None:
    energy, gradient = anatomy.energy(anatomy.points, anatomy.load(Drive(0.0, REST, SLACK)))
    assert energy < 1e-12
    assert np.abs(gradient).max() < 1e-9


def test_full_stays_with_the_reference_along_a_walk(anatomy: Anatomy) -> None:
    full, reference = Skin(anatomy), ReferenceSkin(anatomy)
    errors = []
    for share in np.linspace(0.1, 1, 10):
        take_up = np.array([0.006, 0.004, 0, 0, 0, 0, 0, 0, 0.008, 0.009, 0, 0]) * share
        drive = Drive(0.2 * share, np.array([-0.3, -0.3]) * share, take_up)
        full.step(drive)
        reference.step(drive)
        errors.append(1000 * np.linalg.norm(full.points - reference.points, axis=1))
        assert reference.residual < 1e-4
    assert np.sqrt(np.square(errors).mean()) < 0.1


@pytest.mark.parametrize("pair", range(6))
def test_a_cable_pulls_like_its_muscle_and_like_its_mirror(twin: Twin, anatomy: Anatomy, pair: int) -> None:
    shapes = []
    for cable in (2 * pair, 2 * pair + 1):
        hold(twin, {twin.spec.names[cable]: 1.0})
        moved = 1000 * anatomy.patches[cable] @ (twin.skin.points - anatomy.points)
        way = anatomy.exits[cable] - anatomy.patches[cable] @ anatomy.points
        assert 5 <= np.linalg.norm(moved) <= 15
        assert moved @ way / np.linalg.norm(moved) / np.linalg.norm(way) > 0.9
        shapes.append(twin.skin.points.copy())
    mirrored = shapes[0][anatomy.mirror] * [-1, 1, 1]
    assert 1000 * np.abs(mirrored - shapes[1]).max() < 0.1


def test_landmarks_tell_what_the_face_does(twin: Twin) -> None:
    neutral, jaw, smile, brows, lids = (
        face_measurements(hold(twin, command))
        for command in (
            {},
            {"jaw": 1.0},
            {"zygomaticus": 1.0},
            {"brow_inner": 1.0, "brow_outer": 1.0},
            {"lid": -1.0},
        )
    )
    assert jaw["jaw_opening"] > neutral["jaw_opening"] + 0.1
    assert smile["mouth_width"] > neutral["mouth_width"] + 0.08
    assert brows["brow_height"] > neutral["brow_height"] + 0.05
    assert lids["lid_opening"] < 0.35 * neutral["lid_opening"]
    assert np.allclose(hold(twin), twin.neutral_landmarks, atol=1e-5)


def test_no_triangle_folds_or_tears(twin: Twin, anatomy: Anatomy) -> None:
    rng, triangles = np.random.default_rng(5), anatomy.triangles

    def areas(points: np.ndarray) -> np.ndarray:
        a, b, c = (points[triangles[:, k]] for k in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1)

    for _ in range(10):
        command = sample_command(twin.spec, rng)
        twin.reset()
        for _ in range(10):
            twin.move(command)
        ratio = areas(twin.skin.points) / areas(anatomy.points)
        assert ratio.min() > 0.05 and ratio.max() < 12
        assert np.abs(twin.skin.points - anatomy.points).max() < 0.04


def test_restore_repeats_bit_for_bit_also_elsewhere(twin: Twin) -> None:
    rng = np.random.default_rng(3)
    commands = [sample_command(twin.spec, rng) for _ in range(12)]
    twin.reset()
    for command in commands[:6]:
        twin.move(command)
    state = twin.save()
    first = [twin.move(command).landmarks for command in commands[6:]]
    with Twin() as other:
        other.restore(state)
        for command, landmarks in zip(commands[6:], first, strict=True):
            assert np.array_equal(other.move(command).landmarks, landmarks)


def test_a_bad_command_changes_nothing(twin: Twin) -> None:
    hold(twin, {"jaw": 1}, 3)
    before = twin.skin.points.copy()
    for bad in (np.full(25, np.nan), np.zeros(24), np.full(25, 1.5), "open wide"):
        with pytest.raises(CommandError):
            twin.move(bad)
    assert np.array_equal(twin.skin.points, before)


def test_physics_that_is_not_a_number_raises_and_keeps_the_shape(anatomy: Anatomy) -> None:
    skin = Skin(anatomy)
    skin.step(Drive(0.1, REST, SLACK))
    before = skin.points.copy()
    with pytest.raises(PhysicsError):
        skin.step(Drive(np.nan, REST, SLACK))
    assert np.array_equal(skin.points, before)


def test_unknown_options_are_named() -> None:
    with pytest.raises(EvaError, match="no skin called 'silk'; there are full, fine, dynamic"):
        make_face("twin", skin="silk")
    with pytest.raises(EvaError, match="no body called"):
        make_face("statue")


def test_pictures_do_not_depend_on_what_was_drawn_before(twin: Twin) -> None:
    hold(twin, {"zygomaticus": 0.5})
    first = twin.render(160)
    hold(twin, {"jaw": 1})
    assert not np.array_equal(twin.render(160), first)
    twin.render(96)
    hold(twin, {"zygomaticus": 0.5})
    assert np.array_equal(twin.render(160), first)


def test_pictures_are_the_same_in_another_process(twin: Twin, tmp_path: Path) -> None:
    """Two processes agree to the bit; one that compiled the skin itself may round otherwise."""
    hold(twin, {"jaw": 0.5}, 5)
    code = (
        "import sys; import numpy as np; from eva_sim.twin import Twin; t = Twin()\n"
        "for _ in range(5): t.move(t.spec.command(jaw=0.5))\n"
        "np.savez(sys.argv[1], points=t.skin.points, picture=t.render(128))"
    )
    files = [tmp_path / "one.npz", tmp_path / "other.npz"]
    for file in files:
        subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    one, other = (np.load(file) for file in files)
    assert np.array_equal(one["points"], other["points"])
    assert np.array_equal(one["picture"], other["picture"])
    assert 1000 * np.abs(one["points"] - twin.skin.points).max() < 0.01


def test_lights_are_summed_in_the_order_of_their_names(twin: Twin) -> None:
    twin.render(64)
    assert [node.name for node in twin._camera._renderer._scene.light_nodes] == ["fill", "key", "rim"]


@pytest.mark.parametrize(
    "use",
    [
        Twin.reset,
        lambda twin: twin.move(twin.spec.neutral),
        lambda twin: twin.render(32),
        lambda twin: twin.depth(32),
        lambda twin: twin.segmentation(32),
        Twin.placed,
    ],
)
def test_a_closed_twin_neither_moves_nor_is_drawn(use: Callable[[Twin], object]) -> None:
    with Twin(skin="reduced") as twin:
        kept = copy.deepcopy(twin)
    twin.close()  # a second time
    with pytest.raises(ClosedError, match="this twin was closed; open a new one"):
        use(twin)
    use(kept)  # a copy has a life of its own


def test_closed_lids_cover_the_eyes_and_the_jaw_opens_the_mouth(twin: Twin) -> None:
    def seen(label: int, **command: float) -> int:
        hold(twin, command)
        return int((twin.segmentation(256) == label).sum())

    mouth, eyes = 2, 4
    assert seen(eyes, lid=-1) < 0.1 * seen(eyes)
    assert seen(mouth, jaw=1) > 10 * max(1, seen(mouth))


def test_the_detector_reads_the_robot(twin: Twin) -> None:
    rng = np.random.default_rng(11)
    with Detector() as detector:
        for _ in range(12):
            command = sample_command(twin.spec, rng)
            twin.reset()
            for _ in range(9):
                twin.move(command)
            assert detector.landmarks(twin.render(224)) is not None


def test_pictures_do_not_pile_up(twin: Twin) -> None:
    def resident() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096 / 2**20

    commands = [twin.spec.command(jaw=value) for value in (-1, 1)]
    for n in range(40):
        twin.move(commands[n % 2])
        twin.render(96)
    before = resident()
    for n in range(200):
        twin.move(commands[n % 2])
        twin.render(96)
    assert resident() - before < 8


@pytest.mark.slow
def test_five_thousand_pictures_leave_the_memory_as_it_was(twin: Twin) -> None:
    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    for n in range(5000):
        twin.move(twin.spec.command(jaw=1.0 if n % 20 < 10 else -1.0))
        twin.render(96)
        if n == 300:
            before = resident()
    assert resident() - before < 8
