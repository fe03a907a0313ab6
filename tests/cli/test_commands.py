"""What the `eva` command does with a robot, over the fake face."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eva_sim
from eva_sim.agents.data import babbling
from eva_sim.agents.data.dataset import SHARDS_TO_TRAIN, shard_path
from eva_sim.cli import calibration
from eva_sim.cli.app import app
from eva_sim.cli.app import run as run_command
from eva_sim.cli.body_choice import HIDDEN_BODIES, PICTURE_SIZE, BodyChoice
from eva_sim.cli.tour import EXPRESSIONS
from eva_sim.contract import FaceSpec, Reading, load_spec
from eva_sim.errors import CommandError, DataError, EvaError
from eva_sim.expressions import expression_command
from eva_sim.interrupts import interruptible
from eva_sim.recording.reader import load_recording
from eva_sim.recording.replay import play_and_record
from eva_sim.recording.trajectories import expression_sequence
from eva_sim.testing.fake_face import FakeFace

Eva = Callable[[str], tuple[int, str]]


@pytest.fixture
def eva(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Eva:
    """Runs `eva` in this process and an empty folder; every body is the fake."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eva_sim, "make_face", lambda body, **options: FakeFace())

    def run(words: str) -> tuple[int, str]:
        code = run_command(words.split())
        return code, " ".join("".join(capsys.readouterr()).split())

    return run


def test_record_then_replay_then_the_same_commands(eva: Eva, tmp_path: Path, spec: FaceSpec) -> None:
    code, message = eva("record joy anger --hold 0.2 --out first")
    assert code == 0 and "finished: " in message and "first" in message
    first = load_recording(tmp_path / "first")
    assert first.cut == () and first.info.about["expressions"] == ["joy", "anger"]
    for name in ("joy", "anger"):
        assert (np.abs(first.asked - expression_command(load_spec(), name)).max(1) < 1e-6).sum() >= 5
    code, message = eva("replay first --out second --body mock")
    second = load_recording(tmp_path / "second")
    assert code == 0 and second.info.about["replay"] == "first"
    inside = [i for i in range(len(second) - len(first) + 1)
              if np.array_equal(second.asked[i : i + len(first)], first.asked)]  # fmt: skip
    assert len(inside) == 1


@pytest.mark.parametrize("names", ["joy", "neutral anger"])
def test_an_animation_says_which_of_its_frames_are_the_recordings(
    eva: Eva, tmp_path: Path, names: str
) -> None:
    assert eva(f"record {names} --hold 0.04 --out first")[0] == 0
    code, message = eva("export-animation first --out face.glb")
    told = re.search(r"face\.glb: (\d+) frames \((\d+) of the recording, (\d+) to ease in and out\)", message)
    assert code == 0 and told is not None, message
    frames, played, eased = map(int, told.groups())
    assert played == len(load_recording(tmp_path / "first")) and eased > 0 and frames == played + eased


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("replay none", r"none holds no recording; make one with `eva record`"),
        ("export none", r"none holds no recording"),
        ("record bliss", r"no expression called 'bliss'"),
        ("record joy --hold 0", r"held for more than 0 s"),
        ("calibrate --body twin", r"no robot called 'twin'; there are robot, virtual, mock"),
    ],
)
def test_mistakes_end_in_one_line(eva: Eva, tmp_path: Path, words: str, message: str) -> None:
    code, err = eva(words)
    assert code == 1 and re.search(message, err) and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_to_stop_a_calibration_is_no_mistake(
    eva: Eva, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("quit\n"))
    code, message = eva("calibrate --body mock --out part.json")
    assert code == 0 and "part.json holds the endpoints of 0 of 25 servos" in message
    assert "Run the same command to continue" in message

    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibration, "calibrate_servos", interrupted)
    code, message = eva("calibrate --body mock --out part.json")
    assert code == 130 and "part.json holds" in message and "eva:" not in message


