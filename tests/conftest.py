"""Fixtures of all tests. The number of threads is limited before numpy or torch is loaded."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg")

import pytest

from eva_sim import FaceSpec, load_spec
from eva_sim.config import config_folder
from eva_sim.progress import set_quiet

if TYPE_CHECKING:
    from eva_sim.agents.models.inverse import InverseModel

# A shell ignores Ctrl-C in the background, and nohup the end of a terminal; tests send both.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test writes into the user's own configuration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVA_CONFIG", str(tmp_path_factory.mktemp("configuration")))
        yield


@pytest.fixture(autouse=True)
def strangers() -> Iterator[None]:
    """No physical robot is remembered from another test."""
    yield
    shutil.rmtree(config_folder() / "servos", ignore_errors=True)


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    """No test leaves the program quiet, as a worker in this process does; tests run in any order."""
    yield
    set_quiet(False)


@pytest.fixture(scope="session")
def spec() -> FaceSpec:
    """The constant description of the face."""
    return load_spec()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> InverseModel:
    """An untrained model with the ranges of the fake face."""
    from eva_sim.agents.data import babbling, dataset
    from eva_sim.agents.models.inverse import InverseModel
    from eva_sim.testing.fake_face import open_fake

    folder = tmp_path_factory.mktemp("babble")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babbling, "SHARD_SIZE", 20)
        babbling.babble(folder, 60, 3, body="fake", workers=1, image_size=None, open_face=open_fake)
    return InverseModel.untrained(dataset.load_dataset(folder), 1e-3)
