"""EVA: one face, two bodies.

Start reading here, then `eva_sim/contract.py` (what a face is) and `eva_sim/twin/twin.py` (the
simulated body, in one page). Importing this package registers the Gymnasium ids and loads
nothing heavy: no physics, no renderer, no torch.
"""

import eva_sim.command_start  # noqa: F401  # first, see there
from eva_sim.contract import Capabilities, Face, FaceSpec, Reading, load_spec
from eva_sim.errors import EvaError
from eva_sim.faces import face_capabilities, make_face
from eva_sim.files import check_links
from eva_sim.registration import register_ids
from eva_sim.streams import reserve_standard_files

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

check_links()
reserve_standard_files()
register_ids()
