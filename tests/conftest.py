"""What every test shares. Threads are limited before numpy or torch is loaded."""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg")

import pytest

from eva_sim import FaceSpec, load_spec


@pytest.fixture(scope="session")
def spec() -> FaceSpec:
    """The constant description of the face."""
    return load_spec()
