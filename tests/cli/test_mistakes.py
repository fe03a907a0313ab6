"""A user's mistakes at the command line: one line that says what to do, and nothing half done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from eva_sim.cli.app import LONGEST
from eva_sim.files import asset
from eva_sim.media.sources import open_source
from tests.cli.conftest import MistakenEva

#: A name that no file may have, and one that nobody can read.
LONG, ENDLESS = "x" * 300, "y" * 100_000

EVA = [
    ("lok joy", r"No such command 'lok'\. Did you mean 'look'"),
    ("recrod joy", r"Did you mean 'record'"),
    ("expresions", r"Did you mean 'expressions'"),
    ("versoin", r"Did you mean 'version'"),
    ("nonsense", r"No such command 'nonsense'\. `eva --help` explains"),
    ("--versio", r"No such option: --versio\. Did you mean --version\? `eva --help` explains"),
    ("-x", r"No such option: -x"),
    ("''", r"the argument after eva is empty"),
    ("look --out ''", r"the argument after --out is empty"),
    ("look --out ' '", r"the argument after --out is empty"),
    ("look --out=", r"--out= is followed by nothing"),
    ("actuators now", r"unexpected extra argument"),
    ("actuators --out {out}", r"No such option: --out"),
]
LOOK = [
    ("look jaw=nan", r"numbers in \[-1, 1\]: jaw=nan"),
    ("look jaw=inf", r"numbers in \[-1, 1\]: jaw=inf"),
    ("look jaw=-1e400", r"numbers in \[-1, 1\]: jaw=-inf"),
    ("look jaw=1.5", r"numbers in \[-1, 1\]: jaw=1.5"),
    ("look jaw=", r"jaw= is not a number"),
    ("look jaw=wide", r"jaw=wide is not a number"),
    ("look jaw=0,5", r"jaw=0,5 is not a number"),
    ("look joy jaw==1", r"jaw==1 is not a number"),
    ("look =1", r"no actuator called ''"),
    ("look nose=1", r"no actuator called 'nose'; there are brow_inner_left"),
    ("look zygomatcus=1", r"did you mean zygomaticus_left\?"),
    ("look bliss", r"no expression called 'bliss'; there are neutral"),
    ("look sadnes", r"did you mean sadness\?"),
    ("look ANGR", r"did you mean anger\?"),
    ("look joy anger", r"'anger' would undo the rest"),
    ("look jaw=0.2 joy", r"'joy' would undo the rest"),
    ("look 'joy\nanger'", r"no expression called 'joy\\nanger'"),
    (f"look {LONG}", r"no expression called 'xxx"),
    (f"look {ENDLESS}", r"no expression called 'yyy"),
    (f"look {ENDLESS}=1", r"no actuator called 'yyy"),
    ("look --size abc", r"Invalid value for '--size'"),
    ("look --size 5", r"Invalid value for '--size'.*16"),
    ("look --size -1", r"Invalid value for '--size'"),
    ("look --size 1e400", r"Invalid value for '--size'"),
    ("look --size nan", r"Invalid value for '--size'"),
    ("look --size 99999", r"Invalid value for '--size'.*4096"),
    ("look --size", r"'--size' requires an argument"),
    ("look --sise 64", r"Did you mean --size\?"),
    ("look joy --body twin", r"No such option: --body"),
    ("look joy --out {out}/face.txt", r"no extension of a picture; name it \.png"),
    ("look joy --out {out}/face", r"no extension of a picture"),
    ("look joy --out .png", r"no extension of a picture"),
    ("look joy --out empty", r"no extension of a picture"),
    ("look joy --out file/face.png", r"file is not a folder; choose another"),
    ("look joy --out empty/../file/face.png", r"file is not a folder"),
    ("look joy --out loop/face.png", r"links go in a circle"),
    ("look joy --out /dev/full/face.png", r"/dev/full is not a folder"),
    ("look joy --out /proc/none/face.png", r"/proc/none cannot be written"),
    (f"look joy --out {LONG}.png", r"choose a shorter name"),
    ("expressions joy", r"unexpected extra argument"),
    ("expressions --out {out}/a.xyz", r"no extension of a picture"),
    ("expressions --out file/a.png", r"file is not a folder"),
    ("muscles --size 3", r"No such option: --size"),
    ("muscles --out {out}/a.xyz", r"no extension of a picture"),
    ("muscles --out file/b/a.png", r"file is not a folder"),
]
BABBLE = [
    ("babble more", r"unexpected extra argument"),
    ("babble --samples 0 --out {out}", r"samples=0; ask for 1 or more"),
    ("babble --samples -5 --out {out}", r"samples=-5"),
    ("babble --samples many --out {out}", r"Invalid value for '--samples'"),
    ("babble --samples 1.5 --out {out}", r"Invalid value for '--samples'"),
    ("babble --samples 1e400 --out {out}", r"Invalid value for '--samples'"),
    ("babble --samples 1000000000 --out {out}", r"1,000,000,000 samples need about .* TB, and the disk"),
    (f"babble --samples 1{'0' * 30} --out {{out}}", r"samples need about .* TB, and the disk"),
    ("babble --seed -1 --out {out}", r"Invalid value for '--seed'"),
    ("babble --seed x --out {out}", r"Invalid value for '--seed'"),
    (f"babble --seed 1{'0' * 40} --out {{out}}", r"seed=10+; choose a whole number"),
    ("babble --workers 0 --out {out}", r"workers=0; this computer does well with 1 to"),
    ("babble --workers -2 --out {out}", r"workers=-2"),
    ("babble --workers 1000000 --out {out}", r"workers=1000000"),
    ("babble --resum", r"Did you mean .*--resume"),
    ("babble --out file", r"file is not a folder"),
    ("babble --out file/below", r"file is not a folder"),
    ("babble --out loop", r"loop is not a folder"),
    ("babble --out /proc/none", r"/proc/none cannot be written"),
    (f"babble --out {LONG}", r"choose a shorter name"),
    ("babble --out data", r"data was recorded with seed=3"),
    ("babble --out data --no-resume", r"data holds a data set; choose another folder or resume"),
    ("babble --out bad", r"bad/manifest\.json is damaged"),
]
TRAIN = [
    ("train", r"Missing argument 'data'"),
    ("train data data", r"unexpected extra argument"),
    ("train none --out {out}", r"none holds no data set; record one with `eva babble`"),
    ("train empty --out {out}", r"empty holds no data set"),
    ("train file --out {out}", r"file holds no data set"),
    ("train session --out {out}", r"session holds no data set"),
    ("train hurt --out {out}", r"shard-0001\.npz is damaged .*run `eva babble` on the folder again"),
    ("train part --out {out}", r"part lacks 1 of 3 shards; complete it with `eva babble --samples"),
    ("train promise --out {out}", r"promise lacks 99999997 of 100000000 shards"),
    ("train few --out {out}", r"too few samples to train .*`eva babble --samples 30 --seed 3 --out few`"),
    ("train bad --out {out}", r"manifest\.json is damaged"),
    ("train zero --out {out}", r"manifest\.json is damaged"),
    (f"train {LONG} --out {{out}}", r"[Nn]ame too long"),
    ("train data --out text.mp4/model", r"text\.mp4 is not a folder"),
    ("train data --out file", r"file is not a folder"),
    ("train data --out /proc/none", r"/proc/none cannot be written"),
    ("demo now", r"unexpected extra argument"),
    ("demo --out file", r"file is not a folder"),
    ("demo --out file/below", r"file is not a folder"),
    ("demo --out /proc/none", r"cannot be written"),
]
FIT = [
    ("fit", r"Missing argument 'target'"),
    ("fit joy anger", r"unexpected extra argument"),
    ("fit bliss --out {out}", r"bliss is no file and no expression; there are neutral"),
    ("fit sadnes --out {out}", r"did you mean sadness\?"),
    ("fit empty --out {out}", r"empty is no file"),
    ("fit none.npz --out {out}", r"none\.npz is no file"),
    ("fit other.npz --out {out}", r"no array 'landmarks'; it has points"),
    ("fit short.npz --out {out}", r"landmarks \(150, 3\), not \(3, 3\)"),
    ("fit nan.npz --out {out}", r"landmarks that are not finite"),
    ("fit text.npz --out {out}", r"text\.npz is damaged or not an array file \(it is no \.npz\)"),
    ("fit half.jpg --out {out}", r"half\.jpg .*damaged"),
    ("fit nothing.png --out {out}", r"nothing\.png is a damaged or unusable picture"),
    ("fit good.pt --out {out}", r"good\.pt is a damaged or unusable picture"),
    ("fit joy --out file", r"file is not a folder"),
    ("fit joy --out file/below", r"file is not a folder"),
]
MIRROR = [
    ("mirror", r"Missing argument 'source'"),
    ("mirror none.mp4 --model good.pt --out {out}", r"none\.mp4 does not exist; give a clip"),
    ("mirror empty --model good.pt --out {out}", r"empty is a folder; give a clip"),
    ("mirror wall.mp4 --model good.pt --out {out}", r"no face in wall\.mp4; give a clip or picture"),
    ("mirror wall.png --model good.pt --out {out}", r"no face in wall\.png; give a clip or picture"),
    ("mirror half.jpg --model good.pt --out {out}", r"half\.jpg .*damaged"),
    ("mirror text.mp4 --model good.pt --out {out}", r"text\.mp4 is no picture or clip"),
    ("mirror nothing.png --model good.pt --out {out}", r"nothing\.png is no picture or clip"),
    ("mirror good.pt --model good.pt --out {out}", r"good\.pt is no picture or clip"),
    ("mirror 77 --model good.pt --out {out}", r"no camera 77; is it plugged in"),
    ("mirror -1 --model good.pt --out {out}", r"No such option: -1"),
    (f"mirror {LONG} --model good.pt --out {{out}}", r"[Nn]ame too long"),
    ("mirror wall.png --model none.pt --out {out}", r"none\.pt does not exist; train a model"),
    ("mirror wall.png --model empty --out {out}", r"inverse\.pt does not exist; train a model"),
    ("mirror wall.png --model half.pt --out {out}", r"half\.pt is damaged .*train it again"),
    ("mirror wall.png --model wall.png --out {out}", r"wall\.png is damaged or not a model"),
    ("mirror wall.png --model other.pt --out {out}", r"trained on a face with another face\.toml"),
    ("mirror wall.png --model old.pt --out {out}", r"old\.pt was trained by an earlier version; train it"),
    ("mirror wall.png --model good.pt --out file", r"file is not a folder"),
    ("mirror wall.png --model good.pt --out file/below", r"file is not a folder"),
    ("mirror wall.png --model good.pt --out /proc/none", r"/proc/none cannot be written"),
    ("mirror wall.png --model good.pt --body statue --out {out}", r"no body called 'statue'; there are twin"),
    ("mirror wall.png --model good.pt --body twn --out {out}", r"did you mean twin\?"),
    ("mirror wall.png --model good.pt --board maestro --out {out}", r"add --body robot"),
    ("mirror wall.png --model good.pt --body mock --seed -1 --out {out}", r"Invalid value for '--seed'"),
    ("mimic wall.png --model good.pt --body mock --calibration none.json --out {out}", r"no calibration at"),
    ("mimic wall.png --model good.pt --body mock --calibration half.json --out {out}", r"json is damaged"),
]
ROBOT = [
    ("robot", r"choose a robot: --body robot"),
    ("robot --body twin", r"choose a robot: --body robot"),
    ("robot --body statue", r"no body called 'statue'"),
    ("robot --body mok", r"did you mean mock\?"),
    ("robot --body robot --port /dev/none", r"no port /dev/none; is the board plugged in"),
    ("robot --body robot --board arduino", r"no board called 'arduino'; there are firmware"),
    ("robot --body robot --board maestr", r"did you mean maestro\?"),
    ("robot --body robot --board maestro --port a,b,c", r"has 2 ports at most"),
    ("robot --body robot --robot-id desk", r"id of its own; leave robot_id out"),
    ("robot --body robot --board maestro --robot-id ../desk", r"is used as a file name"),
    ("robot --body mock --port /dev/ttyACM0", r"add --body robot, or leave them out"),
    ("robot --body mock --calibration list.json --out {out}", r"list\.json is no calibration"),
    ("robot --body mock --calibration empty --out {out}", r"empty is a folder; name a file"),
    ("robot --body mock --seed -3", r"Invalid value for '--seed'"),
    ("robot --body mock --seed 1.5", r"Invalid value for '--seed'"),
    ("robot --body mock --out file", r"file is not a folder"),
    ("transfer --body statue --out {out}", r"no body called 'statue'"),
    ("transfer --body moc --out {out}", r"did you mean mock\?"),
    ("transfer --robots 0 --out {out}", r"Invalid value for '--robots'"),
    ("transfer --robots 1000000000 --out {out}", r"Invalid value for '--robots'.*1000"),
    ("transfer --seed 0 --out {out}", r"Invalid value for '--seed'"),
    ("transfer --plan-seed -1 --out {out}", r"Invalid value for '--plan-seed'"),
    ("transfer --out file", r"file is not a folder"),
    ("transfer --board maestro --out {out}", r"add --body robot"),
    ("transfer --body robot --port /dev/none --out {out}", r"no port /dev/none"),
    ("calibrate --body twin --out {out}/a.json", r"'twin' has no servos to calibrate"),
    ("calibrate --body mock --out empty", r"empty is a folder; name a file"),
    ("calibrate --body mock --out file/below.json", r"file is not a folder"),
    ("calibrate --body mock --out half.json", r"half\.json is damaged"),
    ("calibrate --body mock --out list.json", r"not the file of a calibration session; name another"),
    ("calibrate --body mock --out other.part.json", r"begun with another robot or version; name another"),
    ("calibrate --body mock --again nose --out {out}/a.json", r"no actuator called 'nose'"),
    ("calibrate --body mock --again jw --out {out}/a.json", r"did you mean jaw\?"),
    ("calibrate --body mock --outer-eye 5 --out {out}/a.json", r"Invalid value for '--outer-eye'"),
    ("calibrate --body mock --outer-eye nan --out {out}/a.json", r"Invalid value for '--outer-eye'"),
    ("calibrate --body mock --seed -1 --out {out}/a.json", r"Invalid value for '--seed'"),
    ("calibrate --port /dev/none --out {out}/a.json", r"no port /dev/none"),
]
RECORDINGS = [
    ("record", r"Missing argument 'names'"),
    ("record bliss --out {out}", r"no expression called 'bliss'"),
    ("record joy sadnes --out {out}", r"did you mean sadness\?"),
    ("record joy jaw=1 --out {out}", r"no expression called 'jaw=1'"),
    ("record joy --hold 0 --out {out}", r"held for more than 0 s"),
    ("record joy --hold -1 --out {out}", r"held for more than 0 s"),
    ("record joy --hold nan --out {out}", r"not nan"),
    ("record joy --hold inf --out {out}", r"not inf"),
    ("record joy --hold 1e400 --out {out}", r"not inf"),
    ("record joy --hold 1e9 --out {out}", r"at most 3600 s, not 1e\+09"),
    ("record joy --hold long --out {out}", r"Invalid value for '--hold'"),
    ("record joy --out session", r"session holds a recording already; choose another folder"),
    ("record joy --out torn", r"torn holds a recording already, which was cut off after 9 frames"),
    ("record joy --out file", r"file is not a folder"),
    ("record joy --out file/below", r"file is not a folder"),
    ("record joy --body twn --out {out}", r"did you mean twin\?"),
    ("record joy --board maestro --out {out}", r"add --body robot"),
    ("record joy --calibration half.json --out {out}", r"the twin has no servos to calibrate"),
    ("record joy --seed -1 --out {out}", r"Invalid value for '--seed'"),
    ("record joy --body robot --port /dev/none --out {out}", r"no port /dev/none"),
    ("replay", r"Missing argument 'recording'"),
    ("replay none", r"none holds no recording; make one with `eva record`"),
    ("replay file", r"file holds no recording"),
    ("replay data", r"data holds no recording"),
    ("replay scribbled", r"session\.json is damaged"),
    ("replay elsewhere", r"session\.json describes no recording; record again"),
    ("replay newer", r"newer has no format 1"),
    ("replay foreign", r"made with another assets/face\.toml"),
    ("replay still", r"still holds no frames .*record again"),
    ("replay session --out session", r"session holds a recording already"),
    ("replay session --out file", r"file is not a folder"),
    ("replay session --body statue", r"no body called 'statue'"),
    ("export", r"Missing argument 'recordings'"),
    ("export none --out {out}", r"none holds no recording"),
    ("export session none --out {out}", r"none holds no recording"),
    ("export session/frames-0000.evr --out {out}", r"holds no recording"),
    ("export still --out {out}", r"still holds no frames"),
    ("export session foreign --out {out}", r"different actuator tables"),
    ("export session --out empty", r"empty exists already; choose another folder"),
    ("export session --out file/below", r"file is not a folder"),
    ("export session --task '' --out {out}", r"the argument after --task is empty"),
]
MISTAKES = [*EVA, *LOOK, *BABBLE, *TRAIN, *FIT, *MIRROR, *ROBOT, *RECORDINGS]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[words[:60] for words, _ in MISTAKES])
def test_a_mistake_ends_in_one_line_and_leaves_nothing(
    mistaken_eva: MistakenEva, stock: Path, tmp_path: Path, words: str, message: str
) -> None:
    before = sorted(stock.rglob("*"))
    code, err = mistaken_eva(words)
    assert code in (1, 2)
    lines = err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("eva: ") and re.search(message, lines[0]), err
    assert len(lines[0]) < LONGEST + 20
    assert not (tmp_path / "out").exists()
    assert sorted(stock.rglob("*")) == before


def test_every_command_is_in_the_tables() -> None:
    from eva_sim.cli.app import COMMANDS

    assert len(MISTAKES) >= 120
    assert set(COMMANDS) <= {words.split()[0] for words, _ in MISTAKES}


@pytest.mark.parametrize(
    "words", ["LOOK JOY --SIZE 16 --Out {out}/face.png", "look Joy JAW=0.1 --out {out}/face.PNG"]
)
def test_upper_case_is_no_mistake(mistaken_eva: MistakenEva, tmp_path: Path, words: str) -> None:
    code, err = mistaken_eva(words)
    assert (code, err) == (0, "")
    assert [path.suffix.lower() for path in (tmp_path / "out").iterdir()] == [".png"]


#: Runs the command with every OpenGL library hidden.
WITHOUT_GL = """
import ctypes, sys
load = ctypes.CDLL.__init__
def refuse(self, name, *rest, **more):
    if name and "GL" in str(name):
        raise OSError(f"{name}: cannot open shared object file")
    load(self, name, *rest, **more)
