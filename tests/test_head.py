"""The rigid head: signs, gravity, the closed neck, and states that repeat bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import PhysicsError
from eva_sim.head import JAW_HINGE, Head, rigid


@pytest.fixture(params=["kinematic", "legs"])
def head(request: pytest.FixtureRequest, spec: FaceSpec) -> Iterator[Head]:
    body = Head(spec, neck=request.param)
    yield body
    body.close()
    body.close()


def settle(head: Head, steps: int = 25, **command: float) -> rigid.HeadPose:
    position = head.spec.to_physical(head.spec.command(**command))
    for _ in range(steps):
        pose = head.step(position)
    return pose


def wandering(spec: FaceSpec, steps: int, seed: int) -> Floats:
    """Smooth positions over all actuators, (steps, 25) [rad, m]."""
    rng = np.random.default_rng(seed)
    phase, speed = rng.uniform(0, 6.28, len(spec)), rng.uniform(0.5, 2.0, len(spec))
    time = np.arange(steps)[:, None] * spec.control_dt
    ramp = np.minimum(1.0, time / 0.4)
    return spec.to_physical(spec.neutral + ramp * (0.6 * np.sin(speed * time + phase) - spec.neutral) * 0.8)


def test_opening_the_jaw_lowers_the_chin(head: Head) -> None:
    pose = settle(head, jaw=1.0)
    opened = head.spec.actuators[head.spec.index("jaw")].high
    assert pose.jaw == pytest.approx(opened, abs=np.radians(1))
    arm = np.array([0.0, -0.11, 0.03]) - JAW_HINGE
    c, s = np.cos(pose.jaw), np.sin(pose.jaw)
    assert c * arm[1] - s * arm[2] < arm[1] - 0.015


def test_eyes_and_lids_go_where_they_are_told(head: Head) -> None:
    pose = settle(head, eye_left_yaw=1.0, eye_right_pitch=-1.0, lid_left=-1.0)
    spec = head.spec
    high = spec.actuators[spec.index("eye_left_yaw")].high
    assert np.allclose(pose.eyes, [[high, 0.0], [0.0, -high]], atol=np.radians(1))
    assert np.allclose(pose.lids, [spec.actuators[spec.index("lid_left")].low, 0.0], atol=np.radians(1))


def test_equal_legs_raise_the_head_and_one_side_tilts_it(head: Head) -> None:
    up = settle(head, 25, **{f"neck_leg_{leg}": 0.5 for leg in range(1, 7)})
    assert up.skull[1, 3] == pytest.approx(0.006, abs=0.002)
    tilted = settle(head, 25, **{f"neck_leg_{leg}": 0.5 if leg < 4 else -0.5 for leg in range(1, 7)})
    assert tilted.skull[1, 0] > np.sin(np.radians(2))  # raised on its left, leaning to its right
    assert tilted.leg_gap < 0.001


def test_both_necks_agree_at_rest(spec: FaceSpec) -> None:
    with_legs, without = Head(spec, "legs"), Head(spec, "kinematic")
    a, b = settle(with_legs, 50).skull, settle(without, 50).skull
    assert np.linalg.norm(a[:3, 3] - b[:3, 3]) < 0.001
    assert np.arccos(np.clip((np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2, -1, 1)) < np.radians(0.5)


def test_gravity_opens_an_unpowered_jaw(spec: FaceSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rigid, "HINGE_TORQUE", 0.0)
    assert settle(Head(spec), 5).jaw > 0.05


def test_a_saved_state_repeats_bit_for_bit_even_in_a_fresh_head(head: Head) -> None:
    path = wandering(head.spec, 50, seed=3)
    for position in path[:20]:
        head.step(position)
    saved = head.save()
    first = [head.step(p).skull.tobytes() + head.pose.eyes.tobytes() for p in path[20:]]
    fresh = Head(head.spec, "kinematic" if head.pose.leg_gap == 0.0 else "legs")
    for again in (head, fresh):
        again.restore(saved)
        assert [again.step(p).skull.tobytes() + again.pose.eyes.tobytes() for p in path[20:]] == first


def test_nonsense_is_refused_and_changes_nothing(head: Head) -> None:
    before = head.save()
    with pytest.raises(PhysicsError, match="finite positions"):
        head.step(np.full(25, np.nan))
    assert all(np.array_equal(before[name], value) for name, value in head.save().items())
