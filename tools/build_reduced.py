"""Builds `assets/precomputed/reduced_skin.npz`: the map from drives to skin in `eva_sim/skin/reduced.py`.

    python -m tools.build_reduced

Sixteen faces at a time walk through the whole range of drives that the actuator chain can produce. At
every step the skin is solved until it has settled. The settled skins give the modes, and a network learns
their coefficients and the stretch of the cables. It takes about ten minutes on two cores.
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

from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.files import write_arrays
from eva_sim.landmarks import load_embedding
from eva_sim.skin.anatomy import Anatomy, Drives, drive_ranges, load_anatomy
from eva_sim.skin.block import Block, solver_context
from eva_sim.skin.ground import rotate_with_jaw
from eva_sim.skin.lane_instructions import LANES
from eva_sim.skin.reduced import DriveNetwork

OUT = Path(__file__).resolve().parents[1] / "assets" / "precomputed" / "reduced_skin.npz"
WALKS, GOALS, HOPS = 48, 14, 6  # walks of 16 faces; goals of each walk; steps to each goal
BEYOND = 0.1  # of travel; goals are drawn this far outside the range and clipped
IDLE = 0.67  # share of the faces that have some muscles at rest
EVALUATIONS, FURTHER, REPEATS = 24, 40, 4  # of a solve; of a further solve; number of further solves
SETTLED = 5e-3  # N, root mean square residual per vertex; faces above it are left out
RANK, WIDTH = 128, 256
EPOCHS, BATCH, RATE = 40, 512, 3e-3
LANDMARKS = 1.0  # weight of the landmark points, relative to the vertices
PULL = 0.05  # weight of a cable's squared error of stretch, relative to a vertex's squared error


class Faces(NamedTuple):
    """Settled faces, with D drives and C cables.

    Attributes:
        drives: (S, D) [rad, m].
        moved: displacement of the vertices, (S, 3 V) [m].
        stretch: stretch of the cables, below zero where slack, (S, C) [m].
    """

    drives: Floats
    moved: Floats
    stretch: Floats


def settled_walk(anatomy: Anatomy, seed: tuple[int, int]) -> Faces:
    """Returns settled faces along the walks of one block."""
    rng, block, spec = np.random.default_rng(seed), Block(solver_context(anatomy), LANES), anatomy.spec
    travel, tension, faces = np.tile(_neutral_share(spec), (LANES, 1)), block.tension * 0, []
    for _ in range(GOALS):
        goal = draw_goals(spec, rng)
        for share in np.arange(1, HOPS + 1) / HOPS:
            drives = draw_drives(spec, travel + share * (goal - travel), tension, rng)
            settle_block(block, Drives(drives[:, 0], drives[:, 1:3], drives[:, 3:]))
            tension, settled = block.tension, block.residual < SETTLED
            faces.append(_settled_faces(anatomy, block, drives, settled))
        travel = goal
    return Faces(*(np.concatenate(parts) for parts in zip(*faces, strict=True)))


def draw_goals(spec: FaceSpec, rng: np.random.Generator) -> Floats:
    """Draws the next goals of LANES faces, (L, D) in 0..1 of travel.

    Both ends of the travel and rest are drawn often: some muscles go beyond their travel and are clipped,
    and some rest, in some faces nearly all of them.
    """
    rest = _neutral_share(spec)
    goal = np.clip(rng.uniform(-BEYOND, 1 + BEYOND, (LANES, len(rest))), 0, 1)
    active = rng.random(goal.shape) < rng.uniform(0, 1 / IDLE, (LANES, 1))
    return np.where(active, goal, rest)


def _neutral_share(spec: FaceSpec) -> Floats:
    """Returns neutral in 0..1 of travel, (D,)."""
    low, high = drive_ranges(spec)
    return -low / (high - low)


def draw_drives(spec: FaceSpec, travel: Floats, tension: Floats, rng: np.random.Generator) -> Floats:
    """Draws drives (L, D) that the actuator chain may give at a point of its travel, (L, D) in 0..1.

    Where horn or Bowden tube stick, each is drawn between its two limits.
    """
    (low, high), cable = drive_ranges(spec), spec.cable
    drives = low + travel * (high - low)
    backlash = cable["backlash"] * rng.uniform(0, 1, tension.shape)
    capstan = np.exp(cable["friction"] * cable["wrap_angle"] * rng.uniform(-1, 1, tension.shape))
    drives[:, 3:] -= backlash + capstan * tension / cable["bowden_stiffness"]
    return drives


def settle_block(block: Block, drives: Drives) -> None:
    """Solves until all faces have settled, or `REPEATS` further solves are done."""
    block.step(drives, EVALUATIONS)
    for _ in range(REPEATS):
        if (block.residual < SETTLED).all():
            return
        block.descend(FURTHER)


def _settled_faces(anatomy: Anatomy, block: Block, drives: Floats, settled: np.ndarray) -> Faces:
    points = block.points.astype(float)[settled]
    stretch = [
        _cable_stretch(anatomy, face, drive) for face, drive in zip(points, drives[settled], strict=True)
    ]
    moved = (points - anatomy.points).reshape(len(points), anatomy.points.size)
    return Faces(
        drives[settled].astype(np.float32),
        moved.astype(np.float32),
        np.array(stretch, np.float32).reshape(-1, len(anatomy.exits)),
    )


def _cable_stretch(anatomy: Anatomy, points: Floats, drive: Floats) -> Floats:
    """Returns the distance from exit to patch minus the free length of each cable, (C,) [m]."""
    exits = rotate_with_jaw(anatomy.exits, anatomy.exit_jaw, float(drive[0]))
    distance = np.linalg.norm(anatomy.patches @ points - exits, axis=1)
    stretch: Floats = distance - anatomy.cables.length + drive[3:]
    return stretch


def sample_faces(anatomy: Anatomy, walks: int, seed: int) -> Faces:
    """Settled faces of many walks."""
    solver_context(anatomy)  # made once, before the threads need it
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda walk: settled_walk(anatomy, (seed, walk)), range(walks))
        parts = list(tqdm(results, "sample", walks, unit="walk", disable=None))
    return Faces(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def compute_modes(moved: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean (3 V,) and the RANK strongest modes (RANK, 3 V) of a third of the displacements."""
    third = moved[::3]
    mean = third.mean(0)
    return mean, torch.svd_lowrank(third - mean, q=RANK + 20, niter=2)[2][:, :RANK].T.contiguous()