ctypes.CDLL.__init__ = refuse
from eva_sim.cli import main
main()
"""
#: Runs the command with a library hidden.
WITHOUT_MODULE = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
from eva_sim.cli import main
main()
"""


def _run(program: str, *words: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True, check=False, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip


def test_without_opengl_the_packages_are_named(tmp_path: Path) -> None:
    done = _run(WITHOUT_GL, "look", "--out", str(tmp_path / "face.png"))
    last = done.stderr.decode().strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith("eva: no picture can be made")
    assert "apt install libegl1 libgl1" in last and b"Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_broken_is_not_called_missing(stock: Path, tmp_path: Path) -> None:
    program = WITHOUT_MODULE.replace("ModuleNotFoundError", "ImportError").replace(
        "No module named", "no libfoo for"
    )
    done = _run(program.format(module="torch"), "train", str(stock / "data"), "--out", str(tmp_path / "out"))
    message = "eva: a library cannot be loaded (no libfoo for 'torch'); reinstall it"
    assert done.returncode == 1 and done.stderr.decode().startswith(message)


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [
        ("torch", "train data", "train"),
        ("matplotlib", "muscles", "train"),
        ("matplotlib", "demo", "train"),
        ("pyarrow", "export session", "lerobot"),
        ("serial", "robot --body robot", "real"),
    ],
)
def test_a_missing_library_is_named_before_the_work(
    stock: Path, tmp_path: Path, module: str, words: str, extra: str
) -> None:
    command = [word if word not in ("data", "session") else str(stock / word) for word in words.split()]
    out = tmp_path / "out" / ("a.png" if words == "muscles" else "")
    done = _run(WITHOUT_MODULE.format(module=module), *command, "--out", str(out))
    lines = done.stderr.decode().strip().splitlines()
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert f"pip install 'eva-sim[{extra}]'" in lines[0]
    assert not (tmp_path / "out").exists()


