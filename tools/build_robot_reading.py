"""Builds `assets/precomputed/robot_reading.npz`: what the detector leaves out of the robot's motion.

    python -m tools.build_robot_reading [--faces 600]

The twin settles in random expressions and is drawn in every look and size. What the detector reads is
compared with the landmarks of the mesh. Run it after every change of the head or of how it is drawn.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.data.babbling import sample_command
from eva_sim.averaged_landmarks import averaged_landmarks
from eva_sim.contract import Floats
from eva_sim.detector import Detector
from eva_sim.errors import MediaError
from eva_sim.landmarks import Aligner
from eva_sim.progress import progress
from eva_sim.reading_correction import ReadingCorrection
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin
from eva_sim.twin.head_camera import HeadCamera

OUT = Path(__file__).resolve().parents[1] / "assets" / "precomputed" / "robot_reading.npz"
#: Style and material of each look, and sides of the pictures [pixels].
LOOKS = (("plain", "blue"), ("fast", "blue"), ("fast", "grey"), ("fast", "human"))
SIZES = (128, 224)
FACES, SEED = 600, 101


class LookReader:
    """Reads the twin in one look and size, as motion from rest, and keeps what was read.

    Args:
        twin: the face.
        detector: in picture mode.
        look: style and material.
        size: side of the picture [pixels].

    Attributes:
        twin: the face.
        tried: number of pictures.
        read: motion in each picture with a face, (N, 3) [outer-eye distances].
        made: motion of the mesh in these.

    Raises:
        MediaError: the detector does not find the resting face.
    """

    def __init__(self, twin: Twin, detector: Detector, look: tuple[str, str], size: int) -> None:
        self.twin, self._detector, self.look, self.size = twin, detector, look, size
        self._camera = HeadCamera(twin.spec, *look)
        twin.reset()
        rest = averaged_landmarks(self._picture(), detector)
        if rest is None:
            raise MediaError(f"the detector does not find the resting face: {look}, {size} pixels.")
        self._aligner, self._mesh = Aligner.of(rest), Aligner.of(twin.points())
        self.tried, self.read, self.made = 0, list[Floats](), list[Floats]()

    def look_once(self) -> None:
        """Draws the face as it is now, and keeps what is read beside what the mesh shows."""
        self.tried += 1
        found = self._detector.landmarks(self._picture())
        if found is not None:
            self.read.append(self._aligner(found) - self._aligner.neutral)
            self.made.append(self._mesh(self.twin.points()) - self._mesh.neutral)

    def _picture(self) -> NDArray[np.uint8]:
        return self._camera.picture(self.twin.skin.points, self.twin.head.pose, self.size)


def build_robot_reading(faces: int) -> ReadingCorrection:
    """Returns the correction, fitted to so many random faces in each look and size."""
    rng = np.random.default_rng(SEED)
    with Twin() as twin, Detector() as detector:
        readers = [LookReader(twin, detector, look, size) for size, look in product(SIZES, LOOKS)]
        for _ in progress(range(faces), "look", unit="faces"):
            reset_and_hold(twin, sample_command(twin.spec, rng))
            for reader in readers:
                reader.look_once()
    read, made = (np.concatenate([getattr(r, what) for r in readers]) for what in ("read", "made"))
    return ReadingCorrection.fit(read, made)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--faces", type=int, default=FACES)
    build_robot_reading(parser.parse_args().faces).save(OUT)
    print(OUT)
