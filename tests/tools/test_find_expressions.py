"""Expressions are found from action units: what the table may say, and what the search finds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eva_sim.contract import load_spec
from eva_sim.errors import DataError
from eva_sim.expressions import load_expressions
from eva_sim.head import neck
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.limits.command_search import CommandSearch
from eva_sim.real.transfer.plan import exceeds_exclusions
from eva_sim.twin import Twin
from tools.expressions import imitation
from tools.expressions.head_and_gaze import set_head_and_gaze
from tools.expressions.imitation import Imitator
from tools.expressions.prototypes import ActionUnit, Prototypes, read_prototypes
from tools.find_expressions import Finder, write_table

ASSETS = Path(__file__).resolve().parents[2] / "assets"
SPEC = load_spec()


@pytest.fixture(scope="module")
def imitator() -> Iterator[Imitator]:
    with Twin() as twin:
        yield Imitator(twin, read_prototypes(twin.spec).mixtures)


def worked(command: np.ndarray) -> set[str]:
    moved = np.abs(command - SPEC.neutral) > 0.15
    return {SPEC.actuators[i].moves for i in np.flatnonzero(moved)}


def test_an_action_unit_with_named_actuators_goes_to_their_end(imitator: Imitator) -> None:
    smile = imitator.imitate(ActionUnit("AU12", ""))
    assert smile.named and smile.likeness > 0.8
    assert {SPEC.actuators[i].moves for i in smile.actuators} == {"zygomaticus"}
    alone = imitator.displacement(SPEC.command(zygomaticus=1.0).astype(float))
    assert np.abs(smile.displacement - alone).max() < 0.01


def test_an_action_unit_of_one_side_moves_that_side(imitator: Imitator) -> None:
    left = imitator.imitate(ActionUnit("AU12", "left"))
    assert [SPEC.names[i] for i in left.actuators] == ["zygomaticus_left"]
    assert left.likeness > 0.7


def test_an_action_unit_without_actuators_is_imitated_or_left_out(imitator: Imitator) -> None:
    stretch = imitator.imitate(ActionUnit("AU20", ""))
    assert not stretch.named and stretch.usable and stretch.likeness > 0.7
    assert not imitator.imitate(ActionUnit("AU53", "")).usable  # the head's: no landmark moves


def find(imitator: Imitator, units: dict[str, float], **rivals: dict[str, float]) -> np.ndarray:
    """Commands (3, 25) of an expression with these action units, unlike the rival if there is one."""
    expressions = {"asked": units, **rivals}
    parsed = {n: {ActionUnit.of(u): v for u, v in each.items()} for n, each in expressions.items()}
    prototypes = Prototypes({}, parsed, dict.fromkeys(["asked"] * len(rivals), "rival"))
    return Finder(imitator, prototypes).find("asked").commands


def test_a_brow_that_rises_does_not_frown(imitator: Imitator) -> None:
    commands = find(imitator, {"AU1": 1.0, "AU2": 0.6, "AU5": 1.0, "AU26": 1.0})
    assert worked(commands[-1]) == {"brow_inner", "brow_outer", "lid", "jaw"}
    assert (np.diff(commands[:, SPEC.index("jaw")]) > 0.2).all()  # more at each intensity


def test_an_expression_is_exaggerated_away_from_its_rival(imitator: Imitator) -> None:
    plain = find(imitator, {"AU4": 0.5, "AU10": 0.5})
    unlike = find(imitator, {"AU4": 0.5, "AU10": 0.5}, rival={"AU10": 1.0})
    frown, lip = SPEC.index("corrugator_left"), SPEC.index("levator_left")
    assert unlike[-1, frown] > plain[-1, frown] + 0.05
    assert unlike[-1, lip] < plain[-1, lip] - 0.05


def test_cables_that_exclude_each_other_keep_to_the_limit(imitator: Imitator) -> None:
    commands = find(imitator, {"AU12": 1.0, "AU15": 1.0})
    assert {"zygomaticus", "depressor"} <= worked(commands[-1])
    assert not any(exceeds_exclusions(SPEC, command) for command in commands)


@pytest.mark.parametrize(
    "units",
    [
        {"AU1": 0.5, "AU12": 0.5, "AU15": 0.9, "AU25": 0.9},
        {"AU5": 0.9, "AU10": 0.8, "AU15": 0.7, "AU20": 0.7},
    ],
)
def test_near_the_rules_a_milder_price_finds_no_nearer_face(
    imitator: Imitator, units: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a broken rule costs far more than the face, a search ends early; fear was a quarter worse."""
    parts = {ActionUnit.of(name): share for name, share in units.items()}
    wanted = sum(1.4 * share * imitator.imitate(unit).displacement for unit, share in parts.items())
    free = sorted({row for unit in parts for row in imitator.imitate(unit).actuators})
    rules, distances = CommandSearch(SPEC, 1.0), []
    for price in (imitation._BEYOND_LIMITS, 20.0, 5.0):
        monkeypatch.setattr(imitation, "_BEYOND_LIMITS", price)
        found = imitator.solve(np.asarray(wanted), free)
        assert 0.97 < rules.loads(found).max() <= 1 + 1e-9
        error = imitator._metric @ (imitator.displacement(found) - wanted).ravel()
        distances.append(float(error @ error))
    assert distances[0] < 1.03 * min(distances)


