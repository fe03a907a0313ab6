"""How often a servo may turn round: a reserve that each reversal uses up, and that refills slowly.

The less is left of it, the further back a servo must be asked to go before it turns round. So the noise of a
command, which would turn it round in every step, does not use up what a motion needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eva_sim.contract import FaceSpec
from eva_sim.limits.compiling import kernel
from eva_sim.robot_config import has_robot_config, robot_config


class ReversalRules(NamedTuple):
    """How often a servo may turn round, as compiled functions take it.

    Attributes:
        smallest: travel the other way that counts as a reversal [command units].
        most: reversals in a full reserve.
        refill: reversals that come back in a control period.
    """

    smallest: float
    most: float
    refill: float


def load_reversal_rules(spec: FaceSpec) -> ReversalRules:
    """Returns the rules of a face; without limits in `robot.toml` servos turn round as they like."""
    limits = robot_config(spec).get("reversals") if has_robot_config(spec) else None
    if not limits:
        return ReversalRules(np.inf, np.inf, 0.0)
    per_step = float(limits["per_second"] * spec.control_dt)
    return ReversalRules(2.0 * limits["smallest"], float(limits["reserve"]), per_step)


@kernel(nogil=True)
def may_turn(back, reserve, rules):  # type: ignore[no-untyped-def]
    """Returns whether a servo may turn round.

    With a full reserve any way back is far enough, with half of it `smallest`, with a tenth 9 times that.

    Args:
        back: distance from its turning point to where it is asked to go [command units].
        reserve: reversals that are left.
        rules: of the face.
    """
    return reserve >= 1 and (
        reserve >= rules.most or back * reserve >= rules.smallest * (rules.most - reserve)
    )


@kernel(nogil=True)
def count_reversal(now, sense, turning_point, reserve, rules):  # type: ignore[no-untyped-def]
    """Counts the step of one servo to a position, one control period after the last.

    Args:
        now: the position [command units].
        sense: direction of the last counted travel, -1, 0 or 1.
        turning_point: furthest position since the last reversal [command units].
        reserve: reversals that are left.
        rules: of the face.

    Returns:
        sense, turning point and reserve after the step.
    """
    away = now - turning_point
    turned = away * sense < -rules.smallest
    starts = sense == 0 and abs(away) > rules.smallest
    if turned or starts:
        sense = np.sign(away)
    if turned or starts or away * sense > 0:
        turning_point = now
    return sense, turning_point, min(rules.most, reserve + rules.refill) - turned