PLAIN = "from eva_sim.cli import main; main()"
#: Environments of terminals without UTF-8.
POOR_TERMINALS: list[dict[str, str]] = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1", "LC_ALL": "POSIX"},
]


@pytest.mark.parametrize("terminal", POOR_TERMINALS)
def test_a_terminal_without_utf_8_shows_errors_and_results(terminal: dict[str, str], tmp_path: Path) -> None:
    missing = os.fsencode(tmp_path) + "/Gesichtsausdrücke-🙂-".encode() + b"\xff"
    done = _run(PLAIN, "replay", missing, **terminal)
    assert done.returncode == 1 and b"holds no recording" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and b"Traceback" not in done.stderr
    done = _run(PLAIN, "actuators", **terminal)
    assert done.returncode == 0 and b"zygomaticus_left" in done.stdout, done.stderr


def test_files_with_bytes_that_are_no_text_are_used(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    done = _run(PLAIN, "look", "joy", "--size", "16", "--out", name)
    assert done.returncode == 0, done.stderr
    assert os.path.exists(name) and b"caf" in done.stdout


#: Takes from root the right to read and write everything.
AS_ANYBODY = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write and read everything"
)
@pytest.mark.parametrize(
    "words",
    [
        "look joy --out {closed}/face.png",
        "babble --out {closed}/data",
        "record joy --out {closed}/session",
        "export {stock}/session --out {closed}/set",
        "replay {closed}/session",
        "mirror {stock}/wall.png --model {closed}/good.pt --out {out}",
    ],
)
def test_missing_permissions_are_told(stock: Path, tmp_path: Path, words: str) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    places = {"closed": tmp_path / "closed", "stock": stock, "out": tmp_path / "out"}
    command = [sys.executable, "-c", PLAIN, *words.format(**places).split()]
    if os.geteuid() == 0:
        command = [*AS_ANYBODY, *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    (tmp_path / "closed").chmod(0o700)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(lines) == 1 and lines[0].startswith("eva: "), done.stderr
    assert re.search(r"[Pp]ermission", lines[0]) and not (tmp_path / "out").exists()


def test_what_is_right_ends_well(mistaken_eva: MistakenEva, tmp_path: Path) -> None:
    """Through the same door, so that the errors above are those of the inputs."""
    code, err = mistaken_eva("train data --out {out}")
    assert (code, "eva: " in err) == (0, False)
    picture = tmp_path / "person.png"
    _, frame = next(iter(open_source(asset("samples/person.mp4"))))
    Image.fromarray(frame).save(picture)
    code, err = mistaken_eva(f"mimic {picture} --model {{out}} --out {{out}}/mirror")
    assert (code, "eva: " in err) == (0, False)
    assert (tmp_path / "out" / "mirror" / "mirror.mp4").exists()
