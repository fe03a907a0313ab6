"""The twin keeps the limits of robot.toml: no legal command overloads a cable, a patch or the skin."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec
from eva_sim.robot_config import robot_config
from eva_sim.twin import Twin, Twins
from eva_sim.twin.overloads import Overloads
from eva_sim.twin.taut_cables import taut_cables

FACES, STEPS = 16, 14


def legal(spec: FaceSpec, count: int, seed: int) -> NDArray[np.float32]:
    """Random legal commands, most of them at the ends of travel."""
    rng = np.random.default_rng(seed)
    ends = rng.choice([-1.0, 1.0], (count, len(spec)))
    return np.where(rng.random(ends.shape) < 0.7, ends, rng.uniform(-1, 1, ends.shape)).astype(np.float32)


def worst(spec: FaceSpec, commands: NDArray[np.float32], limits: bool) -> float:
    """Largest share of a limit on the way to these commands, from one to the next."""
    with Twins(FACES, spec=spec, limits=limits) as twins:
        overloads, most = Overloads(twins.skins.anatomy), 0.0
        for part in commands.reshape(-1, FACES, len(spec)):
            for _ in range(STEPS):
                twins.move(part)
                most = max(most, float(overloads.pulls(twins.skins.tension).max()))
            most = max(most, float(overloads.shares(twins.skins.points, twins.skins.tension).max()))
        return most


def named(spec: FaceSpec) -> NDArray[np.float32]:
    """The worst pairs and triples of the scan, and all cables at once."""
    groups = (
        {"brow_inner": 1.0, "corrugator": 1.0},
        {"zygomaticus": 1.0, "depressor": 1.0},
        {"depressor": 1.0, "jaw": 1.0},
        {"levator": 1.0, "depressor": 1.0, "jaw": 1.0},
        {"levator": 1.0, "zygomaticus": 1.0, "jaw": 1.0},
        {"brow_inner_left": 1.0, "brow_outer_left": 1.0, "corrugator_left": 1.0},
    )
    ends = spec.neutral
    ends[spec.where("cable")] = 1.0
    rows = [*(spec.command(**group) for group in groups), ends]
    return np.resize(np.array(rows), (FACES, len(spec)))


def test_no_legal_command_overloads_the_face(spec: FaceSpec) -> None:
    commands = np.concatenate([named(spec), legal(spec, FACES, seed=5)])
    assert worst(spec, commands, limits=True) <= 1
    assert worst(spec, named(spec), limits=False) > 1.1


@pytest.mark.slow
def test_no_legal_command_overloads_the_face_however_many(spec: FaceSpec) -> None:
    assert worst(spec, legal(spec, 20 * FACES, seed=6), limits=True) <= 1


def test_a_reading_tells_what_was_sent_and_how_warm_the_servos_are(spec: FaceSpec) -> None:
    with Twin() as twin:
        for _ in range(15):
            reading = twin.move(spec.command(levator=1.0, depressor=1.0, jaw=1.0))
        assert reading.temperature is not None and reading.temperature.shape == (len(spec),)
        assert robot_config(spec)["heat"]["ambient"] < reading.temperature.max() < 40
        assert reading.sent[spec.index("levator_left")] < 0.9
        assert reading.sent == pytest.approx(reading.position, abs=0.01)


def test_a_hot_servo_makes_one_face_of_many_limp(spec: FaceSpec) -> None:
    with Twins(2) as twins:
        assert twins.limits is not None
        twins.limits.heat.put((1, spec.index("corrugator_left")), 71.0)
        first = twins.move(np.tile(spec.command(jaw=1.0), (2, 1)))
        assert first.faults[0] == () and "corrugator_left is too hot" in first.faults[1][0]
        for _ in range(6):
            later = twins.move(np.tile(spec.command(jaw=1.0), (2, 1)))
        jaw = spec.index("jaw")
        assert later.position[0, jaw] > 0.9 and later.position[1, jaw] < later.position[0, jaw]
        twins.reset(1)
        assert twins.move(np.tile(spec.neutral, (2, 1))).faults == [(), ()]


def test_calm_motion_is_as_it_is_without_limits(spec: FaceSpec) -> None:
    with Twin("reduced") as limited, Twin("reduced", limits=False) as free:
        for step in range(60):
            wave = float(0.5 - 0.5 * np.cos(step / 8))
            command = spec.command(zygomaticus=2 * wave - 1, lid=-wave, jaw=0.6 * wave - 1)
            one, other = limited.move(command), free.move(command)
            assert np.array_equal(one.landmarks, other.landmarks) and np.array_equal(one.sent, command)


def test_swapped_ends_show_as_taut_cables_that_fight(spec: FaceSpec) -> None:
    swapped = spec.command(zygomaticus_left=1.0, depressor_left=1.0)
    found = {cable.name: cable for cable in taut_cables(spec, swapped)}
    assert found["zygomaticus_left"].against == ("depressor_left",)
    assert "zygomaticus_left" in found["depressor_left"].against and found["depressor_left"].tension > 15
    brows = {c.name: c for c in taut_cables(spec, spec.command(brow_inner_right=0.8, corrugator_right=0.8))}
    assert set(brows) == {"brow_inner_right", "corrugator_right"}
    assert brows["corrugator_right"].against == ("brow_inner_right",)


def test_a_face_at_rest_has_no_taut_cable_and_one_alone_fights_nothing(spec: FaceSpec) -> None:
    assert taut_cables(spec, spec.neutral) == ()
    (alone,) = taut_cables(spec, spec.command(levator_right=1.0))
    assert (alone.name, alone.against) == ("levator_right", ())
