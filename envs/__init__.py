"""Gymnasium environments over any face. `import eva_sim` registers their ids.

`pose.py` and `mimic.py` are the two environments; their class docstrings are the user pages. `base.py` is one
environment over one `Face`, `vector.py` N environments over `Twins`; both share `target_plan.py`.
`stable_baselines3.py` adapts the latter to that library. `evaluation.py` scores policies on it.
"""
