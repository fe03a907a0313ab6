"""The commit that reports and training states name: of this package's own checkout, or none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from eva_sim import files


def _package_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the package believe that it lies in a folder."""
    (folder / "eva_sim").mkdir()
    monkeypatch.setattr(files, "__file__", str(folder / "eva_sim" / "files.py"))


def _git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *settings, *words], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()


def test_it_is_that_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package_in(tmp_path, monkeypatch)
    _git(tmp_path, "init", "-q")
    assert files.git_commit() is None  # nothing is committed yet
    _git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    assert files.git_commit() == _git(tmp_path, "rev-parse", "HEAD")


def test_an_installed_package_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it is installed below somebody else's checkout."""
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "commit", "-q", "--allow-empty", "-m", "theirs")
    (tmp_path / "site-packages").mkdir()
    _package_in(tmp_path / "site-packages", monkeypatch)
    assert files.git_commit() is None


def test_without_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package_in(tmp_path, monkeypatch)
    (tmp_path / ".git").mkdir()
    assert files.git_commit() is None  # git finds no repository there
    monkeypatch.setenv("PATH", str(tmp_path))
    assert files.git_commit() is None
