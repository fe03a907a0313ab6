"""Time of a sheet with the skin's stiffness in other physics engines, per control step of 20 ms.

    python -m benchmarks.peers [--json FILE]

MuJoCo, 4.0 or later, is no dependency: `pip install 'eva-sim[peers]'`. Only its physics is used, never
its renderer.
"""

from __future__ import annotations

import argparse
import bisect
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pybullet
from rich.console import Console
from rich.table import Table

from benchmarks.patches import Flags, Mesh, rectangle
from eva_sim.contract import Floats
from eva_sim.files import write_json
from eva_sim.skin.anatomy import DENSITY, THICKNESS, YOUNG

SIZE = 0.2  # m, of a square sheet as large as a face
CONTROL = 0.02  # s
STEPS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)  # s, whole shares of CONTROL
GRAVITY = 9.81  # m/s2
SPAN = 1.0  # s that PyBullet's sheet must stay whole


def held_vertices(mesh: Mesh) -> Flags:
    """Vertices at the two ends along x, (V,)."""
    x = mesh.points[:, 0]
    return np.asarray((x < x.min() + 1e-9) | (x > x.max() - 1e-9))


def sheet_mass(mesh: Mesh) -> float:
    """Mass of the sheet [kg]."""
    return DENSITY * THICKNESS * float(mesh.areas().sum())


# --- PyBullet -----------------------------------------------------------------------------------------


def pybullet_cloth(count: int = 38) -> dict[str, Any]:
    """A mass-spring sheet held at two ends and sagging, at the largest step that stays stable.

    Springs of k on equilateral triangles make a sheet of modulus times thickness 2 k / sqrt(3)
    (Seung and Nelson, Phys. Rev. A 38, 1988). Stability is bisected for over `STEPS`.

    Args:
        count: edges along a side.
    """
    mesh = rectangle(SIZE, SIZE, count, "random")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.obj"
        path.write_text(_obj(mesh))
        first_bad = bisect.bisect_left(STEPS, True, key=lambda step: _cloth(path, mesh, step) is None)
        step = STEPS[max(first_bad - 1, 0)]
        seconds = _cloth(path, mesh, step)
    if seconds is None:
        raise RuntimeError("PyBullet's sheet flies apart at every step.")
    return _metrics("PyBullet cloth", mesh, step, seconds)


def _obj(mesh: Mesh) -> str:
    lines = [f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in mesh.points]
    return "\n".join(lines + [f"f {a} {b} {c}" for a, b, c in mesh.triangles + 1]) + "\n"


def _cloth(path: Path, mesh: Mesh, step: float) -> float | None:
    """Median seconds per step; None if the sheet flies apart within `SPAN`."""
    client = pybullet.connect(pybullet.DIRECT)
    try:
        pybullet.resetSimulation(pybullet.RESET_USE_DEFORMABLE_WORLD, physicsClientId=client)
        pybullet.setGravity(0, 0, -GRAVITY, physicsClientId=client)
        pybullet.setTimeStep(step, physicsClientId=client)
        body = pybullet.loadSoftBody(
            str(path),
            mass=sheet_mass(mesh),
            useMassSpring=1,
            useBendingSprings=1,
            springElasticStiffness=YOUNG * THICKNESS * np.sqrt(3) / 2,
            springDampingStiffness=0.1,
            springBendingStiffness=40,  # N/m; such springs resist large folds only
            useSelfCollision=0,
            collisionMargin=1e-4,
            physicsClientId=client,
        )
        for node in np.flatnonzero(held_vertices(mesh)).tolist():
            pybullet.createSoftBodyAnchor(body, node, -1, -1, physicsClientId=client)
        return _watched(lambda: pybullet.stepSimulation(client), lambda: _reach(body, client), SPAN / step)
    finally:
        pybullet.disconnect(client)


