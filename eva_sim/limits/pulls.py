"""Which cables may pull together: the rules of `robot.toml` on commands of one face or of many."""

from __future__ import annotations

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.robot_config import has_robot_config, pull_rules

#: Share of a rule's bound that commands keep away from it, so that rounding on the way to the board does not
#: make the board report a fault.
_MARGIN = 0.999
_ROUNDING = 1e-9


class PullLimits:
    """The rules by which actuators may pull together. Commands may have a leading dimension for faces.

    Args:
        spec: the face; one without `robot.toml` has no rules.
    """

    def __init__(self, spec: FaceSpec) -> None:
        rules = pull_rules(spec) if has_robot_config(spec) else ()
        width = max((len(rule.members) for rule in rules), default=1)
        self._members = np.zeros((len(rules), width), dtype=np.intp)
        self._weights = np.zeros((len(rules), width))
        for row, rule in enumerate(rules):
            self._members[row, : len(rule.members)] = rule.members
            self._weights[row, : len(rule.weights)] = np.array(rule.weights) / _MARGIN
        self._rest = spec.neutral.astype(float)
        self._room = np.maximum(1 - self._rest, 1e-9)
        self._per_member = self._weights / self._room[self._members]
        self._rest_of_members = self._rest[self._members]
        self._slopes = np.zeros((len(rules), len(spec)))  # of the sums, by each actuator that pulls
        np.add.at(self._slopes, (np.arange(len(rules))[:, None], self._members), self._per_member)

    def load(self, command: Floats) -> Floats:
        """Returns the sum of each rule, (..., R); above 1 it is broken."""
        pulls = np.maximum(command[..., self._members] - self._rest_of_members, 0.0)
        load: Floats = (pulls * self._per_member).sum(axis=-1)
        return load

    def excess(self, command: Floats) -> Floats:
        """Returns how far a command (A,) is beyond each rule, (R,); 0 where the rule is kept.

        A search by least squares that has these among its residuals, at a high cost, ends within the rules.
        """
        pulls = np.maximum(command - self._rest, 0.0)
        excess: Floats = np.maximum(self._slopes @ pulls - 1, 0.0)
        return excess

    def excess_jacobian(self, command: Floats) -> Floats:
        """Returns the derivative of `excess` by each actuator, (R, A)."""
        pulls = command - self._rest
        broken = self._slopes @ np.maximum(pulls, 0.0) > 1
        jacobian: Floats = self._slopes * (broken[:, None] & (pulls >= 0))
        return jacobian

    def within(self, command: Floats) -> Floats:
        """Returns the command (..., A), with the pulls of each broken rule scaled down alike."""
        load = self.load(command)
        if not (load > 1).any():
            return command
        scale = np.ones(command.shape)
        for rule in np.flatnonzero((load > 1).reshape(-1, len(self._members)).any(axis=0)):
            members = self._members[rule][self._weights[rule] > 0]
            share = 1 / np.maximum(load[..., rule], 1)
            scale[..., members] = np.minimum(scale[..., members], share[..., None])
        pulls = command > self._rest
        return np.where(pulls, self._rest + (command - self._rest) * scale, command)

    def on_the_way(self, wanted: Floats, before: Floats) -> Floats:
        """Returns the positions (..., A) of the next step: where a rule is broken, rising pulls wait.

        Speeds differ, so positions between two allowed ones may break a rule. A pull that waits raises no
        other rule, because all weights are positive.
        """
        load = self.load(wanted)
        if not (load > 1 + _ROUNDING).any():
            return wanted
        broken = load > np.maximum(1, self.load(before)) + _ROUNDING
        waits = np.zeros(wanted.shape, dtype=bool)
        for rule in np.flatnonzero(broken.reshape(-1, len(self._members)).any(axis=0)):
            members = self._members[rule][self._weights[rule] > 0]
            waits[..., members] |= broken[..., rule, None]
        return np.where(waits, np.minimum(wanted, np.maximum(before, self._rest)), wanted)
