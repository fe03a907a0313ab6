"""Builds `assets/precomputed/reduced_skin.npz`: the map from drives to skin in `eva_sim/skin/reduced.py`.

    python -m tools.build_reduced

Sixteen faces at a time wander through all that the actuator chain can ask, and every place on their
way is solved until it is settled. The settled skins give the modes; a network learns their
coefficients and the cables' stretches. About ten minutes on two cores.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from eva_sim.contract import Floats, load_spec
from eva_sim.files import asset, read_arrays, write_arrays
from eva_sim.skin.anatomy import Anatomy, Drives, load_anatomy
from eva_sim.skin.block import Block, machine_of
from eva_sim.skin.ground import turned
from eva_sim.skin.lanes import LANES
from eva_sim.skin.reduced import CABLES, Network
from eva_sim.skin.response import ranges

OUT = Path(__file__).resolve().parents[1] / "assets" / "precomputed" / "reduced_skin.npz"
WALKS, GOALS, HOPS = 48, 14, 6  # walks of 16 faces; places each goes to, and in how many hops
BEYOND = 0.1  # of travel; goals lie as far outside and are clipped
IDLE = 0.67  # share of the faces that have some muscles at rest
EVALUATIONS, AGAIN, TIMES = 24, 40, 4  # of a solve; of what has not settled; how often
SETTLED = 5e-3  # N, root mean square residual per vertex; what has more is left out
RANK, WIDTH = 128, 256
EPOCHS, BATCH, RATE = 40, 512, 3e-3
LANDMARKS = 1.0  # what the mean over landmark points counts beside the mean over vertices
PULL = 0.05  # what a cable's squared error of stretch counts beside a vertex's of place


class Faces(NamedTuple):
    """Settled faces.

    Attributes:
        drives: (S, 15) [rad, m].
        moved: displacement of the vertices, (S, 3 V) [m].
        stretch: of the cables, below zero where slack, (S, 12) [m].
    """

    drives: Floats
    moved: Floats
    stretch: Floats


def wander(anatomy: Anatomy, seed: tuple[int, int]) -> Faces:
    """Settled faces along the walks of one block."""
    rng, block = np.random.default_rng(seed), Block(machine_of(anatomy), LANES)
    place, tension, found = np.tile(_rest(), (LANES, 1)), block.tension * 0, []
    for _ in range(GOALS):
        goal = aims(rng)
        for share in np.arange(1, HOPS + 1) / HOPS:
            drives = chain(place + share * (goal - place), tension, rng)
            settle(block, Drives(drives[:, 0], drives[:, 1:3], drives[:, 3:]))
            tension, settled = block.tension, block.residual < SETTLED
            found.append(_seen(anatomy, block, drives, settled))
        place = goal
    return Faces(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def aims(rng: np.random.Generator) -> Floats:
    """Where LANES faces go next, (L, 15) in 0..1 of travel.

    Ends and rest are places of their own, often held: some muscles go beyond their travel and are
    clipped, some rest, in some faces nearly all.
    """
    goal = np.clip(rng.uniform(-BEYOND, 1 + BEYOND, (LANES, 15)), 0, 1)
    busy = rng.random(goal.shape) < rng.uniform(0, 1 / IDLE, (LANES, 1))
    return np.where(busy, goal, _rest())


def _rest() -> Floats:
    """Neutral in 0..1 of travel, (15,)."""
    low, high = ranges()
    return -low / (high - low)


def chain(place: Floats, tension: Floats, rng: np.random.Generator) -> Floats:
    """Drives (L, 15) that the actuator chain may give at a place of its travel (L, 15) in 0..1.

    Wherever horn and Bowden tube stick, each somewhere between its two limits.
    """
    (low, high), cable = ranges(), load_spec().cable
    drives = low + place * (high - low)
    backlash = cable["backlash"] * rng.uniform(0, 1, tension.shape)
    capstan = np.exp(cable["friction"] * cable["wrap_angle"] * rng.uniform(-1, 1, tension.shape))
    drives[:, 3:] -= backlash + capstan * tension / cable["bowden_stiffness"]
    return drives


def settle(block: Block, drives: Drives) -> None:
    """Solves until all faces have settled, or it is hopeless."""
    block.step(drives, EVALUATIONS)
    for _ in range(TIMES):
        if (block.residual < SETTLED).all():
            return
        block.descend(AGAIN)


def _seen(anatomy: Anatomy, block: Block, drives: Floats, settled: np.ndarray) -> Faces:
    points = block.points.astype(float)[settled]
    stretch = [_stretch(anatomy, face, drive) for face, drive in zip(points, drives[settled], strict=True)]
    moved = (points - anatomy.points).reshape(len(points), -1)
    return Faces(
        drives[settled].astype(np.float32),
        moved.astype(np.float32),
        np.array(stretch, np.float32).reshape(-1, CABLES),
    )


def _stretch(anatomy: Anatomy, points: Floats, drive: Floats) -> Floats:
    """How much longer each cable's way is than its free length, (12,) [m]."""
    exits = turned(anatomy.exits, anatomy.exit_jaw, float(drive[0]))
    way = np.linalg.norm(anatomy.patches @ points - exits, axis=1)
    stretch: Floats = way - anatomy.cables.length + drive[3:]
    return stretch


