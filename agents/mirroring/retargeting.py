"""Retargeting: a person's expression to the nearest one that this robot can make.

A person's displacement from their own neutral face, put on the robot's neutral face, is in general no face
that the robot can make: its skin moves in other places. The robot's forward model gives the nearest face that
it can make, as in Chen et al., ICRA 2021. If all points counted alike, the nearest face would raise the brows
half as far as the person does, because the many points that barely move outweigh the few that matter. People
read a face by its gaps (brow over eye, lids, lips), so the gaps count separately. Cables that may not pull
together with all their might (`eva_sim.limits`) bound the search: where an open mouth and a smile compete for
the same room, the gaps decide.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from eva_sim.agents.models.forward import ForwardModel
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import DataError
from eva_sim.landmarks import POINTS, landmark_rows
from eva_sim.limits.command_search import CommandCost, CommandSearch

#: Weight of each axis: a camera sees depth only indirectly, and MediaPipe's z follows a person's
#: expression weakly and their head pose strongly.
AXIS_WEIGHTS = (1.0, 1.0, 0.5)
#: Weight of one gap in retargeting, where all points together, as their mean square, have weight 1. A smaller
#: one brings landmarks nearer, and raises brows and corners less than a person does [14 people for tuning].
GAP_WEIGHT = 0.8
#: Cost of an actuator's pull [squared outer-eye distances per squared command]: decides which of two
#: actuators works where the face is the same with either, and keeps them from pulling against each other.
EFFORT = 1e-4
#: Cost of pulling the two cables of a pair unequally [squared outer-eye distances per squared command]: what
#: both sides can make together is not made by one of them, and a one-sided face stays one-sided.
ASYMMETRY = 4e-4
#: Cost of pulls beyond the limits of the face [outer-eye distances], see `CommandSearch`.
BEYOND_LIMITS = 10.0
#: Gap that the detector sees at lids that are shut, as a share of that at rest [0.28 to 0.36 in the sample].
SHUT = 0.35
#: Limits of the factor by which a person's closing lids are followed.
_LID_FACTORS = (0.5, 4.0)
#: Margin to the ends of travel at which the search for the nearest face starts [command].
_INSIDE = 0.1

_X, _Y, _Z = range(3)
Gap = tuple[tuple[int, ...], tuple[int, ...], int]
_LIDS: tuple[Gap, ...] = (((159,), (145,), _Y), ((386,), (374,), _Y))
#: Upper (left) and lower (right) points of each gap that a camera sees, and the axis it is taken along: brows
#: over eye corners, inner and outer; lids; lips; mouth corners.
SEEN_GAPS: tuple[Gap, ...] = (
    ((107, 66, 55, 65), (33, 133), _Y),
    ((70, 63, 46, 53), (33, 133), _Y),
    ((336, 296, 285, 295), (263, 362), _Y),
    ((300, 293, 276, 283), (263, 362), _Y),
    *_LIDS,
    ((13,), (14,), _Y),
    ((291,), (61,), _X),
    ((61,), (0, 17), _Y),
    ((291,), (0, 17), _Y),
)
#: Gaps that retargeting counts: also that of the eye corners over the upper lip. It tells an open jaw from a
#: raised lip. Both part the lips alike, and people take the second for disgust.
COUNTED_GAPS = (*SEEN_GAPS, ((133, 362), (0, 37, 267), _Y))
#: Gaps of a face that is known in depth: also that of the lips there, where the jaw turns. The detector reads
#: half of it, so it would keep a person's mouth from opening.
ALL_GAPS = (*SEEN_GAPS, ((13,), (14,), _Z))


class Retargeter:
    """Maps faces of a person to faces of a robot. Everything is (N, 3) [neutral outer-eye distances].

    Args:
        spec: of the robot, from the robot itself: that of a model's file does not know the limits of pulls.
        neutral: the robot's aligned landmarks at rest.
        low: smallest value that each coordinate of the robot has reached.
        high: largest value.
        forward_model: of the robot: pulls of the actuators that move landmarks to displacement, (3 N,).

    Raises:
        DataError: a wrong shape, or a range whose low is above its high.
    """

    def __init__(
        self, spec: FaceSpec, neutral: ArrayLike, low: ArrayLike, high: ArrayLike, forward_model: ForwardModel
    ) -> None:
        self.neutral, bottom, top = (np.asarray(a, dtype=float) for a in (neutral, low, high))
        shape = (len(POINTS), 3)
        if not self.neutral.shape == bottom.shape == top.shape == shape or (bottom > top).any():
            raise DataError(f"the robot's own range must be {shape} arrays with low <= high; train again.")
        # Resting is often an end of the range, and always allowed.
        self.low, self.high = np.minimum(bottom, self.neutral), np.maximum(top, self.neutral)
        self._rest, self._moving = spec.neutral.astype(float), spec.expressive
        self._search_within = CommandSearch(spec, BEYOND_LIMITS)
        self._metric = expression_metric(COUNTED_GAPS, GAP_WEIGHT)
        self._forward_model, self._effort = forward_model, _effort(spec)
        # What the robot can reach lies in the span of its modes: distances are measured along axes of that.
        compared = forward_model.project(self._metric)
        self._reached = np.linalg.qr(compared.modes.T)[0]
        self._compared = compared.project(self._reached.T)
        # The map's linear part, inverted.
        jacobian = self._compared.jacobian(np.zeros(len(self._moving)))
        self._linear = np.linalg.pinv(np.concatenate([jacobian, self._effort]))
        self._lid_rows = np.arange(len(POINTS) * 3, len(self._metric))[
            [COUNTED_GAPS.index(gap) for gap in _LIDS]
        ]
        self._lid_closing = self._closing(spec, compared)

    @classmethod
    def of_model(cls, spec: FaceSpec, model: RouteModel) -> Self:
        """Returns what maps to the robot of a model.

        Args:
            spec: of the robot, from the robot itself.
            model: that was trained on it.
        """
        return cls(spec, model.neutral, model.range_low, model.range_high, model.forward_model)

    def __call__(self, person: Floats, person_neutral: Floats) -> Floats:
        """Returns the robot's face that is nearest to a person's aligned expression.

        It is clipped per landmark to the range the robot has reached, since beyond that its forward model
        extrapolates.
        """
        wanted = self._metric @ (person - person_neutral).ravel()
        wanted[self._lid_rows] *= self._lid_factors(wanted, person_neutral)
        target = self.neutral + self._forward_model(self._pulls(wanted)).reshape(self.neutral.shape)
        return np.clip(target, self.low, self.high)

    def _closing(self, spec: FaceSpec, compared: ForwardModel) -> Floats:
        """Returns how far the lids' gaps close when the robot shuts its eyes, (2,)."""
        pulls, lids = np.zeros(len(self._moving)), np.isin(self._moving, spec.where("lid"))
        pulls[lids] = -1 - self._rest[self._moving][lids]
        closing: Floats = -compared(pulls)[self._lid_rows]
        return closing

    def _lid_factors(self, wanted: Floats, person_neutral: Floats) -> Floats:
        """Returns the factors of the lids' gaps, (2,), with which shut eyes of the person shut the robot's.

        The detector sees a gap at shut lids, and eyes differ in size. Lids that open are followed as is.
        """
        closing = (1 - SHUT) * (self._metric[self._lid_rows] @ person_neutral.ravel())
        factors = np.clip(self._lid_closing / np.maximum(closing, 1e-9), *_LID_FACTORS)
        return np.where(wanted[self._lid_rows] < 0, factors, 1.0)

    def _pulls(self, wanted: Floats) -> Floats:
        """Finds the pulls within the travel that come nearest, (M,).

        The map is not linear: a search from rest, an end of travel for most actuators, can end far from the
        nearest face. So it begins inside the travel, near the answer of the map's linear part.
        """
        rest, moving = self._rest[self._moving], self._moving
        inside_span = wanted @ self._reached
        answer = self._linear @ np.concatenate([inside_span, np.zeros(len(self._effort))])
        start = self._rest.copy()
        start[moving] = np.clip(rest + answer, _INSIDE - 1, 1 - _INSIDE)
        found = self._search_within.minimise_cost(
            start, moving, lambda command: self._cost(command[moving] - rest, inside_span)
        )
        return found[moving] - rest

    def _cost(self, pulls: Floats, wanted: Floats) -> CommandCost:
        """Returns half the squared distance of the face of some pulls, (M,), and of their effort."""
        error, effort = self._compared(pulls) - wanted, self._effort @ pulls
        jacobian = self._compared.jacobian(pulls)
        curvature = jacobian.T @ jacobian + self._compared.weighted_hessian(pulls, error)
        return CommandCost(
            0.5 * float(error @ error + effort @ effort),
            jacobian.T @ error + self._effort.T @ effort,
            curvature + self._effort.T @ self._effort,
        )


