"""Retargeting a person's face to one of the robot's: as far as theirs, but within its own range."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.agents.mirroring import retargeting
from eva_sim.agents.mirroring.retargeting import Retargeter
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.atlas import load_atlas
from eva_sim.contract import load_spec, parse_spec
from eva_sim.detector import canonical_face
from eva_sim.errors import DataError
from eva_sim.landmarks import POINTS, Aligner, face_measurements, landmark_rows
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.limits.command_search import CommandSearch

SHAPE = (len(POINTS), 3)
BROWS = landmark_rows(
    70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285
)
UPPER_LIDS = (246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398)
LOWER_LIDS = (7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382)


class Twin:
    """The twin's commands and faces, from its atlas."""

    def __init__(self) -> None:
        spec = self.spec = load_spec()
        atlas = load_atlas(spec)
        self.moving = spec.expressive
        self.neutral = atlas.landmarks[0].astype(float)
        self.pulls = (atlas.commands - spec.neutral)[:, self.moving]
        self.moved = (atlas.landmarks - atlas.landmarks[0]).reshape(len(atlas), -1)
        self.forward_model = ForwardModel.fit(self.pulls, self.moved)

    def retargeter(self, low: float = -1, high: float = 1) -> Retargeter:
        return Retargeter(
            self.spec, self.neutral, self.neutral + low, self.neutral + high, self.forward_model
        )

    def asked(self, displacement: np.ndarray, low: float = -1, high: float = 1) -> np.ndarray:
        """The displacement, (N, 3), that is asked of the robot for a person's displacement."""
        person = self.neutral
        return self.retargeter(low, high)(person + displacement, person) - self.neutral


@pytest.fixture(scope="module")
def twin() -> Twin:
    return Twin()


def test_a_resting_person_asks_for_the_resting_robot(twin: Twin) -> None:
    np.testing.assert_allclose(twin.asked(np.zeros(SHAPE)), 0, atol=1e-9)


def test_faces_that_the_robot_can_make_are_asked_for_as_they_are(twin: Twin) -> None:
    """These are random faces, far more one-sided than those of people, which costs a little."""
    faces = twin.moved[3:200:10].reshape(-1, *SHAPE)
    off = [np.linalg.norm(twin.asked(face) - face) / np.linalg.norm(face) for face in faces]
    assert np.mean(off) < 0.15 and np.max(off) < 0.35


def _raised(twin: Twin) -> float:
    """How far the robot's brows are asked to go for a person's that rise by 0.05."""
    person = np.zeros(SHAPE)
    person[BROWS, 1] = 0.05
    both = face_measurements(twin.neutral + twin.asked(person)), face_measurements(twin.neutral)
    return float(both[0]["brow_height"] - both[1]["brow_height"])