def sample(anatomy: Anatomy, walks: int, seed: int) -> Faces:
    """Settled faces of many walks."""
    machine_of(anatomy)  # before the threads ask for it
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        walked = pool.map(lambda walk: wander(anatomy, (seed, walk)), range(walks))
        parts = list(tqdm(walked, "sample", walks, unit="walk", disable=None))
    return Faces(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def modes_of(moved: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3 V,) and the RANK strongest modes (RANK, 3 V) of a third of the displacements."""
    some = moved[::3]
    mean = some.mean(0)
    return mean, torch.svd_lowrank(some - mean, q=RANK + 20, niter=2)[2][:, :RANK].T.contiguous()


def weights_of(modes: Tensor) -> Tensor:
    """A matrix W (RANK, RANK); |W e|^2 is what an error e of the coefficients counts.

    The mean square over vertices, and, LANDMARKS times as much, over landmark points.
    """
    arrays = read_arrays(asset("precomputed/landmark_embedding.npz"))
    shares = torch.from_numpy(arrays["shares"].astype(np.float32))
    corners = torch.from_numpy(arrays["corners"].astype(np.int64))
    fields = modes.view(RANK, -1, 3)
    face = torch.einsum("pk,rpkd->rpd", shares, fields[:, corners]).flatten(1)
    form = torch.eye(RANK) / fields.shape[1] + LANDMARKS * face @ face.T / len(shares)
    return torch.linalg.cholesky(form / (1 + LANDMARKS)).T


def train(drives: Tensor, wanted: Tensor, weights: Tensor) -> Network:
    """A network from drives (S, 15) to what is wanted of it, (S, RANK + 12) [m]."""
    network = Network(WIDTH, wanted.shape[1])
    network.low[:], network.high[:] = drives.amin(0), drives.amax(0)
    network.scale[:RANK], network.scale[RANK:] = wanted[:, :RANK].std(), 1e-3
    optimiser, steps = torch.optim.Adam(network.parameters()), EPOCHS * (len(drives) // BATCH)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    for _ in tqdm(range(EPOCHS), "train", unit="epoch", disable=None):
        for rows in torch.randperm(len(drives)).split(BATCH)[: len(drives) // BATCH]:
            error = 1000 * (network(drives[rows]) - wanted[rows])
            loss = ((error[:, :RANK] @ weights.T) ** 2).sum(1).mean() + PULL * (error[:, RANK:] ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            pace.step()
    return network


def build(anatomy: Anatomy, out: Path, seed: int = 1) -> None:
    """Writes the map of an anatomy."""
    faces = sample(anatomy, WALKS, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        moved = torch.from_numpy(faces.moved)
        mean, modes = modes_of(moved)
        moved -= mean  # in place: it is by far the largest array
        wanted = torch.cat([moved @ modes.T, torch.from_numpy(faces.stretch)], 1)
        network = train(torch.from_numpy(faces.drives), wanted, weights_of(modes))
    write(anatomy, out, network, mean, modes)


def write(anatomy: Anatomy, out: Path, network: Network, mean: Tensor, modes: Tensor) -> None:
    """Writes the file; half precision for all that is large, which costs a few micrometres."""
    weights = {f"net.{name}": value.numpy() for name, value in network.state_dict().items()}
    half = {name: value.astype(np.float16) if value.ndim == 2 else value for name, value in weights.items()}
    points = anatomy.points + mean.numpy().reshape(-1, 3)
    shape = {
        "mean": points.astype(np.float32),
        "modes": modes.numpy().reshape(RANK, -1, 3).astype(np.float16),
    }
    write_arrays(out, digest=anatomy.digest, **half, **shape)


if __name__ == "__main__":
    build(load_anatomy(), OUT)
