"""The contract of every board, on fakes that speak the real packets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock
from eva_sim.contract import Floats
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards.interface import BoardLimits, BoardState
from eva_sim.real.boards.motion_rules import pull_shares
from eva_sim.real.boards.servo_bus import default_bus_ids
from eva_sim.real.simulation.fake_line import PtyLine
from eva_sim.real.wire import bus_port
from eva_sim.testing.board_rigs import (
    ALL,
    DIRECTIONS,
    HEAVY,
    KINDS,
    RULES,
    SPEC,
    BoardRig,
    check_under_noise,
    limp,
    open_board,
    rigged,
)


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest) -> Iterator[BoardRig]:
    yield from rigged(request.param)


def test_nothing_moves_before_arm(rig: BoardRig) -> None:
    assert limp(rig)
    driven = [d for d in rig.device.driven if d[1]]
    rig.board.configure(rig.limits, 1)
    status = rig.board.send(rig.limits.high)
    assert status.state is BoardState.LIMP and np.isnan(status.output).all()
    assert limp(rig) and [d for d in rig.device.driven if d[1]] == driven


def test_needs_limits_to_arm(rig: BoardRig) -> None:
    with pytest.raises(RobotError, match="configure"):
        rig.board.arm(ALL)


def test_arms_group_by_group_at_rest(rig: BoardRig) -> None:
    rig.board.configure(rig.limits, 1)
    if rig.kind != "maestro":
        for i in default_bus_ids(SPEC):
            rig.bus.put(i, rig.bus.POSITION, 2000, rig.bus.GOAL_SIZE)
    assert rig.board.arm(ALL).state is BoardState.ARMING
    for done in range(1, len(RULES.groups) + 1):
        for _ in range(2):  # before the next group's time has come, nothing more wakes
            awake = np.concatenate(RULES.groups[:done])
            assert set(np.flatnonzero(~np.isnan(rig.held_positions()))) == set(awake)
            np.testing.assert_allclose(rig.held_positions()[awake], rig.limits.rest[awake])
            rig.board.send(rig.limits.rest)
        rig.clock.sleep(RULES.arm_gap)
        rig.board.tick()
    assert rig.board.status().state is BoardState.ACTIVE


def test_arms_only_what_was_asked(rig: BoardRig) -> None:
    rig.ready([3, HEAVY])
    rig.follow(rig.limits.high, 0.2)
    assert set(np.flatnonzero(~np.isnan(rig.held_positions()))) == {3, HEAVY}
    output = rig.board.status().output
    assert set(np.flatnonzero(~np.isnan(output))) == {3, HEAVY}


def test_an_armed_face_has_nothing_to_clear(rig: BoardRig) -> None:
    rig.ready()
    with pytest.raises(RobotError, match="disarm"):
        rig.board.clear()
    assert rig.board.status().state is BoardState.ACTIVE


def test_arming_waits_in_silence(rig: BoardRig) -> None:
    rig.board.configure(rig.limits, 1)
    rig.board.arm(ALL)
    rig.clock.sleep(0.25)
    rig.board.tick()
    assert rig.board.status().state is BoardState.HOLD
    assert set(np.flatnonzero(~np.isnan(rig.held_positions()))) == set(RULES.groups[0])
    assert rig.board.send(rig.limits.rest).state is BoardState.ARMING


@pytest.mark.parametrize("wrong", [[], [25], [-1]])
def test_arms_only_what_there_is(rig: BoardRig, wrong: list[int]) -> None:
    rig.board.configure(rig.limits, 1)
    with pytest.raises(RobotError, match="0 to 24"):
        rig.board.arm(wrong)
    assert limp(rig)


def test_arms_only_from_limp(rig: BoardRig) -> None:
    rig.ready()
    with pytest.raises(RobotError, match="disarm"):
        rig.board.arm(ALL)
    with pytest.raises(RobotError, match="disarm"):
        rig.board.configure(rig.limits, 2)


def test_send_keeps_slew_and_limits(rig: BoardRig) -> None:
    rig.ready()
    before = rig.held_positions()
    for _ in range(80):
        rig.clock.sleep(0.02)
        status = rig.board.send(np.full(25, 9000.0))
        now = rig.held_positions()
        assert (np.abs(now - before) <= rig.limits.slew + 1.0).all()
        before = now
    assert (before <= rig.limits.high).all() and (before > rig.limits.high - 2.0)[-1]
    assert any("clamped" in fault and SPEC.names[0] in fault for fault in status.faults)


def test_a_late_send_earns_no_jump(rig: BoardRig) -> None:
    rig.ready()
    rig.follow(rig.limits.rest, 0.1)
    before = rig.held_positions()
    rig.clock.sleep(0.9)
    rig.board.send(rig.limits.high)
    assert (rig.held_positions() - before <= rig.limits.slew * RULES.most_periods + 1.0).all()


def test_a_cable_in_several_pairs_keeps_the_limits_of_all(rig: BoardRig) -> None:
    rng, span = np.random.default_rng(0), rig.limits.high - rig.limits.low
    partners = [each for one, other, _ in RULES.pairs for each in (one, other)]
    assert max(map(partners.count, partners)) > 1
    for targets in (rig.limits.high, *(rig.limits.low + rng.random(25) * span for _ in range(200))):
        pull = pull_shares(RULES.limit_pairs(targets, rig.limits), rig.limits)
        assert all(pull[one] + pull[other] <= limit + 1e-9 for one, other, limit in RULES.pairs)


def test_exclusion_holds_on_the_way(rig: BoardRig) -> None:
    """One cable is ten times as fast as the other: it must wait for the other to let go."""
    one, other, limit = RULES.pairs[0]
    low, high = rig.limits.low, rig.limits.high
    span = high - low
    slew = np.where(np.arange(25) == one, 0.1, 0.01) * span
    rig.limits = BoardLimits(low, high, low, slew)
    if rig.kind != "maestro":
        for i in default_bus_ids(SPEC):
            rig.bus.put(i, rig.bus.POSITION, int(low[0]), rig.bus.GOAL_SIZE)
    rig.ready()
    most = 0.0
    for shares in ((0.0, 1.0), (1.0, 0.0), (1.0, 1.0)):
        wanted = low.copy()
        wanted[[one, other]] += np.array(shares) * span[0]
        for _ in range(60):
            rig.follow(wanted, 0.02)
            pull = pull_shares(rig.held_positions(), rig.limits)
            most = max(most, pull[one] + pull[other])
    assert limit - 0.01 < most <= limit + 0.002  # as far as allowed, and the grid
    np.testing.assert_allclose(pull[[one, other]], limit / 2, atol=0.01)  # scaled down alike


def test_refuses_what_is_no_number(rig: BoardRig) -> None:
    rig.ready()
    before = rig.held_positions()
    for bad in (np.full(25, np.nan), np.full(25, np.inf), np.zeros(24)):
        with pytest.raises(RobotError, match="25 finite"):
            rig.board.send(bad)
    np.testing.assert_array_equal(rig.held_positions(), before)


@pytest.mark.parametrize(
    "change",
    [
        {"low": np.full(25, 2500.0), "high": np.full(25, 1000.0)},
        {"low": np.full(25, -5.0)},
        {"high": np.full(25, 99999.0)},
        {"rest": np.full(25, 500.0)},
        {"rest": np.full(25, np.nan)},
        {"slew": np.zeros(25)},
        {"slew": np.ones(3)},
    ],
)
def test_refuses_bad_limits(rig: BoardRig, change: dict[str, Floats]) -> None:
    with pytest.raises(RobotError, match="calibrate again"):
        rig.board.configure(BoardLimits(**{**vars(rig.limits), **change}), 1)


def test_disarm_and_disarm_again(rig: BoardRig) -> None:
    rig.ready()
    rig.board.disarm()
    rig.board.disarm()
    assert limp(rig) and rig.board.status().state is BoardState.LIMP
    rig.follow(rig.limits.high, 0.1)
    assert limp(rig)


def test_stop_latches_until_clear(rig: BoardRig) -> None:
    rig.ready()
    rig.board.stop()
    assert limp(rig) and rig.board.status().state is BoardState.STOPPED
    rig.follow(rig.limits.high, 0.1)
    rig.board.disarm()
    for refused in (lambda: rig.board.arm(ALL), lambda: rig.board.configure(rig.limits, 1)):
        with pytest.raises(RobotError, match="stop is latched"):
            refused()
    assert limp(rig)
    assert rig.board.clear().state is BoardState.LIMP and limp(rig)
    rig.ready()


def test_silence_holds_then_limps_and_nothing_rearms(rig: BoardRig) -> None:
    rig.ready()
    rig.follow(rig.limits.high, 0.1)
    held = rig.held_positions()
    rig.clock.sleep(0.21)
    rig.board.tick()
    assert rig.board.status().state is BoardState.HOLD
    np.testing.assert_array_equal(rig.held_positions(), held)
    rig.clock.sleep(0.8)
    rig.board.tick()
    assert limp(rig)
    rig.follow(rig.limits.high, 0.1)
    status = rig.board.status()
    assert status.state is BoardState.LIMP and limp(rig)
    assert any("targets stopped" in fault for fault in status.faults)
    assert not rig.board.arm(ALL).faults


def test_targets_end_a_hold(rig: BoardRig) -> None:
    rig.ready()
    rig.follow(rig.limits.rest, 0.1)
    rig.clock.sleep(0.5)
    rig.board.tick()
    assert rig.board.status().state is BoardState.HOLD
    rig.follow(rig.limits.high, 0.1)
    assert rig.board.status().state is BoardState.ACTIVE
    assert (rig.held_positions() > rig.limits.rest + 3 * rig.limits.slew).all()


def test_asking_is_no_sign_of_life(rig: BoardRig) -> None:
    rig.ready()
    for _ in range(60):
        rig.clock.sleep(0.02)
        rig.board.status()
    assert limp(rig)


def test_limps_when_the_owner_dies(rig: BoardRig) -> None:
    rig.ready()
    rig.board._watchdog._limp()
    assert limp(rig)


def test_close_limps_and_ends_all(rig: BoardRig) -> None:
    rig.ready()
    rig.board.close()
    assert limp(rig) and not rig.board._watchdog.watching
    rig.board.close()
    rig.board.disarm()
    with pytest.raises(LinkError, match="connect again"):
        rig.board.send(rig.limits.rest)


def test_unplugging(rig: BoardRig) -> None:
    rig.ready()
    rig.line.plugged = False
    with pytest.raises(LinkError):
        rig.board.send(rig.limits.rest)
    with pytest.raises(LinkError):
        rig.board.status()
    with pytest.raises(LinkError):
        rig.board.disarm()
    with pytest.raises(RobotError):
        rig.board.arm(ALL)
    rig.line.plugged = True
    rig.board.tick()  # the watchdog retries the torque-off that is still pending
    assert limp(rig)
    rig.follow(rig.limits.high, 0.1)
    assert limp(rig) and rig.board.status().state is BoardState.FAULT
    assert any("link lost" in fault for fault in rig.board.status().faults)
    assert rig.board.clear().state is BoardState.LIMP


def test_two_lost_answers_do_no_harm(rig: BoardRig) -> None:
    rig.ready()
    for _ in range(3):
        rig.line.lose_replies = 1
        rig.clock.sleep(0.02)
        assert rig.board.send(rig.limits.high).state is BoardState.ACTIVE


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_noise_never_moves_a_servo_wrongly(rig: BoardRig, direction: str) -> None:
    rig.ready()
    assert check_under_noise(rig, direction, 30) < 27


def test_says_whether_it_measures(rig: BoardRig) -> None:
    """A servo pushed aside shows on a bus, and cannot show on a Maestro."""
    rig.ready()
    identity = rig.board.identity
    assert identity.kind == rig.kind and identity.unit == ("us" if rig.kind == "maestro" else "ticks")
    assert identity.measured == (rig.kind != "maestro")
    assert identity.watchdog == ("board" if rig.kind == "dynamixel" else "host")
    if rig.kind == "maestro":
        assert np.isnan(rig.board.status().load).all()
    else:
        rig.bus.put(default_bus_ids(SPEC)[7], rig.bus.POSITION, 1987, 2)
        assert rig.board.status().output[7] == 1987


@pytest.mark.wall_clock
def test_on_a_pseudo_terminal(rig: BoardRig, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("serial", reason="needs eva-sim[real]")
    for patience in ("LATENCY", "WRITE_TIMEOUT"):  # the fake's thread may be slow on a busy machine
        monkeypatch.setattr(bus_port, patience, 5.0)
    clock = SimulatedClock()
    with PtyLine(rig.line) as pty:
        board = open_board(rig.kind, pty.name, clock)
        there = BoardRig(rig.kind, rig.line, clock, board, rig.limits)
        there.ready()
        there.follow(rig.limits.high, 0.1)
        assert (there.held_positions() > rig.limits.rest).all()
        rig.line.plugged = False
        for _ in range(2):
            with pytest.raises(LinkError):
                board.send(rig.limits.rest)
        board.close()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_called_in_whatever_order(rig: BoardRig, seed: int) -> None:
    """Random calls, waits, bad targets and pulled cables: only `arm` wakes, and nothing leaves its bounds."""
    generator = np.random.default_rng(seed)
    rig.board.configure(rig.limits, 1)
    awake, before, armed = np.zeros(25, dtype=bool), rig.held_positions(), 0
    for _ in range(250):
        call = str(generator.choice([*["send"] * 12, "arm", "arm", *CALLS]))
        with suppress(RobotError):
            act(rig, call, generator)
        pins = rig.held_positions()
        now = ~np.isnan(pins)
        state = rig.board._state
        assert call in ("arm", "send", "tick", "status") or not (now & ~awake).any()
        assert not (now & ~awake).any() or state in (BoardState.ARMING, BoardState.ACTIVE)
        assert (
            not now.any()
            or state in (BoardState.ARMING, BoardState.ACTIVE, BoardState.HOLD)
            or not rig.line.plugged
        )
        assert ((pins >= rig.limits.low) & (pins <= rig.limits.high))[now].all()
        both = now & awake & (call != "arm")  # arming passes through limp, and begins at rest
        assert (np.abs(pins - before) <= rig.limits.slew * RULES.most_periods + 1)[both].all()
        awake, before, armed = now, pins, armed + (call == "arm" and state is BoardState.ARMING)
    assert armed > 3


CALLS = (
    "tick",
    "status",
    "wait",
    "pause",
    "stop",
    "clear",
    "clear",
    "disarm",
    "bad",
    "configure",
    "unplug",
    "plug",
)


def act(rig: BoardRig, call: str, generator: np.random.Generator) -> None:
    """One call of the walk."""
    targets = generator.uniform(rig.limits.low - 500, rig.limits.high + 500)
    if call == "send":
        rig.clock.sleep(float(generator.uniform(0.0, 0.06)))
        rig.board.send(targets)
    elif call == "bad":
        rig.board.send(np.where(generator.random(25) < 0.1, np.nan, targets))
    elif call in ("wait", "pause"):
        rig.clock.sleep(0.3 if call == "wait" else 1.2)
        rig.board.tick()
    elif call in ("plug", "unplug"):
        rig.line.plugged = call == "plug"
        rig.board.tick()
    elif call == "arm":
        rig.line.plugged = True
        rig.board.disarm()
        rig.board.clear()
        rig.board.arm(generator.choice(25, 12, replace=False).tolist())
    elif call == "configure":
        rig.board.configure(rig.limits, 1)
    else:
        getattr(rig.board, call)()
