"""The `reduced` skin: a learned map from drives to skin, for thousands of faces at once.

The skin has one equilibrium for each drive, so no history is needed: a small network gives the
coefficients of a few modes of settled skins, and how far each cable is stretched. Landmarks come
from the modes at their own points, without the vertices between. All of it is a torch module, so
its slopes are exact and cheap. `python -m tools.build_reduced` makes it and tells its error;
`benchmarks/reduced.py` measures it against the reference.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.files import asset, read_arrays
from eva_sim.skin.anatomy import Anatomy, Drive, Drives
from eva_sim.skin.block import check_drive

FILE = "precomputed/reduced_skin.npz"
DRIVES, CABLES = 15, 12  # jaw, lids left and right, take-ups; the last of them
#: Faces that are computed together on a CPU. A matrix product may round by the number of its rows, so
#: that number never changes and a face does not depend on how many others there are.
BLOCK = 64


class Shape(NamedTuple):
    """What turns coefficients into places.

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


class Network(nn.Module):
    """Drives to coefficients and stretches: three hidden layers beside a linear map.

    Args:
        width: of a hidden layer.
        outputs: R coefficients and the stretches of the cables.

    Attributes:
        low, high: least and greatest drives that were learned from, (15,) [rad, m].
        scale: of the outputs, (R + 12,) [m].
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.enter, self.middle, self.deep = (nn.Linear(n, width) for n in (DRIVES, width, width))
        self.leave, self.direct = nn.Linear(width, outputs), nn.Linear(DRIVES, outputs, bias=False)
        for name in ("low", "high", "scale"):
            self.register_buffer(name, torch.ones(outputs if name == "scale" else DRIVES))

    low: Tensor
    high: Tensor
    scale: Tensor

    def forward(self, drives: Tensor) -> Tensor:
        """Outputs (N, R + 12): coefficients [m], then stretches [m], of drives (N, 15) [rad, m]."""
        # Cable paid out farther than any that was learned from: the skin is as there, the cable looser.
        held = drives.clamp(min=self.low)
        given = (held - self.low) / (self.high - self.low) * 2 - 1
        hidden = functional.silu(self.enter(given))
        hidden = functional.silu(self.middle(hidden))
        hidden = functional.silu(self.deep(hidden))
        out = (self.leave(hidden) + self.direct(given)) * self.scale
        return out + functional.pad((drives - held)[:, -CABLES:], (out.shape[1] - CABLES, 0))


class Reduced(nn.Module):
    """The whole map; everything may be differentiated by the drives.

    Args:
        network: drives to coefficients and stretches.
        skin: of the vertices.
        face: of the landmark points.
        stiffness: of the cables [N/m].
    """

    def __init__(self, network: Network, skin: Shape, face: Shape, stiffness: float) -> None:
        super().__init__()
        self.network, self.stiffness = network, stiffness
        for name, value in (
            ("mean", skin.mean), ("modes", skin.modes), ("face_mean", face.mean), ("face_modes", face.modes)
        ):  # fmt: skip
            self.register_buffer(name, value)

    mean: Tensor
    modes: Tensor
    face_mean: Tensor
    face_modes: Tensor

    @property
    def rank(self) -> int:
        """Number of modes, R."""
        return len(self.modes)

    def points(self, outputs: Tensor) -> Tensor:
        """Vertices (N, V, 3) [m] of what the network says (N, R + 12)."""
        return Shape(self.mean, self.modes)(outputs[:, : self.rank])

    def landmarks(self, outputs: Tensor) -> Tensor:
        """Landmark points (N, P, 3) [m] in the head frame, of what the network says."""
        return Shape(self.face_mean, self.face_modes)(outputs[:, : self.rank])

    def tension(self, outputs: Tensor) -> Tensor:
        """Pull of each cable on its patch, (N, 12) [N]: it can only pull."""
        return self.stiffness * functional.relu(outputs[:, self.rank :])


def flat(drives: Drive | Drives) -> Floats:
    """Drives in the order jaw, lids, take-ups, float32 (N, 15); one of a `Drive`."""
    many = drives.alone if isinstance(drives, Drive) else drives
    return np.column_stack([many.jaw, many.lids, many.take_up]).astype(np.float32)


@lru_cache(maxsize=4)
def load_reduced(anatomy: Anatomy, device: str = "cpu") -> Reduced:
    """The shipped map.

    Raises:
        DataError: it is missing, damaged, or of another skin.
    """
    arrays = read_arrays(asset(FILE))
    if str(arrays["digest"]) != anatomy.digest:
        raise DataError(f"{FILE} was built for another skin; run `python -m tools.build_reduced`.")
    return assemble(arrays).to(device).eval().requires_grad_(False)


def assemble(arrays: dict[str, np.ndarray]) -> Reduced:
    """The map from the arrays of its file.

    Raises:
        DataError: of another version or another landmark set.
    """
    embedding = read_arrays(asset("precomputed/landmark_embedding.npz"))
    try:
        state = {name[4:]: _tensor(value) for name, value in arrays.items() if name.startswith("net.")}
        network = Network(len(state["enter.bias"]), len(state["leave.bias"]))
        network.load_state_dict(state)
        skin = Shape(_tensor(arrays["mean"]).view(-1), _tensor(arrays["modes"]).flatten(1))
    except (KeyError, RuntimeError) as error:
        raise DataError(f"{FILE} is of another version; run `python -m tools.build_reduced`.") from error
    face = _embedded(skin, embedding["corners"], embedding["shares"])
    return Reduced(network, skin, face, float(load_spec().cable["stiffness"]))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _embedded(skin: Shape, corners: np.ndarray, shares: Floats) -> Shape:
    """The shape of points that lie in triangles: corners (P, 3) with shares (P, 3)."""
    index, weight = torch.from_numpy(corners.astype(np.int64)), _tensor(shares)

    def at(field: Tensor) -> Tensor:
        return torch.einsum("pk,...pkd->...pd", weight, field.unflatten(-1, (-1, 3))[..., index, :])

    return Shape(at(skin.mean).flatten(), at(skin.modes).flatten(-2))


class ReducedSkins:
    """Many faces of one anatomy, by the learned map, in the place of `Skins`.

    Args:
        anatomy: the skin's constants.
        faces: how many, N.
        device: of torch, e.g. `"cuda"`.

    Attributes:
        faces: N.
        residual: nan, (N,) [N]: a learned map knows no forces.
        varies_material: False, since it knows one material.
    """

    varies_material = False

    def __init__(self, anatomy: Anatomy, faces: int, device: str = "cpu") -> None:
        self.anatomy, self.faces = anatomy, faces
        self.model, self._device = load_reduced(anatomy, device), device
        self._block = BLOCK if device == "cpu" else faces
        self.residual: Floats = np.full(faces, np.nan)
        self._drives = np.zeros((faces, DRIVES), np.float32)
        self.reset()

    def reset(self, face: int | None = None) -> None:
        """The face at rest, for one face or all."""
        self._drives[slice(None) if face is None else face] = 0.0
        self._kept: dict[str, Any] = {}

    def scale_material(self, face: int, scales: Floats) -> None:
        """As `Skins.scale_material`, which nothing but ones can be asked for.

        Raises:
            EvaError: another material was asked for.
        """
        if (np.asarray(scales) != 1).any():
            raise EvaError("the reduced skin knows one material only; use skin='full'.")

    def step(self, drives: Drives) -> None:
        """Moves every face to its drives; what it then looks like is computed when asked for.

        Raises:
            PhysicsError: a drive is not finite.
        """
        check_drive(drives)
        self._drives, self._kept = flat(drives), {}

    def _outputs(self) -> Tensor:
        """What the network says, in whole blocks; what is missing of the last repeats a face."""
        if "outputs" not in self._kept:
            extra = -self.faces % self._block
            given = np.concatenate([self._drives, np.repeat(self._drives[-1:], extra, axis=0)])
            self._kept["outputs"] = self._blockwise(
                self.model.network, torch.from_numpy(given).to(self._device)
            )
        return self._kept["outputs"]

    def _blockwise(self, function: Any, given: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([function(part) for part in given.split(self._block)])

    def _get(self, name: str) -> Floats:
        """`Reduced.<name>` of all faces; computed when first asked for."""
        if name not in self._kept:
            found = self._blockwise(getattr(self.model, name), self._outputs())
            self._kept[name] = found[: self.faces].cpu().numpy()
        return self._kept[name]

    @property
    def points(self) -> Floats:
        """Vertices, float32 (N, V, 3) [m] in the head frame."""
        return self._get("points")

    @property
    def landmarks(self) -> Floats:
        """Landmark points, float32 (N, P, 3) [m] in the head frame, in the order of `POINTS`."""
        return self._get("landmarks")

    @property
    def tension(self) -> Floats:
        """Of the cables, float32 (N, 12) [N]."""
        return self._get("tension")

    def save(self) -> Floats:
        """A copy of everything that changes: the drives, (N, 15)."""
        return self._drives.copy()

    def restore(self, state: Floats) -> None:
        """Goes back to a saved state, bit for bit."""
        self._drives, self._kept = state.copy(), {}

    def close(self) -> None:
        """Nothing to let go of; `Skins` has threads."""


class ReducedSkin:
    """One face by the learned map, in the place of a `Skin`.

    Attributes:
        residual: nan [N]: a learned map knows no forces.
        varies_material: False, since it knows one material.
    """

    varies_material = False

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy, self._skins, self.residual = anatomy, ReducedSkins(anatomy, 1), float("nan")
        self.reset()

    def reset(self) -> None:
        """The face at rest."""
        self._skins.reset()

    def scale_material(self, scales: Floats) -> None:
        """As `ReducedSkins.scale_material`."""
        self._skins.scale_material(0, scales)

    def step(self, drive: Drive) -> Floats:
        """As `Skin.step`."""
        self._skins.step(drive.alone)
        return self.points

    @property
    def points(self) -> Floats:
        """Vertices, (V, 3) [m] in the head frame."""
        return self._skins.points[0].astype(float)

    @property
    def landmarks(self) -> Floats:
        """Landmark points, (P, 3) [m] in the head frame."""
        return self._skins.landmarks[0].astype(float)

    @property
    def tension(self) -> Floats:
        """Of the cables, (12,) [N]."""
        return self._skins.tension[0].astype(float)

    def save(self) -> Floats:
        """A copy of everything that changes."""
        return self._skins.save()

    def restore(self, state: Floats) -> None:
        """Goes back to a saved state, bit for bit."""
        self._skins.restore(state)
