"""The virtual robot is compiled in any folder, by anyone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from eva_sim.errors import RobotError
from eva_sim.real.simulation import firmware_build
from eva_sim.real.simulation.firmware_build import build_firmware, missing_packages

pytestmark = pytest.mark.skipif(bool(missing_packages()), reason="no toolchain of the firmware")


@pytest.mark.parametrize("name", ["jane doe", "it's $HOME/#1%", 'a:b;c"d"\\e &', "größe=ü", "-n"])
def test_any_name_will_do_for_cache_sources_and_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / name
    for part in ("firmware", "firmware_simulator"):
        shutil.copytree(firmware_build._SOURCES / part, folder / "sources" / part)
    (folder / "temporary").mkdir()
    monkeypatch.setattr(firmware_build, "_SOURCES", folder / "sources")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(folder / "temporary"))
    monkeypatch.setenv("EVA_CACHE", str(folder / "cache"))
    monkeypatch.setenv("MAKEFLAGS", "n")  # make would only print what it does
    built = build_firmware()
    assert built.firmware.stat().st_size > 1000 and built.simulator.stat().st_size > 1000
    assert (folder / "cache") in built.firmware.parents
    assert sorted(path.name for path in built.firmware.parents[1].iterdir()) == [built.firmware.parent.name]
    before = built.simulator.stat().st_mtime_ns
    assert build_firmware() == built and built.simulator.stat().st_mtime_ns == before


def test_without_a_place_the_temporary_folder_is_used_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("EVA_CACHE", "/dev/null/nowhere")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    built = build_firmware()
    assert tmp_path in built.firmware.parents and built.simulator.exists()
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "EVA_CACHE" in told and str(tmp_path) in told
    assert build_firmware() == built and not capsys.readouterr().err
    shutil.rmtree(built.firmware.parent)
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null/nowhere")
    with pytest.raises(RobotError, match="set EVA_CACHE"):
        build_firmware()
    assert not capsys.readouterr().err
