"""How often a servo may turn round: a reserve that each reversal uses up, and that refills slowly.

A reversal at full speed uses up 1. A slower one uses up its share of full speed, as its heat is less, too
(`HeatModel`). So a jaw may speak for long, and a policy that throws servos to and fro may not. The less is
left, the further back a servo must be asked to go before it turns round. So the noise of a command, which
would turn it round in every step, does not use up what a motion needs.
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
        least: what a reversal uses up at least.
        most: a full reserve.
        refill: what comes back in a control period.
    """

    smallest: float
    least: float
    most: float
    refill: float


def load_reversal_rules(spec: FaceSpec) -> ReversalRules:
    """Returns the rules of a face; without limits in `robot.toml` servos turn round as they like.

    Without `least`, each reversal uses up 1.
    """
    limits = robot_config(spec).get("reversals") if has_robot_config(spec) else None
    if not limits:
        return ReversalRules(np.inf, 0.0, np.inf, 0.0)
    per_step = float(limits["per_second"] * spec.control_dt)
    smallest, least = 2.0 * limits["smallest"], float(limits.get("least", 1.0))
    return ReversalRules(smallest, least, float(limits["reserve"]), per_step)


@kernel(nogil=True)
def may_turn(back, reserve, rules):  # type: ignore[no-untyped-def]
    """Returns whether a servo may turn round.

    With a full reserve any way back is far enough, with half of it `smallest`, with a tenth 9 times that.

    Args:
        back: distance from its turning point to where it is asked to go [command units].
        reserve: what is left.
        rules: of the face.
    """
    return reserve >= 1 and (
        reserve >= rules.most or back * reserve >= rules.smallest * (rules.most - reserve)
    )


@kernel(nogil=True)
def count_reversal(now, pace, sense, turning_point, top_pace, reserve, rules):  # type: ignore[no-untyped-def]
    """Counts the step of one servo to a position, one control period after the last.

    Args:
        now: the position [command units].
        pace: speed of the step, as a share of full speed.
        sense: direction of the last counted travel, -1, 0 or 1.
        turning_point: furthest position since the last reversal [command units].
        top_pace: greatest pace since the last reversal.
        reserve: what is left.
        rules: of the face.

    Returns:
        sense, turning point, top pace and reserve after the step.
    """
    away = now - turning_point
    turned = away * sense < -rules.smallest
    starts = sense == 0 and abs(away) > rules.smallest
    reserve = min(rules.most, reserve + rules.refill)
    top_pace = max(top_pace, pace)
    if turned:
        reserve -= min(1.0, max(rules.least, top_pace))
        top_pace = pace
    if turned or starts:
        sense = np.sign(away)
    if turned or starts or away * sense > 0:
        turning_point = now
    return sense, turning_point, top_pace, reserve
