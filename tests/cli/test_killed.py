"""Every command, ended by a signal at its start, in the middle and while it writes.

One line, an exit code that is not 0, nothing half-written, nothing left running; the next call goes on or
starts over, and says which.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from eva_sim.agents.models.inverse import InverseModel
from eva_sim.files import asset
from eva_sim.media.encoding import write_video
from eva_sim.media.sources import open_source
from eva_sim.real.simulation.firmware_build import missing_packages
from eva_sim.testing.process_signals import default_signals, wait_until

PROGRAM = Path(__file__).with_name("killed_command.py")
ROOT = Path(__file__).resolve().parents[2]
MOVE = "eva_sim.testing.fake_face:FakeFace.move"
REPLACE = "os:replace"  # the moment before a file appears
POLL = "eva_sim.real.calibration.operator_ui:TerminalUI.poll"
ADD_TABLE = "eva_sim.recording.lerobot_files:ParquetTables.add"
STEP = "eva_sim.agents.mirroring.controller:MirrorController.step"


@dataclass(frozen=True)
class Command:
    """A command line, and where it is in the middle and at the end of its work.

    Attributes:
        words: the command line.
        middle: function and call in the middle of the work.
        end: function and call while results are written.
        kept: what the line says that ends it, in these two places.
        again: what the next call prints after SIGKILL; it ends with code 0.
        real: whether it needs the twin itself.
        typed: what an operator types.
    """

    words: str
    middle: tuple[str, int]
    end: tuple[str, int]
    kept: str
    again: str
    real: bool = False
    typed: str = ""


STARTS_OVER = r"killed left .* unfinished; this one starts over"
KEPT_AND_STARTS_OVER = r"ended early, after \d+ frames\.\nIt is now out-unfinished-1; this one starts over"
GOES_ON = r"killed left .* unfinished; this one goes on"
COMMANDS = {
    "actuators": Command(
        "actuators", ("rich.table:Table.add_row", 9), ("rich.console:Console.print", 2), "", ""
    ),
    "look": Command(
        "look joy --size 64 --out out/a.png", (MOVE, 5), (REPLACE, 1), "not written", STARTS_OVER
    ),
    "expressions": Command(
        "expressions --out out/a.png", (MOVE, 30), (REPLACE, 1), "not written", STARTS_OVER
    ),
    "muscles": Command(
        "muscles --out out/a.png",
        ("eva_sim.twin.twin:Twin.move", 30),
        (REPLACE, 1),
        "not written",
        STARTS_OVER,
        real=True,
    ),
    "babble": Command(
        "babble --samples 40 --workers 1 --out out",
        (MOVE, 150),
        (REPLACE, 4),
        "keeps the finished parts|holds no finished part yet",
        GOES_ON,
    ),
    "babble in workers": Command(
        "babble --samples 40 --out out",
        ("eva_sim.workers.processes:_Worker.give_job", 2),
        ("eva_sim.workers.processes:_Worker.receive_done_job", 3),
        "keeps the finished parts|holds no finished part yet",
        GOES_ON,
        real=True,
    ),
    "train": Command(
        "train data --out out",
        ("eva_sim.agents.models.inverse:_epoch", 5),
        (REPLACE, 2),
        "No model was written|keeps the state of the training",
        GOES_ON,
    ),
    "demo": Command(
        "demo --out out",
        ("eva_sim.agents.models.inverse:_epoch", 5),
        (STEP, 10),
        r"keeps what is finished|run the same command to mirror it again",
        GOES_ON,
    ),
    "fit": Command(
        "fit joy --out out",
        ("eva_sim.agents.optimisation.solve_command:_Solver.polish", 1),
        (REPLACE, 2),
        "Nothing was written",
        STARTS_OVER,
        real=True,
    ),
    "evaluate": Command(
        "evaluate good.pt --data data --faces 2 --seeds 1 --out out",
        ("eva_sim.agents.optimisation.solve_command:_Solver.polish", 1),
        (REPLACE, 5),
        "keeps the finished seeds",
        GOES_ON,
        real=True,
    ),
    "export-model": Command(
        "export-model good.pt --out out",
        ("eva_sim.agents.models.onnx_export:_largest_difference", 1),
        (REPLACE, 2),
        "Nothing was written",
        STARTS_OVER,
    ),
    "mirror": Command(
        "mirror clip.mp4 --model good.pt --out out",
        ("eva_sim.detector:Detector.landmarks", 5),
        (REPLACE, 2),
        "Nothing was written",
        STARTS_OVER,
    ),
    "robot": Command(
        "robot --body mock --camera -1 --out out",
        ("eva_sim.real.robot:RobotFace.move", 10),
        (REPLACE, 1),
        "robot is limp",
        STARTS_OVER,
    ),
    "record": Command(
        "record joy anger --out out",
        (MOVE, 40),
        (MOVE, 110),
        r"out keeps what was recorded|: out$",
        KEPT_AND_STARTS_OVER,
    ),
    "replay": Command(
        "replay session --out out",
        (MOVE, 5),
        (MOVE, 25),
        r"The face is at rest|^stopped",
        KEPT_AND_STARTS_OVER,
    ),
    "export": Command(
        "export session --out out",
        (ADD_TABLE, 1),
        ("pathlib:Path.rename", 1),
        "was not made",
        STARTS_OVER,
    ),
    "export-animation": Command(
        "export-animation session --out out/face.glb",
        ("eva_sim.twin.twin:Twin.move", 5),
        (REPLACE, 1),
        "face.glb was not written",
        STARTS_OVER,
    ),
    "transfer": Command(
        "transfer --robots 1 --out out",
        ("eva_sim.twin.twin:Twin.move", 60),
        (REPLACE, 3),
        "keeps the finished faces: 1|holds no finished face yet",
        GOES_ON,
        real=True,
    ),
    "calibrate": Command(
        "calibrate --body mock --no-see --out out/a.json",
        (POLL, 20),
        (POLL, 60),
        r"Stopped\. out/a.json holds the endpoints",
        GOES_ON,
        real=True,
        typed="stop\n",
    ),
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
MOMENTS = ("start", "middle", "end")
#: Which of all cases run each time; the others take minutes.
QUICK = {
    ("look", signal.SIGTERM, "start"), ("look", signal.SIGKILL, "end"), ("babble", signal.SIGINT, "middle"),
    ("babble", signal.SIGKILL, "end"), ("train", signal.SIGTERM, "end"), ("record", signal.SIGINT, "middle"),
    ("record", signal.SIGTERM, "end"), ("robot", signal.SIGTERM, "middle"), ("export", signal.SIGKILL, "end"),
}  # fmt: skip
CASES = [
    pytest.param(
        name, number, moment, id=f"{name}-{number.name}-{moment}",
        marks=[] if (name, number, moment) in QUICK else pytest.mark.slow,
    )
    for name in COMMANDS for number in SIGNALS for moment in MOMENTS
]  # fmt: skip


@pytest.fixture(scope="module")
def place(stock: Path, model: InverseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands need."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("data", "session"):
        shutil.copytree(stock / name, folder / name)
    model.save(folder / "good.pt")
    with write_video(folder / "clip.mp4", 25) as add:
        for number, (_, picture) in enumerate(open_source(asset("samples/person.mp4"))):
            add(np.ascontiguousarray(picture[::2, ::2]))
            if number == 30:
                break
    return folder


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
        code: exit code; minus the signal that killed it.
        lines: what it printed on the error stream.
        mark: text in the environment of all its processes.
    """

    code: int
    lines: list[str]
    mark: str


