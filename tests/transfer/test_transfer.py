"""The transfer report: at its floor where both faces are the same, and above it where they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eva_sim.contract import Face, Floats, load_spec
from eva_sim.errors import DataError, MediaError
from eva_sim.expressions import expression_command, load_expressions
from eva_sim.landmarks import POINTS, REGIONS, RIGID
from eva_sim.media.encoding import encode_jpeg
from eva_sim.randomise import draw_parameters
from eva_sim.real.transfer import report as transfer_report
from eva_sim.real.transfer.observations import PlanObservations
from eva_sim.real.transfer.plan import TransferPlan, exceeds_exclusions, make_plan
from eva_sim.real.transfer.report import by_region, motion_errors, robot_opener
from eva_sim.testing.fake_face import FakeFace, neutral_points


@pytest.fixture(scope="module")
def short() -> TransferPlan:
    """Three strong faces, held for a second each."""
    held = [expression_command(load_spec(), name) for name in ("surprise", "joy", "disgust")]
    commands, read = np.repeat(held, 25, axis=0), 25 * np.arange(1, 4) - 1
    return TransferPlan(commands, read, np.array([True, True, False]), ("surprise", "joy", "disgust"), 0)


@pytest.fixture(scope="module")
def folder(short: TransferPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of twins: one robot is limper, slower and looser than the twin."""
    out = tmp_path_factory.mktemp("transfer")

    def open_robot(seed: int) -> Face:
        return transfer_report.open_twin(
            load_spec(), draw_parameters(load_spec(), np.random.default_rng(seed)) if seed else {}
        )

    transfer_report.run_transfer(load_spec(), out, open_robot, (1, 2), plan=short)
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text()))


def medians(regions: dict[str, dict[str, float]]) -> Floats:
    return np.array([regions[name]["median"] for name in REGIONS])


def test_a_twin_against_itself_is_at_the_floor_and_others_are_not(report: dict[str, Any]) -> None:
    floor = medians(report["floor"]["other_camera"])
    assert (medians(report["own"]) <= floor).all()
    assert floor.max() < 0.8 and (medians(report["floor"]["same_pose"]) > 0).all()
    for name in ("robot-1", "robot-2"):
        ratio = medians(report["robots"][name]) / floor
        assert np.median(ratio) > 1.5, (name, ratio)
    assert report["unread"] == dict.fromkeys(report["unread"], 0)
    assert (medians(report["moved"]) > 1.0).any()


def test_the_report_names_the_worst_pose_and_draws_it(
    folder: Path, report: dict[str, Any], short: TransferPlan
) -> None:
    from PIL import Image

    seen = {
        name: PlanObservations.read(folder / f"{name}.npz", short) for name in ("twin", "robot-1", "robot-2")
    }
    means = {
        name: np.nanmean(motion_errors(seen["twin"], seen[name]), axis=1) for name in ("robot-1", "robot-2")
    }
    worst = report["worst"]
    assert worst["mean"] == pytest.approx(max(m.max() for m in means.values()))
    assert means[worst["robot"]][worst["pose"]] == pytest.approx(worst["mean"])
    assert short.names[worst["pose"]] == worst["name"]
    page = np.asarray(Image.open(folder / "report.png"))
    assert page.shape[1] > 1000 and page.std() > 20


