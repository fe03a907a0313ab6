"""Injects every fault into a robot that moves, and shows the outcomes in one table.

    python -m benchmarks.faults [--body BODY] [--wall-clock] [--quick] [--json FILE] [--only WORDS]

BODY is virtual, mock, or one of the other boards on its fake: maestro, feetech, dynamixel. These have rows of
their own, since no firmware of ours is at the far end of their line; a watcher there looks at what the servos
hold.

A watcher on the servos' side of the board, which knows assets/*.toml and none of the code under test,
compares each pulse with the limits and the slew, and counts channels that start though nobody armed them.
All in virtual time, but for the rows with SIGKILL, or by the wall clock. Columns:

- tried: cases; for random bytes, how many of them.
- outside: most that a pulse was outside its calibrated limits [us]; must be 0.
- slew +: most that it moved in a period beyond its slew [us]; a PCA9685 counts in 4.88 us, so up to that.
- hold, limp: longest time from the fault until the last pulse moved, and until all were limp [ms].
- re-armed: starts that nobody asked for; must be 0.

The exit status is 1 if any row is not ok.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from eva_sim.files import write_json
from eva_sim.testing.board_rigs import KINDS
from eva_sim.testing.conformance.board_rows import BOARD_ROWS
from eva_sim.testing.conformance.rows import ROWS, table, try_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--body", choices=["virtual", "mock", *KINDS], default="virtual")
    parser.add_argument("--wall-clock", action="store_true", help="all by the wall clock")
    parser.add_argument("--quick", action="store_true", help="fewer cases of each")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--only", default="", help="rows whose name has these words")
    given = parser.parse_args()
    table_rows = BOARD_ROWS if given.body in KINDS else ROWS
    rows = tuple(row for row in table_rows if given.only in f"{row.fault}, {row.side}")
    results = try_all(rows, given.body, given.quick, real_time=given.wall_clock)
    Console(width=None if sys.stdout.isatty() else 400).print(
        table(results, f"Faults, {given.body}{', by the wall clock' if given.wall_clock else ''}")
    )
    if given.json:
        write_json(
            given.json,
            {"body": given.body, "wall_clock": given.wall_clock, "quick": given.quick, "rows": results},
        )
    sys.exit(not all(r.get("ok", "skipped" in r) for r in results))


if __name__ == "__main__":
    main()