def run(
    command: Command, folder: Path, number: int = 0, trigger: tuple[str, int] = ("os:replace", 1)
) -> Ended:
    """Runs a command that sends itself a signal."""
    mark = uuid.uuid4().hex
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder / "home"), "EVA_TEST_MARK": mark}
    keyboard, typing = os.pipe()
    if not number:  # nobody types while the command waits to be killed
        os.write(typing, command.typed.encode())
        os.close(typing)
    try:
        done = subprocess.run(
            [sys.executable, PROGRAM, str(number), trigger[0], str(trigger[1]), *command.words.split()],
            cwd=folder, env=environment | ({"REAL": "1"} if command.real else {}),
            stdin=keyboard, capture_output=True, text=True, timeout=300,
            start_new_session=True, preexec_fn=default_signals,
        )  # fmt: skip
    finally:
        os.close(keyboard)
        if number:
            os.close(typing)
    return Ended(done.returncode, done.stderr.strip().splitlines(), mark)


def running(mark: str) -> list[int]:
    """Processes of a command that are still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # it has just ended, or is another user's
            continue
    return found


@pytest.mark.parametrize(("name", "number", "moment"), CASES)
def test_a_killed_command(
    place: Path, tmp_path: Path, name: str, number: signal.Signals, moment: str
) -> None:
    command = COMMANDS[name]
    if name == "export-model":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install '.[onnx]'")
    folder = tmp_path / "place"
    shutil.copytree(place, folder)
    triggers = {"start": ("eva_sim.cli.app:_check_words", 1), "middle": command.middle, "end": command.end}
    ended = run(command, folder, number, triggers[moment])
    assert ended.code == (-number if number == signal.SIGKILL else 128 + number), ended.lines
    assert wait_until(lambda: not running(ended.mark)), "something is left running"
    if number != signal.SIGKILL:
        assert "Traceback" not in "\n".join(ended.lines)
        assert re.search("[Ss]topped", ended.lines[-1]), ended.lines
        if moment != "start":
            assert re.search(command.kept, ended.lines[-1]), ended.lines
        assert not list(folder.rglob(".part-*"))
    again = run(command, folder)
    if number == signal.SIGKILL and moment != "start":
        assert re.search(command.again, "\n".join(again.lines)), again.lines
    assert again.code == 0, again.lines
    assert not list(folder.rglob(".part-*"))


@pytest.mark.skipif(bool(missing_packages()), reason="the toolchain of the virtual robot is missing")
@pytest.mark.parametrize("number", SIGNALS)
def test_the_simulator_of_the_virtual_robot_ends_with_its_command(
    place: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = Command("record joy --hold 20 --body virtual --camera -1 --out out", ("", 0), ("", 0), "", "")
    shutil.copytree(place, tmp_path / "place")
    trigger = ("eva_sim.real.robot:RobotFace.move", 10)
    ended = run(command, tmp_path / "place", number, trigger)
    assert ended.code == (-number if number == signal.SIGKILL else 128 + number), ended.lines
    assert wait_until(lambda: not running(ended.mark)), "the simulator is left running"


def test_nohup_lets_a_command_go_on(place: Path, tmp_path: Path) -> None:
    """The end of the terminal is ignored where the user wants that."""
    folder = tmp_path / "place"
    shutil.copytree(place, folder)
    words = [
        sys.executable,
        str(PROGRAM),
        str(int(signal.SIGHUP)),
        MOVE,
        "5",
        "look",
        "joy",
        "--out",
        "out/a.png",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, cwd=folder, env=environment, timeout=120, check=False, capture_output=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN) and None,
    )  # fmt: skip
    assert done.returncode == 0 and (folder / "out" / "a.png").exists(), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.15, 0.3, 0.6, 1.2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_any_time_ends_in_one_line(tmp_path: Path, number: signal.Signals, delay: float) -> None:
    """From outside, and from the first moment on: the command holds signals back while it is imported."""
    command = [sys.executable, "-m", "eva_sim.cli", "babble", "--samples", "5000", "--out", "out"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=default_signals, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    time.sleep(delay)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors.startswith("Stopped by ") and len(errors.strip().splitlines()) == 1, errors
