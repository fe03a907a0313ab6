"""The choice of workers by number and by the address of a Ray cluster."""

from __future__ import annotations

import os

from eva_sim.workers.jobs import ThisProcess, Workers
from eva_sim.workers.processes import WorkerProcesses
from eva_sim.workers.ray_cluster import RayWorkers


def choose_workers(
    count: int | Workers, folder: str | os.PathLike[str] = ".", ray: str | None = None
) -> Workers:
    """Returns the workers for a task.

    Args:
        count: number of workers; or the workers themselves, which are returned.
        folder: of the results; all computers of a Ray cluster must see it under the same path.
        ray: address of a Ray cluster, as in `RayWorkers`; None: 1 worker is this process, more are processes
            beside it.

    Raises:
        EvaError: the number or the address has no meaning.
    """
    if isinstance(count, Workers):
        return count
    if ray is not None:
        return RayWorkers(folder, count, ray)
    return ThisProcess() if count == 1 else WorkerProcesses(count)
