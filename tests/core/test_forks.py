"""What a forked child does with what its parent has made: it works, or it is refused at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from eva_sim.errors import EvaError
from eva_sim.forks import ForkMark

FORK = """
import os, signal, sys
import numpy as np
from eva_sim.errors import EvaError

{make}

def use():
    return {use}

before = use()
for end in (os._exit, sys.exit):
    child = os.fork()
    if not child:
        signal.alarm(60)  # ends a child that waits for ever
        try:
            print("same" if use() == before else "another", flush=True)
        except EvaError as error:
            print(type(error).__name__, error, flush=True)
        end(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print("parent", "same" if use() == use() else "another", flush=True)
"""

MADE = {
    "detector": (
        "from eva_sim.detector import Detector\ndetector = Detector()",
        "detector.detect(np.zeros((64, 64, 3), np.uint8))",
    ),
    "new detector": (
        "from eva_sim.detector import Detector\nold = Detector()",
        "Detector().detect(np.zeros((64, 64, 3), np.uint8))",
    ),
    "one reduced skin": (
        "from eva_sim.twin import Twin\ntwin = Twin('reduced')\nat = twin.save()",
        "(twin.restore(at), twin.move(twin.spec.command(jaw=1.0)).landmarks.tobytes())[1]",
    ),
    "many reduced skins": (
        "from eva_sim.twin.twins import Twins\ntwins = Twins(500, 'reduced')\nat = twins.save()",
        "(twins.restore(at), twins.move([twins.spec.command(jaw=1.0)] * 500).landmarks.tobytes())[1]",
    ),
    "many skins in lanes": (
        "from eva_sim.twin.twins import Twins\ntwins = Twins(40)\nat = twins.save()",
        "(twins.restore(at), twins.move([twins.spec.command(jaw=1.0)] * 40).landmarks.tobytes())[1]",
    ),
    "torch": (
        "import torch, eva_sim.agents.models.inverse\ntorch.set_num_threads(4)\n"
        "matrix = torch.full((900, 900), 0.5)",
        "float((matrix @ matrix).relu().sum())",
    ),
    "numpy": ("matrix = np.full((900, 900), 0.5)", "float((matrix @ matrix).sum())"),
    "robot": (
        "import eva_sim\nrobot = eva_sim.make_face('mock')\nrobot.reset()",
        "robot.move(robot.spec.neutral).sent.tobytes()",
    ),
}
REFUSED = {"detector": "RenderError this face detector", "robot": "RobotError this robot"}


@pytest.mark.parametrize("kind", MADE)
def test_forked_children_work_or_are_refused_however_they_end(kind: str) -> None:
    make, use = MADE[kind]
    program = FORK.format(make=make, use=use)
    environment = {
        k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, between, second, after = done.stdout.splitlines()
    assert all(child.startswith(REFUSED.get(kind, "same")) for child in (first, second))
    assert between == after == "parent same"


COMPILES = """
import os, signal, threading, time
from numba.core.compiler_lock import global_compiler_lock
from eva_sim.skin.kernel_cache import kernel

def compile_slowly():
    with global_compiler_lock:
        compiling.set()
        time.sleep(0.5)

compiling = threading.Event()
threading.Thread(target=compile_slowly).start()
compiling.wait()
child = os.fork()
if not child:
    signal.alarm(30)
    os._exit(0 if kernel()(lambda x: 2 * x)(21) == 42 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_fork_while_another_thread_compiles() -> None:
    done = subprocess.run([sys.executable, "-c", COMPILES], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_a_mark_knows_each_fork() -> None:
    before = ForkMark()
    child = os.fork()
    if not child:
        crossed = before.crossed and not ForkMark().crossed
        try:
            before.check(EvaError, "a fork")
        except EvaError as error:
            crossed = crossed and str(error) == "a fork"
        else:
            crossed = False
        os._exit(0 if crossed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not before.crossed
