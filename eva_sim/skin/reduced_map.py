"""The learned map from drives to skin, evaluated by compiled functions for one face or for LANES faces.

The `reduced` skin of one face is this map (`reduced_face.py`), and every other solve starts from it
(`warm_start.py`). `reduced.py` evaluates the same map with torch, for many faces and with derivatives.
`python -m tools.build_reduced` makes its file.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import DataError
from eva_sim.files import read_arrays
from eva_sim.landmarks import embed, load_embedding
from eva_sim.skin.anatomy import Anatomy, Drive, Drives
from eva_sim.skin.energy import compiled
from eva_sim.skin.lane_instructions import LANES, ROW
from eva_sim.skin.lanes import add_modes, empty_field

FILE = "precomputed/reduced_skin.npz"
DIRECT = 3  # drives before the take-ups: jaw, left lid, right lid


class Layer(NamedTuple):
    """A linear layer. `lanes.py` handles three numbers together, so O is filled up to a multiple of three.

    Attributes:
        weights: inputs first, (I, O).
        bias: (O,).
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


class Network(NamedTuple):
    """The arrays of `reduced.DriveNetwork`; D drives and O outputs, all float32.

    Attributes:
        rank: number of outputs that are coefficients; those after them are stretches.
        low, high: least and greatest drives in the training data, (D,) [rad, m].
        enter, middle, deep, leave: layers.
        direct: of the linear map beside them, (D, O filled up).
        scale: unit of each output, (O,) [m].
    """

    rank: int
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    enter: Layer
    middle: Layer
    deep: Layer
    leave: Layer
    direct: NDArray[np.float32]
    scale: NDArray[np.float32]

    def first_outputs(self, count: int) -> Network:
        """The same network without the outputs after the first `count`."""
        leave = Layer(_filled_up(self.leave.weights[:, :count]), _filled_up(self.leave.bias[:count]))
        direct = _filled_up(self.direct[:, :count])
        return self._replace(leave=leave, direct=direct, scale=self.scale[:count])

    def outputs(self, drives: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (O, L) [m] of drives (D, L) [rad, m], L = 1 or LANES: coefficients, then stretches.

        A drive below `low` counts as `low`.
        """
        columns = np.ascontiguousarray(drives)
        outputs: NDArray[np.float32] = evaluate_network(columns, self, network_field(columns))
        return outputs


class Field(NamedTuple):
    """A linear map from coefficients to points: mean (3 P,) and modes (R, 3 P), both float32 [m]."""

    mean: NDArray[np.float32]
    modes: NDArray[np.float32]

    def points(self, outputs: NDArray[np.float32]) -> Floats:
        """Points (P, 3) [m] from the outputs (O, 1) of the network for one face."""
        flat = self.mean.copy()
        add_modes(flat, self.modes, outputs, len(flat) // 3)
        return flat.reshape(-1, 3).astype(float)


class ReducedMap(NamedTuple):
    """The whole map from drives to points and tensions.

    Attributes:
        network: drives to R coefficients and C stretches of the cables.
        vertices, landmarks: coefficients to points.
        stiffness: of the cables [N/m].
    """

    network: Network
    vertices: Field
    landmarks: Field
    stiffness: np.float32


def drive_matrix(drives: Drive | Drives) -> NDArray[np.float32]:
    """Returns drives as rows in the order jaw, lids, take-ups, float32 (N, D); one row for a `Drive`."""
    stacked = drives.as_batch if isinstance(drives, Drive) else drives
    return np.column_stack([stacked.jaw, stacked.lids, stacked.take_up]).astype(np.float32)


def find_reduced(anatomy: Anatomy) -> dict[str, np.ndarray] | None:
    """Reads the arrays of the map from the folder of the anatomy's face; None if none are of this skin.

    Raises:
        DataError: they are damaged.
    """
    folder = anatomy.spec.folder
    if folder is None or not (folder / FILE).exists():
        return None
    arrays = read_arrays(folder / FILE)
    return arrays if str(arrays["digest"]) == anatomy.digest else None


def read_reduced(anatomy: Anatomy) -> dict[str, np.ndarray]:
    """Reads the arrays of the map from the folder of the anatomy's face.

    Raises:
        DataError: they are missing, damaged, or of another skin.
    """
    arrays = find_reduced(anatomy)
    if arrays is None:
        raise DataError(
            f"{FILE} is missing, or was built for another skin; run `python -m tools.build_reduced`."
        )
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
        network = _network(arrays)
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


def _network(arrays: dict[str, np.ndarray]) -> Network:
    low, high, scale = (_single(arrays[f"net.{name}"]) for name in ("low", "high", "scale"))
    layers, inputs = {}, len(low)
    for name in ("enter", "middle", "deep", "leave"):
        weights, bias = arrays[f"net.{name}.weight"].T, arrays[f"net.{name}.bias"]
        rows = np.zeros((inputs - len(weights), weights.shape[1]))  # for the outputs that only fill up
        layers[name] = Layer(_filled_up(np.concatenate([weights, rows])), _filled_up(bias))
        inputs = len(layers[name].bias)
    rank = len(scale) - (len(low) - DIRECT)
    return Network(rank, low, high, **layers, direct=_filled_up(arrays["net.direct.weight"].T), scale=scale)


def _single(values: np.ndarray) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)


def _filled_up(values: np.ndarray) -> NDArray[np.float32]:
    """Fills the last axis with zeros up to a multiple of three."""
    missing = [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % 3)]
    return _single(np.pad(values, missing))


@lru_cache(maxsize=4)
def load_reduced_map(anatomy: Anatomy) -> ReducedMap:
    """Reads the map of the anatomy's face.

    Raises:
        DataError: it is missing, damaged, or of another skin.
    """
    return reduced_map(read_reduced(anatomy), anatomy.spec)


def network_field(drives: Floats) -> Floats:
    """Returns the field that tells `evaluate_network` whether drives (D, L) are of one face or of LANES."""
    return empty_field(1, None if drives.shape[1] == 1 else LANES)


@compiled
def evaluate_network(drives, network, like):  # type: ignore[no-untyped-def]
    """Returns the outputs (O, L) of drives (D, L): the formula of `reduced.DriveNetwork.forward`.

    `like` is a field of any size, for one face or for LANES faces.
    """
    lanes = drives.shape[1]
    first, second = _units(network.enter, like), _units(network.middle, like)
    last = _units(network.leave, like)
    inputs, looser = np.empty_like(drives), np.empty_like(drives)
    for i in range(len(drives)):
        low, high = network.low[i], network.high[i]
        for m in range(lanes):
            clamped = max(drives[i, m], low)
            looser[i, m] = drives[i, m] - clamped
            inputs[i, m] = (clamped - low) / (high - low) * np.float32(2) - np.float32(1)
    _activate(first, inputs, network.enter)
    _activate(second, first.reshape(-1, lanes), network.middle)
    _activate(first, second.reshape(-1, lanes), network.deep)
    _apply(last, first.reshape(-1, lanes), network.leave)
    add_modes(last, network.direct, inputs, network.direct.shape[1] // 3)
    outputs = last.reshape(-1, lanes)[: len(network.scale)]
    for j in range(len(outputs)):
        for m in range(lanes):
            outputs[j, m] *= network.scale[j]
            if j >= network.rank:
                outputs[j, m] += looser[j - network.rank + DIRECT, m]
    return outputs


@compiled
def _units(layer, like):  # type: ignore[no-untyped-def]
    """Makes a field for the units of a layer: unit u is number u of the field."""
    units = len(layer.bias)
    return np.empty((units // 3, ROW), np.float32) if like.ndim == 2 else np.empty(units, np.float32)


@compiled
def _apply(field, inputs, layer):  # type: ignore[no-untyped-def]
    """Writes inputs W + b into the field."""
    units = field.reshape(-1, inputs.shape[1])
    for j in range(len(units)):
        for m in range(units.shape[1]):
            units[j, m] = layer.bias[j]
    add_modes(field, layer.weights, inputs, len(units) // 3)


@compiled
def _activate(field, inputs, layer):  # type: ignore[no-untyped-def]
    """Writes silu(inputs W + b) into the field."""
    _apply(field, inputs, layer)
    units = field.reshape(-1, inputs.shape[1])
    for j in range(len(units)):
        for m in range(units.shape[1]):
            units[j, m] /= np.float32(1) + np.exp(-units[j, m])
