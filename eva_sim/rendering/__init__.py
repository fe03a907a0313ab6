"""Pictures of the head: its visible parts (`appearance.py`), drawn by pyrender on EGL (`renderer.py`)."""
