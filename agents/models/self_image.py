"""The self-image: from landmarks to the picture of the robot that makes this face.

As in Chen et al., ICRA 2021: the robot imagines itself with the face it is asked for. The picture is an
active appearance model (Cootes et al., ECCV 1998) whose parts are learned together. The picture of the robot
at rest and a few parts that are added to it make the colours. A field of motion moves them to their place. A
small network finds both from the landmarks. Gaze and head pose show in a picture but not in landmarks. The
network is told the positions of their actuators while it learns, and imagines them at rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.picture_window import Pictures, PictureWindow
from eva_sim.agents.models.prediction import check_landmarks, threads_for
from eva_sim.contract import FaceSpec, Floats
from eva_sim.landmarks import POINTS
from eva_sim.torch_threads import let_torch_survive_forks

let_torch_survive_forks()

_WIDTH = 512
#: Side of the cells in which motion is the same but for interpolation [pixels].
_MOTION_CELL = 4
#: Motion for an output of 1 [halves of the window].
_MOTION = 0.1
#: Standard deviation of the first weights of the parts [levels of 1].
_FIRST_PARTS = 0.01
#: Weight of the squared error beside the absolute one: small bright things, such as teeth, count more.
_SQUARED = 4.0
#: Pictures that are drawn at once, which bounds the memory.
_AT_ONCE = 64


class AppearanceNetwork(nn.Module):
    """Landmarks and pose to a picture: colours, moved to their place.

    Args:
        inputs: number of normalised landmark coordinates and pose numbers.
        parts: number of pictures that are added to the one at rest.
        rest: window of the picture at rest, (3, height, width), 0 to 1.
    """

    grid: Tensor

    def __init__(self, inputs: int, parts: int, rest: Tensor) -> None:
        super().__init__()
        _, height, width = rest.shape
        self._cells = height // _MOTION_CELL, width // _MOTION_CELL
        motion = 2 * self._cells[0] * self._cells[1]
        self.trunk = nn.Sequential(
            nn.Linear(inputs, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, _WIDTH), nn.SiLU()
        )  # fmt: skip
        self.linear_motion, self.motion = nn.Linear(inputs, motion), nn.Linear(_WIDTH, motion)
        self.shares = nn.Linear(_WIDTH, parts)
        for layer in (self.linear_motion, self.motion):  # it begins without motion
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.rest = nn.Parameter(rest.clone())
        self.parts = nn.Parameter(_FIRST_PARTS * torch.randn(parts, rest.numel()))
        rows, columns = ((torch.arange(side) + 0.5) / side * 2 - 1 for side in (height, width))
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
        self.register_buffer("grid", grid, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns windows, (B, 3, height, width), about 0 to 1."""
        hidden = self.trunk(inputs)
        motion = _MOTION * (self.motion(hidden) + self.linear_motion(inputs)).view(-1, 2, *self._cells)
        size = self.rest.shape[1:]
        moved = functional.interpolate(motion, size, mode="bilinear", align_corners=False)
        colours = self.rest + (self.shares(hidden) @ self.parts).view(-1, *self.rest.shape)
        return functional.grid_sample(
            colours, self.grid + moved.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
        )


@dataclass(frozen=True)
class InputNormaliser:
    """Brings landmarks and pose to numbers about 1.

    Attributes:
        mean: of flat landmarks, (3 N,) [outer-eye distances].
        scale: of flat landmarks, (3 N,).
        pose_scale: of the positions of actuators that landmarks do not show, less their rest, (Q,).
    """

    mean: Tensor
    scale: Tensor
    pose_scale: Tensor

    @classmethod
    def of(cls, data: Dataset, floor: float) -> Self:
        """Fits to a data set; `floor` is the smallest scale of a landmark coordinate."""
        flat = data.landmarks.reshape(len(data), -1)
        arrays = flat.mean(0), flat.std(0).clip(floor), pose_of(data).std(0).clip(1e-3)
        return cls(*(torch.from_numpy(array.astype(np.float32)) for array in arrays))

    def __call__(self, flat: Tensor, pose: Tensor | None = None) -> Tensor:
        """Returns the inputs of the network, (B, 3 N + Q); the pose rests if none is given."""
        turned = flat.new_zeros(len(flat), len(self.pose_scale)) if pose is None else pose / self.pose_scale
        return torch.cat([(flat - self.mean) / self.scale, turned], 1)


def pose_of(data: Dataset) -> Array:
    """Returns how far the actuators that landmarks do not show are from rest, (S, Q) [command]."""
    return (data.positions - data.spec.neutral)[:, unseen_actuators(data.spec)]


def unseen_actuators(spec: FaceSpec) -> NDArray[np.intp]:
    """Returns the indices of the actuators that move no landmark: eyes and neck."""
    return np.setdiff1d(np.arange(len(spec)), spec.expressive)


