"""Builds the head's bodies in PyBullet. None of them collides; contact belongs to the skin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pybullet as bullet

from eva_sim.contract import Floats
from eva_sim.head.geometry import (
    BASE,
    JOINTS,
    LEG_INERTIA,
    LEG_LENGTHS,
    LEG_MASSES,
    PLATFORM,
    SKULL_COM,
    SKULL_INERTIA,
    SKULL_MASS,
)

TIPS = list(range(2, 18, 3))  # links of the neck: gimbal about x, gimbal about y, rod; six times
_CLOSURE = {"maxForce": 2000.0, "erp": 0.8}  # N, share of the gap closed in a step
_LEVEL = (0.0, 0.0, 0.0, 1.0)


def open_world(physics_dt: float) -> int:
    """Opens a separate PyBullet world with gravity along -y; returns its client id."""
    client: int = bullet.connect(bullet.DIRECT)
    bullet.setGravity(0.0, -9.81, 0.0, physicsClientId=client)
    # Impulses kept from the last step cannot be read or set, so a saved state could not be repeated. With
    # warm starting off, a step is a function of the state that can be read and set.
    bullet.setPhysicsEngineParameter(fixedTimeStep=physics_dt, warmStartingFactor=0.0, physicsClientId=client)
    return client


def add_skull(client: int) -> int:
    """Adds the skull with its hinges, links in the order of `JOINTS`; its base frame is at its COM."""
    parents = np.array([j.parent for j in JOINTS])
    origins = [j.at - SKULL_COM if j.parent < 0 else j.at for j in JOINTS]
    body = _add_body(
        client,
        mass=SKULL_MASS,
        masses=[j.mass for j in JOINTS],
        positions=origins,
        turns=[_LEVEL] * len(JOINTS),
        centres=[j.com for j in JOINTS],
        parents=(parents + 1).tolist(),
        types=[bullet.JOINT_REVOLUTE] * len(JOINTS),
        axes=[j.axis for j in JOINTS],
        at=SKULL_COM,
    )
    inertia = [SKULL_INERTIA, *(0.4 * j.mass * j.size**2 for j in JOINTS)]
    _set_inertia(client, body, inertia)
    return body


def add_neck(client: int) -> int:
    """Adds six legs on a fixed base plate; each turns about x and y and slides along its z."""
    positions, turns, centres = [], [], []
    for anchor, tip, length in zip(BASE, PLATFORM, LEG_LENGTHS, strict=True):
        positions += [anchor, np.zeros(3), np.array([0.0, 0.0, length])]
        turns += [_towards(tip - anchor), _LEVEL, _LEVEL]
        centres += [np.zeros(3), np.array([0.0, 0.0, length / 3]), np.zeros(3)]
    body = _add_body(
        client,
        mass=0.0,
        masses=list(LEG_MASSES) * 6,
        positions=positions,
        turns=turns,
        centres=centres,
        parents=[p for leg in range(6) for p in (0, 3 * leg + 1, 3 * leg + 2)],
        types=[bullet.JOINT_REVOLUTE, bullet.JOINT_REVOLUTE, bullet.JOINT_PRISMATIC] * 6,
        axes=[*np.eye(3)] * 6,
        at=np.zeros(3),
    )
    _set_inertia(client, body, [0.0, *[LEG_INERTIA] * 18])
    _free_gimbals(client, body)
    return body


def close_neck(client: int, neck: int, skull: int) -> None:
    """Pins each rod's tip to its place under the skull."""
    for tip, anchor in zip(TIPS, PLATFORM, strict=True):
        pin = bullet.createConstraint(
            neck,
            tip,
            skull,
            -1,
            bullet.JOINT_POINT2POINT,
            jointAxis=(0, 0, 0),
            parentFramePosition=(0, 0, 0),
            childFramePosition=(anchor - SKULL_COM).tolist(),
            physicsClientId=client,
        )
        bullet.changeConstraint(pin, **_CLOSURE, physicsClientId=client)


def _add_body(
    client: int,
    *,
    mass: float,
    masses: list[float],
    positions: Sequence[Floats],
    turns: Sequence[tuple[float, ...]],
    centres: Sequence[Floats],
    parents: list[int],
    types: list[int],
    axes: Sequence[Floats],
    at: Floats,
) -> int:
    """Adds a multibody without shapes; parents count from 1, and 0 is the base."""
    links = len(masses)
    body: int = bullet.createMultiBody(
        baseMass=mass,
        basePosition=at.tolist(),
        linkMasses=masses,
        linkCollisionShapeIndices=[-1] * links,
        linkVisualShapeIndices=[-1] * links,
        linkPositions=[p.tolist() for p in positions],
        linkOrientations=turns,
        linkInertialFramePositions=[c.tolist() for c in centres],
        linkInertialFrameOrientations=[_LEVEL] * links,
        linkParentIndices=parents,
        linkJointTypes=types,
        linkJointAxis=[a.tolist() for a in axes],
        physicsClientId=client,
    )
    return body


def _set_inertia(client: int, body: int, inertia: list[float]) -> None:
    """Sets inertias [kg m2], base first, then links; without shapes PyBullet cannot derive them."""
    for link, moment in enumerate(inertia, start=-1):
        bullet.changeDynamics(body, link, localInertiaDiagonal=[moment] * 3, physicsClientId=client)


def _free_gimbals(client: int, neck: int) -> None:
    """Turns off the velocity motors of passive joints; PyBullet brakes every new joint with one."""
    passive = [joint for joint in range(18) if joint not in TIPS]
    bullet.setJointMotorControlArray(
        neck, passive, bullet.VELOCITY_CONTROL, forces=[0.0] * 12, physicsClientId=client
    )


def _towards(direction: Floats) -> tuple[float, ...]:
    """Returns the shortest turn (quaternion x, y, z, w) from z to `direction`."""
    x, y, z = direction / np.linalg.norm(direction)
    quaternion = np.array([-y, x, 0.0, 1.0 + z])
    return tuple((quaternion / np.linalg.norm(quaternion)).tolist())
