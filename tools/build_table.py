"""Makes `real/firmware/table.h` from `assets/face.toml` and `assets/robot.toml`.

python -m tools.build_table
"""

from __future__ import annotations

from pathlib import Path

from eva_sim.files import atomic
from eva_sim.real.firmware_table import render

HEADER = Path(__file__).resolve().parent.parent / "real/firmware/table.h"


def main() -> None:
    with atomic(HEADER) as part:
        part.write_text(render())
    print(f"wrote {HEADER}")


if __name__ == "__main__":
    main()
