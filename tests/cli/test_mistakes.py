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

from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.cli.app import LONGEST
from eva_sim.cli.model_choice import default_model
from eva_sim.files import asset, write_json
from eva_sim.media.sources import open_source
from tests.cli.conftest import MistakenEva
from tests.cli.mistake_tables import MISTAKES


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
import moderngl
def no_context(**options):
    raise Exception("libGL.so.1 not loaded")
moderngl.create_context = no_context
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
    folder = tmp_path / "out" / "mirror"
    assert f"mirror.mp4, mirror.png (a plot), metrics.json and traces.npz are in {folder}." in err
    assert all(
        (folder / name).exists() for name in ("mirror.mp4", "mirror.png", "metrics.json", "traces.npz")
    )


@pytest.mark.parametrize("trained", [("out/demo/model",), ("out/demo/model", "out/model")])
def test_the_users_own_model_or_else_the_demos_is_used(
    mistaken_eva: MistakenEva,
    stock: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: tuple[str, ...],
) -> None:
    for folder in trained:
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(stock / "good.pt", tmp_path / folder / "inverse.pt")
    monkeypatch.chdir(tmp_path)
    code, err = mistaken_eva(f"mirror {stock / 'wall.png'}")
    assert code == 1 and f"The model is that of {trained[-1]}, which lies here;" in err
    assert str(asset(SHIPPED_MODEL)) in err and "there is no face in" in err


@pytest.mark.parametrize("samples", [(102, 48), (9000, 1500)])
def test_it_is_said_what_the_users_own_model_learned_from(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    samples: tuple[int, int],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_model() == asset(SHIPPED_MODEL)
    assert "the package, since there is neither out/model nor out/demo/model" in capsys.readouterr().err
    (tmp_path / "out" / "model").mkdir(parents=True)
    (tmp_path / "out" / "model" / "inverse.pt").touch()
    told = dict(zip(("training", "held_out"), samples, strict=True))
    write_json(tmp_path / "out" / "model" / "training.json", {"samples": told})
    assert default_model() == Path("out/model")
    assert f"that of out/model, learned from {sum(samples):,} expressions;" in capsys.readouterr().err
