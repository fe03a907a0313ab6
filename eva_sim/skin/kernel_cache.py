"""Compiled functions (kernels), kept on disk where that is possible.

Numba's own cache ends a program that may write nowhere, and one that finds a damaged file. It checks only
a function's own file for changes, but here formulas of one file are compiled into loops of another in the
same folder. So the kernels have a cache of their own. It is a convenience: whatever goes wrong, the
function is compiled again. Each file carries a checksum over its key and content.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps

from eva_sim.cache import cache_folders, choose_cache_folder, user_cache_folder
from eva_sim.errors import SEE_DOCTOR, EvaError
from eva_sim.files import atomic_path
from eva_sim.streams import tell

_SOURCES = Path(__file__).parent
_CHECKSUM = hashlib.sha256
# A fork waits until no thread compiles. Otherwise the child would wait for ever for the thread that holds
# numba's lock, which it does not have.
os.register_at_fork(
    before=global_compiler_lock.acquire,
    after_in_parent=global_compiler_lock.release,
    after_in_child=global_compiler_lock.release,
)


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Returns a decorator that compiles a function on its first call, or reads it from the cache.

    Args:
        **options: of `numba.njit`, without `cache`.
    """

    def compile_lazily(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        dispatcher._cache = KernelCache(function)
        return dispatcher

    return compile_lazily


class KernelCache(_Cache):
    """The cache of one function, in the form that numba's dispatcher asks.

    Args:
        function: not yet compiled.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        code = function.__code__
        self._source = code.co_firstlineno, code.co_code, _digest(Path(code.co_filename).parent)
        self._enabled = True

    @property
    def cache_path(self) -> str:
        """The first folder that is read."""
        return str(kernel_folders()[0])

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Returns the compiled function for a signature; None if there is no sound file of it."""
        target_context.refresh()
        key = self._key(sig, target_context.codegen())
        for folder in kernel_folders() if self._enabled else ():
            try:
                checksum, content = _split((folder / self._file(key)).read_bytes())
                if checksum == _CHECKSUM(key + content).digest():
                    return CompileResult._rebuild(target_context, *pickle.loads(content))
            except Exception:  # an unreadable file, or one of another numba: compile again
                continue
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps a compiled function, if there is a place for it."""
        lasting = not data.library.has_dynamic_globals and not any(not part.can_cache for part in data.lifted)
        folder = _writable_folder() if self._enabled and lasting else None
        if folder is None:
            return
        key, content = self._key(sig, data.codegen), dumps(data._reduce())
        try:
            with atomic_path(folder / self._file(key)) as part:
                part.write_bytes(_CHECKSUM(key + content).digest() + content)
        except (OSError, EvaError):  # a full disk
            return

    def enable(self) -> None:
        """Reads and writes files from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Neither reads nor writes files from now on."""
        self._enabled = False

    def flush(self) -> None:
        """Does nothing: a file is found by all that it depends on, so no file is ever stale."""

    def _key(self, sig: Any, codegen: Any) -> bytes:
        versions = numba.__version__, llvmlite.__version__, sys.version_info[:3]
        return repr((self._name, self._source, str(sig), codegen.magic_tuple(), versions)).encode()

    def _file(self, key: bytes) -> str:
        return f"{self._name}-{_CHECKSUM(key).hexdigest()[:16]}.kernel"


def _split(raw: bytes) -> tuple[bytes, bytes]:
    size = _CHECKSUM().digest_size
    return raw[:size], raw[size:]


@lru_cache(maxsize=64)
def _digest(folder: Path) -> str:
    """Returns the checksum of all sources in a folder."""
    try:
        texts = [path.read_bytes() for path in sorted(folder.glob("*.py"))]
    except OSError:
        texts = []
    return _CHECKSUM(b"".join(texts)).hexdigest()


@lru_cache(maxsize=1)
def _folder_name() -> str:
    """Name of the folder for the kernels of the present sources."""
    return f"kernels-{_digest(_SOURCES)[:16]}"


@lru_cache(maxsize=1)
def _bases() -> tuple[Path | None, ...]:
    """Where the folder may be: the user's choice, or else beside the sources or in the user's cache."""
    if numba.config.CACHE_DIR:
        return (Path(numba.config.CACHE_DIR).absolute(),)
    return _SOURCES / "__pycache__", user_cache_folder()


@lru_cache(maxsize=1)
def kernel_folders() -> list[Path]:
    """Returns all folders that kernels are read from, in this order."""
    return cache_folders(_bases(), _folder_name())


@lru_cache(maxsize=1)
def _writable_folder() -> Path | None:
    """The folder that new kernels are written to; those of earlier sources in the package are deleted."""
    for old in (_SOURCES / "__pycache__").glob("kernels-*"):
        if old.name != _folder_name():
            shutil.rmtree(old, ignore_errors=True)
    what, variable = "compiled functions of the skin", "NUMBA_CACHE_DIR"
    chosen = choose_cache_folder(_bases(), _folder_name(), what, variable)
    if chosen is None:
        wish = f"set {variable} to a folder that can be written. {SEE_DOCTOR}"
        tell(f"eva: {what} are not kept for the next start; {wish}")
    return chosen