def error_weights(spec: FaceSpec, modes: Tensor) -> Tensor:
    """Returns a matrix W (RANK, RANK); the loss of an error e of the coefficients is |W e|^2.

    That is the mean square over the vertices plus LANDMARKS times that over the landmark points.
    """
    rows, weights = load_embedding(spec)
    shares = torch.from_numpy(weights.astype(np.float32))
    corners = torch.from_numpy(rows.astype(np.int64))
    fields = modes.view(RANK, -1, 3)
    face = torch.einsum("pk,rpkd->rpd", shares, fields[:, corners]).flatten(1)
    form = torch.eye(RANK) / fields.shape[1] + LANDMARKS * face @ face.T / len(shares)
    return torch.linalg.cholesky(form / (1 + LANDMARKS)).T


def train_network(drives: Tensor, targets: Tensor, weights: Tensor) -> DriveNetwork:
    """Trains a network from drives (S, D) to targets (S, RANK + C) [m]."""
    network = DriveNetwork(drives.shape[1], WIDTH, targets.shape[1])
    network.low[:], network.high[:] = drives.amin(0), drives.amax(0)
    network.scale[:RANK], network.scale[RANK:] = targets[:, :RANK].std(), 1e-3
    optimiser, steps = torch.optim.Adam(network.parameters()), EPOCHS * (len(drives) // BATCH)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    for _ in tqdm(range(EPOCHS), "train", unit="epoch", disable=None):
        for rows in torch.randperm(len(drives)).split(BATCH)[: len(drives) // BATCH]:
            error = 1000 * (network(drives[rows]) - targets[rows])
            loss = ((error[:, :RANK] @ weights.T) ** 2).sum(1).mean() + PULL * (error[:, RANK:] ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            scheduler.step()
    return network


def build_reduced(anatomy: Anatomy, out: Path, seed: int = 1) -> None:
    """Writes the map of an anatomy."""
    faces = sample_faces(anatomy, WALKS, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        moved = torch.from_numpy(faces.moved)
        mean, modes = compute_modes(moved)
        moved -= mean  # in place, because it is by far the largest array
        targets = torch.cat([moved @ modes.T, torch.from_numpy(faces.stretch)], 1)
        network = train_network(torch.from_numpy(faces.drives), targets, error_weights(anatomy.spec, modes))
    write_reduced(anatomy, out, network, mean, modes)


def write_reduced(anatomy: Anatomy, out: Path, network: DriveNetwork, mean: Tensor, modes: Tensor) -> None:
    """Writes the file; large arrays in half precision, which costs a few micrometres."""
    weights = {f"net.{name}": value.numpy() for name, value in network.state_dict().items()}
    half = {name: value.astype(np.float16) if value.ndim == 2 else value for name, value in weights.items()}
    points = anatomy.points + mean.numpy().reshape(-1, 3)
    shape = {
        "mean": points.astype(np.float32),
        "modes": modes.numpy().reshape(RANK, -1, 3).astype(np.float16),
    }
    write_arrays(out, digest=anatomy.digest, **half, **shape)


if __name__ == "__main__":
    write_arrays(OUT, digest="")  # of no skin, so that the old map has no effect on the new one
    build_reduced(load_anatomy(load_spec()), OUT)