def test_ctrl_c_in_babbling_says_how_to_continue(
    eva: Eva, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(out: Path, *given: Any, **options: Any) -> None:
        for index in range(made):
            shard_path(out, index).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(babbling, "babble", interrupted)
    for made, kept in ((0, "part holds no finished part yet"), (2, "part keeps the finished parts: 2")):  # noqa: B007
        code, message = eva("babble --out part")
        assert code == 130 and f"Stopped by Ctrl-C. {kept}. Run the same command to continue" in message


@pytest.mark.parametrize(("samples", "said"), [(149, True), (150, False)])
def test_babbling_says_what_is_too_little_to_train_on(
    eva: Eva, monkeypatch: pytest.MonkeyPatch, samples: int, said: bool
) -> None:
    monkeypatch.setattr(babbling, "babble", lambda *given, **options: None)
    code, message = eva(f"babble --samples {samples} --out part")
    assert code == 0 and ("part has 149 expressions; training needs 150" in message) == said
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"training needs {SHARDS_TO_TRAIN * babbling.SHARD_SIZE})" in readme


def test_ctrl_c_once_is_a_wish_and_twice_is_an_order(spec: FaceSpec, tmp_path: Path) -> None:
    class Interrupted(FakeFace):
        """Somebody presses Ctrl-C during the tenth move."""

        def move(self, command: Any) -> Reading:
            if self._steps == 10:
                signal.raise_signal(signal.SIGINT)
            return super().move(command)

    before = signal.getsignal(signal.SIGINT)
    played = play_and_record(Interrupted(), expression_sequence(spec, ["joy"], 4.0), tmp_path / "cut")
    assert played.ended == "stopped" and np.array_equal(played.asked[-1], spec.neutral)
    assert load_recording(tmp_path / "cut").cut == ()
    assert signal.getsignal(signal.SIGINT) is before

    def twice() -> None:
        with interruptible() as stopped:
            signal.raise_signal(signal.SIGINT)
            assert stopped()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()


def test_poses_hold_and_glide(spec: FaceSpec) -> None:
    course = expression_sequence(spec, ["joy", "neutral"], 0.4)
    assert np.array_equal(course[:10], np.tile(expression_command(load_spec(), "joy"), (10, 1)))
    assert np.array_equal(course[-10:], np.tile(spec.neutral, (10, 1)))
    assert np.abs(np.diff(course, axis=0)).max() <= 1.5 * spec.control_dt * 1.01
    for names, hold, kind in (
        ([], 1.0, DataError),
        (["joy"], -1.0, DataError),
        (["bliss"], 1.0, CommandError),
    ):
        with pytest.raises(kind):
            expression_sequence(spec, names, hold)


def test_each_body_is_told_what_it_knows() -> None:
    real = BodyChoice("robot", "feetech", "auto", 2, 3, "desk")
    message = {"board": "feetech", "port": "auto", "camera": 2, "robot_id": "desk", "calibration": None}
    assert real.options == message
    assert replace(real, camera=-1).options["camera"] is None
    for hidden in HIDDEN_BODIES:
        made = BodyChoice(hidden, seed=3, calibration=Path("made.json"))
        assert made.options == {"seed": 3, "calibration": Path("made.json")}
    with pytest.raises(EvaError, match="no servos to calibrate"):
        BodyChoice("twin", calibration=Path("made.json"))
    for theirs in ({"board": "maestro"}, {"port": "/dev/ttyACM0"}, {"robot_id": "desk"}):
        with pytest.raises(EvaError, match="add --body robot"):
            replace(BodyChoice("virtual"), **theirs)  # type: ignore[arg-type]
    assert BodyChoice().options == {"camera_size": PICTURE_SIZE}
    with pytest.raises(EvaError):
        BodyChoice("ghost").open()


def test_the_tour_of_a_robot_says_where_it_is(
    mistaken_eva: Callable[[str], tuple[int, str]], tmp_path: Path
) -> None:
    code, err = mistaken_eva("robot --body mock --camera -1 --out {out}")
    assert code == 0 and "armed" in err
    assert re.findall(r"^(\d)/4 (\w+)$", err, re.MULTILINE) == [
        (str(number), name) for number, name in enumerate(EXPRESSIONS, 1)
    ]
    assert (tmp_path / "out" / "tour.json").exists()


def test_the_version_and_the_module_answer() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eva_sim.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == eva_sim.__version__


def test_mimic_is_mirror() -> None:
    names = {command.name: command.callback for command in app.registered_commands}
    assert names["mimic"] is names["mirror"]


def test_transfer_numbers_hidden_robots_from_the_seed(
    eva: Eva, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from eva_sim.real.transfer import report, report_page

    given = dict[str, Any]()

    def run_transfer(spec: FaceSpec, out: Path, open_robot: Any, seeds: Any, **more: Any) -> dict[str, Any]:
        given.update(seeds=list(seeds), **more)
        return {}

    monkeypatch.setattr(report, "run_transfer", run_transfer)
    monkeypatch.setattr(report_page, "report_table", lambda report: "")
    assert eva("transfer --seed 3 --robots 2 --plan-seed 7")[0] == 0
    assert given["seeds"] == [3, 4] and given["plan_seed"] == 7 and given["own"]
    assert eva("transfer --body robot")[0] == 0
    assert given["seeds"] == [1] and not given["own"]
