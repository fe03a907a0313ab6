"""The hidden robot: the twin when nominal, another when not, and telling nobody which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.randomise import draw_parameters, load_randomisation
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_hidden
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.simulation.plant import Plant, PlantCamera, PlantServos
from eva_sim.twin import Twin

SIZE = 96
NOMINAL = Calibration.nominal(load_spec())
CHANNEL = load_spec().column("channel").astype(int)


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin(limits=False) as face:  # what a robot's servos do once pulses have come
        yield face


def drive(plant: Plant, commands: np.ndarray, start: int = 0) -> None:
    """Pulses of commands, each at the beginning of a control period."""
    for step, command in enumerate(commands, start):
        for channel, width in zip(CHANNEL, NOMINAL.to_raw(command), strict=True):
            plant.follow(0.04 * step, int(channel), float(width))


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_a_nominal_plant_is_the_twin(twin: Twin, spec: FaceSpec) -> None:
    """The same commands at the same times give the same picture, but for quarters of a microsecond."""
    plant, commands = Plant(load_spec(), 0, SIZE), np.random.default_rng(2).uniform(-0.8, 0.8, (12, 25))
    twin.reset()
    for step, command in enumerate(commands.astype(np.float32)):
        drive(plant, command[None], step)
        twin.move(command)
        shown = plant.picture(0.04 * (step + 1))
    assert shown.shape == (SIZE, SIZE, 3)
    assert apart(shown, twin.render(SIZE)) < 0.02
    drive(plant, spec.neutral[None], 12)
    assert apart(plant.picture(0.04 * 20), shown) > 0.5


def test_every_actuator_looks_as_it_does_on_the_twin(twin: Twin, spec: FaceSpec) -> None:
    """Order, sign and range through the whole chain: of all pictures of the twin, the same one is nearest."""
    plant, step, mine, theirs = Plant(load_spec(), 0, 64), 0, [], []
    for index in range(len(spec)):
        command = spec.neutral
        command[index] = -0.9 if spec.neutral[index] > 0.3 else 0.9
        hold = np.repeat(command[None], 12, axis=0)
        drive(plant, hold, step)
        step += len(hold)
        mine.append(plant.picture(0.04 * step))
        drive(plant, np.repeat(spec.neutral[None], 12, axis=0), step)
        step += 12
        twin.reset()
        for _ in hold:
            twin.move(command)
        theirs.append(twin.render(64))
    distance = np.array([[apart(a, b) for b in theirs] for a in mine])
    assert np.argmin(distance, axis=1).tolist() == list(range(len(spec)))


def test_limp_servos_stay_where_they_are(spec: FaceSpec) -> None:
    plant = Plant(load_spec(), 0, SIZE)
    rest = plant.picture(0.0)
    drive(plant, np.repeat(spec.command(jaw=1.0, zygomaticus=0.8)[None], 12, axis=0))
    smiling = plant.picture(0.04 * 12)
    for channel in range(25):
        plant.follow(0.04 * 12, channel, float("nan"))
    assert apart(plant.picture(0.04 * 40), smiling) < 0.02
    assert apart(rest, smiling) > 1


def test_a_servo_that_goes_limp_on_its_way_stops_there(spec: FaceSpec) -> None:
    plant = Plant(load_spec(), 0, SIZE)
    drive(plant, np.repeat(spec.command(neck_leg_1=1.0, jaw=1.0)[None], 3, axis=0))
    for channel in range(25):
        plant.follow(0.04 * 3, channel, float("nan"))
    stopped = plant.picture(0.04 * 4)
    assert apart(plant.picture(0.04 * 30), stopped) < 0.02


def test_other_seeds_are_other_robots_and_the_same_seed_the_same(spec: FaceSpec) -> None:
    smile = np.repeat(spec.command(zygomaticus=0.8, jaw=0.2)[None], 12, axis=0)
    shown = []
    for seed in (0, 1, 2, 1):
        plant = Plant(load_spec(), seed, SIZE)
        drive(plant, smile)
        shown.append(plant.picture(0.04 * 12))
    assert np.array_equal(shown[1], shown[3])
    assert min(apart(shown[a], shown[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > 0.2


@pytest.mark.parametrize(
    "name", [line.name for line in load_randomisation(load_spec()) if line.acts_on == "robot"]
)
def test_every_line_of_a_robot_moves_its_servos(spec: FaceSpec, name: str) -> None:
    (line,) = [line for line in load_randomisation(load_spec()) if line.name == name]
    pulses = NOMINAL.to_raw(np.zeros(25))
    nominal = PlantServos(spec, {})(pulses)
    assert nominal == pytest.approx(spec.to_physical(np.zeros(25)), abs=1e-3)
    shifted = PlantServos(spec, {name: np.full(line.shape(spec), line.high)})(pulses)
    assert (shifted != nominal).sum() > 10


def test_servos_stop_where_their_mechanism_does(spec: FaceSpec) -> None:
    for width in (500.0, 2500.0):
        angles = PlantServos(spec, draw_parameters(load_spec(), np.random.default_rng(0), robot=True))(
            np.full(25, width)
        )
        assert (angles >= spec.column("low")).all()
        assert (angles <= spec.column("high")).all()


def reachable(start: Any) -> list[Any]:
    """What attributes lead to, without the insides of functions."""
    found, queue = {}, [start]
    while queue:
        thing = queue.pop()
        if id(thing) in found or isinstance(thing, type | str | bytes | int | float):
            continue
        found[id(thing)] = thing
        if isinstance(thing, dict):
            queue += thing.values()
        elif isinstance(thing, list | tuple | set):
            queue += thing
        elif type(thing).__module__.startswith("eva_sim"):
            names = [*getattr(thing, "__dict__", {}), *getattr(type(thing), "__slots__", ())]
            queue += [getattr(thing, name) for name in names]
    return list(found.values())


def test_its_parameters_are_reachable_by_nothing() -> None:
    """Not from the face, its board, its eye or its machine: neither the numbers nor the hidden robot."""
    secret = draw_parameters(load_spec(), np.random.default_rng(3), robot=True)
    face = open_hidden(MockBoard(load_spec(), 3), 3, SIZE)
    face.reset()
    things = reachable(face)
    assert any(isinstance(thing, PlantCamera) for thing in things)
    assert not [thing for thing in things if isinstance(thing, Twin | PlantServos)]
    values = {v.tobytes() for v in secret.values() if v.size > 1}
    arrays = [thing for thing in things if isinstance(thing, np.ndarray)]
    assert len(arrays) > 10
    assert not [a for a in arrays if a.astype(float).tobytes() in values]
    plant = Plant(load_spec(), 3, SIZE)
    assert [name for name in dir(plant) if not name.startswith("__")] == ["follow", "picture"]
    face.close()


def test_the_face_reads_the_plants_motion(twin: Twin) -> None:
    """Landmarks by camera follow the twin's own: how far each point has moved, in millimetres."""
    with open_hidden(MockBoard(load_spec()), camera_size=224) as face:
        rest = face.reset()
        assert rest.found
        assert rest.image is not None and rest.image.shape == (224, 224, 3)
        still = 1000 * face.outer_eye * np.linalg.norm(rest.landmarks - face.neutral_landmarks, axis=1)
        assert np.median(still) < 0.5
        command = face.spec.command(zygomaticus=0.8, jaw=0.5)
        twin.reset()
        for _ in range(10):
            seen, simulated = face.move(command), twin.move(command)
        moved = np.linalg.norm(simulated.landmarks - twin.neutral_landmarks, axis=1)
        error = np.linalg.norm(seen.landmarks - simulated.landmarks, axis=1)
        assert 1000 * face.outer_eye * np.median(error) < 2.0
        assert np.median(error[moved > 0.05]) < 0.42 * np.median(moved[moved > 0.05])
        assert isinstance(face, RobotFace)
