"""The `reduced` skin of many faces: a learned map from drives to skin, for thousands of faces at once.

The skin has one equilibrium for each drive, so no history is needed. A small network gives the
coefficients of a few modes of settled skins, and how far each cable is stretched. Landmarks come
from the modes at their own points, without the vertices between them. All of it is a torch module, so
exact derivatives are cheap. `reduced_map.py` evaluates the same map for one face or a block, without torch.
`python -m tools.build_reduced` makes the map and prints its error;
`benchmarks/reduced.py` measures it against the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from eva_sim.contract import FaceSpec, Floats
from eva_sim.skin.anatomy import Anatomy, Drives
from eva_sim.skin.block import check_drive
from eva_sim.skin.reduced_face import check_scales
from eva_sim.skin.reduced_map import DIRECT, drive_matrix, other_version, read_reduced, reduced_map
from eva_sim.torch_threads import let_torch_survive_forks, one_torch_thread

let_torch_survive_forks()

#: Faces that are computed together on a CPU. The rounding of a matrix product may depend on the number of
#: its rows. So that number never changes, and a face does not depend on how many others there are.
CPU_BATCH = 64


class LinearModes(NamedTuple):
    """A linear map from coefficients to points.

    Attributes:
        mean: (3 P,) [m].
        modes: (R, 3 P) [m].
    """

    mean: Tensor
    modes: Tensor

    def __call__(self, coefficients: Tensor) -> Tensor:
        """Points (N, P, 3) [m] of coefficients (N, R)."""
        flat = torch.addmm(self.mean, coefficients, self.modes)
        return flat.view(len(coefficients), -1, 3)


class DriveNetwork(nn.Module):
    """Drives to coefficients and stretches: three hidden layers beside a linear map.

    Args:
        drives: number of drives D, of which the last C = D - 3 are the take-ups of the cables.
        width: number of units in a hidden layer.
        outputs: number of outputs, R coefficients and C stretches of the cables.

    Attributes:
        cables: C.
        low, high: least and greatest drives in the training data, (D,) [rad, m].
        scale: unit of each output, (R + C,) [m].
    """

    def __init__(self, drives: int, width: int, outputs: int) -> None:
        super().__init__()
        self.cables = drives - DIRECT
        self.enter, self.middle, self.deep = (nn.Linear(n, width) for n in (drives, width, width))
        self.leave, self.direct = nn.Linear(width, outputs), nn.Linear(drives, outputs, bias=False)
        for name in ("low", "high", "scale"):
            self.register_buffer(name, torch.ones(outputs if name == "scale" else drives))

    low: Tensor
    high: Tensor
    scale: Tensor

    def forward(self, drives: Tensor) -> Tensor:
        """Outputs (N, R + C): coefficients [m], then stretches [m], for drives (N, D) [rad, m]."""
        # For cable paid out beyond the training data, the skin stays the same and the cable is looser.
        clamped = drives.clamp(min=self.low)
        inputs = (clamped - self.low) / (self.high - self.low) * 2 - 1
        hidden = functional.silu(self.enter(inputs))
        hidden = functional.silu(self.middle(hidden))
        hidden = functional.silu(self.deep(hidden))
        outputs = (self.leave(hidden) + self.direct(inputs)) * self.scale
        looser = (drives - clamped)[:, -self.cables :]
        return outputs + functional.pad(looser, (outputs.shape[1] - self.cables, 0))


class ReducedModel(nn.Module):
    """The whole map from drives to points and tensions. All of it is differentiable by the drives.

    Args:
        network: drives to coefficients and stretches.
        vertices: coefficients to vertices.
        landmarks: coefficients to landmark points.
        stiffness: of the cables [N/m].
    """

    def __init__(
        self, network: DriveNetwork, vertices: LinearModes, landmarks: LinearModes, stiffness: float
    ) -> None:
        super().__init__()
        self.network, self.stiffness = network, stiffness
        self.register_buffer("mean", vertices.mean)
        self.register_buffer("modes", vertices.modes)
        self.register_buffer("landmark_mean", landmarks.mean)
        self.register_buffer("landmark_modes", landmarks.modes)

    mean: Tensor
    modes: Tensor
    landmark_mean: Tensor
    landmark_modes: Tensor

    @property
    def rank(self) -> int:
        """Number of modes, R."""
        return len(self.modes)

    def points(self, outputs: Tensor) -> Tensor:
        """Vertices (N, V, 3) [m] from the network's outputs (N, R + C)."""
        return LinearModes(self.mean, self.modes)(outputs[:, : self.rank])

    def landmarks(self, outputs: Tensor) -> Tensor:
        """Landmark points (N, P, 3) [m] in the head frame, from the network's outputs."""
        return LinearModes(self.landmark_mean, self.landmark_modes)(outputs[:, : self.rank])

    def tension(self, outputs: Tensor) -> Tensor:
        """Tension of each cable, (N, C) [N], never negative, from the network's outputs."""
        return self.stiffness * functional.relu(outputs[:, self.rank :])