def test_a_run_is_resumed(folder: Path, short: TransferPlan, report: dict[str, Any]) -> None:
    opened = list[int]()

    def open_robot(seed: int) -> Face:
        opened.append(seed)
        return transfer_report.open_twin(
            load_spec(), draw_parameters(load_spec(), np.random.default_rng(seed))
        )

    whole = (folder / "robot-2.npz").read_bytes()
    (folder / "robot-2.npz").write_bytes(whole[: len(whole) // 2])
    again = transfer_report.run_transfer(load_spec(), folder, open_robot, (1, 2), plan=short)
    assert opened == [2] and json.loads(json.dumps(again)) == report
    with pytest.raises(DataError, match="resume"):
        transfer_report.run_transfer(load_spec(), folder, open_robot, (1, 2), plan=short, resume=False)
    with pytest.raises(DataError, match="another plan"):
        transfer_report.run_transfer(
            load_spec(), folder, open_robot, (1, 2), plan=make_plan(load_spec(), 1, poses=1, walk=1)
        )


def test_regions_hold_each_point_once_and_no_rigid_one() -> None:
    everything = np.concatenate(list(REGIONS.values()))
    assert len(set(everything.tolist())) == len(everything)
    assert not {POINTS[row] for row in everything} & set(RIGID)


def test_errors_are_millimetres_of_motion() -> None:
    """A known shift of one region, whatever the two neutrals are."""
    neutral, rng = neutral_points(), np.random.default_rng(0)
    moved = neutral + rng.normal(0, 0.1, (4, *neutral.shape))
    other = moved + 0.05
    other[:, REGIONS["jaw"], 1] += 2.0 / 92  # two millimetres of a face 92 mm wide
    found = np.array([True, True, False, True])
    twin = PlanObservations(neutral, moved, np.ones(4, bool), 0.092, (), ())
    robot = PlanObservations(neutral + 0.05, other, found, 0.5, (), ())
    error = motion_errors(twin, robot)
    assert np.isnan(error[2]).all() and np.isfinite(error[[0, 1, 3]]).all()
    regions = by_region(error)
    assert regions["jaw"]["median"] == pytest.approx(2.0) and regions["jaw"]["p90"] == pytest.approx(2.0)
    assert all(regions[name]["p90"] < 1e-9 for name in REGIONS if name != "jaw")


def test_nothing_seen_is_told() -> None:
    twin = PlanObservations(neutral_points(), neutral_points()[None], np.ones(1, bool), 0.092, (), ())
    with pytest.raises(MediaError, match="shows both faces"):
        motion_errors(twin, replace(twin, found=np.zeros(1, bool)))


def test_plans_repeat_and_bend_nobody() -> None:
    spec, plan = load_spec(), make_plan(load_spec(), 3, poses=6, walk=4.0)
    assert (
        plan.digest
        == make_plan(load_spec(), 3, poses=6, walk=4.0).digest
        != make_plan(load_spec(), 4, poses=6, walk=4.0).digest
    )
    assert np.abs(plan.commands).max() <= 1 and plan.read[-1] < len(plan.commands)
    assert len(plan.names) == len(plan.read) == len(plan.settled) == len(load_expressions(spec)) + 6 + 10
    assert not any(exceeds_exclusions(spec, command) for command in plan.commands)
    walk = plan.commands[plan.read[plan.settled][-1] + 1 :]
    assert len(walk) == 100 and np.abs(np.diff(walk, axis=0)).max() < 0.15
    moving = spec.where("cable", "jaw", "lid")
    assert (walk[:, moving].std(0) > 0.05).all()
    assert np.array_equal(
        walk[:, spec.where("leg", "eye")], np.tile(spec.neutral[spec.where("leg", "eye")], (100, 1))
    )
    assert exceeds_exclusions(spec, spec.command(zygomaticus=1.0, depressor=0.5))


def test_the_twin_stands_in_for_robots() -> None:
    opened = robot_opener(load_spec(), "twin")
    with opened(0) as own, opened(1) as other, opened(1) as same:
        command = own.spec.command(zygomaticus=1.0)
        ends = [np.array([face.move(command).landmarks for _ in range(9)]) for face in (own, other, same)]
    assert np.array_equal(ends[1], ends[2]) and np.abs(ends[0] - ends[1]).max() > 0.002


def test_a_face_that_is_not_there_is_told(short: TransferPlan) -> None:
    class Blind:
        def landmarks(self, image: Floats) -> None:
            return None

    with pytest.raises(MediaError, match="5 of 5 pictures at rest show no face"):
        transfer_report.observe_plan(FakeFace(), short, Blind())  # type: ignore[arg-type]


def test_what_was_seen_survives_the_disk(short: TransferPlan, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    jpegs = tuple(encode_jpeg(rng.integers(0, 255, (n, 8, 3)).astype(np.uint8)) for n in (8, 16, 24))
    seen = PlanObservations(
        neutral_points(), rng.normal(0, 1, (3, len(POINTS), 3)), np.ones(3, bool), 0.09, jpegs, ("hot",)
    )
    seen.write(tmp_path / "a.npz", short)
    back = PlanObservations.read(tmp_path / "a.npz", short)
    assert back.jpegs == jpegs and back.faults == ("hot",) and np.array_equal(back.landmarks, seen.landmarks)