def _effort(spec: FaceSpec) -> Floats:
    """Returns the linear map from pulls, (M,), to roots of the costs of effort and asymmetry, (M + P, M)."""
    order = [spec.names[i] for i in spec.expressive]
    cables = {spec.names[i] for i in spec.where("cable")}
    pairs = [f"{name}_left" for name in spec.two_sided_names if f"{name}_left" in cables]
    unequal = np.zeros((len(pairs), len(order)))
    for row, left in zip(unequal, pairs, strict=True):
        row[order.index(left)], row[order.index(left.removesuffix("left") + "right")] = 1.0, -1.0
    return np.concatenate([np.sqrt(EFFORT) * np.eye(len(order)), np.sqrt(ASYMMETRY) * unequal])


def expression_metric(counted: tuple[Gap, ...], weight: float) -> Floats:
    """Builds the linear map from displacements, (3 N,), to weighted coordinates and gaps, (3 N + G, 3 N).

    Distances between two faces in these numbers tell how alike their expressions are for people.

    Args:
        counted: gaps that count separately, G.
        weight: of one gap; all points together have weight 1.
    """
    points = np.diag(np.tile(AXIS_WEIGHTS, len(POINTS))) / np.sqrt(len(POINTS))
    gaps = np.zeros((len(counted), len(POINTS), 3))
    for gap, (upper, lower, axis) in zip(gaps, counted, strict=True):
        gap[landmark_rows(*upper), axis] += weight / len(upper)
        gap[landmark_rows(*lower), axis] -= weight / len(lower)
    return np.concatenate([points, gaps.reshape(len(gaps), -1)])
