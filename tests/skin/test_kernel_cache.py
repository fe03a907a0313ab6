"""Compiled functions on disk: read by the next process, and never a reason to fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eva_sim import cache
from eva_sim.skin import kernel_cache
from eva_sim.skin.kernel_cache import kernel

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = Path("/dev/null/nowhere")  # nobody can write there, not even root


def twice(x):  # type: ignore[no-untyped-def]
    return 2 * x


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Where kernels and temporary files go in these tests; empty the caches of the choice by `forget`."""
    chosen: dict[str, Any] = {"bases": (tmp_path / "cache",), "temporary": tmp_path / "temporary"}
    monkeypatch.setattr(kernel_cache, "_bases", lambda: chosen["bases"])
    # Those of this checkout are kept: folders of other sources are deleted.
    monkeypatch.setattr(kernel_cache, "_SOURCES", tmp_path / "package")
    monkeypatch.setattr(cache, "temporary_folder", lambda: chosen["temporary"])
    forget()
    yield chosen
    forget()


def forget() -> None:
    kernel_cache.kernel_folders.cache_clear()
    kernel_cache._writable_folder.cache_clear()


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.kernel"))


def run_again() -> tuple[Any, bool]:
    """The function as a new process would get it, and whether it was read from the cache."""
    forget()
    function = kernel()(twice)
    assert function(21) == 42
    return function, bool(function.stats.cache_hits)


def test_the_next_process_reads_what_this_one_compiled(tmp_path: Path) -> None:
    assert not run_again()[1] and run_again()[1]
    function, _ = run_again()
    assert function(1.5) == 3.0 and len(files(tmp_path)) == 2


@pytest.mark.parametrize("keep", [0, 10, 500, -1])
def test_a_cut_file_is_compiled_again(tmp_path: Path, keep: int) -> None:
    run_again()
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:keep])
    assert not run_again()[1] and run_again()[1]


@pytest.mark.parametrize("place", [0.0, 0.3, 0.9])
def test_a_changed_byte_is_noticed(tmp_path: Path, place: float) -> None:
    run_again()
    (file,) = files(tmp_path)
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1
    file.write_bytes(content)
    assert not run_again()[1]


def test_a_file_of_another_function_is_not_taken(tmp_path: Path) -> None:
    function, _ = run_again()
    (whole,) = files(tmp_path)
    function(1.5)
    (other,) = set(files(tmp_path)) - {whole}
    shutil.copy(other, whole)
    function, read = run_again()
    assert not read and function(21) == 42


def test_without_a_place_the_temporary_folder_is_used_and_named(
    places: dict[str, Any], capsys: pytest.CaptureFixture
) -> None:
    places["bases"] = (NOWHERE,)
    run_again()
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "NUMBA_CACHE_DIR" in told and str(places["temporary"]) in told
    assert places["temporary"].stat().st_mode & 0o077 == 0
    assert run_again()[1] and not capsys.readouterr().err  # nothing was compiled, so nothing is said


@pytest.mark.parametrize("others", ["writable", "link", "file", "none"])
def test_a_temporary_folder_of_others_is_not_trusted(
    places: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture, others: str
) -> None:
    places["bases"] = (NOWHERE,)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    if others == "writable":
        places["temporary"].mkdir()
        places["temporary"].chmod(0o777)
    elif others == "link":
        places["temporary"].symlink_to(theirs)
    elif others == "file":
        places["temporary"].touch()
    else:
        places["temporary"] = None
    assert not run_again()[1] and not run_again()[1]
    assert not files(tmp_path)
    assert "are not kept" in (told := capsys.readouterr().err) and "NUMBA_CACHE_DIR" in told


def test_a_full_disk_while_writing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert not run_again()[1]


def test_changed_sources_have_a_folder_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    earlier = tmp_path / "package" / "__pycache__" / "kernels-of-earlier-sources"
    earlier.mkdir(parents=True)
    run_again()
    monkeypatch.setattr(kernel_cache, "_folder_name", lambda: "kernels-of-others")
    assert not run_again()[1]
    assert len({file.parent for file in files(tmp_path)}) == 2 and not earlier.exists()


STEP = """
import gymnasium as gym, eva_sim
env = gym.make("EVA/Pose-v0", skin="reduced")
env.reset(seed=0)
print(env.step(env.action_space.sample())[1])
"""
#: Another user, unknown to the system, who may read everything and write to temporary folders only.
AS_NOBODY = (
    *("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
)


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root becomes another user")
def test_a_user_without_a_home_runs_twice_at_once(tmp_path: Path) -> None:
    """A container started for a user that the system does not know; the sources are read-only for them.

    Two processes compile at once. Two later ones, whose homes cannot be used either, read what they kept.
    """
    sources = shutil.copytree(ROOT, tmp_path / "sources", symlinks=True, ignore=_not_copied)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    temporary.chmod(0o777)
    for told in _step_as_nobody(sources, temporary, ("/nonexistent", None)):
        assert told.count("\n") == 1 and "NUMBA_CACHE_DIR" in told
    kept = {path: path.stat().st_mtime_ns for path in temporary.rglob("*.kernel")}
    assert kept and _step_as_nobody(sources, temporary, ("", "/proc")) == ["", ""]
    assert kept == {path: path.stat().st_mtime_ns for path in temporary.rglob("*.kernel")}
    assert not list(sources.rglob("*.kernel"))


def _step_as_nobody(sources: Path, temporary: Path, homes: tuple[str | None, ...]) -> list[str]:
    """Steps an environment in processes at once, one for each home; returns what they told."""
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    environment |= {"TMPDIR": str(temporary), "PYTHONPATH": str(sources)}
    running = [
        subprocess.Popen(
            [*AS_NOBODY, sys.executable, "-B", "-c", STEP],
            cwd=sources, env=environment | ({} if home is None else {"HOME": home}),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for home in homes
    ]  # fmt: skip
    told = []
    for process in running:
        out, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
        assert float(out) < 0
        told.append(errors)
    return told


def _not_copied(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in (".venv", ".git", "__pycache__", "out", "tests", "docs")]
