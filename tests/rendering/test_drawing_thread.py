"""Pictures from any thread and process and under any setting: drawn, or refused in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import _imagingmath

from eva_sim.errors import SEE_DOCTOR, RenderError
from eva_sim.rendering import drawing_thread
from eva_sim.rendering.drawing_thread import in_drawing_thread
from eva_sim.twin import Twin

DRAWS = """
import numpy as np
from eva_sim.errors import SEE_DOCTOR, RenderError
from eva_sim.rendering.renderer import Part, Renderer
try:
    triangle = Part("triangle", np.eye(3), np.array([[0, 1, 2]]), 1)
    print(Renderer([triangle]).colour({}, 32).shape)
except RenderError as error:
    print(error)
"""


def output(program: str, **environment: str) -> str:
    """What a Python program prints, in a process of its own that must end well."""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_threads_draw_the_same_picture_at_the_same_time() -> None:
    with Twin() as first, Twin() as second:
        second.move(second.spec.command(jaw=1.0))
        expected = [first.render(48), second.render(48)]
        with ThreadPoolExecutor(4) as pool:
            drawn = list(pool.map(lambda n: (first, second)[n % 2].render(48), range(16)))
    for number, picture in enumerate(drawn):
        assert np.array_equal(picture, expected[number % 2])


def test_errors_travel_and_the_next_picture_is_drawn() -> None:
    with Twin() as twin:
        before = twin.render(32)
        with pytest.raises(ZeroDivisionError):
            in_drawing_thread(lambda: 1 / 0)
        with pytest.raises(RenderError, match="could not be made"):
            twin._camera._renderer.colour({"head": np.zeros((3, 2))}, 32)
        assert np.array_equal(twin.render(32), before)


def test_after_a_failed_allocation_pictures_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise MemoryError("out of memory")

    with Twin() as twin:
        before = twin.render(32)
        with monkeypatch.context() as patched:
            patched.setattr("pyrender.renderer.glRenderbufferStorageMultisample", out_of_memory)
            with pytest.raises(RenderError, match="out of memory"):
                twin.render(48)
        assert np.array_equal(twin.render(32), before)
        assert twin.render(48).shape == (48, 48, 3)


def test_an_interrupt_while_waiting_breaks_no_picture() -> None:
    def interrupt() -> None:
        started.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    def draw_slowly() -> None:
        started.set()
        time.sleep(0.3)

    started = threading.Event()
    with Twin() as twin:
        before = twin.render(32)
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            in_drawing_thread(draw_slowly)
        assert np.array_equal(twin.render(32), before)


CHILD = """
import os, sys
from eva_sim.errors import EvaError
from eva_sim.twin import Twin
twin = Twin(skin="reduced")
if {parent_draws}:
    twin.render(32)
for end in (os._exit, sys.exit):
    child = os.fork()
    if not child:
        try:
            print(twin.render(32).shape, flush=True)
        except EvaError as error:
            print(type(error).__name__, error, flush=True)
        end(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("parent", twin.render(32).shape)
"""


def test_forked_children_of_a_process_that_drew_refuse_at_once() -> None:
    *children, parent = output(CHILD.format(parent_draws=True)).splitlines()
    assert len(children) == 2 and parent == "parent (32, 32, 3)"
    for child in children:
        assert child.startswith("RenderError") and 'vector_kwargs={"context": "spawn"}' in child


def test_forked_children_of_a_process_that_did_not_draw_draw() -> None:
    expected = ["(32, 32, 3)", "(32, 32, 3)", "parent (32, 32, 3)"]
    assert output(CHILD.format(parent_draws=False)).splitlines() == expected


@pytest.mark.parametrize(
    "setting",
    ["PYTHONOPTIMIZE=1", "PYOPENGL_PLATFORM=", "PYOPENGL_PLATFORM=glx", "PYOPENGL_PLATFORM=osmesa",
     "PYOPENGL_PLATFORM=wayland", "EGL_DEVICE_ID=", "DISPLAY=:4711"],
)  # fmt: skip
def test_a_setting_that_does_not_matter_does_not_hinder(setting: str) -> None:
    assert output(DRAWS, **dict([setting.split("=")])) == "(32, 32, 3)"


@pytest.mark.parametrize(
    "setting",
    ["EGL_DEVICE_ID=99", "EGL_DEVICE_ID=gpu", "MESA_GL_VERSION_OVERRIDE=2.1",
     "__EGL_VENDOR_LIBRARY_DIRS=/nonexistent"],
)  # fmt: skip
def test_a_setting_that_prevents_pictures_is_named(setting: str) -> None:
    name, value = setting.split("=")
    message = output(DRAWS, **{name: value})
    assert name in message and "nset" in message and "apt" not in message and "\n" not in message


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing_thread, "_loads", lambda library: library != "libEGL.so.1")
    assert drawing_thread.opengl_advice() == f"On Debian: apt install libegl1. {SEE_DOCTOR}"


def test_without_the_library_the_twin_moves_and_the_picture_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyrender", None)
    with Twin() as blind:
        assert blind.move(blind.spec.neutral).found
        with pytest.raises(RenderError, match="install eva-sim again"):
            blind.render(64)


OPENGL_IS_LOADED = """
import os
os.environ.pop("PYOPENGL_PLATFORM", None)
import OpenGL.GL
"""


def test_opengl_may_be_loaded_before_and_the_environment_stays() -> None:
    told = output(f"{OPENGL_IS_LOADED}{DRAWS}print(os.environ.get('PYOPENGL_PLATFORM'))")
    assert told.splitlines() == ["(32, 32, 3)", "None"]


LOADED = """
from eva_sim.rendering.drawing_thread import in_drawing_thread
print(in_drawing_thread(lambda: open("/proc/self/maps").read()))
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux what is loaded")
@pytest.mark.parametrize("whole", [True, False])
def test_triton_is_loaded_before_the_driver(tmp_path: Path, whole: bool) -> None:
    """A process crashed that drew and then made an optimiser of PyTorch's build for CUDA."""
    library = tmp_path / "triton" / "_C" / "libtriton.so"
    library.parent.mkdir(parents=True)
    (tmp_path / "triton" / "__init__.py").write_text("raise AssertionError('the package was imported')")
    library.write_bytes(Path(_imagingmath.__file__).read_bytes() if whole else b"of another system")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", LOADED], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (str(library) in done.stdout) == whole and "libEGL" not in done.stdout
