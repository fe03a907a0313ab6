"""One session by the wall clock on each board, at pseudo-terminals, while other jobs use every core.

This is the one place where a test lives by the wall clock: what works in virtual time only is no robot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eva_sim.contract import FaceSpec
from eva_sim.holding import work_while_held
from eva_sim.real.boards.interface import TARGETS_STOPPED, UNANSWERED
from eva_sim.recording.reader import load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.testing.board_rigs import LIBRARIES
from eva_sim.testing.board_terminals import KINDS, BoardProcess
from eva_sim.testing.other_jobs import other_jobs

pytest.importorskip("serial", reason="needs eva-sim[real]")
STEPS = 50
#: How late one answer is [s]: some tries of a driver, and less than the hold time.
LATE = 0.12


@pytest.fixture(scope="module")
def busy_computer() -> Iterator[None]:
    with other_jobs():
        yield


def slow_work() -> int:
    return sum(n % 7 for n in range(8_000_000))  # half a second or more on a busy computer


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_on_a_busy_computer(kind: str, spec: FaceSpec, tmp_path: Path, busy_computer: None) -> None:
    if kind in LIBRARIES:
        pytest.importorskip(LIBRARIES[kind], reason=f"needs eva-sim[{kind}]")
    with BoardProcess(kind) as boards, boards.open_face() as robot, record_face(robot, tmp_path) as face:
        face.reset()
        before, faults = boards.limp_count, list[str]()
        for step in range(STEPS):
            if step == STEPS // 3:
                boards.delay_next_answer(LATE)
            if step == STEPS // 2:
                work_while_held(face, slow_work)
            faults += face.move(spec.command(jaw=0.5 + 0.4 * np.sin(step / 5), zygomaticus=0.5)).faults
        assert boards.driven and boards.limp_count == before
    # A hold is allowed: a computer may be too busy for a fifth of a second.
    assert not [fault for fault in faults if not fault.startswith((TARGETS_STOPPED, UNANSWERED))]
    back = load_recording(tmp_path)
    assert back.cut == () and len(back) == STEPS + 1
    assert np.isfinite(back.output[1:]).all() and (
        np.isfinite(back.temperature).all() == robot.identity.measured
    )
