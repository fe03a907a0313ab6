"""The watcher of benchmarks/freezes.py sees a servo that wakes, and a short run of the whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.freezes import BOARDS, WatchedDevice
from eva_sim.real.simulation.fake_bus import FakeDynamixel, FakeFeetech
from eva_sim.real.simulation.fake_line import FakeDevice
from eva_sim.real.simulation.fake_maestro import FakeMaestro
from eva_sim.testing.board_rigs import LIBRARIES
from eva_sim.testing.fault_injection import ROOT

#: For each board, a packet that drives a servo, and one that makes all servos limp.
PACKETS = {
    "maestro": (bytes((0x84, 0, 0x70, 0x2E)), bytes((0xA2,))),
    "feetech": (b"\xff\xff\x01\x05\x03\x2a\x00\x08\xc4", b"\xff\xff\x01\x04\x03\x28\x00\xcf"),
}


def device(board: str) -> FakeDevice:
    if board == "maestro":
        return FakeMaestro(crc=False)
    made = (FakeFeetech if board == "feetech" else FakeDynamixel)([*range(1, 26)])
    for number in made.registers:
        made.put(number, made.TORQUE, 0)
    return made


@pytest.mark.parametrize("board", PACKETS)
def test_a_servo_that_wakes_is_counted(board: str) -> None:
    go, limp = PACKETS[board]
    watched = WatchedDevice(device(board), "")
    watched.allow()
    for packet in (limp, go, go):  # limp packets before the first motion leave the person's word in force
        watched.device.feed(packet)
    assert watched.woken == 0 and not watched.limp
    watched.device.feed(limp)
    assert watched.limp and watched.woken == 0
    watched.device.feed(go)
    assert watched.woken == 1 and not watched.limp


@pytest.mark.slow
@pytest.mark.parametrize("board", [board for board in BOARDS if board != "virtual"])
def test_a_few_freezes(board: str, tmp_path: Path) -> None:
    if board in LIBRARIES:
        pytest.importorskip(LIBRARIES[board], reason=f"needs eva-sim[{board}]")
    command = [sys.executable, "-m", "benchmarks.freezes", "--board", board, "--count", "4"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "freezes.json").read_text())[board]
    assert result["freezes"] == 4 and result["woken"] == result["frames_lost"] == 0 and not result["wrong"]
