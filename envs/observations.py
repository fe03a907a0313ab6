"""What an environment observes, of one face or of many."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from gymnasium import spaces

from eva_sim.contract import FaceSpec, Floats
from eva_sim.envs.face_features import FEATURE_REACH, load_face_features
from eva_sim.errors import ArgumentValueError
from eva_sim.landmarks import POINTS

Observe = Literal["landmarks", "image", "both", "features"]
OBSERVE: tuple[str, ...] = get_args(Observe)
#: Bound of every landmark coordinate [outer-eye distances]. A head is 2.5 of them high and the
#: origin is between the eyes, so only invented points lie outside.
REACH = 2.0


class Observer:
    """Makes observations, and knows their space.

    Args:
        spec: the face.
        observe: what is observed beside the positions and the target.
        image_size: side of the observed picture [pixels].

    Attributes:
        space: of one environment.
        image_size: side of the observed picture, or None if there is none.

    Raises:
        ArgumentValueError: an argument has no meaning.
        DataError: `"features"` of a face without an atlas.
    """

    def __init__(self, spec: FaceSpec, observe: Observe, image_size: int) -> None:
        check_observe(observe, image_size)
        self.image_size = image_size if observe in ("image", "both") else None
        self._features = load_face_features(spec) if observe == "features" else None
        found: dict[str, spaces.Space[Any]] = {
            "position": spaces.Box(-1.0, 1.0, (len(spec),), np.float32),
        }
        if self._features is None:
            points = spaces.Box(-REACH, REACH, (len(POINTS), 3), np.float32)
            found["target"] = points
            if observe != "image":
                found["landmarks"] = points
        else:
            parts = spaces.Box(-FEATURE_REACH, FEATURE_REACH, (len(self._features),), np.float32)
            found |= {"target_features": parts, "landmark_features": parts}
        if self.image_size:
            found["image"] = spaces.Box(0, 255, (self.image_size, self.image_size, 3), np.uint8)
        self.space = spaces.Dict(found)

    def __call__(
        self, position: Floats, target: Floats, landmarks: Floats, noise: Floats | float = 0.0
    ) -> dict[str, Any]:
        """Returns the observation without its picture, of one face or of many with a leading dimension.

        Args:
            position: (..., 25) in command units.
            target: landmarks of the wanted face, (..., N, 3) [outer-eye distances].
            landmarks: those of the robot.
            noise: on the landmarks, of their shape.
        """
        seen: dict[str, Any] = {"position": position.clip(-1, 1)}
        if self._features is not None:
            seen["target_features"] = self._features(target)
            seen["landmark_features"] = self._features(landmarks + noise)
            return seen
        seen["target"] = target.clip(-REACH, REACH)
        if "landmarks" in self.space.spaces:
            seen["landmarks"] = (landmarks + noise).astype(np.float32).clip(-REACH, REACH)
        return seen


def check_observe(observe: str, image_size: int) -> None:
    """Checks what is to be observed.

    Raises:
        ArgumentValueError: an argument has no meaning.
    """
    if observe not in OBSERVE:
        *first, last = map(repr, OBSERVE)
        raise ArgumentValueError(f"observe={observe!r}; choose {', '.join(first)} or {last}.")
    if not isinstance(image_size, int | np.integer) or image_size < 16:
        raise ArgumentValueError(f"image_size={image_size!r}; a face needs 16 pixels or more.")
