"""Makes `real/firmware/table.h` from `assets/face.toml` and `assets/robot.toml`.

python -m tools.build_table
"""

from __future__ import annotations

from pathlib import Path

from eva_sim.contract import load_spec
from eva_sim.files import atomic_path
from eva_sim.real.wire.firmware_table import render_header

HEADER = Path(__file__).resolve().parent.parent / "real/firmware/table.h"


def main() -> None:
    with atomic_path(HEADER) as part:
        part.write_text(render_header(load_spec()))
    print(f"wrote {HEADER}")


if __name__ == "__main__":
    main()
