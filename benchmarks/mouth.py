"""The mouth over random faces: gap of closed lips, crossings of the skin, distance of lips and teeth.

    python -m benchmarks.mouth [--json FILE] [--faces 500] [--seed 5]

Faces are drawn as babbling draws them, and each one settles. In faces with closed lips, the jaw, the
levators and the depressors rest, because they part the lips by design.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from eva_sim.files import write_json
from eva_sim.testing.mouth_measures import measure_random_mouths

MILLIMETRES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    rows = []
    for closed in (True, False):
        steps = measure_random_mouths(given.faces, given.seed, closed)
        faces = list(tqdm(steps, total=given.faces, unit="face", disable=None))
        rows.append({
            "faces": f"{len(faces)} with {'closed lips' if closed else 'any command'}",
            "largest gap [mm]": MILLIMETRES * max(face.gap for face in faces),
            "faces that cross": sum(face.crossings > 0 for face in faces),
            "lips to teeth [mm]": MILLIMETRES * min(face.teeth for face in faces),
        })  # fmt: skip
    table = Table(*rows[0], title="mouth")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)
    if given.json:
        write_json(given.json, {"mouth": rows})


if __name__ == "__main__":
    main()
