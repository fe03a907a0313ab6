"""A person's head and gaze to the robot's neck and eyes, and back.

Landmarks are aligned, so that neither head pose nor gaze is left in them. Both are measured here, relative to
the person at rest, and become actuator positions by the geometry of the robot: the neck's inverse kinematics,
and eyes that turn by the same angles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from eva_sim.contract import FaceSpec, Floats
from eva_sim.head import neck
from eva_sim.head.geometry import LEG_LENGTHS
from eva_sim.landmarks import landmark_rows
from eva_sim.limits.neck_poses import NeckReach

#: Distance of the iris from the centre about which the eye turns [outer-eye distances]: 10.5 mm (the centre
#: lies 14 mm behind the cornea, the iris 3.5 mm; Fry and Hill, American Journal of Optometry 39(11), 1962) of
#: 90 mm (Farkas, Anthropometry of the Head and Face, 1994: means of 87 to 91 mm).
IRIS_RADIUS = 10.5 / 90
#: Angle of an eye that looks up or down, in terms of what its iris seems to turn. The detector puts the iris
#: between the lids, which follow the gaze. It moves little more than a third of the way on synthetic people,
#: and too little on the man of the sample clip, whose eyes stay on the camera as he nods. The factor is that
#: of the least error [22 people for tuning], so that noise is not made larger than what is seen.
PITCH_PER_READ = 1.8
#: Vergence that is read from a person who looks ahead may be as large as this; what is above counts [rad].
_VERGENCE_NOISE = 0.15
#: Largest vergence: that of eyes which look at something 15 cm away [rad].
MAX_VERGENCE = 0.4
#: Corners of each eye, left then right.
_CORNERS = ((362, 263), (33, 133))


class HeadAndGaze(NamedTuple):
    """Turn of a head and of its eyes, relative to rest; zeros at rest.

    Attributes:
        turn: rotation vector of the head, (3,) [rad], in upright axes that face the camera: x nods (positive
            lowers the face), y turns (positive to the own left), z tilts (positive to the right shoulder).
        gaze: of the left and the right eye, yaw then pitch, (2, 2) [rad]; positive to its own left and up.
    """

    turn: Floats
    gaze: Floats

    @classmethod
    def at_rest(cls) -> HeadAndGaze:
        """Returns that of a head that looks ahead."""
        return cls(np.zeros(3), np.zeros((2, 2)))


def iris_offsets(aligned: Floats, irises: Floats) -> Floats:
    """Returns where the irises are between the corners of their eyes, (..., 2, 3) [outer-eye distances].

    Args:
        aligned: landmarks, (..., N, 3).
        irises: centres of the left and the right iris, aligned alike, (..., 2, 3).
    """
    middles = [aligned[..., landmark_rows(*corners), :].mean(-2) for corners in _CORNERS]
    offsets: Floats = irises - np.stack(middles, axis=-2)
    return offsets


def gaze_angles(moved: Floats) -> Floats:
    """Returns the angles of eyes whose irises moved from rest, yaw then pitch, (..., 2, 2) [rad].

    Args:
        moved: change of `iris_offsets` in axes that face the camera, (..., 2, 3).
    """
    sines = moved[..., :2] / IRIS_RADIUS * [1, PITCH_PER_READ]
    angles: Floats = np.arcsin(np.clip(sines, -1, 1))
    return angles


class NeckAndEyes:
    """The actuators of a face that turn head and eyes.

    Those that a face lacks are left out, and so is a neck that has not the six legs of this one.

    Args:
        spec: of the face.
    """

    def __init__(self, spec: FaceSpec) -> None:
        legs = spec.where("leg")
        self._spec, self._legs = spec, legs if len(legs) == len(LEG_LENGTHS) else legs[:0]
        self._neck_reach = NeckReach(spec)
        self._low, self._high = spec.column("low"), spec.column("high")
        self._eyes = {axis: [_find(spec, axis, side) for side in ("left", "right")] for axis in _AXES}

    def set_command(self, command: NDArray[np.float32], asked: HeadAndGaze) -> NDArray[np.float32]:
        """Returns a command, (25,), whose neck and eyes go as far towards `asked` as they may.

        Where the neck may not go, the eyes turn further, so that the robot looks where the person looks.
        """
        position = self._spec.to_physical(command)
        turn = self._neck_reach(asked.turn)
        if len(self._legs):
            position[self._legs] = self._spec.column("neutral")[self._legs] + neck.leg_extensions(turn)
        left_over = asked.turn - turn
        look = conjugate_gaze(asked.gaze) + np.array([left_over[1], -left_over[0]])
        for column, axis in enumerate(_AXES):
            for eye, index in enumerate(self._eyes[axis]):
                position[index] = look[eye, column]
        return np.clip(self._spec.to_command(np.clip(position, self._low, self._high)), -1, 1)

    def read(self, command: Floats) -> HeadAndGaze:
        """Returns the turn of head and eyes at actuator positions in command units, (25,).

        Raises:
            PhysicsError: the leg lengths fit no pose.
        """
        position, found = self._spec.to_physical(command), HeadAndGaze.at_rest()
        if len(self._legs):
            pose = neck.solve_pose(position[self._legs], neck.NEUTRAL)
            found = found._replace(turn=Rotation.from_quat(pose[3:]).as_rotvec())
        for column, axis in enumerate(_AXES):
            for eye, index in enumerate(self._eyes[axis]):
                found.gaze[eye, column] = position[index].sum()
        return found


#: What the actuators of an eye move: yaw, then pitch.
_AXES = ("eye_yaw", "eye_pitch")


def _find(spec: FaceSpec, moves: str, side: str) -> NDArray[np.intp]:
    """Returns the index of the actuator of one eye, (1,), or none, (0,)."""
    actuators = spec.actuators
    found = [i for i in spec.where("eye") if (actuators[i].moves, actuators[i].side) == (moves, side)]
    return np.array(found, dtype=np.intp)


def conjugate_gaze(gaze: Floats) -> Floats:
    """Returns a gaze, (2, 2) [rad], as eyes can make it: both pitch alike, and they converge or are parallel.

    A picture tells where the eyes look far better than how far away that is, so that only vergence beyond
    what may be noise counts.
    """
    mean, vergence = gaze.mean(0), gaze[1, 0] - gaze[0, 0]
    vergence = float(np.clip(vergence - _VERGENCE_NOISE, 0, MAX_VERGENCE))
    both: Floats = mean + np.array([[-vergence / 2, 0.0], [vergence / 2, 0.0]])
    return both
