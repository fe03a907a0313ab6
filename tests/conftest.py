"""What every test shares. Threads are limited before numpy or torch is loaded."""

from __future__ import annotations

import importlib.util
import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg")

import pytest

from eva_sim import FaceSpec, load_spec


@pytest.fixture(scope="session")
def spec() -> FaceSpec:
    """The constant description of the face."""
    return load_spec()


NO_TWIN = importlib.util.find_spec("eva_sim.twin") is None

#: For tests of the simulated body; they run by themselves as soon as it is there.
needs_twin = pytest.mark.skipif(NO_TWIN, reason="the twin's skin and camera are not built yet")
