"""The rigid head: signs, gravity, the closed neck, and states that repeat bit for bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import EvaError, PhysicsError
from eva_sim.head import JAW_HINGE, HeadModel, HeadPose, KinematicHead, Linkage, neck, open_head, rigid
from eva_sim.head.geometry import BASE, LEG_LENGTHS, PLATFORM
from eva_sim.head.rigid import RigidHead


@pytest.fixture(params=["kinematic", "legs"])
def head(request: pytest.FixtureRequest, spec: FaceSpec) -> Iterator[HeadModel]:
    body = open_head(spec, request.param)
    yield body
    body.close()
    body.close()


def settle(head: HeadModel, steps: int = 25, **command: float) -> HeadPose:
    position = head.spec.to_physical(head.spec.command(**command))
    for _ in range(steps):
        head.step(position)
    return head.pose


def wandering(spec: FaceSpec, steps: int, seed: int) -> Floats:
    """Smooth positions over all actuators, (steps, 25) [rad, m]."""
    rng = np.random.default_rng(seed)
    phase, speed = rng.uniform(0, 6.28, len(spec)), rng.uniform(0.5, 2.0, len(spec))
    time = np.arange(steps)[:, None] * spec.control_dt
    ramp = np.minimum(1.0, time / 0.4)
    return spec.to_physical(spec.neutral + ramp * (0.6 * np.sin(speed * time + phase) - spec.neutral) * 0.8)


def test_opening_the_jaw_lowers_the_chin(head: HeadModel) -> None:
    pose = settle(head, jaw=1.0)
    opened = head.spec.actuators[head.spec.index("jaw")].high
    assert pose.jaw == pytest.approx(opened, abs=np.radians(1))
    arm = np.array([0.0, -0.11, 0.03]) - JAW_HINGE
    c, s = np.cos(pose.jaw), np.sin(pose.jaw)
    assert c * arm[1] - s * arm[2] < arm[1] - 0.015


def test_eyes_and_lids_go_where_they_are_told(head: HeadModel) -> None:
    pose = settle(head, eye_left_yaw=1.0, eye_right_pitch=-1.0, lid_left=-1.0)
    spec = head.spec
    high = spec.actuators[spec.index("eye_left_yaw")].high
    assert np.allclose(pose.eyes, [[high, 0.0], [0.0, -high]], atol=np.radians(1))
    assert np.allclose(pose.lids, [spec.actuators[spec.index("lid_left")].low, 0.0], atol=np.radians(1))


def test_equal_legs_raise_the_head_and_one_side_tilts_it(head: HeadModel) -> None:
    up = settle(head, 25, **{f"neck_leg_{leg}": 0.5 for leg in range(1, 7)})
    assert up.skull[1, 3] == pytest.approx(0.006, abs=0.002)
    tilted = settle(head, 25, **{f"neck_leg_{leg}": 0.5 if leg < 4 else -0.5 for leg in range(1, 7)})
    assert tilted.skull[1, 0] > np.sin(np.radians(2))  # raised on its left, leaning to its right
    assert tilted.leg_gap < 0.001


def test_both_necks_agree_at_rest(spec: FaceSpec) -> None:
    with_legs, without = RigidHead(spec), KinematicHead(spec)
    a, b = settle(with_legs, 50).skull, settle(without, 50).skull
    assert np.linalg.norm(a[:3, 3] - b[:3, 3]) < 0.001
    assert np.arccos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1)) < np.radians(0.5)


def test_gravity_opens_an_unpowered_jaw(spec: FaceSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rigid, "HINGE_TORQUE", 0.0)
    assert settle(RigidHead(spec), 5).jaw > 0.05


def test_a_saved_state_repeats_bit_for_bit_even_in_a_fresh_head(head: HeadModel) -> None:
    path = wandering(head.spec, 50, seed=3)
    for position in path[:20]:
        head.step(position)
    kind = "kinematic" if isinstance(head, KinematicHead) else "legs"
    saved, fresh = head.save(), open_head(head.spec, kind)

    def play(body: HeadModel) -> list[bytes]:
        return [body.step(p).jaw.tobytes() + b"".join(_bytes(body.pose)) for p in path[20:]]

    first = play(head)
    for again in (head, fresh):
        again.restore(saved)
        assert play(again) == first


def _bytes(pose: HeadPose) -> list[bytes]:
    return [pose.skull.tobytes(), pose.eyes.tobytes(), pose.lids.tobytes(), repr(pose.leg_gap).encode()]


def test_without_physics_every_hinge_is_exactly_where_its_servo_is(spec: FaceSpec) -> None:
    head = KinematicHead(spec)
    for position in wandering(spec, 10, seed=4):
        head.step(position)
        pose = head.pose
        hinges = [pose.jaw, *pose.eyes.ravel(), *pose.lids]
        assert np.array_equal(hinges, position[spec.where("jaw", "eye", "lid")])


def test_the_skull_is_solved_only_when_somebody_asks(spec: FaceSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    head = KinematicHead(spec)
    solved: list[Floats] = []

    def solve(legs: Floats, guess: Floats) -> Floats:
        solved.append(legs)
        return guess

    monkeypatch.setattr(neck, "solve_pose", solve)
    head.step(spec.column("high"))
    assert not solved
    assert np.array_equal(head.pose.skull, np.eye(4))
    assert len(solved) == 1


def test_hinges_of_many_faces_are_those_of_each(spec: FaceSpec) -> None:
    positions = wandering(spec, 5, seed=6)
    linkage = Linkage(spec)
    together = linkage.angles(positions)
    for row, position in enumerate(positions):
        for one, many in zip(linkage.angles(position), together, strict=True):
            assert np.array_equal(one, many[row])


def test_the_neck_has_a_pose_at_every_corner_of_its_travel(spec: FaceSpec) -> None:
    low, high = spec.column("low"), spec.column("high")
    for corner in range(64):
        position = spec.column("neutral")
        raised = [bool(corner >> leg & 1) for leg in range(6)]
        legs = spec.where("leg")
        position[legs] = np.where(raised, high[legs], low[legs])
        skull = Linkage(spec).pose(position).skull
        length = np.linalg.norm(PLATFORM @ skull[:3, :3].T + skull[:3, 3] - BASE, axis=1)
        np.testing.assert_allclose(length, LEG_LENGTHS + position[legs], rtol=0, atol=1e-9)


def test_a_twin_without_legs_needs_no_pybullet() -> None:
    code = (
        "import sys; from eva_sim.twin import Twin; t = Twin(neck='kinematic'); t.move(t.spec.neutral)\n"
        "assert t.head.pose.leg_gap == 0; assert 'pybullet' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_neck_is_refused(spec: FaceSpec) -> None:
    with pytest.raises(EvaError, match="'kinematic' or 'legs'"):
        open_head(spec, "giraffe")


def test_nonsense_is_refused_and_changes_nothing(head: HeadModel) -> None:
    before = head.save()
    with pytest.raises(PhysicsError, match="finite positions"):
        head.step(np.full(25, np.nan))
    assert all(np.array_equal(before[name], value) for name, value in head.save().items())
