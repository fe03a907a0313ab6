"""The soft skin: a thin silicone shell, its energy, and what solves it.

Compiled functions are kept on disk by numba, which looks for changes in a function's own file only.
Here one file's formulas are compiled into another's loops, so what was compiled from other sources
is thrown away on import.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def _forget_stale_kernels(folder: Path) -> None:
    """Removes compiled functions unless they were made from the sources as they are."""
    found = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))).hexdigest()
    cache = folder / "__pycache__"
    stamp = cache / "kernels.sha256"
    try:
        if not stamp.exists() or stamp.read_text() != found:
            for path in [*cache.glob("*.nbi"), *cache.glob("*.nbc")]:
                path.unlink(missing_ok=True)
            cache.mkdir(exist_ok=True)
            stamp.write_text(found)
    except OSError:
        pass  # a read-only installation, whose files all changed together when it was installed


_forget_stale_kernels(Path(__file__).parent)
