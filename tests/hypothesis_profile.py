"""20,000 examples of each property: `pytest -p tests.hypothesis_profile tests/wire/test_protocol.py`."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("many", max_examples=20_000, deadline=None)
settings.load_profile("many")
