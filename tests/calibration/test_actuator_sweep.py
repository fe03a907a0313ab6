"""Sweeping by camera alone: known play, delay and sign are found again, on a fake and on the twin."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats, Reading, load_spec
from eva_sim.errors import MediaError
from eva_sim.landmarks import POINTS, REGIONS
from eva_sim.real.calibration import actuator_sweep as module
from eva_sim.real.calibration.actuator_sweep import ActuatorResponse, expected_motion, sweep_actuator
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_mock
from eva_sim.testing.fake_face import FakeFace
from eva_sim.twin import Twin


class PlayFace(FakeFace):
    """A fake whose actuators have play, come late, turn the wrong way, and are seen through noise.

    Args:
        play: of every actuator [command units].
        late: steps beyond the fake's own one.
        against: whether landmarks move against what is expected.
        noise: standard deviation of each coordinate [outer-eye distances].
    """

    def __init__(self, play: float = 0.0, late: int = 0, against: bool = False, noise: float = 0.0) -> None:
        super().__init__()
        self._play, self._late, self._noise = play, late, noise
        self._rng, self.turn = np.random.default_rng(0), -1.0 if against else 1.0
        self.reset()

    def reset(self, seed: int | None = None) -> Reading:
        self._queue = [self.spec.neutral] * getattr(self, "_late", 0)
        self._driven = self.spec.neutral.astype(float)
        return super().reset(seed)

    def move(self, command: ArrayLike) -> Reading:
        self._queue.append(self.spec.check(command))
        super().move(self._queue.pop(0))
        self._driven = np.clip(self._driven, self._position - self._play, self._position)
        return self._reading(self.spec.check(command))

    def _reading(self, sent: NDArray[np.float32]) -> Reading:
        if not hasattr(self, "turn"):
            return super()._reading(sent)
        position, self._position = (
            self._position,
            self.spec.neutral + self.turn * (self._driven - self.spec.neutral),
        )
        reading = super()._reading(sent)
        self._position = position
        reading.landmarks[:] += self._rng.normal(0, self._noise, reading.landmarks.shape)
        return reading

    def expected(self) -> Floats:
        """How landmarks move with each command, (25, N, 3)."""
        return np.moveaxis(self._map, -1, 0)


def jaw(face: PlayFace) -> ActuatorResponse:
    return sweep_actuator(face, face.spec.index("jaw"), face.expected())


@pytest.mark.parametrize("play", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_known_play_is_found_through_noise(play: float, noise: float) -> None:
    found = jaw(PlayFace(play=play, noise=noise))
    assert found.backlash == pytest.approx(play, abs=0.004 + 4 * noise)
    steepest = 1 / np.tanh(2.0)  # of the fake's response, at the low end
    assert found.hysteresis == pytest.approx(play * steepest, abs=0.01 + 5 * noise)


@pytest.mark.parametrize("late", [0, 1, 3])
@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_known_delay_is_found(late: int, noise: float) -> None:
    assert jaw(PlayFace(late=late, noise=noise, play=0.05)).delay == 1 + late


def test_a_servo_that_turns_the_wrong_way_is_told() -> None:
    assert jaw(PlayFace()).sign == 1
    assert jaw(PlayFace(against=True)).sign == -1


def test_sign_is_asked_where_the_actuator_moves_the_face() -> None:
    """A detector lets the whole face follow, and guesses depth; another cable moves another place."""
    levels, still = np.linspace(-1, 1, 5), np.zeros((len(POINTS), 3))
    mouth, brow = still.copy(), still.copy()
    mouth[REGIONS["mouth"], 1], brow[REGIONS["brows"], 1] = -0.1, 0.1
    rest = np.random.default_rng(1).normal(0, 1, still.shape)
    follow = np.where(mouth == 0, 0.03, 0.0) + np.array([0, 0, 0.2])

    def seen(way: Floats) -> ActuatorResponse:
        path = rest + (levels[:, None, None, None] + 1) / 2 * np.stack([way, way])
        return module.analyse_sweep(levels, path, path, 90.0, mouth)

    assert seen(mouth + follow).sign == 1 and seen(follow - mouth).sign == -1
    assert seen(brow + 0.1 * mouth).sign is None
    assert set(seen(mouth + follow * [1, 1, 0]).points) == {POINTS[row] for row in REGIONS["mouth"]}


def test_what_landmarks_do_not_show_is_not_invented(spec: FaceSpec) -> None:
    face = PlayFace(noise=0.0005)
    found = sweep_actuator(face, spec.index("neck_leg_3"), face.expected())
    assert found.points == ()
    assert all(value is None for value in (found.sign, found.backlash, found.delay, found.up))


def test_it_moves_one_actuator_and_never_leaps_but_once(spec: FaceSpec) -> None:
    face, sent = PlayFace(), list[NDArray[np.float32]]()
    move = face.move

    def watched(command: ArrayLike) -> Reading:
        reading = move(command)
        sent.append(reading.sent)
        return reading

    face.move = watched  # type: ignore[method-assign]
    jaw(face)
    path = np.array([spec.neutral, *sent])
    others = np.setdiff1d(np.arange(len(spec)), [spec.index("jaw")])
    assert np.array_equal(path[:, others], np.tile(spec.neutral[others], (len(path), 1)))
    leaps = np.abs(np.diff(path, axis=0)).max(1)
    assert (leaps > 0.2).sum() == 1 and np.array_equal(
        path[-1], spec.neutral
    )  # the step that tells the delay


def test_a_lost_face_is_told(spec: FaceSpec) -> None:
    with pytest.raises(MediaError, match="no face in the picture"):
        sweep_actuator(FakeFace(found=False), spec.index("jaw"))


def test_a_response_survives_json() -> None:
    found = jaw(PlayFace(play=0.05))
    assert ActuatorResponse.from_json(json.loads(json.dumps(found.to_json()))) == found


TRUE = 2 * 0.0003 / 0.008 / 2.2  # the table's play of 0.3 mm, in commands


@pytest.mark.parametrize(
    ("parameters", "play", "delay"),
    [
        ({}, TRUE, 1),
        ({"backlash": 4.0}, 4 * TRUE, 1),
        ({"delay": 1.0}, TRUE, 2),
        ({"friction": 2.0}, TRUE, 1),
    ],
)
def test_the_twin_is_found_again(parameters: dict[str, Any], play: float, delay: int) -> None:
    with Twin() as twin:
        shapes = {"backlash": (12,), "friction": (12,), "delay": ()}
        twin.set_parameters({name: np.full(shapes[name], value) for name, value in parameters.items()})
        found = sweep_actuator(twin, twin.spec.index("zygomaticus_left"))
    assert found.backlash == pytest.approx(play, rel=0.12)
    assert (found.sign, found.delay) == (1, delay)
    mouth = {POINTS[row] for row in REGIONS["mouth"]}
    assert set(found.points[:5]) <= mouth | {POINTS[row] for row in REGIONS["cheeks"]}


@pytest.mark.slow
def test_pictures_are_read_without_memory() -> None:
    """A jaw without play must have none when seen, however the detector jitters."""
    with Twin(camera_size=320) as twin:
        found = sweep_actuator(twin, twin.spec.index("jaw"))
    assert found.backlash is not None and found.backlash < 0.04
    assert (found.sign, found.delay) == (1, 1) and found.hysteresis is not None and found.hysteresis < 0.03


def test_the_expected_way_shows_mirrored_pairs(spec: FaceSpec) -> None:
    size = np.linalg.norm(expected_motion(load_spec()), axis=-1).max(1)
    seen = spec.where("cable", "jaw", "lid")
    assert size[seen].min() > 0.03 and not size[np.setdiff1d(np.arange(len(spec)), seen)].any()
    left, right = (
        expected_motion(load_spec())[spec.index(f"zygomaticus_{side}")] for side in ("left", "right")
    )
    row = {point: i for i, point in enumerate(POINTS)}
    assert np.linalg.norm(left[row[291]]) > 3 * np.linalg.norm(left[row[61]])
    assert np.linalg.norm(right[row[61]]) > 3 * np.linalg.norm(right[row[291]])


def test_a_robot_that_knows_its_resting_face_does_not_seem_to_move_at_rest() -> None:
    with open_mock(1) as face:
        made = Calibration.nominal(load_spec(), face.identity.robot_id).with_neutral(
            module.resting_face(face)
        )
    with open_mock(1, calibration=made) as face:
        readings = [face.reset(), *(face.move(face.spec.neutral) for _ in range(8))]
        away = readings[-1].landmarks - face.neutral_landmarks
        assert 1000 * face.outer_eye * np.linalg.norm(away, axis=-1).mean() < 0.3  # [mm]


def test_the_resting_face_is_a_mean_of_pictures() -> None:
    with Twin() as twin:
        neutral = module.resting_face(twin, count=3)
        assert 1000 * twin.outer_eye * np.sqrt(((neutral - twin.neutral_landmarks) ** 2).sum(1)).mean() < 8
    with pytest.raises(MediaError, match="3 of 3 pictures at rest show no face"):
        module.resting_face(FakeFace(), count=3)
