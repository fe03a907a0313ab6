"""The face contract: the one interface between a policy and a face, simulated or physical.

`FaceSpec` is the constant description of a face, read from its actuator table. `Face` is the body. `Reading`
is its answer to one command. Simulation, environments, learning and the robot adapter all use these three.
"""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.clock import Clock
from eva_sim.errors import SEE_DOCTOR, CommandError, DataError, known_names
from eva_sim.files import Closing, asset
from eva_sim.tables import parse_table
from eva_sim.telemetry import Telemetry

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


@dataclass(frozen=True, eq=False)
class FaceSpec:
    """The constant description of a face. Shapes below are those of EVA: 25 actuators, 12 of them cables.

    Two specs are equal if they were read from the same text and the same folder.

    Attributes:
        actuators: one row per actuator, in the order that every command uses.
        control_dt: time between commands [s].
        physics_dt: time between rigid-body steps [s]; a whole fraction of `control_dt`.
        cable: constants of horn, cable and Bowden tube, see `assets/face.toml`.
        digest: SHA-256 of the text; data sets, checkpoints and recordings carry it.
        text: the actuator table itself, TOML; `parse_spec` reads it again.
        folder: folder of the face's other tables and meshes; None where only the actuator table is known,
            as in a data set or a checkpoint.
    """

    actuators: tuple[Actuator, ...]
    control_dt: float
    physics_dt: float
    cable: Mapping[str, float] = field(repr=False)
    digest: str = field(repr=False)
    text: str = field(repr=False)
    folder: Path | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FaceSpec) and (self.digest, self.folder) == (other.digest, other.folder)

    def __hash__(self) -> int:
        return hash((self.digest, self.folder))

    def __reduce__(self) -> tuple[Any, ...]:
        return parse_spec, (self.text, self.folder)

    def __len__(self) -> int:
        return len(self.actuators)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(a.name for a in self.actuators)

    @property
    def two_sided_names(self) -> tuple[str, ...]:
        """Names, without their side, of actuators that exist on both sides, e.g. `brow_inner`."""
        stems = (name.removesuffix("_left") for name in self.names if name.endswith("_left"))
        return tuple(stem for stem in stems if f"{stem}_right" in self.names)

    @property
    def expressive(self) -> NDArray[np.intp]:
        """Indices of the actuators that move landmarks, which are cables, jaw and lids, not eyes and neck."""
        return self.where("cable", "jaw", "lid")

    def file(self, name: str) -> Path:
        """Path of one of the face's files, e.g. `spec.file("expressions.toml")`.

        Raises:
            DataError: the folder is unknown, or lacks the file.
        """
        if self.folder is None:
            raise DataError(
                f"{name} is needed, but only the actuator table of this face is known; open the face."
            )
        path = self.folder / name
        if not path.exists():
            told = f"{name} is missing from {self.folder}; reinstall eva-sim, or complete the folder."
            raise DataError(f"{told} {SEE_DOCTOR}")
        return path

    def _unknown(self, name: str, known: tuple[str, ...]) -> CommandError:
        """Returns the error about an unknown name; it says what lists the actuators, if anything does."""
        path = self.folder and self.folder / "face.toml"
        listed_by = "`eva actuators`" if path == asset("face.toml") else str(path or "")
        return CommandError(f"no actuator called {name!r}; {known_names(name, known, listed_by)}.")

    @property
    def substeps(self) -> int:
        """Rigid-body steps in one control step."""
        return round(self.control_dt / self.physics_dt)

    def column(self, attribute: str) -> Floats:
        """Returns one numeric column of the table, shape (25,), e.g. `spec.column("rate")`."""
        return np.array([getattr(a, attribute) for a in self.actuators], dtype=float)

    def index(self, name: str) -> int:
        """Returns the position of an actuator in the table.

        Raises:
            CommandError: no such actuator.
        """
        if name not in self.names:
            raise self._unknown(name, self.names)
        return self.names.index(name)

    def where(self, *kinds: str) -> NDArray[np.intp]:
        """Returns the indices of all actuators of the given kinds, in table order."""
        return np.array([i for i, a in enumerate(self.actuators) if a.kind in kinds], dtype=np.intp)

    @property
    def neutral(self) -> NDArray[np.float32]:
        """The resting command, shape (25,)."""
        return self.to_command(self.column("neutral"))

    def to_physical(self, command: ArrayLike) -> Floats:
        """Converts commands in [-1, 1], shape (..., 25), to positions in each actuator's unit."""
        low, high = self.column("low"), self.column("high")
        return low + (np.asarray(command, dtype=float) + 1.0) * 0.5 * (high - low)

    def to_command(self, physical: ArrayLike) -> NDArray[np.float32]:
        """Converts positions in each actuator's unit, shape (..., 25), to commands in [-1, 1]."""
        low, high = self.column("low"), self.column("high")
        return (2.0 * (np.asarray(physical) - low) / (high - low) - 1.0).astype(np.float32)

    def check(self, command: ArrayLike) -> NDArray[np.float32]:
        """Checks a command and returns it as float32 (25,).

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
            listed = ", ".join(f"{self.names[i]}={array[i]:g}" for i in np.flatnonzero(bad)[:4])
            more = f" and {bad.sum() - 4} more" if bad.sum() > 4 else ""
            raise CommandError(f"commands must be numbers in [-1, 1]: {listed}{more}.")
        return array

    def command(self, **values: float) -> NDArray[np.float32]:
        """Returns the neutral command with some actuators set, e.g. `spec.command(jaw=0.5)`.

        A name without its side (`zygomaticus=1`) sets both.

        Raises:
            CommandError: no such actuator, not a number, or outside [-1, 1].
        """
        out = self.neutral
        for name, value in values.items():
            if not isinstance(value, int | float | np.number) or isinstance(value, bool):
                raise CommandError(f"{name}={value!r} is not a number in [-1, 1].")
            out[self.indices_of(name)] = value
        return self.check(out)

    def indices_of(self, name: str) -> list[int]:
        """Returns the index of an actuator, or both indices of a name without its side.

        Raises:
            CommandError: no such actuator.
        """
        if name in self.two_sided_names:
            return [self.names.index(f"{name}_{side}") for side in ("left", "right")]
        if name in self.names:
            return [self.names.index(name)]
        known = (*self.names, *self.two_sided_names)
        raise self._unknown(name, known)


@dataclass(frozen=True)
class Reading:
    """The answer of a face to one command.

    Attributes:
        time: since reset [s].
        sent: the command that was sent, after limits, float32 (25,) in [-1, 1].
        position: where the actuators are, float32 (25,) in command units.
        measured: whether `position` is measured (or, in the twin, simulated) rather than assumed.
        landmarks: aligned MediaPipe points, float32 (N, 3) [neutral outer-eye distances], in the
            order of `eva_sim.landmarks.POINTS`. All zero when `found` is False.
        found: whether the landmarks could be read.
        image: the camera's picture, uint8 (height, width, 3), or None without a camera.
        faults: sentences that say what is wrong; empty when all is well.
        temperature: of each servo, float32 (25,) [degrees Celsius], measured or else modelled by its load;
            None if the body has no model.
        telemetry: raw values of a physical body; None of any other.
    """

    time: float
    sent: NDArray[np.float32]
    position: NDArray[np.float32]
    measured: bool
    landmarks: NDArray[np.float32]
    found: bool = True
    image: NDArray[np.uint8] | None = None
    faults: tuple[str, ...] = ()
    temperature: NDArray[np.float32] | None = None
    telemetry: Telemetry | None = None


@dataclass(frozen=True)
class Capabilities:
    """The abilities of a face, known before it is opened; see `eva_sim.face_capabilities`.

    Attributes:
        measured_positions: whether `Reading.position` is measured (or simulated) rather than assumed.
        camera: whether readings hold pictures, or `render` can make them.
        save: whether it is a `SimulatedFace`: its state can be saved and restored, its constants changed.
        real_time: whether its clock is the wall clock; then it holds and goes limp when commands stop.
    """

    measured_positions: bool
    camera: bool
    save: bool
    real_time: bool


class Face(Closing, abc.ABC):
    """A body that takes one number per actuator and makes a face. Use it as a context manager.

    Opening a face moves nothing; `reset` is the first thing that may.
    """

    spec: FaceSpec
    #: clock that the body lives by; None if its time passes only in `move`.
    clock: Clock | None = None
    #: outer-eye distance of the neutral face [m]; turns landmark units into metres.
    outer_eye: float
    #: landmarks of the neutral face, float32 (N, 3) [neutral outer-eye distances].
    neutral_landmarks: NDArray[np.float32]

    @abc.abstractmethod
    def reset(self, seed: int | None = None) -> Reading:
        """Goes to neutral, clears the history, and reads.

        On a robot the first reset arms: nothing moves before it.
        """

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
    def render(self, size: int) -> NDArray[np.uint8]:
        """A picture of the face now, uint8 (size, size, 3).

        Raises:
            RenderError: no OpenGL library, or no camera.
        """

    def hold_still(self) -> None:
        """Tells a body in real time to stay where it is, every wire period; see `eva_sim.holding`."""

    def describe(self) -> dict[str, Any]:
        """Returns what identifies this body, as JSON; recordings keep it."""
        return {}

    def close(self) -> None:
        """Releases the body. May be called twice."""


class SimulatedFace(Face):
    """A face in simulation: its state can be saved and restored, and its constants changed.

    Attributes:
        varies_material: whether `set_parameters` may change the skin's material.
    """

    varies_material: bool

    @abc.abstractmethod
    def save(self) -> Any:
        """Returns an opaque copy of everything that changes, for `restore`."""

    @abc.abstractmethod
    def restore(self, state: Any) -> None:
        """Goes back to a saved state; the next moves repeat bit for bit."""

    @abc.abstractmethod
    def set_parameters(self, parameters: Mapping[str, Floats]) -> None:
        """Replaces this face's constants, see `eva_sim.randomise`; an empty mapping restores the defaults."""


