"""The image inverse: from a picture of the robot to the commands that make the face in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.inverse import OVERSHOOT
from eva_sim.agents.models.picture_window import Pictures, PictureWindow
from eva_sim.agents.models.prediction import threads_for, whole_commands
from eva_sim.agents.models.self_image import SelfImage, to_pictures, to_tensor
from eva_sim.contract import FaceSpec
from eva_sim.errors import DataError
from eva_sim.torch_threads import let_torch_survive_forks

let_torch_survive_forks()

_WIDTH = 256
#: Smallest deviation that a pixel is divided by, so that noise does not count as much as motion [of 1].
_PIXEL_FLOOR = 0.02
#: Error at which the loss turns from square to linear [command].
_BETA = 0.05
#: Number of pictures that the mean and the deviation of each pixel are from.
_PIXEL_SAMPLES = 2000
#: Pictures that are read at once, which bounds the memory.
_AT_ONCE = 256


class ImageInverse:
    """Reads commands from pictures of the robot. Make one with `fit_image_route` or `load_model`.

    Args:
        spec: of the face.
        window: the part of the picture that is looked at.
        mean: of each grey pixel, (height, width), 0 to 1.
        scale: of each grey pixel, (height, width).
    """

    def __init__(self, spec: FaceSpec, window: PictureWindow, mean: Tensor, scale: Tensor) -> None:
        self.spec, self.window, self.mean, self.scale = spec, window, mean, scale
        self.network = _network(window, len(spec.expressive))

    @classmethod
    def untrained(cls, spec: FaceSpec, window: PictureWindow, windows: Pictures) -> Self:
        """Returns a model with random weights; its pixels are normalised by those of some windows."""
        chosen = np.unique(np.linspace(0, len(windows) - 1, _PIXEL_SAMPLES).astype(np.intp))
        grey = _grey(to_tensor(windows[chosen]))
        return cls(spec, window, grey.mean(0), grey.std(0, correction=0).clamp(min=_PIXEL_FLOOR))

    def predict(self, pictures: Pictures) -> Array:
        """Predicts the commands that make the faces in pictures; gaze and head pose rest.

        Args:
            pictures: RGB, uint8 (S, S, 3) or (B, S, S, 3), S as in the data set.

        Returns:
            float32 (25,) or (B, 25) in [-1, 1].

        Raises:
            DataError: another shape or type.
        """
        size = self.window.size
        fits = pictures.ndim in (3, 4) and pictures.shape[-3:] == (size, size, 3)
        if pictures.dtype != np.uint8 or not fits:
            raise DataError(
                f"pictures are uint8 with shape ({size}, {size}, 3) or (B, {size}, {size}, 3), "
                f"not {pictures.dtype} {pictures.shape}."
            )
        windows = self.window.cut(pictures.reshape(-1, size, size, 3))
        commands = self.predict_windows(windows)
        return commands.reshape(*pictures.shape[:-3], len(self.spec))

    def predict_windows(self, windows: Pictures) -> Array:
        """Predicts the commands, (B, 25), of the faces in windows, (B, height, width, 3)."""
        output = torch.empty(len(windows), len(self.spec.expressive))
        with torch.inference_mode(), threads_for(len(windows)):
            for start in range(0, len(windows), _AT_ONCE):
                rows = slice(start, start + _AT_ONCE)
                output[rows] = self(to_tensor(windows[rows]))
        return whole_commands(self.spec, output)

    def __call__(self, windows: Tensor) -> Tensor:
        """Applies the network and its normalisation: (B, 3, height, width) -> (B, M), not clipped."""
        output: Tensor = self.network(((_grey(windows) - self.mean) / self.scale)[:, None])
        return OVERSHOOT * torch.tanh(output)

    def content(self) -> dict[str, Any]:
        """Returns the entries of a model's file."""
        return {
            "window": asdict(self.window), "mean": self.mean, "scale": self.scale,
            "network": self.network.state_dict(),
        }  # fmt: skip

    @classmethod
    def from_content(cls, content: dict[str, Any], spec: FaceSpec) -> Self:
        """Reads the entries that `content` returned.

        Raises:
            KeyError, AttributeError, RuntimeError, TypeError, ValueError: an entry is missing or wrong.
        """
        model = cls(spec, PictureWindow(**content["window"]), content["mean"], content["scale"])
        model.network.load_state_dict(content["network"])
        return model


def _grey(windows: Tensor) -> Tensor:
    return windows.mean(1)


def _network(window: PictureWindow, outputs: int) -> nn.Sequential:
    features = 64 * (window.height // 8) * (window.width // 8)
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, 2, 2), nn.SiLU(),
        nn.Conv2d(16, 32, 3, 2, 1), nn.SiLU(),
        nn.Conv2d(32, 64, 3, 2, 1), nn.SiLU(),
        nn.Flatten(), nn.Linear(features, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, outputs),
    )  # fmt: skip


def command_loss(
    inverse: ImageInverse, image: SelfImage, data: Dataset, windows: Pictures, batch: int, noise: float
) -> Callable[[torch.Generator], Tensor]:
    """Returns the loss of a step, over recorded and imagined pictures of the same samples.

    Recorded pictures alone do not suffice: in use, the network meets imagined ones, which differ a little.

    Args:
        inverse: learns.
        image: imagines; does not learn.
        data: landmarks and commands of the samples.
        windows: their pictures, (S, height, width, 3).
        batch: samples of a step; one half is recorded, one imagined.
        noise: standard deviation of the noise on each landmark coordinate [outer-eye distances].
    """
    flat = torch.from_numpy(data.landmarks.reshape(len(data), -1))
    commands = torch.from_numpy(data.commands[:, data.spec.expressive])

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(flat), (batch,), generator=generator)
        recorded, imagined = rows[: batch // 2], rows[batch // 2 :]
        noisy = flat[imagined] + noise * torch.randn(len(imagined), flat.shape[1], generator=generator)
        with torch.no_grad():
            drawn = to_pictures(image.network(image.normaliser(noisy)))
        seen = to_tensor(np.concatenate([windows[recorded.numpy()], drawn]))
        return nn.functional.smooth_l1_loss(inverse(seen), commands[rows], beta=_BETA)

    return loss
