"""The limits that every body keeps, in one place: pulls, pose of the neck, speed, reversals and heat.

The twin and the filter of a robot use this class. Arrays may have a leading dimension for faces. Each face
is worked on alone, by compiled functions, so many faces do exactly as one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.limits.compiling import kernel
from eva_sim.limits.heat import HeatModel
from eva_sim.limits.neck_poses import limit_pose, load_neck_rules, move_legs_in_proportion
from eva_sim.limits.pulls import hold_rising_pulls, limit_pulls, load_pull_rules
from eva_sim.limits.reversals import count_reversal, load_reversal_rules, may_turn

#: Rows of the history of each servo; the last four are those of `count_reversal`.
_POSITION, _MOVED, _TURNED, _SENSE, _TURNING_POINT, _TOP_PACE, _RESERVE = range(_ROWS := 7)


@kernel(nogil=True)
def _limit_commands(commands, neck, pulls):  # type: ignore[no-untyped-def]
    """Brings the pose and pulls of each command within the limits, in place, (N, A)."""
    for command in commands:
        limit_pose(command, neck)
        limit_pulls(command, pulls)


@kernel(nogil=True)
def _step_faces(aims, history, fastest, speed, limp, neck, pulls, reversals):  # type: ignore[no-untyped-def]
    """Moves all faces by a control period, and puts the targets for their servos in place of the aims.

    Args:
        aims: commands, (N, A); targets afterwards.
        history: rows of each servo, (7, N, A); changed.
        fastest: largest change in a control period, (A,).
        speed: share of it that each servo may have, (N, A).
        limp: faces that stay where they are, (N,).
        neck: rules of its pose.
        pulls: rules of pulls.
        reversals: rules of reversals.
    """
    _limit_commands(aims, neck, pulls)
    for face in range(len(aims)):
        aim, before = aims[face], history[_POSITION, face].copy()
        sense, turning_point = history[_SENSE, face], history[_TURNING_POINT, face]
        top_pace, reserve = history[_TOP_PACE, face], history[_RESERVE, face]
        wanted, by_itself = history[_POSITION, face], np.empty_like(aim)
        arrives = True
        for i in range(len(aim)):
            way = aim[i] - before[i]
            by_itself[i] = before[i] + min(max(way, -fastest[i]), fastest[i])
            most = speed[face, i] * fastest[i]
            wanted[i] = before[i] + min(max(way, -most), most)
            turns = (wanted[i] - before[i]) * sense[i] < 0
            if turns and not may_turn(abs(aim[i] - turning_point[i]), reserve[i], reversals):
                wanted[i] = before[i]
            arrives &= wanted[i] == aim[i]
        if not arrives:  # an aim itself is within the limits
            move_legs_in_proportion(wanted, aim, before, neck)
            hold_rising_pulls(wanted, before, pulls)
        for i in range(len(aim)):
            if limp[face]:
                wanted[i] = before[i]
            moved = wanted[i] - before[i]
            sense[i], turning_point[i], top_pace[i], reserve[i] = count_reversal(
                wanted[i],
                abs(moved) / fastest[i],
                sense[i],
                turning_point[i],
                top_pace[i],
                reserve[i],
                reversals,
            )
            history[_TURNED, face, i] += 0.5 * abs(moved - history[_MOVED, face, i]) / fastest[i]
            history[_MOVED, face, i] = moved
            if wanted[i] != by_itself[i]:
                aim[i] = wanted[i]


class CommandLimits:
    """Brings commands within the limits of the face's `robot.toml`; a face without that table has none.

    Args:
        spec: the face.
        faces: number of faces, N; None for one face, whose arrays have no leading dimension.
        fastest: largest change of a command in a control period, (A,); by default by the table's rates.

    Attributes:
        heat: temperature of the servos.
        limp: faces whose servos have let go, because one was too hot, bool (...); `reset` ends that.
    """

    def __init__(self, spec: FaceSpec, faces: int | None = None, fastest: Floats | None = None) -> None:
        lead = () if faces is None else (faces,)
        travel = spec.column("high") - spec.column("low")
        by_rate: Floats = 2 * spec.column("rate") * spec.control_dt / travel
        self._names, self._shape = spec.names, (*lead, len(spec))
        self._fastest = by_rate if fastest is None else np.asarray(fastest, dtype=float)
        self._neck, self._pulls = load_neck_rules(spec), load_pull_rules(spec)
        self._reversals, self.heat = load_reversal_rules(spec), HeatModel(spec, self._shape)
        rest = np.zeros((_ROWS, len(spec)))
        rest[[_POSITION, _TURNING_POINT]], rest[_RESERVE] = spec.neutral, self._reversals.most
        self._rest = rest
        # Arrays are replaced and never changed, so that a saved state is the arrays themselves.
        self._history = np.tile(rest.reshape(_ROWS, *[1] * len(lead), -1), (1, *lead, 1))
        self.limp = np.zeros(lead, dtype=bool)
        self.step(np.broadcast_to(spec.neutral, self._shape))  # compiles, so that no later step waits
        self.heat.warm(np.zeros(self._shape), seconds=0.0)

    @property
    def position(self) -> Floats:
        """Where the servos are by now, if they follow, float64 (..., A) in command units."""
        return self._history[_POSITION]

    @property
    def reversals_left(self) -> Floats:
        """Reversals at full speed that each servo has in reserve, float64 (..., A)."""
        return self._history[_RESERVE]

    def reset(self, face: int | None = None) -> None:
        """Puts one face, or all, at rest, cool and rested."""
        self._put_at_rest(face, slice(None))
        self.heat.reset(face)

    def restart(self, face: int | None = None) -> None:
        """Puts one face, or all, at rest; servos stay as warm, and as often turned round, as they are."""
        self._put_at_rest(face, [_POSITION, _MOVED, _TURNED])

    def _put_at_rest(self, face: int | None, rows: slice | list[int]) -> None:
        which = ... if face is None else face
        self._history, self.limp = self._history.copy(), self.limp.copy()
        for row in np.arange(_ROWS)[rows]:
            self._history[row][which] = self._rest[row]
        self.limp[which] = False

    def within(self, command: Floats) -> Floats:
        """Returns a command (..., A) that pulls and leans no more than allowed."""
        limited = np.array(command, dtype=float)
        _limit_commands(limited.reshape(-1, limited.shape[-1]), self._neck, self._pulls)
        return limited

    def step(self, command: NDArray[np.float32], share: float = 1.0) -> NDArray[np.float32]:
        """Lets one control period pass towards a command (..., A), and returns the target for the servos.

        The target is the command itself wherever the servos may go there at their own speed. `position` is
        where they are at the end of the period.

        Args:
            command: as `FaceSpec.check` returns it.
            share: of full speed.
        """
        self._history = self._history.copy()
        target = command.astype(float)
        faces = -1, self._shape[-1]
        _step_faces(
            target.reshape(faces), self._history.reshape(_ROWS, *faces), self._fastest,
            (share * self.heat.speed).reshape(faces), self.limp.reshape(-1),
            self._neck, self._pulls, self._reversals,
        )  # fmt: skip
        return target.astype(np.float32)

    def warm(self, load: Floats, seconds: float | None = None) -> None:
        """Warms the servos by their load since the last call, (..., A); faces with a hot one go limp.

        Args:
            load: share of stall torque, with any sign.
            seconds: time that passed since then; by default a control period [s].
        """
        if self.limp.any():
            load = np.where(self.limp[..., None], 0.0, load)
        self.heat.warm(load, self._history[_TURNED], seconds)
        self._history = self._history.copy()
        self._history[_TURNED] = 0.0
        too_hot = self.heat.temperature > self.heat.too_hot
        if too_hot.any():
            self.limp = np.asarray(self.limp | too_hot.any(axis=-1))

    def faults(self, face: int | None = None) -> tuple[str, ...]:
        """What made a face limp, in words."""
        which = () if face is None else face
        if not self.limp[which]:
            return ()
        degrees = self.heat.temperature[which]
        hottest = int(np.argmax(degrees))
        return (
            f"limp until reset: {self._names[hottest]} is too hot by its load "
            f"(about {degrees[hottest]:.0f} degrees)",
        )

    def save(self) -> dict[str, Any]:
        """Returns everything that changes."""
        return {"history": self._history, "temperature": self.heat.temperature, "limp": self.limp}

    def restore(self, state: dict[str, Any], faces: Sequence[int] | None = None) -> None:
        """Puts some faces, or all, back to a saved state."""
        which: Any = ... if faces is None else list(faces)
        self._history, self.limp = self._history.copy(), self.limp.copy()
        for row, saved in zip(self._history, state["history"], strict=True):
            row[which] = saved[which]
        self.limp[which] = state["limp"][which]
        self.heat.put(which, state["temperature"][which])
