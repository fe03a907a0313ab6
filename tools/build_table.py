"""Makes `real/firmware/table.h` from `face.toml` and `robot.toml` of a face's folder, by default EVA's.

python -m tools.build_table [FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from eva_sim.contract import load_spec
from eva_sim.files import atomic_path
from eva_sim.real.wire.firmware_table import render_header

HEADER = Path(__file__).resolve().parent.parent / "real/firmware/table.h"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the firmware's table of limits.")
    parser.add_argument("folder", nargs="?", type=Path, help="folder of the face (default: EVA's)")
    spec = load_spec(parser.parse_args().folder)
    with atomic_path(HEADER) as part:
        part.write_text(render_header(spec))
    print(f"wrote {HEADER}")


if __name__ == "__main__":
    main()
