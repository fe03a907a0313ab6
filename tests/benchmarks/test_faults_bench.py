"""The fault table in its quick form; and that a robot which breaks a rule spoils it."""

from __future__ import annotations

from typing import Any

import pytest

from eva_sim.real.boards.host_managed import HostManagedBoard
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.boards.maestro import Maestro
from eva_sim.real.simulation.firmware_build import missing_packages
from eva_sim.real.simulation.firmware_rules import FirmwareRules, _Channel
from eva_sim.testing.board_rigs import KINDS, LIBRARIES
from eva_sim.testing.conformance import rows as faults
from eva_sim.testing.conformance.bench import Trial
from eva_sim.testing.conformance.board_rows import BOARD_ROWS

BODIES = [
    "mock",
    pytest.param(
        "virtual",
        marks=pytest.mark.skipif(
            bool(missing_packages()), reason=f"to compile the firmware: apt-get install {missing_packages()}"
        ),
    ),
]


@pytest.mark.parametrize("body", BODIES)
def test_no_fault_does_harm(body: str) -> None:
    results = faults.try_all(faults.ROWS, body, quick=True)
    assert [(r["fault"], r["wrong"]) for r in results if not r.get("ok", "skipped" in r)] == []
    skipped = [r["fault"] for r in results if "skipped" in r]
    assert len(skipped) == (4 if body == "mock" else 0)
    assert faults.table(results, body).row_count == len(faults.ROWS)


def row(fault: str) -> dict[str, Any]:
    found = next(r for r in faults.ROWS if r.fault.startswith(fault))
    return faults.attempt(found, "mock", True, bool)


def test_a_board_that_is_never_silent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FirmwareRules, "_watch_silence", lambda self: None)
    result = row("silence")
    assert not result["ok"]
    assert "not limp after silence" in result["wrong"]


def test_a_board_that_jumps_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Channel, "next", lambda self: self.aim)
    result = row("frames twice")
    assert not result["ok"]
    assert result["slew_exceeded_us"] > 100


def test_a_board_without_limits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def aim(self: FirmwareRules, channel: Any, pulse: int) -> bool:
        channel.aim = pulse
        return True

    monkeypatch.setattr(FirmwareRules, "_aim", aim)
    monkeypatch.setattr(FirmwareRules, "_exclude", lambda self: True)
    result = row("targets out of range")
    assert not result["ok"]
    assert result["outside_us"] > 10


def test_a_board_that_arms_by_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = FirmwareRules._targets

    def eager(self: FirmwareRules, message: Any) -> Any:
        if self._state == BoardState.LIMP:
            self._state = BoardState.ACTIVE
            for channel in self._channels:
                channel.armed, channel.aim, channel.out = True, channel.rest, channel.rest
        return targets(self, message)

    monkeypatch.setattr(FirmwareRules, "_targets", eager)
    result = row("silence")
    assert not result["ok"]
    assert result["rearmed"] > 0


def test_whatever_is_raised_spoils_one_row() -> None:
    def broken(trial: Trial) -> None:
        trial.saw("fine")
        raise OSError("the disk is full")

    result = faults.attempt(faults.Row("a", "b", broken), "mock", True, bool)
    assert not result["ok"]
    assert result["wrong"] == ["OSError: the disk is full"]


def test_a_row_without_cases_is_not_ok() -> None:
    assert not faults.attempt(faults.Row("a", "b", lambda trial: None), "mock", True, bool)["ok"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_does_harm_on_other_boards(kind: str) -> None:
    if kind in LIBRARIES:
        pytest.importorskip(LIBRARIES[kind], reason=f"needs eva-sim[{kind}]")
    results = faults.try_all(BOARD_ROWS, kind, quick=True)
    assert [(r["fault"], r["wrong"]) for r in results if not r.get("ok", "skipped" in r)] == []
    assert len([r for r in results if "skipped" in r]) == (kind == "maestro")


def board_row(fault: str, kind: str = "maestro") -> dict[str, Any]:
    found = next(r for r in BOARD_ROWS if r.fault.startswith(fault))
    return faults.attempt(found, kind, True, bool)


def test_another_board_that_is_never_silent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostManagedBoard, "_check_silence", lambda self: None)
    assert not board_row("silence")["ok"]


def test_pulses_that_begin_again_after_an_error_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Maestro, "_is_spoilt", lambda self, unit: False)
    result = board_row("bits of what is written")
    assert not result["ok"] and result["rearmed"] > 0


def test_another_board_that_jumps_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def jump(self: HostManagedBoard, targets: Any) -> None:
        self._send_positions(targets)

    monkeypatch.setattr(HostManagedBoard, "_step_towards", jump)
    assert board_row("targets out of range")["outside_us"] > 100
