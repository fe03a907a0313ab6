"""The simulated body: one face (`twin.py`, read it first), N faces side by side (`twins.py`), and pictures.

`from eva_sim.twin import Twin` loads the skin's compiled kernels, so nothing light imports this package.
"""

from eva_sim.twin.twin import Twin
from eva_sim.twin.twins import Twins

__all__ = ["Twin", "Twins"]
