"""The `reduced` skin of one face: the learned map of `reduced.py`, evaluated by compiled functions.

One face is too little work for torch: its threads wait for each other longer than they compute, most of
all beside other work, and do not survive a fork. The functions here use one thread, and compute vertices
only when they are read.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import DataError, EvaError
from eva_sim.files import read_arrays
from eva_sim.landmarks import embed, load_embedding
from eva_sim.skin.anatomy import Anatomy, Drive, Drives
from eva_sim.skin.block import check_drive
from eva_sim.skin.energy import compiled

FILE = "precomputed/reduced_skin.npz"
DIRECT = 3  # drives before the take-ups: jaw, left lid, right lid


class Layer(NamedTuple):
    """A linear layer.

    Attributes:
        weights: inputs first, (I, O).
        bias: (O,).
    """

    weights: Floats
    bias: Floats


class Network(NamedTuple):
    """The arrays of `reduced.DriveNetwork`; D drives, R coefficients and C stretches, all float32.

    Attributes:
        low, high: least and greatest drives in the training data, (D,) [rad, m].
        enter, middle, deep, leave: layers.
        direct: of the linear map beside them, (D, R + C).
        scale: unit of each output, (R + C,) [m].
    """

    low: Floats
    high: Floats
    enter: Layer
    middle: Layer
    deep: Layer
    leave: Layer
    direct: Floats
    scale: Floats


class Field(NamedTuple):
    """A linear map from coefficients to points: mean (3 P,) and modes (R, 3 P), both float32 [m]."""

    mean: Floats
    modes: Floats


class ReducedMap(NamedTuple):
    """The whole map from drives to points and tensions.

    Attributes:
        network: drives to coefficients and stretches.
        vertices, landmarks: coefficients to points.
        stiffness: of the cables [N/m].
    """

    network: Network
    vertices: Field
    landmarks: Field
    stiffness: np.float32


def drive_matrix(drives: Drive | Drives) -> Floats:
    """Returns drives as rows in the order jaw, lids, take-ups, float32 (N, D); one row for a `Drive`."""
    stacked = drives.as_batch if isinstance(drives, Drive) else drives
    return np.column_stack([stacked.jaw, stacked.lids, stacked.take_up]).astype(np.float32)


def read_reduced(anatomy: Anatomy) -> dict[str, np.ndarray]:
    """Reads the arrays of the map from the folder of the anatomy's face.

    Raises:
        DataError: they are missing, damaged, or of another skin.
    """
    arrays = read_arrays(anatomy.spec.file(FILE))
    if str(arrays["digest"]) != anatomy.digest:
        raise DataError(f"{FILE} was built for another skin; run `python -m tools.build_reduced`.")
    return arrays


def other_version(error: Exception) -> DataError:
    """Returns the error for a file whose arrays are not those of this version."""
    return DataError(f"{FILE} is of another version ({error}); run `python -m tools.build_reduced`.")


def reduced_map(arrays: dict[str, np.ndarray], spec: FaceSpec) -> ReducedMap:
    """Builds the map from the arrays of its file.

    Raises:
        DataError: the file is of another version or another landmark set.
    """
    try:
        layers = {n: Layer(_single(arrays[f"net.{n}.weight"].T), _single(arrays[f"net.{n}.bias"]))
                  for n in ("enter", "middle", "deep", "leave")}  # fmt: skip
        low, high, scale = (_single(arrays[f"net.{name}"]) for name in ("low", "high", "scale"))
        network = Network(low, high, **layers, direct=_single(arrays["net.direct.weight"].T), scale=scale)
        mean, modes = _single(arrays["mean"]), _single(arrays["modes"])
    except KeyError as error:
        raise other_version(error) from error
    corners, shares = load_embedding(spec)
    at_landmarks = Field(
        _single(embed(mean, corners, shares)).ravel(),
        _single(np.stack([embed(mode, corners, shares) for mode in modes])).reshape(len(modes), -1),
    )
    vertices = Field(mean.ravel(), modes.reshape(len(modes), -1))
    return ReducedMap(network, vertices, at_landmarks, np.float32(spec.cable["stiffness"]))


def _single(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)


@lru_cache(maxsize=4)
def load_reduced_map(anatomy: Anatomy) -> ReducedMap:
    """Reads the map of the anatomy's face.

    Raises:
        DataError: it is missing, damaged, or of another skin.
    """
    return reduced_map(read_reduced(anatomy), anatomy.spec)


class ReducedSkin:
    """A `SkinSolver` that uses the learned map.

    Attributes:
        residual: nan [N], because a learned map computes no forces.
        varies_material: False, because the map was learned for one material.
    """

    varies_material = False

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy, self.residual = anatomy, float("nan")
        self._map = load_reduced_map(anatomy)
        self.reset()

    def reset(self) -> None:
        """Puts the face at rest."""
        self._go_to(np.zeros(len(self._map.network.low), np.float32))

    def scale_material(self, scales: Floats) -> None:
        """Accepts a scale of one only.

        Raises:
            EvaError: another scale was given.
        """
        check_scales(scales)

    def step(self, drive: Drive) -> None:
        """Moves the face to its drive.

        Raises:
            PhysicsError: the drive is not finite.
        """
        check_drive(drive)
        self._go_to(drive_matrix(drive)[0])

    def _go_to(self, drives: Floats) -> None:
        self._drives, self._outputs = drives, _run_network(drives, self._map.network)

    @property
    def points(self) -> Floats:
        """Vertices, (V, 3) [m] in the head frame."""
        return _field_at(self._outputs, *self._map.vertices).reshape(-1, 3).astype(float)

    @property
    def landmarks(self) -> Floats:
        """Landmark points, (P, 3) [m] in the head frame."""
        return _field_at(self._outputs, *self._map.landmarks).reshape(-1, 3).astype(float)

    @property
    def tension(self) -> Floats:
        """Tensions of the cables, (C,) [N]."""
        stretches = self._outputs[len(self._map.landmarks.modes) :]
        return (self._map.stiffness * np.maximum(stretches, 0)).astype(float)

    def save(self) -> Floats:
        """Returns a copy of everything that changes."""
        return self._drives.copy()

    def restore(self, state: Floats) -> None:
        """Goes back to a saved state, bit for bit."""
        self._go_to(state.copy())


def check_scales(scales: Floats) -> None:
    """Checks that scales of the material are one.

    Raises:
        EvaError: one of them is not.
    """
    if (np.asarray(scales) != 1).any():
        raise EvaError("the reduced skin knows one material only; use skin='full'.")


@compiled
def _run_network(drives, network):  # type: ignore[no-untyped-def]
    """Returns the outputs (R + C,) of drives (D,): the formula of `reduced.DriveNetwork.forward`."""
    inputs = np.empty_like(drives)
    looser = np.empty_like(drives)
    for i in range(len(drives)):
        low, high = network.low[i], network.high[i]
        clamped = max(drives[i], low)
        looser[i] = drives[i] - clamped
        inputs[i] = (clamped - low) / (high - low) * np.float32(2) - np.float32(1)
    hidden = _activated(inputs, network.enter)
    hidden = _activated(hidden, network.middle)
    hidden = _activated(hidden, network.deep)
    outputs = network.leave.bias.copy()
    _add_product(outputs, hidden, network.leave.weights)
    _add_product(outputs, inputs, network.direct)
    first = len(outputs) - (len(drives) - DIRECT)
    for j in range(len(outputs)):
        outputs[j] *= network.scale[j]
        if j >= first:
            outputs[j] += looser[j - first + DIRECT]
    return outputs


@compiled
def _activated(inputs, layer):  # type: ignore[no-untyped-def]
    """Returns silu(inputs W + b)."""
    outputs = layer.bias.copy()
    _add_product(outputs, inputs, layer.weights)
    for j in range(len(outputs)):
        outputs[j] /= np.float32(1) + np.exp(-outputs[j])
    return outputs


@compiled
def _add_product(outputs, inputs, weights):  # type: ignore[no-untyped-def]
    """Adds inputs (I,) times weights (I, O) to outputs (O,); a plain sum, in the order of the inputs."""
    for i in range(len(inputs)):
        factor, row = inputs[i], weights[i]
        for j in range(len(outputs)):
            outputs[j] += factor * row[j]


@compiled
def _field_at(coefficients, mean, modes):  # type: ignore[no-untyped-def]
    """Returns the flat points of coefficients, of which the first R count."""
    points = mean.copy()
    _add_product(points, coefficients[: len(modes)], modes)
    return points
