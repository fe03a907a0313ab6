"""`eva doctor`: what it finds on sound and on broken machines, and which errors name it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import eva_sim.cache
import eva_sim.files
from eva_sim.cli import check_machine, check_native, check_robot
from eva_sim.cli.app import run
from eva_sim.cli.check_native import NativeCheck
from eva_sim.cli.findings import Finding, guard
from eva_sim.contract import load_spec
from eva_sim.errors import SEE_DOCTOR, EvaError, describe_error
from eva_sim.files import check_free_space
from eva_sim.media.webcam import Webcam
from eva_sim.optional import import_optional
from eva_sim.real.boards.registry import board_opener
from eva_sim.real.simulation import firmware_build
from eva_sim.real.simulation.fake_bus import FakeDynamixel, FakeFeetech
from eva_sim.real.simulation.fake_line import FakeLine, PtyLine
from eva_sim.real.wire import serial_ports
from eva_sim.testing.board_rigs import Listed
from eva_sim.write_errors import explain_write_errors


def test_a_sound_machine_passes_and_its_json_is_whole() -> None:
    words = [sys.executable, "-m", "eva_sim.cli", "doctor", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    result = json.loads(done.stdout)
    assert done.returncode == 0 and result["ok"], done.stdout
    states = {each["name"]: each["state"] for each in result["findings"]}
    needed = ("python", "libraries", "files", "disk", "simulation", "pictures", "detector")
    assert {states[name] for name in needed} == {"works"}
    assert {"memory", "cameras", "serial ports", "virtual robot", "flashing", "extra train"} <= set(states)
    assert all(bool(each["remedy"]) == (each["state"] != "works") for each in result["findings"])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the checks that run in processes of their own."""

    class Quick(NativeCheck):
        def __init__(self, name: str, argument: str = "", limit: float = 0.0) -> None:
            self._name = name

        def finding(self) -> Finding:
            return Finding(self._name, "works", "not run here")

        def close(self) -> None:
            pass

    monkeypatch.setattr(check_native, "NativeCheck", Quick)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("words", ["doctor --port /dev/nowhere", "doctor --board maestro --port /dev/none"])
def test_what_an_option_names_must_work(words: str, capsys: pytest.CaptureFixture) -> None:
    assert run(words.split()) == 1
    printed = capsys.readouterr()
    assert "eva: these fail: board." in printed.err and "there is no port /dev/n" in printed.out
    assert run([*words.split(), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert not result["ok"]
    assert [each["name"] for each in result["findings"] if each["state"] == "fails"] == ["board"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("raise SystemExit(3)", "exit code 3"),
        ("print('no json')", "exit code 0"),
        ("import time; time.sleep(60)", "no answer in 1 s"),
    ],
)
def test_a_driver_that_crashes_or_hangs_is_a_finding(
    code: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with NativeCheck("pictures", limit=1.0 if "sleep" in code else 30.0) as check:
        found = check.finding()
    assert found.state == "fails" and told in found.found and found.remedy


@pytest.mark.parametrize("check", ["pictures", "camera"])
def test_what_does_not_open_is_a_finding(check: str) -> None:
    code = (
        "import ctypes, sys\n"
        "load = ctypes.CDLL.__init__\n"
        "def refuse(self, name, *rest, **more):\n"
        "    if name and 'GL' in str(name): raise OSError(f'{name}: cannot open shared object file')\n"
        "    load(self, name, *rest, **more)\n"
        "ctypes.CDLL.__init__ = refuse\n"
        "from eva_sim.cli.check_native import main\n"
        f"main({check!r}, '97')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    found = Finding(**json.loads(done.stdout.splitlines()[-1]))
    assert found.state == "fails"
    assert {"pictures": "apt install libegl1 libgl1", "camera": "no camera 97"}[check] in found.remedy


def test_libraries_that_lack_or_are_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def changed(name: str) -> str:
        if name in ("rich", "torch"):
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name in ("scipy", "pyserial") else version(name)

    monkeypatch.setattr(metadata, "version", changed)
    found = check_machine.check_libraries()
    assert found.state == "fails"
    assert "rich is not installed" in found.found and "scipy 0.1 is installed, >=" in found.found
    extras = {each.name: each for each in check_machine.check_extras()}
    assert extras["extra train"].state == "missing" and "torch is not" in extras["extra train"].found
    assert "eva-sim[real]" in extras["extra real"].remedy and "pyserial 0.1" in extras["extra real"].found


@pytest.mark.parametrize("asked", [">=3.99", "<3.2"])
def test_a_python_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setattr(metadata, "metadata", lambda name: {"Requires-Python": asked})
    found = check_machine.check_python()
    assert found.state == "fails" and asked in found.remedy


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_installation_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], Any]
) -> None:
    folder = tmp_path / "eva_sim"
    folder.mkdir()
    for name in ("contract.py", "files.py"):
        (folder / name).write_text("whole")
    files = [_listed(tmp_path, f"eva_sim/{name}") for name in ("contract.py", "files.py")]
    monkeypatch.setattr(metadata, "files", lambda name: [*files, _listed(tmp_path, "../bin/eva")])
    assert check_machine.check_files().state == "works"
    damage(folder / "files.py")
    found = check_machine.check_files()
    assert found.state == "fails" and "1 are missing or changed, such as eva_sim/files.py" in found.found


