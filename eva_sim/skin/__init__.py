"""The soft skin: a thin silicone shell, its energy, and the solvers of its equilibrium.

Read `interface.py` first (the interface of every skin), then `anatomy.py` (constants and energy),
`solver.py` (one face), `batch.py` (many faces), `block.py` and `descent.py` (the solve itself).
"""
