"""The face contract: what a policy may say to a face and what it hears back.

`FaceSpec` (constant) is read from `assets/face.toml`; `Face` is the body; `Reading` is the answer
to one command. Simulation, environments, learning and the robot adapter all use these three.
"""

from __future__ import annotations

import abc
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.errors import CommandError, DataError
from eva_sim.files import asset

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Actuator:
    """One row of the actuator table. Ranges in `unit` (rad, or m for neck legs)."""

    name: str
    kind: str
    side: str
    moves: str
    action_units: tuple[str, ...]
    channel: int
    direction: int
    unit: str
    low: float
    high: float
    neutral: float
    rate: float
    dead_band: float
    delay: int


@dataclass(frozen=True)
class FaceSpec:
    """The constant description of a face.

    Attributes:
        actuators: the 25 rows in the order that every command uses.
        control_dt: time between commands [s].
        physics_dt: time between rigid-body steps [s]; a whole fraction of `control_dt`.
        cable: horn, cable and Bowden figures, see `assets/face.toml`.
        digest: SHA-256 of the table; data sets and checkpoints carry it.
    """

    actuators: tuple[Actuator, ...]
    control_dt: float
    physics_dt: float
    cable: Mapping[str, float] = field(repr=False)
    digest: str = field(repr=False)

    def __len__(self) -> int:
        return len(self.actuators)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(a.name for a in self.actuators)

    @property
    def substeps(self) -> int:
        """Rigid-body steps in one control step."""
        return round(self.control_dt / self.physics_dt)

    def column(self, attribute: str) -> Floats:
        """One numeric column of the table, shape (25,), e.g. `spec.column("rate")`."""
        return np.array([getattr(a, attribute) for a in self.actuators], dtype=float)

    def index(self, name: str) -> int:
        """Position of an actuator by name.

        Raises:
            CommandError: no such actuator.
        """
        if name not in self.names:
            raise CommandError(f"no actuator called {name!r}; there are {', '.join(self.names)}.")
        return self.names.index(name)

    def where(self, *kinds: str) -> NDArray[np.intp]:
        """Indices of all actuators of the given kinds, in table order."""
        return np.array([i for i, a in enumerate(self.actuators) if a.kind in kinds])

    @property
    def neutral(self) -> NDArray[np.float32]:
        """The resting command, shape (25,)."""
        return self.to_command(self.column("neutral"))

    def to_physical(self, command: ArrayLike) -> Floats:
        """Commands in [-1, 1], shape (..., 25), to positions in each actuator's unit."""
        low, high = self.column("low"), self.column("high")
        return low + (np.asarray(command, dtype=float) + 1.0) * 0.5 * (high - low)

    def to_command(self, physical: ArrayLike) -> NDArray[np.float32]:
        """Positions in each actuator's unit, shape (..., 25), to commands in [-1, 1]."""
        low, high = self.column("low"), self.column("high")
        return (2.0 * (np.asarray(physical) - low) / (high - low) - 1.0).astype(np.float32)

    def drawn_in(self, position: Floats) -> Floats:
        """Cable that the servos' horns draw in, (..., 12) [m], at positions (..., 25) [rad, m]."""
        drawn: Floats = np.sin(self._turned(position)) - np.sin(self._turned(self.column("low")))
        return self.cable["horn_radius"] * drawn

    def lever(self, position: Floats) -> Floats:
        """What the horns draw in for each radian more, (..., 12) [m/rad]: the slope of `drawn_in`."""
        return self.cable["horn_radius"] * np.cos(self._turned(position))

    def _turned(self, position: Floats) -> Floats:
        """Angles of the horns from where they stand across their cables, (..., 12) [rad]."""
        middle = 0.5 * (self.column("low") + self.column("high"))
        turned: Floats = (position - middle)[..., self.where("cable")]
        return turned

    def check(self, command: ArrayLike) -> NDArray[np.float32]:
        """Returns `command` as float32 (25,).

        Raises:
            CommandError: wrong shape, not a number, or outside [-1, 1].
        """
        try:
            array = np.asarray(command, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise CommandError(f"a command is {len(self)} numbers, not {command!r}.") from error
        if array.shape != (len(self),):
            raise CommandError(f"a command has shape ({len(self)},), not {array.shape}.")
        bad = ~(np.abs(array) <= 1.0)
        if bad.any():
            told = ", ".join(f"{self.names[i]}={array[i]}" for i in np.flatnonzero(bad)[:4])
            more = f" and {bad.sum() - 4} more" if bad.sum() > 4 else ""
            raise CommandError(f"commands must be numbers in [-1, 1]: {told}{more}.")
        return array

    def command(self, **values: float) -> NDArray[np.float32]:
        """The neutral command with some actuators set, e.g. `spec.command(jaw=0.5)`.

        A name without its side (`zygomaticus=1`) sets both.
        """
        out = self.neutral
        for name, value in values.items():
            pair = [i for i, n in enumerate(self.names) if n in (f"{name}_left", f"{name}_right")]
            out[pair or [self.index(name)]] = value
        return self.check(out)


@dataclass(frozen=True)
class Reading:
    """What the face answers to one command.

    Attributes:
        time: since reset [s].
        sent: the command after limits, float32 (25,) in [-1, 1].
        position: where the actuators are, float32 (25,) in command units.
        measured: whether `position` is measured (or, in the twin, simulated) rather than assumed.
        landmarks: aligned MediaPipe points, float32 (N, 3) [neutral outer-eye distances], in the
            order of `eva_sim.landmarks.POINTS`. All zero when `found` is False.
        found: whether the landmarks could be read.
        image: the camera's picture, uint8 (height, width, 3), or None without a camera.
        faults: what is wrong, in words; empty when all is well.
    """

    time: float
    sent: NDArray[np.float32]
    position: NDArray[np.float32]
    measured: bool
    landmarks: NDArray[np.float32]
    found: bool = True
    image: NDArray[np.uint8] | None = None
    faults: tuple[str, ...] = ()


class Face(abc.ABC):
    """A body that takes 25 numbers and makes a face. Use it as a context manager."""

    spec: FaceSpec
    #: outer-eye distance of the neutral face [m]; turns landmark units into metres.
    outer_eye: float
    #: landmarks of the neutral face, float32 (N, 3) [neutral outer-eye distances].
    neutral_landmarks: NDArray[np.float32]

    @abc.abstractmethod
    def reset(self, seed: int | None = None) -> Reading:
        """Goes to neutral, forgets history, and reads."""

    @abc.abstractmethod
    def move(self, command: ArrayLike) -> Reading:
        """Sends one command, lets one control period pass, and reads.

        Args:
            command: shape (25,) in [-1, 1].

        Raises:
            CommandError: the command is malformed; nothing was sent.
            PhysicsError: the twin diverged.
        """

    @abc.abstractmethod
    def save(self) -> Any:
        """An opaque copy of everything that changes, for `restore`."""

    @abc.abstractmethod
    def restore(self, state: Any) -> None:
        """Goes back to a saved state; the next moves repeat bit for bit."""

    @abc.abstractmethod
    def render(self, size: int) -> NDArray[np.uint8]:
        """A picture of the face now, uint8 (size, size, 3).

        Raises:
            RenderError: no OpenGL library, or no camera.
        """

    def close(self) -> None:
        """Lets go of the body. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@lru_cache(maxsize=1)
def load_spec() -> FaceSpec:
    """Reads `assets/face.toml`.

    Raises:
        DataError: the table contradicts itself.
    """
    text = asset("face.toml").read_bytes()
    table = tomllib.loads(text.decode())
    return _build(table, hashlib.sha256(text).hexdigest())


def _build(table: Mapping[str, Any], digest: str) -> FaceSpec:
    rows = [{**table["kind"][row["kind"]], **row} for row in table["actuators"]]
    actuators = tuple(Actuator(**{**row, "action_units": tuple(row["action_units"])}) for row in rows)
    spec = FaceSpec(
        actuators=actuators,
        control_dt=table["face"]["control_dt"],
        physics_dt=table["face"]["physics_dt"],
        cable=MappingProxyType(table["cable"]),
        digest=digest,
    )
    _check_table(spec)
    return spec


def _check_table(spec: FaceSpec) -> None:
    for a in spec.actuators:
        if not a.low <= a.neutral <= a.high or a.low == a.high:
            raise DataError(f"face.toml: {a.name} needs low <= neutral <= high.")
        if a.direction not in (-1, 1):
            raise DataError(f"face.toml: {a.name} has direction {a.direction}, not 1 or -1.")
    for what in ("name", "channel"):
        values = [getattr(a, what) for a in spec.actuators]
        if len(set(values)) != len(values):
            raise DataError(f"face.toml: two actuators share a {what}.")
    if abs(spec.substeps * spec.physics_dt - spec.control_dt) > 1e-9:
        raise DataError("face.toml: control_dt must be a whole number of physics_dt.")