def _listed(root: Path, name: str) -> metadata.PackagePath:
    path = metadata.PackagePath(name)
    path.size, path.dist = 5, types.SimpleNamespace(locate_file=lambda file: root / file)  # type: ignore
    return path


def test_a_full_disk_and_a_small_memory_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_machine.check_disk().state == "works"
    monkeypatch.setattr(shutil, "disk_usage", lambda place: types.SimpleNamespace(free=10**7))
    assert check_machine.check_disk().state == "fails"
    (tmp_path / "out").write_text("in the way")
    (found,) = guard("disk", check_machine.check_disk)
    assert found.state == "fails" and "is not a folder" in found.remedy


def test_cameras_are_listed_and_none_is_opened(tmp_path: Path) -> None:
    listed, nodes = tmp_path / "sys", tmp_path / "dev"
    for folder in (listed, nodes):
        folder.mkdir()
    assert check_robot.check_cameras(listed, nodes).state == "missing"
    for number, name in {"0": "Front", "10": "Desk"}.items():
        (listed / f"video{number}").mkdir()
        (listed / f"video{number}" / "name").write_text(f"{name}\n")
    shut = check_robot.check_cameras(listed, nodes)  # no device files: they cannot be opened
    assert shut.state == "missing" and "video10 cannot be opened" in shut.found and "video" in shut.remedy
    for number in ("0", "10"):
        (nodes / f"video{number}").touch()
    assert check_robot.check_cameras(listed, nodes).found.startswith("0: Front; 10: Desk;")


def test_ports_are_listed_with_the_boards_that_they_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ttyACM0").touch()
    ports = [
        Listed(str(tmp_path / name), vid, pid)
        for name, vid, pid in (("ttyACM0", 0x1FFB, 0x008B), ("ttyS0", None, None))
    ]  # fmt: skip
    monkeypatch.setattr(serial_ports, "listed_ports", lambda: ports[:1])
    found = check_robot.check_ports()
    assert found.state == "works" and "ttyACM0 (maestro)" in found.found
    monkeypatch.setattr(serial_ports, "listed_ports", lambda: ports)
    found = check_robot.check_ports()
    assert found.state == "missing" and "ttyS0 cannot be opened" in found.found
    assert "dialout" in found.remedy
    monkeypatch.setattr(serial_ports, "listed_ports", list)
    assert check_robot.check_ports().state == "missing"


@pytest.mark.parametrize(("allowed", "state"), [(True, "works"), (False, "missing")])
def test_real_time_priority(monkeypatch: pytest.MonkeyPatch, allowed: bool, state: str) -> None:
    monkeypatch.setattr(check_robot, "run_ahead", lambda: allowed)
    found = check_robot.check_priority()
    assert found.state == state and ("rtprio" in found.remedy) == (not allowed)


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("avr-gcc", "avrdude") else which(name))
    found = {each.name: each for each in check_robot.check_toolchain()}
    assert {each.state for each in found.values()} == {"missing"}
    assert "gcc-avr" in found["virtual robot"].remedy and "avrdude" in found["flashing"].remedy


@pytest.mark.parametrize(("board", "device"), [("feetech", FakeFeetech), ("dynamixel", FakeDynamixel)])
def test_a_board_says_who_it_is(
    board: str, device: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with PtyLine(FakeLine(device(range(1, 26)))) as line:
        found = list(check_robot.check_board(board, line.name, "desk"))
    assert [each.name for each in found] == ["board", "calibration"]
    assert found[0].state == "works" and board in found[0].found and "robot desk, limp" in found[0].found
    assert found[1].state == "missing" and "eva calibrate" in found[1].remedy


def _write_fails(number: int) -> None:
    with explain_write_errors("face.png"):
        raise OSError(number, os.strerror(number))


#: Calls whose errors the doctor can explain, at least two of each kind.
EXPLAINED: dict[str, Callable[[], Any]] = {
    "camera": lambda: Webcam(97),
    "camera by name": lambda: Webcam("/dev/v4l/by-id/none"),
    "port": lambda: board_opener(load_spec(), "feetech", "/dev/none")(),
    "port search": lambda: board_opener(load_spec(), "maestro")(),
    "extra": lambda: import_optional("no_such_module", "real"),
    "asset": lambda: eva_sim.files.asset("meshes/none.npz"),
    "disk": lambda: check_free_space(".", 1e18, "pictures"),
    "full disk": lambda: _write_fails(28),
    "read-only disk": lambda: _write_fails(30),
    "toolchain": firmware_build._check_compilers,
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_errors_that_the_doctor_explains_name_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(serial_ports, "listed_ports", list)
    with pytest.raises(EvaError) as caught:
        EXPLAINED[name]()
    assert str(caught.value).count(SEE_DOCTOR) == 1


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError(name="torch"), ImportError("libGL.so.1 is missing"), MemoryError()]
)
def test_errors_of_libraries_name_the_doctor(error: Exception) -> None:
    assert SEE_DOCTOR in describe_error(error)


def test_errors_that_the_doctor_cannot_explain_do_not_name_it() -> None:
    for call in (lambda: _write_fails(36), lambda: load_spec().command(nose=1.0)):
        with pytest.raises(EvaError) as caught:
            call()
        assert "doctor" not in str(caught.value)