def test_rounding_breaks_no_rule(imitator: Imitator) -> None:
    finder, rules = Finder(imitator, Prototypes({}, {}, {})), CommandSearch(SPEC, 1.0)
    rng = np.random.default_rng(4)
    rounded_up = 0
    for _ in range(300):
        command = CommandLimits(SPEC).within(rng.uniform(-1, 1, len(SPEC)))
        rounded_up += rules.excess(command.round(2)).max() > 0
        table = finder._rounded(command)
        assert not rules.excess(table).any()
        assert np.abs(table - command).max() < 0.0151 and np.array_equal(table, table.round(2))
    assert rounded_up > 20  # the nearest number would have broken a rule


def test_the_shipped_table_keeps_the_rules() -> None:
    rules = CommandSearch(SPEC, 1.0)
    for intensity in (0.2, 1 / 3, 0.5, 2 / 3, 0.8, 1.0):
        for name, command in load_expressions(SPEC, intensity).items():
            assert not rules.excess(command.astype(float)).any(), (name, intensity)


def test_a_face_without_action_units_rests(imitator: Imitator) -> None:
    assert np.allclose(find(imitator, {}), SPEC.neutral, atol=0.005)


@pytest.mark.parametrize(
    ("unit", "axis", "sign"),
    [("AU51", 1, 1), ("AU52", 1, -1), ("AU53", 0, -1), ("AU54", 0, 1), ("AU55", 2, -1), ("AU56", 2, 1)],
)
def test_the_head_turns_where_the_action_unit_says(unit: str, axis: int, sign: int) -> None:
    command = SPEC.neutral.astype(float)
    set_head_and_gaze(SPEC, {ActionUnit(unit, ""): 1.0}, command)
    legs = SPEC.where("leg")
    assert (np.abs(command) <= 1).all() and np.abs(command[legs]).max() > 0.95  # as far as the legs reach
    pose = neck.solve_pose(SPEC.to_physical(command)[legs], neck.NEUTRAL)
    turn = 2 * pose[3:6] * sign
    assert turn[axis] > 0.2 and np.abs(np.delete(turn, axis)).max() < 0.01


def test_the_eyes_turn_where_the_action_unit_says() -> None:
    command = SPEC.neutral.astype(float)
    set_head_and_gaze(SPEC, {ActionUnit("AU61", ""): 0.5, ActionUnit("AU64", ""): 1.0}, command)
    assert [command[SPEC.index(f"eye_{side}_yaw")] for side in ("left", "right")] == pytest.approx([0.5, 0.5])
    assert [command[SPEC.index(f"eye_{side}_pitch")] for side in ("left", "right")] == pytest.approx([-1, -1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[action_units\n", r"action_units\.toml is no table"),
        ("[action_units]\nAU1 = 3\n", r"action_units\.toml is no table"),
        (
            "[action_units]\n[expressions.grin]\nAU12_up = 1.0",
            r"\[expressions\.grin\]: AU12_up = 1\.0; write AU12",
        ),
        ("[action_units]\n[expressions.grin]\nAU12 = 1.5", r"an intensity from 0 to 1"),
        ("[action_units]\n[expressions.grin]\nAU12 = 'much'", r"is no table"),
        ("[action_units]\n[expressions.grin]\nunlike = 'joy'", r"unlike = 'joy' is no expression here"),
    ],
)
def test_a_damaged_table_is_told(tmp_path: Path, text: str, message: str) -> None:
    shutil.copy(ASSETS / "face.toml", tmp_path)
    (tmp_path / "action_units.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_prototypes(load_spec(tmp_path))


def test_an_unknown_face_unit_is_told(imitator: Imitator) -> None:
    imitator._mixtures["AU99"] = {"earWiggle": 1.0}
    with pytest.raises(DataError, match="AU99 names 'earWiggle', which is no face unit"):
        imitator.imitate(ActionUnit("AU99", ""))


def test_the_table_is_written_and_read_back(imitator: Imitator, tmp_path: Path) -> None:
    prototypes = Prototypes({}, {"calm": {}, "wry": {ActionUnit("AU12", "left"): 1.0}}, {})
    finder = Finder(imitator, prototypes)
    found = {name: finder.find(name) for name in prototypes.expressions}
    shutil.copy(ASSETS / "face.toml", tmp_path)
    write_table(found, SPEC, tmp_path / "expressions.toml")
    read = load_expressions(load_spec(tmp_path))
    for name, each in found.items():
        assert np.allclose(read[name], each.commands[-1], atol=0.006)
    assert (tmp_path / "expressions.toml").read_text().count("zygomaticus_left = [") == 1


def test_the_shipped_table_has_every_expression_of_the_shipped_action_units() -> None:
    assert list(load_expressions(SPEC)) == list(read_prototypes(SPEC).expressions)