class SelfImage:
    """Imagines pictures of the robot. Make one with `fit_image_route` or `load_model`.

    Args:
        window: the part of the picture that changes.
        background: the rest of it, (S, S, 3).
        normaliser: of landmarks and pose.
        network: draws the window.
    """

    def __init__(
        self,
        window: PictureWindow,
        background: Pictures,
        normaliser: InputNormaliser,
        network: AppearanceNetwork,
    ) -> None:
        self.window, self.background = window, background
        self.normaliser, self.network = normaliser, network

    @classmethod
    def untrained(
        cls, data: Dataset, window: PictureWindow, background: Pictures, parts: int, floor: float
    ) -> Self:
        """Returns a self-image that shows the picture nearest to rest, whatever the landmarks."""
        normaliser = InputNormaliser.of(data, floor)
        still = np.abs(pose_of(data) / normaliser.pose_scale.numpy()).mean(1)
        moved = np.abs(data.landmarks - data.neutral).reshape(len(data), -1) / normaliser.scale.numpy()
        nearest = data.images(np.array([np.argmin(still + moved.mean(1))]))
        rest = to_tensor(window.cut(nearest))[0]
        network = AppearanceNetwork(len(normaliser.mean) + len(normaliser.pose_scale), parts, rest)
        return cls(window, background, normaliser, network)

    def imagine(self, landmarks: Floats) -> Pictures:
        """Imagines the robot with the given faces; gaze and head pose rest.

        Args:
            landmarks: aligned, (N, 3) or (B, N, 3) [outer-eye distances].

        Returns:
            uint8 (S, S, 3) or (B, S, S, 3).

        Raises:
            DataError: another shape, or not finite.
        """
        points = check_landmarks(landmarks)
        flat = torch.tensor(points.reshape(-1, 3 * len(POINTS)))
        pictures = np.tile(self.background, (len(flat), 1, 1, 1))
        with torch.inference_mode(), threads_for(len(flat)):
            for start in range(0, len(flat), _AT_ONCE):
                rows = slice(start, start + _AT_ONCE)
                self.window.cut(pictures[rows])[:] = to_pictures(self.network(self.normaliser(flat[rows])))
        return pictures.reshape(*points.shape[:-2], *self.background.shape)

    def content(self) -> dict[str, Any]:
        """Returns the entries of a model's file."""
        return {
            "window": asdict(self.window), "background": torch.from_numpy(self.background),
            "normaliser": vars(self.normaliser), "network": self.network.state_dict(),
        }  # fmt: skip

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """Reads the entries that `content` returned.

        Raises:
            KeyError, AttributeError, RuntimeError, TypeError, ValueError: an entry is missing or wrong.
        """
        normaliser, state = InputNormaliser(**content["normaliser"]), content["network"]
        inputs = len(normaliser.mean) + len(normaliser.pose_scale)
        network = AppearanceNetwork(inputs, len(state["parts"]), state["rest"])
        network.load_state_dict(state)
        return cls(PictureWindow(**content["window"]), content["background"].numpy(), normaliser, network)


def to_tensor(pictures: Pictures) -> Tensor:
    """Returns pictures, uint8 (B, height, width, 3), as float32 (B, 3, height, width), 0 to 1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def to_pictures(windows: Tensor) -> Pictures:
    """Returns what `to_tensor` took; values outside 0 to 1 are clipped."""
    pictures: Pictures = (255 * windows).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return pictures


def picture_loss(
    image: SelfImage, data: Dataset, windows: Pictures, batch: int, noise: float
) -> Callable[[torch.Generator], Tensor]:
    """Returns the loss of a step: how far imagined windows are from those that were recorded.

    Args:
        image: learns.
        data: landmarks and positions of the samples.
        windows: their pictures, (S, height, width, 3).
        batch: samples of a step.
        noise: standard deviation of the noise on each landmark coordinate [outer-eye distances].
    """
    flat = torch.from_numpy(data.landmarks.reshape(len(data), -1))
    pose = torch.from_numpy(pose_of(data))

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(flat), (batch,), generator=generator)
        noisy = flat[rows] + noise * torch.randn(batch, flat.shape[1], generator=generator)
        difference = image.network(image.normaliser(noisy, pose[rows])) - to_tensor(windows[rows.numpy()])
        return difference.abs().mean() + _SQUARED * difference.square().mean()

    return loss


def picture_error(image: SelfImage, data: Dataset, windows: Pictures) -> float:
    """Returns the mean absolute difference of imagined and recorded windows [levels of 255].

    Gaze and head pose are given, since the recorded pictures show them.
    """
    flat = torch.from_numpy(data.landmarks.reshape(len(data), -1))
    pose, errors = torch.from_numpy(pose_of(data)), list[float]()
    with torch.inference_mode():
        for rows in torch.arange(len(flat)).split(_AT_ONCE):
            imagined = image.network(image.normaliser(flat[rows], pose[rows])).clamp(0, 1)
            difference = (imagined - to_tensor(windows[rows.numpy()])).abs().mean((1, 2, 3))
            errors.extend(difference.tolist())
    return 255 * float(np.mean(errors))