def _reach(body: int, client: int) -> float:
    """Largest height or depth of a node [m]; infinite once it is not finite."""
    flags = pybullet.MESH_DATA_SIMULATION_MESH
    nodes = np.array(pybullet.getMeshData(body, -1, flags=flags, physicsClientId=client)[1])
    return float(np.nan_to_num(np.abs(nodes[:, 2]), nan=np.inf).max())


def _watched(step: Callable[[], None], reach: Callable[[], float], count: float) -> float | None:
    """Median seconds per step; None as soon as the sheet reaches farther than it is wide."""
    seconds = []
    for number in range(round(count)):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
        if number % 10 == 9 and reach() > SIZE:
            return None
    return float(np.median(seconds))


# --- MuJoCo -------------------------------------------------------------------------------------------


def mujoco_flex(count: int = 44, step: float = CONTROL) -> dict[str, Any] | None:
    """The same sheet as a MuJoCo flex at its own best: the integrator `discrete`; None without MuJoCo.

    Args:
        count: edges along a side.
        step: [s].
    """
    try:
        import mujoco
    except ModuleNotFoundError:
        return None

    mesh = rectangle(SIZE, SIZE, count, "random")
    model, data = mujoco_model(mesh, GRAVITY, "both", step)

    def reach() -> float:
        return float(np.abs(data.flexvert_xpos[:, 2]).max())

    seconds = _watched(lambda: mujoco.mj_step(model, data), reach, 50)
    if seconds is None:
        raise RuntimeError("MuJoCo's sheet flew apart.")
    return _metrics("MuJoCo flex", mesh, step, seconds)


def mujoco_model(mesh: Mesh, gravity: float, elastic: str, step: float) -> tuple[Any, Any]:
    """A MuJoCo model of the sheet and its state.

    Args:
        mesh: flat, at rest.
        gravity: downwards along z [m/s2].
        elastic: "stretch", "bend" or "both".
        step: [s].
    """
    import mujoco

    def words(values: Any) -> str:
        return " ".join(f"{value:.9g}" for value in np.ravel(values))

    model = mujoco.MjModel.from_xml_string(f"""
      <mujoco>
        <option timestep="{step}" gravity="0 0 {-gravity}" integrator="discrete"/>
        <worldbody>
          <flexcomp name="sheet" type="direct" dim="2" mass="{sheet_mass(mesh)}" radius="0.0005"
                    point="{words(mesh.points)}" element="{words(mesh.triangles)}">
            <elasticity young="{YOUNG}" poisson="0.499" thickness="{THICKNESS}" damping="0.02"
                        elastic2d="{elastic}"/>
            <contact selfcollide="none" contype="0" conaffinity="0"/>
            <pin id="{words(np.flatnonzero(held_vertices(mesh)))}"/>
          </flexcomp>
        </worldbody>
      </mujoco>""")
    return model, mujoco.MjData(model)


def mujoco_sag(mesh: Mesh, gravity: float, elastic: str) -> Floats:
    """Vertices (V, 3) [m] of the sheet once it hangs still in MuJoCo."""
    import mujoco

    model, data = mujoco_model(mesh, gravity, elastic, 0.01)
    for _ in range(1000):
        mujoco.mj_step(model, data)
        if data.time > 1.0 and np.abs(data.qvel).max() < 1e-8:
            return np.array(data.flexvert_xpos)
    raise RuntimeError(f"MuJoCo's sheet still moves at {np.abs(data.qvel).max():.1e} m/s.")


# --- table --------------------------------------------------------------------------------------------


def _metrics(engine: str, mesh: Mesh, step: float, seconds: float) -> dict[str, Any]:
    return {
        "engine": engine,
        "vertices": len(mesh.points),
        "step_ms": 1000 * step,
        "ms_per_step": 1000 * seconds,
        "ms_per_control_step": 1000 * seconds * CONTROL / step,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    given = parser.parse_args()
    rows = [row for row in (pybullet_cloth(), mujoco_flex(), mujoco_flex(step=0.005)) if row]
    table = Table(*rows[0], title="one sheet with the skin's stiffness, per control step of 20 ms")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
