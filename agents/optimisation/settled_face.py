"""The face that commands settle to, by the reduced skin: a forward model with jacobian in a millisecond."""

from __future__ import annotations

import numpy as np

from eva_sim.actuators import bowden_compliance
from eva_sim.contract import FaceSpec, Floats
from eva_sim.horns import cable_drawn_in
from eva_sim.landmarks import Aligner
from eva_sim.skin.anatomy import Drives
from eva_sim.skin.reduced import ReducedSkins
from eva_sim.twin import Twin

#: Step of the differences for the jacobian [command].
_STEP = 0.01
#: Iterations of cable tension and take-up; each leaves a fifth of the error.
_TENSION_ITERATIONS = 5


class SettledFace:
    """Maps commands to the landmarks of the face when it has settled, by the reduced skin.

    Args:
        twin: the face; it is not moved.
    """

    def __init__(self, twin: Twin) -> None:
        self._spec, self._anatomy = twin.spec, twin.skin.anatomy
        self._aligner = Aligner(twin.neutral_landmarks.astype(float), twin.outer_eye)

    def __call__(self, commands: Floats) -> Floats:
        """Returns aligned landmarks, (B, N, 3) [outer-eye distances], of commands (B, 25)."""
        skins, cable = ReducedSkins(self._anatomy, len(commands)), self._spec.cable
        jaw, lids, drawn = _drives(self._spec, commands)
        line = np.maximum(0.0, drawn - cable["backlash"])  # cable moves only after the play is taken up
        compliance = bowden_compliance(self._spec)
        take_up = line
        for _ in range(_TENSION_ITERATIONS):
            skins.step(Drives(jaw, lids, take_up))
            take_up = line - compliance * skins.tension
        return self._aligner(skins.landmarks.astype(float))

    def jacobian(self, command: Floats) -> Floats:
        """Returns the derivative of the aligned landmarks by each actuator that moves them, (3 N, M)."""
        rows = self._spec.expressive
        offsets = np.zeros((2, len(rows), len(command)))
        offsets[:, np.arange(len(rows)), rows] = [[_STEP], [-_STEP]]
        ends = np.clip(command + offsets, -1, 1)
        plus, minus = np.split(self(ends.reshape(-1, len(command))), 2)
        width = np.abs(ends[0] - ends[1]).sum(1)
        jacobian: Floats = ((plus - minus).reshape(len(plus), -1) / width[:, None]).T
        return jacobian


def _drives(spec: FaceSpec, commands: Floats) -> tuple[Floats, Floats, Floats]:
    """Returns jaw (B,) and lids (B, 2) [rad], and the cable that the horns draw in (B, C) [m]."""
    physical = spec.to_physical(commands)
    return physical[:, spec.where("jaw")[0]], physical[:, spec.where("lid")], cable_drawn_in(spec, physical)
