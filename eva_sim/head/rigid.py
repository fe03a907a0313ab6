"""The head as rigid bodies under gravity: actuator positions in, pose out.

Everything that changes is one small dict of arrays. A control step writes it into PyBullet, runs the
rigid steps and reads it back. So PyBullet acts as a function of that state, and nothing else that it
stores can affect the next step. This makes `save` and `restore` bit-exact, within a process and into a
new head.
"""

from __future__ import annotations

import weakref

import numpy as np
import pybullet as bullet

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import PhysicsError
from eva_sim.head import bodies, neck
from eva_sim.head.geometry import JOINTS, PLATFORM, SKULL_COM
from eva_sim.head.kinematic import Angles, HeadPose, Linkage, check_position

GAP_LIMIT = 0.005  # m; beyond it the neck counts as apart
HINGE_TORQUE = 2.0  # N m; a standard hobby servo [choice]
LEG_FORCE = 150.0  # N [choice]
GAIN = 0.5  # share of the remaining error a servo closes in one rigid step [choice]


class RigidHead:
    """A `HeadModel` of rigid bodies: skull, jaw, eyes, lids and a neck of six sliding legs.

    Args:
        spec: the face.
    """

    def __init__(self, spec: FaceSpec) -> None:
        self.spec, self._linkage = spec, Linkage(spec)
        self._client = bodies.open_world(spec.physics_dt)
        self._close = weakref.finalize(self, bullet.disconnect, self._client)
        self._skull = bodies.add_skull(self._client)
        self._neck = bodies.add_neck(self._client)
        bodies.close_neck(self._client, self._neck, self._skull)
        self.reset()

    @property
    def angles(self) -> Angles:
        """Present angles of the hinges."""
        return Angles.of(self._state["joints"][:, 0].copy())

    @property
    def pose(self) -> HeadPose:
        """Present pose of the rigid parts."""
        return HeadPose.of(self.angles, neck.pose_matrix(self._state["skull"]), self._gap)

    def reset(self) -> None:
        """Puts everything at neutral and at rest."""
        rest = self.spec.column("neutral")
        joints = np.zeros((len(JOINTS), 2))
        joints[:, 0] = rest[self._linkage.hinges]
        self._state = {
            "servo": rest,
            "skull": neck.solve_pose(rest[self._linkage.legs], neck.NEUTRAL),
            "velocity": np.zeros(6),
            "joints": joints,
            "legs": np.zeros((18, 2)),
        }
        self._gap = 0.0

    def step(self, position: Floats) -> Angles:
        """Moves with the servos for one control period.

        Args:
            position: servo positions at the end of the period, (A,) for A actuators [rad, m for legs]. The
                servos reach them at constant speed. Cables have no effect here.

        Raises:
            PhysicsError: a position is not finite, or the neck came apart; the head is unchanged.
        """
        position = check_position(self.spec, position)
        self._write(self._state)
        self._run(self._state["servo"], position)
        self._accept({**self._read(), "servo": position.copy()})
        return self.angles

    def save(self) -> dict[str, Floats]:
        """Returns a copy of everything that changes."""
        return {name: value.copy() for name, value in self._state.items()}

    def restore(self, state: dict[str, Floats]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self._write(state)
        self._state = {name: value.copy() for name, value in state.items()}
        self._gap = self._find_gap(state["skull"])

    def close(self) -> None:
        """Closes the PyBullet world. May be called twice."""
        self._close()

    def _write(self, state: dict[str, Floats]) -> None:
        self._place(state["skull"], state["velocity"])
        for joint, (angle, speed) in enumerate(state["joints"]):
            bullet.resetJointState(self._skull, joint, angle, speed, physicsClientId=self._client)
        for joint, (value, speed) in enumerate(state["legs"]):
            bullet.resetJointState(self._neck, joint, value, speed, physicsClientId=self._client)

    def _place(self, pose: Floats, velocity: Floats) -> None:
        # PyBullet places a base by its centre of mass.
        centre = pose[:3] + neck.rotation_matrix(pose[3:]) @ SKULL_COM
        world = {"physicsClientId": self._client}
        bullet.resetBasePositionAndOrientation(self._skull, centre.tolist(), pose[3:].tolist(), **world)
        bullet.resetBaseVelocity(self._skull, velocity[:3].tolist(), velocity[3:].tolist(), **world)

    def _run(self, start: Floats, end: Floats) -> None:
        for step in range(1, self.spec.substeps + 1):
            target = start + (end - start) * (step / self.spec.substeps)
            self._drive(self._skull, list(range(len(JOINTS))), target[self._linkage.hinges], HINGE_TORQUE)
            self._drive(self._neck, bodies.TIPS, target[self._linkage.legs], LEG_FORCE)
            bullet.stepSimulation(physicsClientId=self._client)

    def _drive(self, body: int, joints: list[int], target: Floats, force: float) -> None:
        count = len(joints)
        bullet.setJointMotorControlArray(
            body,
            joints,
            bullet.POSITION_CONTROL,
            targetPositions=target.tolist(),
            positionGains=[GAIN] * count,
            forces=[force] * count,
            physicsClientId=self._client,
        )

    def _read(self) -> dict[str, Floats]:
        world = {"physicsClientId": self._client}
        centre, quaternion = (np.array(v) for v in bullet.getBasePositionAndOrientation(self._skull, **world))
        position = centre - neck.rotation_matrix(quaternion) @ SKULL_COM
        return {
            "skull": np.concatenate([position, quaternion]),
            "velocity": np.concatenate(bullet.getBaseVelocity(self._skull, **world)),
            "joints": self._joints(self._skull, len(JOINTS)),
            "legs": self._joints(self._neck, 18),
        }

    def _joints(self, body: int, count: int) -> Floats:
        states = bullet.getJointStates(body, list(range(count)), physicsClientId=self._client)
        return np.array([s[:2] for s in states])

    def _find_gap(self, skull: Floats) -> float:
        """Returns the largest distance between a leg's tip and its pin on the skull [m].

        Args:
            skull: pose of the skull, (7,).
        """
        links = bullet.getLinkStates(
            self._neck, bodies.TIPS, computeForwardKinematics=True, physicsClientId=self._client
        )
        place = neck.pose_matrix(skull)
        pins = PLATFORM @ place[:3, :3].T + place[:3, 3]
        return float(np.linalg.norm(np.array([s[4] for s in links]) - pins, axis=1).max())

    def _accept(self, state: dict[str, Floats]) -> None:
        gap = self._find_gap(state["skull"])
        if not all(np.isfinite(value).all() for value in state.values()):
            raise PhysicsError("the rigid head diverged; reset the face.")
        if gap > GAP_LIMIT:
            raise PhysicsError(f"the neck came apart by {gap * 1000:.1f} mm; reset the face.")
        self._state, self._gap = state, gap
