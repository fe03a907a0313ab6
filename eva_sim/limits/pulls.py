"""Which cables may pull together: the rules of `robot.toml` on commands of one face or of many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.limits.compiling import kernel
from eva_sim.robot_config import has_robot_config, pull_rules

#: Share of a rule's bound that commands keep away from it, so that rounding on the way to the board does not
#: make the board report a fault.
_MARGIN = 0.999
_ROUNDING = 1e-9


class PullRules(NamedTuple):
    """R rules of up to M members each, as compiled functions take them.

    Attributes:
        members: indices of actuators, (R, M).
        weights: of each member per command above rest, (R, M); 0 for places that a rule leaves empty.
        rest: command at rest, (A,).
    """

    members: NDArray[np.intp]
    weights: Floats
    rest: Floats


def load_pull_rules(spec: FaceSpec) -> PullRules:
    """Returns the rules of a face; none for one without `robot.toml`."""
    rules = pull_rules(spec) if has_robot_config(spec) else ()
    width = max((len(rule.members) for rule in rules), default=1)
    members, weights = np.zeros((len(rules), width), dtype=np.intp), np.zeros((len(rules), width))
    for row, rule in enumerate(rules):
        members[row, : len(rule.members)] = rule.members
        weights[row, : len(rule.weights)] = np.array(rule.weights) / _MARGIN
    rest = spec.neutral.astype(float)
    return PullRules(members, weights / np.maximum(1 - rest, 1e-9)[members], rest)


@kernel(nogil=True)
def rule_load(rule, command, rules):  # type: ignore[no-untyped-def]
    """Returns the sum of one rule at a command (A,); above 1 it is broken."""
    load = 0.0
    for place in range(rules.members.shape[1]):
        member = rules.members[rule, place]
        load += rules.weights[rule, place] * max(command[member] - rules.rest[member], 0.0)
    return load


@kernel(nogil=True)
def limit_pulls(command, rules):  # type: ignore[no-untyped-def]
    """Scales the pulls of each broken rule down alike, in place, (A,)."""
    count = len(rules.members)
    loads = np.empty(count)
    broken = False
    for rule in range(count):
        loads[rule] = rule_load(rule, command, rules)
        broken |= loads[rule] > 1
    if not broken:
        return
    scale = np.ones(len(command))
    for rule in range(count):
        for place in range(rules.members.shape[1]):
            if loads[rule] > 1 and rules.weights[rule, place] > 0:
                member = rules.members[rule, place]
                scale[member] = min(scale[member], 1 / loads[rule])
    for index in range(len(command)):
        if command[index] > rules.rest[index]:
            command[index] = rules.rest[index] + (command[index] - rules.rest[index]) * scale[index]


@kernel(nogil=True)
def hold_rising_pulls(wanted, before, rules):  # type: ignore[no-untyped-def]
    """Lets rising pulls of broken rules wait, in place.

    Speeds differ, so positions between two allowed ones may break a rule. A pull that waits raises no other
    rule, because all weights are positive.

    Args:
        wanted: positions of the next step, (A,).
        before: positions now, (A,); allowed ones.
        rules: of the face.
    """
    count, width = rules.members.shape
    waits = np.zeros(len(wanted), np.bool_)
    for rule in range(count):
        if rule_load(rule, wanted, rules) > max(1.0, rule_load(rule, before, rules)) + _ROUNDING:
            for place in range(width):
                if rules.weights[rule, place] > 0:
                    waits[rules.members[rule, place]] = True
    for index in range(len(wanted)):
        if waits[index]:
            wanted[index] = min(wanted[index], max(before[index], rules.rest[index]))
