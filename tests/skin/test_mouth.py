"""The mouth of random faces: closed lips meet, nothing crosses, and lips keep off the teeth."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.contract import load_spec
from eva_sim.files import read_arrays
from eva_sim.testing.mouth_measures import MouthMeter, measure_random_mouths

GAP, TEETH = 0.3e-3, 1.0e-3  # m


@pytest.mark.parametrize("closed", [True, False], ids=["closed lips", "any command"])
@pytest.mark.parametrize("count", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_lips_meet_and_cross_nothing(count: int, closed: bool) -> None:
    for number, face in enumerate(measure_random_mouths(count, 5, closed)):
        assert face.crossings == 0, f"face {number}"
        assert face.teeth > TEETH, f"face {number}: {1000 * face.teeth:.2f} mm"
        if closed:
            assert face.gap < GAP, f"face {number}: {1000 * face.gap:.2f} mm"


def test_a_gap_between_the_lips_is_measured() -> None:
    spec = load_spec()
    skin = read_arrays(spec.file("meshes/skin.npz"))
    meter, parted = MouthMeter(spec), skin["points"].copy()
    rest = meter.gap(parted)
    parted[skin["lip_pairs"][:, 0], 1] += 0.002
    assert rest < GAP
    assert np.isclose(meter.gap(parted), rest + 0.002, atol=0.0003)


def test_lips_come_to_one_half_of_the_jaws_turn_at_their_corners() -> None:
    skin = read_arrays(load_spec().file("meshes/skin.npz"))
    corners = np.setdiff1d(skin["lip_loop"], skin["lip_pairs"])
    upper, lower = skin["jaw_weight"][skin["lip_pairs"].T]
    assert len(corners) == 2 and np.allclose(skin["jaw_weight"][corners], 0.5)
    opening = lower - upper
    middle = len(opening) // 2
    assert opening[middle] > 0.95
    assert (np.diff(opening[: middle + 1]) > 0).all() and (np.diff(opening[middle:]) < 0).all()
    assert opening[0] < 0.25, "the opening tapers to the corner"
