"""Share of random expressions of the robot in which the landmark detector finds a face.

python benchmarks/reading.py --json FILE [--faces 500] [--size 224] [--seed 3]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from eva_sim.agents.data.babbling import sample_command
from eva_sim.detector import Detector
from eva_sim.files import write_json
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    rng, found = np.random.default_rng(given.seed), 0
    with Twin() as twin, Detector() as detector:
        for _ in tqdm(range(given.faces), unit="face", disable=None):
            reset_and_hold(twin, sample_command(twin.spec, rng))
            found += detector.landmarks(twin.render(given.size)) is not None
    metrics = {"faces": given.faces, "found": found, "share": found / given.faces, "size": given.size}
    print(metrics)
    if given.json:
        write_json(given.json, metrics)


if __name__ == "__main__":
    main()
