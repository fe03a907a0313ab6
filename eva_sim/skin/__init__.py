"""The soft skin: a thin silicone shell, its energy, and the solvers of its equilibrium.

Read `interface.py` first (the interface of every skin), then `anatomy.py` (constants and energy),
`solver.py` (one face), `batch.py` (many faces), `block.py` and `descent.py` (the solve itself).

Numba keeps compiled functions on disk, and checks only a function's own file for changes. Here formulas
of one file are compiled into loops of another, so compiled functions are deleted on import if any source
file of this folder has changed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def _forget_stale_kernels(folder: Path) -> None:
    """Deletes compiled functions unless they were compiled from the present sources."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))).hexdigest()
    cache = folder / "__pycache__"
    stamp = cache / "kernels.sha256"
    try:
        if not stamp.exists() or stamp.read_text() != digest:
            for path in [*cache.glob("*.nbi"), *cache.glob("*.nbc")]:
                path.unlink(missing_ok=True)
            cache.mkdir(exist_ok=True)
            stamp.write_text(digest)
    except OSError:
        pass  # a read-only installation, in which all files change together


_forget_stale_kernels(Path(__file__).parent)
