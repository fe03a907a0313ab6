"""The image route: landmarks to an imagined picture of the robot, and from that picture to commands.

The pair of Chen et al., "Smile Like You Mean It", ICRA 2021 (arXiv 2105.12724), learned from one babbled data
set with pictures and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.models.babbled_face import BabbledFace
from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.descent import Descent, descend
from eva_sim.agents.models.image_inverse import ImageInverse, command_loss
from eva_sim.agents.models.picture_window import Pictures, find_window, read_windows
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.agents.models.self_image import SelfImage, picture_loss
from eva_sim.agents.models.training_state import STATES, TrainingState
from eva_sim.contract import Floats
from eva_sim.progress import report
from eva_sim.torch_threads import one_torch_thread

#: Smallest side of pictures that show lids and brows well [pixels].
FINE_ENOUGH = 96
#: Files, beside the model, from which an interrupted training goes on.
PICTURE_STATE, COMMAND_STATE = f"self-image{STATES}", f"image-inverse{STATES}"


@dataclass(frozen=True)
class ImageTrainingConfig:
    """Hyperparameters of the training of both networks.

    Attributes:
        picture_steps: steps of the self-image.
        command_steps: steps of the image inverse.
        picture_batch: samples of a step of the self-image.
        command_batch: samples of a step of the image inverse; one half is recorded, one imagined.
        rate: first learning rate of AdamW; it falls to zero along a cosine.
        decay: weight decay.
        noise: standard deviation of Gaussian noise on each landmark coordinate [outer-eye distances],
            so that both maps are smooth under a detector's jitter.
        floor: smallest deviation a coordinate is divided by [outer-eye distances].
        parts: number of pictures that the self-image adds to the one at rest.
        seed: of everything random.
    """

    picture_steps: int = 6000
    command_steps: int = 4000
    picture_batch: int = 32
    command_batch: int = 64
    rate: float = 1e-3
    decay: float = 1e-4
    noise: float = 0.003
    floor: float = 0.004
    parts: int = 64
    seed: int = 0


class ImageRoute(RouteModel):
    """Maps landmarks to commands by way of an imagined picture.

    Args:
        face: that babbled.
        self_image: landmarks to picture.
        image_inverse: picture to commands.
    """

    route = "image"

    def __init__(self, face: BabbledFace, self_image: SelfImage, image_inverse: ImageInverse) -> None:
        super().__init__(face)
        self.self_image, self.image_inverse = self_image, image_inverse

    def imagine(self, landmarks: Floats) -> Pictures:
        """Imagines the robot with the given faces, as `SelfImage.imagine`: (S, S, 3) or (B, S, S, 3)."""
        return self.self_image.imagine(landmarks)

    def predict(self, landmarks: Floats) -> Array:
        return self.image_inverse.predict(self.imagine(landmarks))

    def content(self) -> dict[str, Any]:
        parts = {"self_image": self.self_image.content(), "image_inverse": self.image_inverse.content()}
        return {**super().content(), **parts}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        face = BabbledFace.from_content(content)
        inverse = ImageInverse.from_content(content["image_inverse"], face.spec)
        return cls(face, SelfImage.from_content(content["self_image"]), inverse)


def fit_image_route(
    data: Dataset,
    config: ImageTrainingConfig,
    folder: Path | None = None,
    origin: dict[str, Any] | None = None,
) -> tuple[ImageRoute, dict[str, list[float]]]:
    """Trains both networks on a data set with pictures.

    Args:
        data: samples to learn from.
        config: hyperparameters.
        folder: for the states from which an interrupted call goes on; None to keep none.
        origin: of the data, as JSON; a state of another origin is not used.

    Returns:
        The model, and the losses of each network along its training.

    Raises:
        DataError: recorded without pictures, or they are too small.
    """
    window, background = find_window(data)
    report(f"Pictures: {window.width} x {window.height} of {window.size} pixels change.")
    if window.size < FINE_ENOUGH:
        report(
            f"Pictures of {window.size} pixels show little of lids and brows; record {FINE_ENOUGH} or more."
        )
    windows = read_windows(data, window)
    histories: dict[str, list[float]] = {}

    def state(name: str) -> TrainingState:
        return TrainingState(folder and folder / name, {"data": origin, "config": vars(config)})

    with torch.random.fork_rng(devices=[]), one_torch_thread():
        torch.manual_seed(config.seed)
        image = SelfImage.untrained(data, window, background, config.parts, config.floor)
        inverse = ImageInverse.untrained(data.spec, window, windows)
        histories["self_image"] = descend(
            image.network,
            picture_loss(image, data, windows, config.picture_batch, config.noise),
            Descent(config.picture_steps, config.rate, config.decay, config.seed),
            state(PICTURE_STATE), does="self-image",
            logged_as="self_image/loss", beside={"normaliser": vars(image.normaliser)},
        )  # fmt: skip
        image.network.requires_grad_(False)
        histories["image_inverse"] = descend(
            inverse.network,
            command_loss(inverse, image, data, windows, config.command_batch, config.noise),
            Descent(config.command_steps, config.rate, config.decay, config.seed),
            state(COMMAND_STATE), does="image inverse", logged_as="image_inverse/loss",
            beside={"normaliser": {"mean": inverse.mean, "scale": inverse.scale}},
        )  # fmt: skip
    return ImageRoute(BabbledFace.of(data), image, inverse), histories
