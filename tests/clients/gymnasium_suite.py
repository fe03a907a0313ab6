"""Runs the tests of a Gymnasium checkout over the ids of this package instead of Gymnasium's environments.

python gymnasium_suite.py CHECKOUT
"""

from __future__ import annotations

import os
import sys
import types
import warnings

import gymnasium as gym
import pytest

from eva_sim.registration import IDS

#: The files that run over a list of environments, which is replaced here. Those that need MuJoCo are left
#: out, and one test that needs Box2D.
FILES = (
    "tests/envs/test_envs.py", "tests/envs/test_rendering.py", "tests/vector/test_sync_vector_env.py",
    "tests/wrappers/test_passive_env_checker.py",
    "--deselect=tests/vector/test_sync_vector_env.py::test_sync_vector_env_seed",
)  # fmt: skip
VARIANTS = ({"skin": "full"}, {"skin": "reduced"})


def replaced_list() -> types.ModuleType:
    """A module in place of Gymnasium's list of environments to test."""
    made = [
        gym.spec(name).make(disable_env_checker=True, **options).unwrapped
        for name in IDS
        for options in VARIANTS
    ]
    listed = types.ModuleType("tests.envs.utils")
    vars(listed).update(
        all_testing_initialised_envs=made,
        all_testing_env_specs=[env.spec for env in made],
        gym_testing_env_specs=[env.spec for env in made],
        mujoco_testing_env_specs=[],
    )
    return listed


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    sys.path.insert(0, os.getcwd())
    warnings.simplefilter("default")
    sys.modules["tests.envs.utils"] = replaced_list()
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--tb=short", "-rfEs", *FILES]))
