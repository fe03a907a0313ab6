"""The one thread of this process that draws. It owns the OpenGL context; all other threads ask it.

An OpenGL context belongs to the thread that made it current. With a thread of its own, pictures can be
asked from any thread, and Ctrl-C in the asking thread cannot stop a drawing halfway. The context is made
with the first picture and never deleted, because deleting one ends EGL for the whole process.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from eva_sim.errors import SEE_DOCTOR, RenderError
from eva_sim.forks import ForkMark

P = ParamSpec("P")
R = TypeVar("R")
FORKED = (
    "no picture can be made in this process: its parent made one before the fork. Start it with "
    'multiprocessing\'s "spawn" (vector_kwargs={"context": "spawn"}), or make no picture before the fork.'
)
#: Beginnings of environment variables that choose the OpenGL driver or change what it offers.
_SWITCHES = ("MESA_", "LIBGL_", "GALLIUM_", "EGL_", "__EGL_", "__GLX_", "LP_")


def load_triton() -> None:
    """Loads the library of Triton, if that is installed, before OpenGL's driver.

    Mesa's software driver and Triton, which comes with PyTorch's builds for CUDA, have an LLVM each. If the
    driver is loaded first, the process crashes once Triton is loaded, as with the first optimiser of PyTorch
    (seen with Mesa 22.3 and Triton 3.7). The other way round both work.
    """
    found = importlib.util.find_spec("triton")
    if found is not None and found.origin is not None:
        with suppress(OSError):  # of another system or version
            ctypes.CDLL(str(Path(found.origin).parent / "_C" / "libtriton.so"))


class _Drawing:
    """The thread, and the process that first asked it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "eva-drawing", load_triton)  # begins with the first task
        self._first: ForkMark | None = None

    def __call__(self, function: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
        """Calls a function in the drawing thread; returns what it returns, raises what it raises.

        Raises:
            RenderError: the parent process has drawn and forked this one, or Python is ending.
        """
        if self._first is None:
            self._first = ForkMark()
        self._first.check(RenderError, FORKED)
        try:
            task = self._thread.submit(function, *arguments, **options)
        except RuntimeError as error:  # at the end of Python there are no threads any more
            raise RenderError(f"no picture can be made while Python is ending ({error}).") from error
        return task.result()


in_drawing_thread = _Drawing()


class Context:
    """The OpenGL context, made and used in the drawing thread only.

    Raises:
        RenderError: it cannot be made here.
    """

    def __init__(self) -> None:
        pyrender, platform = load_pyrender(), _egl_platform()
        self._flag = pyrender.RenderFlags.OFFSCREEN
        self._egl = platform.EGLPlatform(256, 256, device=_device(platform))
        self._egl.init_context()
        self._egl.make_current()
        self.renderer = pyrender.renderer.Renderer(256, 256)
        self.renderer.delete = _do_nothing  # Python would call it at its end, in another thread

    def make_current(self) -> None:
        """Directs OpenGL's calls here, also those that fill buffers; studio light has another context."""
        self._egl.make_current()

    def render(self, scene: Any, size: int, flags: int, nodes: Any) -> Any:
        """Draws a scene into the current context; see pyrender's `Renderer.render`."""
        self.renderer.viewport_width = self.renderer.viewport_height = size
        try:
            return self.renderer.render(scene, flags | self._flag, nodes)
        except BaseException:
            self._forget_framebuffer()
            raise

    def _forget_framebuffer(self) -> None:
        """Deletes what pyrender draws into, however much of it was made; it makes it anew for each size.

        pyrender deletes it whole or raises, so half of one would be in the way of every later picture.
        """
        import OpenGL.GL as gl

        for kind, delete in {"fb": gl.glDeleteFramebuffers, "cb": gl.glDeleteRenderbuffers,
                             "db": gl.glDeleteRenderbuffers}.items():  # fmt: skip
            for name in (f"_main_{kind}", f"_main_{kind}_ms"):
                buffer = getattr(self.renderer, name)
                setattr(self.renderer, name, None)
                if buffer is not None:
                    delete(1, [buffer])


def _do_nothing() -> None:
    pass


@lru_cache(maxsize=1)
def context() -> Context:
    """Returns the context of this process; for the drawing thread only.

    Raises:
        RenderError: it cannot be made here.
    """
    try:
        with _on_egl():
            return Context()
    except RenderError:
        raise
    except Exception as error:
        raise RenderError(
            f"no picture can be made: EGL gave no context ({cause(error)}). {opengl_advice()}"
        ) from error


@contextmanager
def _on_egl() -> Any:
    """Sets PyOpenGL's platform to EGL, the only one that is used here, whatever the user has set."""
    name = "PYOPENGL_PLATFORM"
    before = os.environ.get(name)
    os.environ[name] = "egl"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def load_pyrender() -> Any:
    """Imports pyrender on EGL.

    Raises:
        RenderError: no OpenGL library.
    """
    vars(np).setdefault("infty", np.inf)  # pyrender 0.1.45 was written for numpy 1
    try:
        with _on_egl():
            _register_references()
            import pyrender
    except ModuleNotFoundError as error:
        raise RenderError(f"no picture can be made ({error}); install eva-sim again. {SEE_DOCTOR}") from error
    except Exception as error:  # PyOpenGL raises whatever the loader did
        raise RenderError(
            f"no picture can be made: OpenGL did not load ({cause(error)}). {opengl_advice()}"
        ) from error
    return pyrender


def _register_references() -> None:
    """Lets PyOpenGL take references of ctypes on Python 3.12 and later.

    PyOpenGL 3.1.0, the version that pyrender asks for, knows their class by the name of its module, which was
    `builtins` then.
    """
    from OpenGL.plugins import FormatHandler

    known, name = FormatHandler.by_name("ctypesparameter").check, "_ctypes.CArgObject"
    if name not in known:
        known.append(name)


class _KeepAsserts(SourceFileLoader):
    """Loads a module with its asserts also where Python runs without: pyrender calls EGL inside of them."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self.get_data(self.path), self.path, "exec", dont_inherit=True, optimize=0)
        return code


def _egl_platform() -> Any:
    """Loads pyrender's module for EGL, with its asserts."""
    name = "pyrender.platforms.egl"
    found = importlib.util.find_spec(name)
    assert found is not None and found.origin is not None
    spec = importlib.util.spec_from_file_location(name, found.origin, loader=_KeepAsserts(name, found.origin))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _device(platform: Any) -> Any:
    """Returns the EGL device that the user has chosen by EGL_DEVICE_ID, or the first.

    Raises:
        RenderError: there is no such device.
    """
    chosen, devices = os.environ.get("EGL_DEVICE_ID") or "0", platform.query_devices()
    if not devices:
        raise RenderError(f"no picture can be made: EGL finds no device. {opengl_advice()}")
    if not (chosen.isdecimal() and int(chosen) < len(devices)):
        there = "0" if len(devices) == 1 else f"0 to {len(devices) - 1}"
        raise RenderError(
            f"EGL_DEVICE_ID={chosen!r} is no device of EGL; unset it, or choose {there}. {SEE_DOCTOR}"
        )
    return devices[int(chosen)]


def cause(error: BaseException) -> str:
    """Returns an error in one line; PyOpenGL's take many."""
    operation = getattr(error, "baseOperation", None)
    if operation is not None:
        return f"{getattr(operation, '__name__', operation)}: error {getattr(error, 'err', None)}"
    return " ".join(str(error).split())[:200] or type(error).__name__


def opengl_advice() -> str:
    """Returns what to do where OpenGL does not work, by what is found on this machine."""
    return f"{_advice()} {SEE_DOCTOR}"


def _advice() -> str:
    missing = [package for library, package in _LIBRARIES.items() if not _loads(library)]
    if missing:
        return f"On Debian: apt install {' '.join(missing)}."
    switches = sorted(name for name in os.environ if name.startswith(_SWITCHES))
    if switches:
        return f"Unset what changes the driver: {', '.join(switches)}."
    return (
        "Its libraries are there, so its driver is not: install that of your graphics card, or libegl-mesa0."
    )


_LIBRARIES = {"libEGL.so.1": "libegl1", "libGL.so.1": "libgl1"}


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
