"""Action units as this face makes them, and the command that makes several of them at once.

A robot's skin does not move as a person's does. So each action unit is imitated first, alone: the face that
is nearest to it, as far as the actuators go. The expression is then the sum of these faces, which the robot
nearly can make. Distances are those of retargeting: in landmarks and in the gaps by which people read a
face.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from eva_sim.agents.mirroring.retargeting import ALL_GAPS, expression_metric
from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.contract import Floats
from eva_sim.limits.command_search import CommandSearch
from eva_sim.twin import Twin
from tools.expressions.prototypes import ActionUnit, FaceUnits

#: Weight of one gap, where all points together have weight 1.
_GAP_WEIGHT = 1.0
#: Cost of a command [squared outer-eye distances]: of actuators that the action unit names, which may go to
#: the end of their travel, and of others, which work only where they help clearly.
_NAMED_EFFORT, _OTHER_EFFORT = 1e-6, 3e-4
#: Cost of a command when action units are put together.
_JOINT_EFFORT = 1e-5
#: Multiple of a person's motion at which actuators that the action unit names reach the end of their travel.
_EXAGGERATION = 20.0
#: Cost of a rule of pulls that is exceeded by all its bound, as a multiple of the displacement's size. A rule
#: that costs much more than the face itself ends a search early, beside the best face.
_BEYOND_LIMITS = 100.0
#: Command of cables and jaw where a search begins: a slack cable has no derivative, and neither has a jaw
#: while threads keep the lips together.
_START = -0.5
#: Most evaluations of a search.
_MOST_EVALUATIONS = 200
#: A smaller change of a command hardly shows; that of a cable still takes up slack and play.
_VISIBLE = 0.15
#: Cosine between an action unit and its imitation below which it is left out, unless an actuator is named
#: for it.
_ALIKE = 0.4


def shows(pull: float) -> bool:
    """Returns whether a change of a command is large enough to be seen."""
    return abs(pull) > _VISIBLE


class Imitation(NamedTuple):
    """An action unit as the robot makes it.

    Attributes:
        displacement: of the landmarks at full intensity, (N, 3) [outer-eye distances].
        actuators: rows of the actuators that work.
        likeness: cosine between the person's motion and the robot's, in the metric of expressions.
        named: whether the actuator table names actuators for it.
    """

    displacement: Floats
    actuators: tuple[int, ...]
    likeness: float
    named: bool

    @property
    def usable(self) -> bool:
        """Whether the robot has this action unit, or something like it."""
        return self.named or self.likeness > _ALIKE


class Imitator:
    """Finds commands by optimisation through the twin's reduced skin.

    Args:
        twin: the face; it is not moved.
        mixtures: face units of each action unit.
    """

    def __init__(self, twin: Twin, mixtures: dict[str, dict[str, float]]) -> None:
        self.spec, self._mixtures = twin.spec, mixtures
        self._units = FaceUnits(twin.spec, twin.neutral_landmarks.astype(float))
        self._settled, self._metric = SettledFace(twin), expression_metric(ALL_GAPS, _GAP_WEIGHT)
        self._rest = self.spec.neutral.astype(float)
        self._rest_face = self._settled(self._rest[None])[0]
        self._known: dict[ActionUnit, Imitation] = {}

    def imitate(self, unit: ActionUnit) -> Imitation:
        """Finds the robot's version of an action unit.

        Without named actuators it is as strong as a person's; with them as strong as they can make it.
        """
        if unit not in self._known:
            self._known[unit] = self._imitate(unit)
        return self._known[unit]

    def _imitate(self, unit: ActionUnit) -> Imitation:
        wanted = self._units.displacement(unit, self._mixtures.get(unit.name, {}))
        able = [i for i in self.spec.expressive if self._on_side(i, unit.side)]
        named = [i for i in able if unit.name in self.spec.actuators[i].action_units]
        if named:
            command = self.solve(_EXAGGERATION * wanted, named, _NAMED_EFFORT)
        else:
            command = self.solve(wanted, able, _OTHER_EFFORT)
        working = {self.spec.actuators[i].moves for i in able if shows(command[i] - self._rest[i])}
        used = tuple(i for i in able if self.spec.actuators[i].moves in working)
        made = self.displacement(command)
        return Imitation(made, used, self.likeness(made, wanted), bool(named))

    def _on_side(self, row: int, side: str) -> bool:
        return not side or self.spec.actuators[row].side in (side, "middle")

    def displacement(self, command: Floats) -> Floats:
        """Returns how a command moves the landmarks, (N, 3) [outer-eye distances]."""
        moved: Floats = self._settled(command[None])[0] - self._rest_face
        return moved

    def likeness(self, one: Floats, other: Floats) -> float:
        """Returns the cosine between two displacements in the metric of expressions; 0 for none."""
        a, b = self._metric @ one.ravel(), self._metric @ other.ravel()
        sizes = np.linalg.norm(a) * np.linalg.norm(b)
        return float(a @ b / sizes) if sizes > 0 else 0.0

    def solve(self, wanted: Floats, actuators: Sequence[int], effort: float = _JOINT_EFFORT) -> Floats:
        """Finds the command, (25,), nearest to a displacement; actuators that are not listed rest.

        Args:
            wanted: displacement of the landmarks, (N, 3) [outer-eye distances].
            actuators: rows of the actuators that may work.
            effort: cost of a command [squared outer-eye distances].
        """
        free = np.array(actuators, dtype=np.intp)
        if not len(free):
            return self._rest.copy()
        rest, cost, goal = self._rest[free], np.sqrt(effort), self._metric @ wanted.ravel()
        columns = np.searchsorted(self.spec.expressive, free)

        def residual(command: Floats) -> Floats:
            error = self._metric @ self.displacement(command).ravel() - goal
            return np.concatenate([error, cost * (command[free] - rest)])

        def jacobian(command: Floats) -> Floats:
            slopes = self._metric @ self._settled.jacobian(command)[:, columns]
            return np.concatenate([slopes, cost * np.eye(len(free))])

        start, pulls = self._rest.copy(), np.setdiff1d(free, self.spec.where("lid"))
        start[pulls] = np.maximum(start[pulls], _START)
        options: dict[str, Any] = {"x_scale": 1.0, "max_nfev": _MOST_EVALUATIONS}
        search_within = CommandSearch(self.spec, _BEYOND_LIMITS * float(np.linalg.norm(goal)))
        return search_within(start, free, residual, jacobian, **options)
