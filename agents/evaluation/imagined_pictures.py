"""How good imagined pictures are: beside recorded ones for the eye, and read by the landmark detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.picture_window import Pictures
from eva_sim.agents.models.self_image import SelfImage
from eva_sim.averaged_landmarks import averaged_landmarks, require_faces
from eva_sim.contact_sheet import draw_contact_sheet
from eva_sim.contract import Face, Floats
from eva_sim.detector import Detector
from eva_sim.errors import MediaError
from eva_sim.landmarks import Aligner
from eva_sim.progress import progress
from eva_sim.reading_correction import robot_correction
from eva_sim.settling import hold

#: Faces on the sheet, pairs of pictures in a row, and side of a picture at least [pixels].
_PAIRS, _ROW, _SIDE = 12, 4, 192


def draw_imagined(image: SelfImage, data: Dataset, pairs: int = _PAIRS) -> Image.Image:
    """Draws recorded and imagined pictures of some samples side by side.

    Args:
        image: imagines; its gaze and head pose rest.
        data: samples with pictures.
        pairs: number of samples at most.
    """
    samples = np.unique(np.linspace(0, len(data) - 1, pairs).astype(np.intp))
    recorded, imagined = data.images(samples), image.imagine(data.landmarks[samples])
    tiles = [
        (caption, _enlarge(picture))
        for pair in zip(recorded, imagined, strict=True)
        for caption, picture in zip(("recorded", "imagined"), pair, strict=True)
    ]
    return draw_contact_sheet(tiles, 2 * min(_ROW, len(samples)))


def _enlarge(picture: Pictures) -> Pictures:
    factor = -(-_SIDE // len(picture))
    larger = Image.fromarray(picture).resize((factor * len(picture),) * 2, Image.Resampling.BICUBIC)
    return np.asarray(larger)


@dataclass(frozen=True)
class ImaginedErrors:
    """Median distances of landmarks that are read, over points and faces [outer-eye distances].

    The detector is made for people. It misses a part of the motion of a robot, also in a perfect picture. So
    its reading of an imagined picture is compared with that of a real picture of the same face, too, and both
    are also corrected, as a robot's face is read (`eva_sim.reading_correction`).

    Attributes:
        to_real: from those of the real picture, both as the detector reads them.
        to_asked: from those that were asked for, as motion from rest, as the detector reads them.
        real_to_asked: the same of the real picture: what a perfect picture would reach.
        corrected_to_asked: from those that were asked for, as motion from rest, corrected.
        corrected_real_to_asked: the same of the real picture.
        found: share of the imagined pictures in which the detector finds a face.
    """

    to_real: float
    to_asked: float
    real_to_asked: float
    corrected_to_asked: float
    corrected_real_to_asked: float
    found: float


def measure_imagined(
    face: Face, image: SelfImage, asked: Floats, landmarks: Array, commands: Array, settle: int
) -> ImaginedErrors:
    """Lets the detector read imagined pictures and real ones of the same faces.

    Args:
        face: an open face that is drawn as in the data set; it is reset.
        image: imagines.
        asked: landmarks that the self-image gets, (S, N, 3).
        landmarks: that the faces have, (S, N, 3).
        commands: that make these faces, (S, 25); gaze and head pose are replaced by rest.
        settle: control steps to hold each.

    Raises:
        MediaError: no face is found in a real picture, or in any imagined one.
    """
    with Detector() as detector:
        shown = _RealPictures(face, image.window.size, settle, detector)
        rest, own_rest = (
            shown.read(face.spec.neutral),
            shown.read_picture(image.imagine(face.neutral_landmarks)),
        )
        aligner, own = Aligner.of(rest), Aligner.of(require_faces([own_rest])[0])
        to_real, read, moved = list[Floats](), list[tuple[Floats, Floats]](), list[Floats]()
        rows = zip(progress(asked, "read", unit="faces"), landmarks, commands, strict=True)
        for wanted, made, command in rows:
            imagined = shown.read_picture(image.imagine(wanted))
            if imagined is None:
                continue
            real = aligner(shown.read(command))
            to_real.append(aligner(imagined) - real)
            read.append((own(imagined) - own.neutral, real - aligner.neutral))
            moved.append(made - face.neutral_landmarks)
    if not moved:
        raise MediaError(
            "the detector finds no face in any imagined picture; train with more or larger pictures."
        )
    made_motion, correct = np.array(moved), robot_correction(face.spec)
    imagined_motion, real_motion = np.array(read).swapaxes(0, 1)
    return ImaginedErrors(
        to_real=_median_length(np.array(to_real)),
        to_asked=_median_length(imagined_motion - made_motion),
        real_to_asked=_median_length(real_motion - made_motion),
        corrected_to_asked=_median_length(correct(imagined_motion) - made_motion),
        corrected_real_to_asked=_median_length(correct(real_motion) - made_motion),
        found=len(moved) / len(asked),
    )


def _median_length(vectors: Floats) -> float:
    return float(np.median(np.linalg.norm(vectors, axis=-1)))


class _RealPictures:
    """Real pictures of a face whose gaze and head rest, read by the detector."""

    def __init__(self, face: Face, size: int, settle: int, detector: Detector) -> None:
        self._face, self._size, self._settle, self._detector = face, size, settle, detector

    def read(self, command: Array) -> Floats:
        """Returns the landmarks of a real picture, (N, 3) [pixels]."""
        resting = self._face.spec.neutral
        resting[self._face.spec.expressive] = command[self._face.spec.expressive]
        self._face.reset()
        hold(self._face, resting, self._settle)
        return require_faces([self.read_picture(self._face.render(self._size))])[0]

    def read_picture(self, picture: Pictures) -> Floats | None:
        """Returns the landmarks of a picture, (N, 3) [pixels], or None without a face."""
        return averaged_landmarks(picture, self._detector)