def test_brows_rise_as_far_as_the_persons(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all points counted alike, the many that hardly move would hold the brows down."""
    assert 0.8 * 0.05 < _raised(twin) < 1.2 * 0.05
    monkeypatch.setattr(retargeting, "GAP_WEIGHT", 0.0)
    assert _raised(twin) < 0.7 * 0.05


def test_one_side_alone_stays_one_sided(twin: Twin) -> None:
    person = np.zeros(SHAPE)
    person[BROWS[10:], 1] = 0.05
    asked = twin.asked(person)
    assert asked[BROWS[10:], 1].mean() > 0.03
    assert asked[BROWS[:10], 1].mean() < 0.01


@pytest.mark.parametrize("size", [0.7, 1.0, 1.4])
def test_eyes_of_any_size_that_shut_shut_the_robots(twin: Twin, size: float) -> None:
    """The detector leaves a gap at shut lids; a half shut eye stays half shut."""
    person = Aligner.of(canonical_face()).neutral
    upper, lower = landmark_rows(*UPPER_LIDS), landmark_rows(*LOWER_LIDS)
    middle = (person[upper] + person[lower]) / 2
    for row in (upper, lower):
        person[row] = middle + size * (person[row] - middle)
    gap = person[upper, 1] - person[lower, 1]
    openings = []
    for closed in (0.0, 0.5, 1.0):
        face = person.copy()
        face[upper, 1] -= closed * gap * (1 - retargeting.SHUT)
        asked = twin.retargeter()(face, person)
        openings.append(face_measurements(asked)["lid_opening"])
    shut = face_measurements(twin.neutral + _shut_lids(twin))["lid_opening"]
    half = (openings[0] + shut) / 2
    assert openings[2] == pytest.approx(shut, abs=0.012)
    assert openings[1] == pytest.approx(half, abs=0.012)


def _shut_lids(twin: Twin) -> np.ndarray:
    pulls = twin.spec.command(lid=-1)[twin.moving] - twin.spec.neutral[twin.moving]
    return twin.forward_model(pulls).reshape(SHAPE)


def test_a_face_that_both_sides_make_is_not_made_by_one(twin: Twin) -> None:
    """A wide and narrow mouth, as of an "O", which pulls of one side alone would make nearly as well."""
    person = np.zeros(SHAPE)
    lower = landmark_rows(14, 17, 84, 314, 87, 317, 178, 402, 181, 405)
    person[lower, 1] -= 0.2
    person[landmark_rows(61), 0] += 0.02
    person[landmark_rows(291), 0] -= 0.02
    pulls = twin.retargeter()._pulls(
        retargeting.expression_metric(retargeting.COUNTED_GAPS, retargeting.GAP_WEIGHT) @ person.ravel()
    )
    order = [twin.spec.names[i] for i in twin.moving]
    for name in ("levator", "zygomaticus", "depressor"):
        left, right = (pulls[order.index(f"{name}_{side}")] for side in ("left", "right"))
        assert abs(left - right) < 0.2


def test_a_jaw_that_opens_raises_no_lip(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A robot whose jaw opens less than a person's parts its lips further by raising one, as in disgust."""
    person, upper = np.zeros(SHAPE), landmark_rows(0, 37, 267)
    person[landmark_rows(14, 17, 84, 314, 87, 317, 178, 402, 181, 405), 1] -= 0.2
    person[landmark_rows(152, 148, 377, 176, 400, 199, 200), 1] -= 0.1

    def raised() -> float:
        return float(twin.asked(person)[upper, 1].mean())

    counted = raised()
    monkeypatch.setattr(retargeting, "COUNTED_GAPS", retargeting.SEEN_GAPS)
    assert counted < 0.7 * raised()


def test_wrong_depth_does_less_harm_when_half_trusted(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A little of a nod that is taken for expression."""
    nod = np.zeros(SHAPE)
    nod[:, 2] = 0.05 * twin.neutral[:, 1]

    def leak() -> float:
        return float(np.linalg.norm(twin.asked(nod), axis=1).mean())

    trusted_half = leak()
    monkeypatch.setattr(retargeting, "AXIS_WEIGHTS", (1.0, 1.0, 1.0))
    assert trusted_half < 0.8 * leak()


def test_each_landmark_is_clipped_to_the_robots_own_range(twin: Twin) -> None:
    face = twin.moved[np.abs(twin.moved).max(1).argmax()].reshape(SHAPE)
    free, held = twin.asked(face), twin.asked(face, -0.01, 0.02)
    assert free.min() < -0.01 and free.max() > 0.02
    np.testing.assert_allclose(held, free.clip(-0.01, 0.02), atol=1e-12)


def test_more_than_the_robot_can_is_asked_within_its_travel(twin: Twin) -> None:
    person = np.zeros(SHAPE)
    person[BROWS, 1] = 5.0
    furthest = np.abs(twin.moved).max()
    assert np.abs(twin.asked(person)).max() < 1.5 * furthest


def test_a_mouth_that_opens_steadily_is_followed_without_a_jump(twin: Twin) -> None:
    """A search that ends in the wrong place for single faces of a motion makes the mouth jump."""
    opened = face_measurements(twin.moved.reshape(-1, *SHAPE) + twin.neutral)["jaw_opening"]
    for row in np.argsort(-opened)[:40]:
        motion = np.linspace(0.2, 1.1, 30)[:, None, None] * twin.moved[row].reshape(SHAPE)
        asked = np.array([twin.asked(face) for face in motion])
        assert np.abs(np.diff(asked, axis=0)).max() < 0.03


def _made(twin: Twin, **shares: float) -> np.ndarray:
    """The face, (N, 3), of pulls by their names, shares of travel."""
    command = twin.spec.command(**{name: 2 * share - 1 for name, share in shares.items()})
    pulls = (command - twin.spec.neutral)[twin.moving].astype(float)
    return twin.forward_model(pulls).reshape(SHAPE)


def _opening(twin: Twin, displacement: np.ndarray) -> float:
    return float(face_measurements(twin.neutral + displacement)["jaw_opening"])


@pytest.mark.parametrize(
    "shares",
    [
        {"jaw": 1.0, "levator": 1.0},
        {"jaw": 1.0, "levator": 0.8, "depressor": 0.6},
        {"jaw": 0.9, "zygomaticus": 0.9, "depressor": 0.6},
        {"jaw": 1.0, "levator_left": 0.9, "depressor_left": 0.7},
    ],
)
def test_pulls_that_exceed_the_limits_give_way_where_it_shows_least(
    twin: Twin, shares: dict[str, float]
) -> None:
    """The body would scale all pulls of a rule alike, and so shut a mouth that also smiles."""
    face, search = _made(twin, **shares), CommandSearch(twin.spec, 1.0)
    command = twin.spec.command(**{name: 2 * share - 1 for name, share in shares.items()}).astype(float)
    assert search.loads(command).max() > 1.1
    scaled = (CommandLimits(twin.spec).within(command) - twin.spec.neutral)[twin.moving]
    cut = twin.forward_model(scaled).reshape(SHAPE)
    asked = twin.asked(face)
    metric = retargeting.expression_metric(retargeting.COUNTED_GAPS, retargeting.GAP_WEIGHT)
    off, cut_off = (np.linalg.norm(metric @ (made - face).ravel()) for made in (asked, cut))
    assert off < 0.95 * cut_off
    assert _opening(twin, face) - _opening(twin, asked) < 0.8 * (_opening(twin, face) - _opening(twin, cut))
    pulls = twin.retargeter()._pulls(metric @ face.ravel())
    found = twin.spec.neutral.astype(float)
    found[twin.moving] += pulls
    assert search.loads(found).max() < 1 + 1e-6


@pytest.mark.parametrize(
    "shares", [{"jaw": 0.6}, {"jaw": 0.8, "zygomaticus": 0.3}, {"jaw": 0.7, "depressor": 0.3, "levator": 0.2}]
)
@pytest.mark.parametrize("read", [0.3, 0.5])
def test_a_mouth_whose_depth_is_hardly_read_opens_as_far(
    twin: Twin, shares: dict[str, float], read: float
) -> None:
    """The detector sees no depth, and guesses about half of how far a jaw swings back."""
    flat = _made(twin, **shares)
    flat[:, 2] *= read
    upper, lower = landmark_rows(13)[0], landmark_rows(14)[0]
    seen, asked = ((face[upper, 1] - face[lower, 1]) for face in (flat, twin.asked(flat)))
    assert 0.93 * seen < asked < 1.05 * seen


def test_a_robot_whose_limits_are_not_known_has_none(twin: Twin) -> None:
    """A model's file holds the table of actuators alone."""
    alone = parse_spec(twin.spec.text)
    face = _made(twin, jaw=1.0, levator=1.0)
    made = Retargeter(alone, twin.neutral, twin.neutral - 1, twin.neutral + 1, twin.forward_model)
    assert np.abs(made(twin.neutral + face, twin.neutral) - twin.neutral - face).max() < 0.02


def test_rest_is_always_in_the_range(twin: Twin) -> None:
    made = Retargeter(twin.spec, twin.neutral, twin.neutral + 0.1, twin.neutral + 0.2, twin.forward_model)
    np.testing.assert_allclose(made(twin.neutral, twin.neutral), twin.neutral, atol=1e-9)


@pytest.mark.parametrize(
    ("low", "high"), [(np.zeros((3, 3)), np.ones((3, 3))), (np.ones(SHAPE), -np.ones(SHAPE))]
)
def test_a_range_that_is_none_is_refused(twin: Twin, low: np.ndarray, high: np.ndarray) -> None:
    with pytest.raises(DataError, match="train again"):
        Retargeter(twin.spec, twin.neutral, low, high, twin.forward_model)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_forward_model_recovers_a_map_of_its_order_and_its_derivatives(order: int) -> None:
    rng = np.random.default_rng(4)
    products = rng.normal(size=(10, 5, 7))
    products[:5] += products[:5].transpose(1, 0, 2).copy()
    products[5 * (order - 1) :] = 0
    truth = ForwardModel(rng.normal(size=(5, 7)), products, np.eye(7))
    pulls = rng.uniform(0, 2, (20_000, 5))
    found = ForwardModel.fit(pulls, np.stack([truth(x) for x in pulls]))
    x, step = pulls[0], 1e-6 * np.eye(5)
    np.testing.assert_allclose(found(x), truth(x), rtol=5e-3, atol=5e-3)
    jacobian = np.stack([(truth(x + s) - truth(x - s)) / 2e-6 for s in step], axis=1)
    np.testing.assert_allclose(truth.jacobian(x), jacobian, rtol=1e-5, atol=1e-6)
    weights = rng.normal(size=7)
    curvature = np.stack(
        [weights @ (truth.jacobian(x + s) - truth.jacobian(x - s)) / 2e-6 for s in step], axis=1
    )
    np.testing.assert_allclose(truth.weighted_hessian(x, weights), curvature, rtol=1e-5, atol=1e-5)
    metric = rng.normal(size=(3, 7))
    np.testing.assert_allclose(truth.project(metric)(x), metric @ truth(x), rtol=1e-9)


def test_a_forward_model_predicts_held_out_faces(twin: Twin) -> None:
    """Each eighth of the atlas from the other seven."""
    part, error = np.arange(len(twin.pulls)) % 8, []
    for held in range(8):
        model = ForwardModel.fit(twin.pulls[part != held], twin.moved[part != held])
        error += [
            np.abs(model(x) - twin.moved[i]).mean() for i, x in enumerate(twin.pulls) if part[i] == held
        ]
    assert np.mean(error) < 0.25 * np.abs(twin.moved).mean()


@pytest.mark.parametrize("samples", [60, 120, 250])
def test_few_samples_do_not_spoil_a_forward_model(samples: int) -> None:
    """It has 360 weights for each mode; a linear map stays the nearest guess where samples are few."""
    rng = np.random.default_rng(5)
    linear, pulls = rng.normal(size=(15, 9)), rng.uniform(0, 2, (samples + 200, 15))
    moved = pulls @ linear + 0.05 * rng.normal(size=(len(pulls), 9))
    model = ForwardModel.fit(pulls[:samples], moved[:samples])
    error = np.mean(
        [np.abs(model(x) - y).mean() for x, y in zip(pulls[samples:], moved[samples:], strict=True)]
    )
    assert error < 0.2 * np.abs(moved - moved.mean(0)).mean()
