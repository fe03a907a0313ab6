"""The limits that every body keeps, in one place: pulls, pose of the neck, speed, reversals and heat.

The twin and the filter of a robot use this class. Arrays may have a leading dimension for faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.limits import reversals
from eva_sim.limits.heat import HeatModel
from eva_sim.limits.neck_poses import NeckLimits
from eva_sim.limits.pulls import PullLimits
from eva_sim.limits.reversals import ReversalLimits


class CommandLimits:
    """Brings commands within the limits of the face's `robot.toml`; a face without that table has none.

    Args:
        spec: the face.
        faces: number of faces, N; None for one face, whose arrays have no leading dimension.
        fastest: largest change of a command in a control period, (A,); by default by the table's rates.

    Attributes:
        position: where the servos are by now, if they follow, float64 (..., A) in command units.
        heat: temperature of the servos.
        limp: faces whose servos have let go, because one was too hot, bool (...); `reset` ends that.
    """

    def __init__(self, spec: FaceSpec, faces: int | None = None, fastest: Floats | None = None) -> None:
        lead = () if faces is None else (faces,)
        shape = (*lead, len(spec))
        travel = spec.column("high") - spec.column("low")
        by_rate: Floats = 2 * spec.column("rate") * spec.control_dt / travel
        self._names, self._rest = spec.names, spec.neutral.astype(float)
        self._fastest = by_rate if fastest is None else fastest
        self._pulls, self._neck = PullLimits(spec), NeckLimits(spec)
        self._reversals, self.heat = ReversalLimits(spec, shape), HeatModel(spec, shape)
        self.position: Floats = np.tile(self._rest, (*lead, 1))
        self._moved = np.zeros(shape)
        self._turned: Floats = np.zeros(shape)
        self.limp = np.zeros(lead, dtype=bool)

    def reset(self, face: int | None = None) -> None:
        """Puts one face, or all, at rest, cool and rested."""
        self.restart(face)
        self._reversals.reset(face)
        self.heat.reset(face)

    def restart(self, face: int | None = None) -> None:
        """Puts one face, or all, at rest; servos stay as warm as they are."""
        which = ... if face is None else face
        self.position[which], self._moved[which], self.limp[which] = self._rest, 0.0, False
        self._turned[which] = 0.0

    def within(self, command: Floats) -> Floats:
        """Returns a command (..., A) that pulls and leans no more than allowed."""
        return self._pulls.within(self._neck.within(command))

    def step(self, command: NDArray[np.float32], share: float = 1.0) -> NDArray[np.float32]:
        """Lets one control period pass towards a command (..., A), and returns the target for the servos.

        The target is the command itself wherever the servos may go there at their own speed. `position` is
        where they are at the end of the period.

        Args:
            command: as `FaceSpec.check` returns it.
            share: of full speed.
        """
        before, fastest = self.position, self._fastest
        aim = self.within(command.astype(float))
        way = aim - before
        by_itself = before + np.minimum(np.maximum(way, -fastest), fastest)
        speed = share * self.heat.speed
        most = speed * fastest
        slowed = before + np.minimum(np.maximum(way, -most), most)
        wanted = self._reversals.allowed(slowed, before)
        if (wanted != aim).any():  # an aim itself is within
            wanted = self._neck.on_the_way(wanted, aim, before)
            wanted = self._pulls.on_the_way(wanted, before)
        if self.limp.any():
            wanted = np.where(self.limp[..., None], before, wanted)
        self._reversals.note(wanted)
        self._turned = self._turned + 0.5 * np.abs(wanted - before - self._moved) / fastest
        self._moved, self.position = wanted - before, wanted
        return np.where(wanted == by_itself, aim, wanted).astype(np.float32)

    def warm(self, load: Floats, seconds: float | None = None) -> None:
        """Warms the servos by their load since the last call, (..., A); faces with a hot one go limp.

        Args:
            load: share of stall torque, with any sign.
            seconds: time that passed since then; by default a control period [s].
        """
        if self.limp.any():
            load = np.where(self.limp[..., None], 0.0, load)
        self.heat.warm(load, self._turned, seconds)
        self._turned = np.zeros_like(self._turned)
        self.limp |= (self.heat.temperature > self.heat.too_hot).any(axis=-1)

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
        """Returns copies of everything that changes."""
        arrays = {name: getattr(self._reversals, name) for name in reversals.STATE}
        arrays |= {"temperature": self.heat.temperature, "position": self.position, "moved": self._moved}
        arrays |= {"limp": self.limp, "turned": self._turned}
        return {name: value.copy() for name, value in arrays.items()}

    def restore(self, state: dict[str, Any], faces: Sequence[int] | None = None) -> None:
        """Puts some faces, or all, back to a saved state."""
        which: Any = ... if faces is None else list(faces)
        for name in reversals.STATE:
            getattr(self._reversals, name)[which] = state[name][which]
        self.heat.put(which, state["temperature"][which])
        self.position[which], self._moved[which] = state["position"][which], state["moved"][which]
        self.limp[which], self._turned[which] = state["limp"][which], state["turned"][which]
