"""The rigid head as the twin uses it: actuator positions in, pose out.

Everything that changes is one small dict of arrays. A control step writes it into PyBullet, lets
the rigid steps run and reads it back, so PyBullet is used as a function of that state and nothing
it may remember besides can leak from one step into the next. That is what makes `save` and
`restore` bit-exact, within a process and into a fresh head.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pybullet as bullet

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import PhysicsError
from eva_sim.head import bodies, neck
from eva_sim.head.geometry import JOINTS, PLATFORM, SKULL_COM

GAP_LIMIT = 0.005  # m; more than this and the neck has come apart
HINGE_TORQUE = 2.0  # N m; a standard hobby servo [choice]
LEG_FORCE = 150.0  # N [choice]
GAIN = 0.5  # share of the remaining error a servo closes in one rigid step [choice]


@dataclass(frozen=True)
class HeadPose:
    """Where the rigid parts are.

    Attributes:
        skull: world-from-head transform, (4, 4); the identity at neutral.
        jaw: opening [rad]; the jaw turns by it about +x through `JAW_HINGE`, chin down and back.
        eyes: left then right, yaw then pitch, (2, 2) [rad]. Positive yaw looks to the robot's own
            left, positive pitch up: the eye turns by Ry(yaw) Rx(-pitch) about its centre.
        lids: left, right, (2,) [rad]. Positive opens: the upper lid turns by Rx(-lid) about the
            eye's centre, on the skull, not on the eye.
        leg_gap: largest distance between a leg's tip and its place on the skull [m].
    """

    skull: Floats
    jaw: float
    eyes: Floats
    lids: Floats
    leg_gap: float


class Head:
    """Skull, jaw, two eyes, two lids and a six-leg neck under gravity.

    Args:
        spec: the face.
        neck: `"legs"` drives six sliding legs and lets the skull balance on them; `"kinematic"`
            finds the pose from the leg lengths and puts the skull there, which costs half as much.
    """

    def __init__(self, spec: FaceSpec, neck: Literal["kinematic", "legs"] = "kinematic") -> None:
        if neck not in ("kinematic", "legs"):
            raise ValueError(f"neck is 'kinematic' or 'legs', not {neck!r}.")
        self.spec = spec
        self._client = bodies.open_world(spec.physics_dt)
        self._close = weakref.finalize(self, bullet.disconnect, self._client)
        self._skull = bodies.add_skull(self._client, floating=neck == "legs")
        self._neck = bodies.add_neck(self._client) if neck == "legs" else None
        if self._neck is not None:
            bodies.close_neck(self._client, self._neck, self._skull)
        self._hinges = [spec.index(joint.name) for joint in JOINTS]
        self._legs = [spec.index(f"neck_leg_{leg}") for leg in range(1, 7)]
        self.reset()

    @property
    def pose(self) -> HeadPose:
        """Where the head is now."""
        return self._pose

    def reset(self) -> HeadPose:
        """Everything at neutral and at rest."""
        rest = self.spec.column("neutral")
        joints = np.zeros((len(JOINTS), 2))
        joints[:, 0] = rest[self._hinges]
        pose = neck.solve_pose(rest[self._legs], neck.NEUTRAL)
        self._state = {"servo": rest, "skull": pose, "velocity": np.zeros(6), "joints": joints}
        if self._neck is not None:
            self._state["legs"] = np.zeros((18, 2))
        self._pose = self._view(self._state, 0.0)
        return self._pose

    def step(self, position: Floats) -> HeadPose:
        """Follows the servos for one control period.

        Args:
            position: where the servos are at the end of the period, (25,) [rad, m for legs]; they
                get there at constant speed. Cables move nothing here.

        Raises:
            PhysicsError: a position is not a number, the legs fit no pose, or the neck came apart;
                the head stays where it was before the step.
        """
        position = np.asarray(position, dtype=float)
        if position.shape != (len(self.spec),) or not np.isfinite(position).all():
            raise PhysicsError(f"the head needs {len(self.spec)} finite positions, not {position}.")
        self._write(self._state)
        if self._neck is None:
            skull = neck.solve_pose(position[self._legs], self._state["skull"])
            self._place(skull, np.zeros(6))
        self._run(self._state["servo"], position)
        state = self._read()
        if self._neck is None:
            state["skull"] = skull
        return self._accept({**state, "servo": position.copy()})

    def save(self) -> dict[str, Floats]:
        """A copy of everything that changes."""
        return {name: value.copy() for name, value in self._state.items()}

    def restore(self, state: dict[str, Floats]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self._write(state)
        self._state = {name: value.copy() for name, value in state.items()}
        self._pose = self._view(self._state, self._gap())

    def close(self) -> None:
        """Closes the PyBullet world. May be called twice."""
        self._close()

    def _write(self, state: dict[str, Floats]) -> None:
        self._place(state["skull"], state["velocity"])
        for joint, (angle, speed) in enumerate(state["joints"]):
            bullet.resetJointState(self._skull, joint, angle, speed, physicsClientId=self._client)
        if self._neck is not None:
            for joint, (value, speed) in enumerate(state["legs"]):
                bullet.resetJointState(self._neck, joint, value, speed, physicsClientId=self._client)

    def _place(self, pose: Floats, velocity: Floats) -> None:
        # PyBullet places a base by its centre of mass.
        centre = pose[:3] + neck.rotation(pose[3:]) @ SKULL_COM
        world = {"physicsClientId": self._client}
        bullet.resetBasePositionAndOrientation(self._skull, centre.tolist(), pose[3:].tolist(), **world)
        bullet.resetBaseVelocity(self._skull, velocity[:3].tolist(), velocity[3:].tolist(), **world)

    def _run(self, start: Floats, end: Floats) -> None:
        for step in range(1, self.spec.substeps + 1):
            target = start + (end - start) * (step / self.spec.substeps)
            self._drive(self._skull, list(range(len(JOINTS))), target[self._hinges], HINGE_TORQUE)
            if self._neck is not None:
                self._drive(self._neck, bodies.TIPS, target[self._legs], LEG_FORCE)
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
        position = centre - neck.rotation(quaternion) @ SKULL_COM
        state = {
            "skull": np.concatenate([position, quaternion]),
            "velocity": np.concatenate(bullet.getBaseVelocity(self._skull, **world)),
            "joints": self._joints(self._skull, len(JOINTS)),
        }
        if self._neck is not None:
            state["legs"] = self._joints(self._neck, 18)
        return state

    def _joints(self, body: int, count: int) -> Floats:
        states = bullet.getJointStates(body, list(range(count)), physicsClientId=self._client)
        return np.array([s[:2] for s in states])

    def _gap(self) -> float:
        """Largest distance between a leg's tip and its pin on the skull [m]."""
        if self._neck is None:
            return 0.0
        links = bullet.getLinkStates(
            self._neck, bodies.TIPS, computeForwardKinematics=True, physicsClientId=self._client
        )
        skull = neck.matrix(self._read()["skull"])
        pins = PLATFORM @ skull[:3, :3].T + skull[:3, 3]
        return float(np.linalg.norm(np.array([s[4] for s in links]) - pins, axis=1).max())

    def _accept(self, state: dict[str, Floats]) -> HeadPose:
        gap = self._gap()
        if not all(np.isfinite(value).all() for value in state.values()):
            raise PhysicsError("the rigid head diverged; reset the face.")
        if gap > GAP_LIMIT:
            raise PhysicsError(f"the neck came apart by {gap * 1000:.1f} mm; reset the face.")
        self._state, self._pose = state, self._view(state, gap)
        return self._pose

    @staticmethod
    def _view(state: dict[str, Floats], gap: float) -> HeadPose:
        angles = state["joints"][:, 0].copy()
        return HeadPose(
            neck.matrix(state["skull"]), float(angles[0]), angles[1:5].reshape(2, 2), angles[5:7], gap
        )