@lru_cache(maxsize=4)
def load_reduced(anatomy: Anatomy, device: str = "cpu") -> ReducedModel:
    """Reads the map from the folder of the anatomy's face.

    Raises:
        DataError: it is missing, damaged, or of another skin.
    """
    return build_reduced_model(read_reduced(anatomy), anatomy.spec).to(device).eval().requires_grad_(False)


def build_reduced_model(arrays: dict[str, np.ndarray], spec: FaceSpec) -> ReducedModel:
    """Builds the map from the arrays of its file.

    Raises:
        DataError: the file is of another version or another landmark set.
    """
    single = reduced_map(arrays, spec)
    state = {name[4:]: _tensor(value) for name, value in arrays.items() if name.startswith("net.")}
    network = DriveNetwork(len(state["low"]), len(state["enter.bias"]), len(state["leave.bias"]))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise other_version(error) from error
    vertices, landmarks = (LinearModes(*map(_tensor, field)) for field in (single.vertices, single.landmarks))
    return ReducedModel(network, vertices, landmarks, float(single.stiffness))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


class ReducedSkins:
    """A `BatchSkinSolver` that uses the learned map.

    Args:
        anatomy: the skin's constants.
        faces: number of faces, N.
        device: of torch, e.g. `"cuda"`.

    Attributes:
        residual: nan, (N,) [N], because a learned map computes no forces.
        varies_material: False, because the map was learned for one material.
    """

    varies_material = False

    def __init__(self, anatomy: Anatomy, faces: int, device: str = "cpu") -> None:
        self.anatomy, self.faces = anatomy, faces
        self.model, self._device = load_reduced(anatomy, device), device
        self._batch = CPU_BATCH if device == "cpu" else faces
        self.residual: Floats = np.full(faces, np.nan)
        self._drives = np.zeros((faces, len(self.model.network.low)), np.float32)
        self.reset()

    def reset(self, face: int | None = None) -> None:
        """Puts one face or all at rest."""
        self._drives[slice(None) if face is None else face] = 0.0
        self._cache: dict[str, Any] = {}

    def scale_material(self, face: int, scales: Floats) -> None:
        """Accepts a scale of one only.

        Raises:
            EvaError: another scale was given.
        """
        check_scales(scales)

    def step(self, drives: Drives) -> None:
        """Moves every face to its drives. Points and tensions are computed only when they are read.

        Raises:
            PhysicsError: a drive is not finite.
        """
        check_drive(drives)
        self._drives, self._cache = drive_matrix(drives), {}

    def _outputs(self) -> Tensor:
        """Outputs of the network in whole batches; the last batch is filled up with copies of a face."""
        if "outputs" not in self._cache:
            extra = -self.faces % self._batch
            rows = np.concatenate([self._drives, np.repeat(self._drives[-1:], extra, axis=0)])
            inputs = torch.from_numpy(rows).to(self._device)
            self._cache["outputs"] = self._batchwise(self.model.network, inputs)
        return self._cache["outputs"]

    def _batchwise(self, function: Any, inputs: Tensor) -> Tensor:
        with one_torch_thread(), torch.inference_mode():  # a batch takes less than a millisecond
            return torch.cat([function(part) for part in inputs.split(self._batch)])

    def _read(self, name: str) -> Floats:
        """Returns `ReducedModel.<name>` of all faces; computed on the first read after a step."""
        if name not in self._cache:
            values = self._batchwise(getattr(self.model, name), self._outputs())
            self._cache[name] = values[: self.faces].cpu().numpy()
        return self._cache[name]

    @property
    def points(self) -> Floats:
        """Vertices, float32 (N, V, 3) [m] in the head frame."""
        return self._read("points")

    @property
    def landmarks(self) -> Floats:
        """Landmark points, float32 (N, P, 3) [m] in the head frame, in the order of `POINTS`."""
        return self._read("landmarks")

    @property
    def tension(self) -> Floats:
        """Tensions of the cables, float32 (N, C) [N]."""
        return self._read("tension")

    def save(self) -> Floats:
        """Returns a copy of everything that changes: the drives, (N, D)."""
        return self._drives.copy()

    def restore(self, state: Floats, faces: Sequence[int] | None = None) -> None:
        """Puts some faces, or all, back to a saved state, bit for bit."""
        which = ... if faces is None else list(faces)
        self._drives = self._drives.copy()
        self._drives[which], self._cache = state[which], {}

    def close(self) -> None:
        """Does nothing; this solver holds no threads."""