@lru_cache(maxsize=8)
def load_spec(folder: Path | None = None) -> FaceSpec:
    """Reads the actuator table of a face.

    Only what opens a body calls this. Everything else takes the spec from the face, data set or checkpoint.

    Args:
        folder: folder of the face's tables and meshes, with a `face.toml`; by default EVA's, `assets/`.

    Raises:
        DataError: there is no such table, or it contradicts itself.
    """
    place = asset("face.toml").parent if folder is None else Path(folder).resolve()
    try:
        text = (place / "face.toml").read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{place} holds no readable face.toml ({error}); name a face's folder.") from error
    return parse_spec(text, place)


def parse_spec(text: str, folder: Path | None = None) -> FaceSpec:
    """Builds the spec of an actuator table.

    Args:
        text: TOML, as `assets/face.toml`.
        folder: folder of the face's other tables and meshes, if known.

    Raises:
        DataError: the text is no actuator table, or contradicts itself.
    """
    try:
        return _build(parse_table(text, "face.toml"), text, folder)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"face.toml is no actuator table ({error!r}); compare it with assets/face.toml."
        ) from error


def _build(table: Mapping[str, Any], text: str, folder: Path | None) -> FaceSpec:
    rows = [{**table["kind"][row["kind"]], **row} for row in table["actuators"]]
    actuators = tuple(Actuator(**{**row, "action_units": tuple(row["action_units"])}) for row in rows)
    spec = FaceSpec(
        actuators=actuators,
        control_dt=table["face"]["control_dt"],
        physics_dt=table["face"]["physics_dt"],
        cable=MappingProxyType(table["cable"]),
        digest=hashlib.sha256(text.encode()).hexdigest(),
        text=text,
        folder=folder,
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
