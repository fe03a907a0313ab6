"""EVA: one face, two bodies.

Start reading here, then `eva_sim/contract.py` (what a face is) and `eva_sim/twin/twin.py` (the
simulated body, in one page). Importing this package registers the Gymnasium ids and loads
nothing heavy: no physics, no renderer, no torch, no NumPy. A name is imported when it is used first.
"""

from importlib import import_module
from typing import TYPE_CHECKING

import eva_sim.command_start  # noqa: F401  # first, see there
from eva_sim.links import check_links
from eva_sim.registration import register_with_gymnasium
from eva_sim.streams import reserve_standard_files

if TYPE_CHECKING:
    from eva_sim.contract import Capabilities, Face, FaceSpec, Reading, load_spec
    from eva_sim.errors import EvaError
    from eva_sim.faces import face_capabilities, make_face

__version__ = "0.1.0"
__all__ = [
    "Capabilities",
    "EvaError",
    "Face",
    "FaceSpec",
    "Reading",
    "__version__",
    "face_capabilities",
    "load_spec",
    "make_face",
]

#: Module of each name that is imported when it is used.
_MODULES = {
    "Capabilities": "eva_sim.contract",
    "EvaError": "eva_sim.errors",
    "Face": "eva_sim.contract",
    "FaceSpec": "eva_sim.contract",
    "Reading": "eva_sim.contract",
    "face_capabilities": "eva_sim.faces",
    "load_spec": "eva_sim.contract",
    "make_face": "eva_sim.faces",
}

if not TYPE_CHECKING:  # or a type checker would believe in any name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


check_links()
reserve_standard_files()
register_with_gymnasium()
