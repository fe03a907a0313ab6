"""A file that cannot be written whole: one error that says what to do, and nothing left."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from eva_sim.agents.models.inverse import InverseModel
from eva_sim.contact_sheet import save_picture
from eva_sim.errors import DataError, EvaError
from eva_sim.files import (
    atomic_files,
    atomic_folder,
    atomic_path,
    check_free_space,
    check_output_file,
    check_output_folder,
    remove_leftovers,
    write_arrays,
    write_json,
)
from eva_sim.media.encoding import PictureStore, write_video
from eva_sim.recording.recorder import record_face
from eva_sim.testing.fake_face import FakeFace

NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limits the size of files that this process may write, as a full disk does [bytes]."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _plot(path: Path) -> None:
    figure = Figure()
    figure.subplots().plot(np.random.default_rng(0).normal(size=500))
    with atomic_path(path / "plot.png") as part:
        figure.savefig(part)


def _film(path: Path) -> None:
    with write_video(path / "film.mp4", 25) as add:
        for shift in range(30):
            add(np.roll(NOISE, 7 * shift, axis=1))


def _record(path: Path) -> None:
    with FakeFace() as face, record_face(face, path / "session") as recorded:
        recorded.reset()
        for _ in range(30):
            recorded.move(face.spec.neutral)


FULL = """
import resource, sys
import numpy as np
from eva_sim.errors import DataError
from eva_sim.media.encoding import write_video
rng = np.random.default_rng(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    with write_video(sys.argv[1], 25) as add:
        for _ in range(int(sys.argv[2])):
            add(rng.integers(0, 256, (240, 640, 3), np.uint8))
except DataError as error:
    print(error)
"""

WRITERS: dict[str, Callable[[Path], None]] = {
    "json": lambda path: write_json(path / "a.json", list(range(5000))),
    "arrays": lambda path: write_arrays(path / "a.npz", noise=NOISE),
    "picture": lambda path: save_picture(Image.fromarray(NOISE), path / "a.png"),
    "plot": _plot,
    "film": _film,
    "recording": _record,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_write_that_fails_ends_in_one_line_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    with largest_file(8000), pytest.raises(EvaError) as failed:
        WRITERS[kind](tmp_path)
    assert "\n" not in str(failed.value) and "File too large" in str(failed.value)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not left or kind == "recording"  # of which whole frames are kept
    WRITERS[kind](tmp_path / "again")


def test_a_model_that_cannot_be_written_says_why(model: InverseModel, tmp_path: Path) -> None:
    message = r"inverse\.pt cannot be written \(File too large"
    with largest_file(50_000), pytest.raises(DataError, match=message):
        model.save(tmp_path / "inverse.pt")
    assert not list(tmp_path.iterdir())


def test_pictures_set_aside_say_where_the_disk_is_full() -> None:
    store = PictureStore()
    with largest_file(8000), pytest.raises(DataError, match="temporary"):
        store.add(NOISE)
    store.close()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "choose another folder"),
        (errno.EACCES, "choose a folder that you may write"),
    ],
)
def test_the_advice_fits_the_cause(number: int, advice: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=advice), atomic_path(tmp_path / "a.json"):
        raise OSError(number, os.strerror(number))
    assert not list(tmp_path.iterdir())


def test_errors_that_are_not_of_writing_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.json"):
        raise ZeroDivisionError
    with pytest.raises(OSError, match="Connection reset"), atomic_path(tmp_path / "a.json"):
        raise OSError(errno.ECONNRESET, "Connection reset by peer")


@pytest.mark.parametrize("name", ["latex", "/usr/share/fonts/none.ttf", "elsewhere/none.json"])
def test_errors_about_other_files_stay_what_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a program that a library runs, while the file is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError), atomic_files("out/mirror"):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    for mine in ("out/mirror/.part-1-2/a.json", "out/mirror", "out", str(tmp_path / "out/mirror/a.json")):
        with pytest.raises(DataError, match="out/mirror cannot be written"), atomic_files("out/mirror"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), mine)


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002], indirect=True)
def test_files_get_the_permissions_that_the_user_wants(umask: int, tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with atomic_folder(tmp_path / "set") as part:
        write_json(part / "one.json", 1)
    with atomic_files(tmp_path / "more") as part:
        write_json(part / "two.json", 1)
    for made in (path for path in tmp_path.rglob("*")):
        assert made.stat().st_mode & 0o777 == (0o777 if made.is_dir() else 0o666) & ~umask, made
    (tmp_path / "a.json").chmod(0o640)
    write_json(tmp_path / "a.json", 2)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, file = tmp_path / "link.json", tmp_path / "disk" / "file.json"
    link.symlink_to(file)
    for value in (1, 2):
        assert check_output_file(link) == link
        write_json(link, value)
        assert link.is_symlink() and file.read_text() == f"{value}\n"


def test_a_pipe_or_device_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for wrong in (pipe, Path(os.devnull)):
        with pytest.raises(DataError, match="is a pipe or a device"):
            check_output_file(wrong)
    with pytest.raises(DataError, match="is a pipe or a device"):
        write_json(pipe, 1)
    assert pipe.is_fifo()


def _write_and_stop(folder: Path) -> None:
    write_json(folder / "one.json", 1)
    raise KeyboardInterrupt


def test_files_that_belong_together_appear_together(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text("earlier")
    with pytest.raises(KeyboardInterrupt), atomic_files(tmp_path) as part:
        _write_and_stop(part)
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]
    assert (tmp_path / "one.json").read_text() == "earlier"
    with atomic_files(tmp_path) as part:
        write_json(part / "one.json", 1)
        write_json(part / "two.json", 2)
        assert not (tmp_path / "two.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "made" / "set") as part:
        _write_and_stop(part)
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / "made" / "set") as part:
        write_json(part / "one.json", 1)
    assert (tmp_path / "made" / "set" / "one.json").exists()


KILLED = """
import os, signal, sys
from eva_sim.files import atomic_files, atomic_path
with {writer}(sys.argv[1]) as part:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("writer", ["atomic_path", "atomic_files"])
def test_what_a_killed_process_left_is_removed_and_that_of_others_is_not(writer: str, tmp_path: Path) -> None:
    target = tmp_path if writer == "atomic_files" else tmp_path / "a.json"
    subprocess.run([sys.executable, "-c", KILLED.format(writer=writer), target], check=False, timeout=60)
    assert len(list(tmp_path.glob(".part-*"))) == 1
    with atomic_path(tmp_path / "b.json") as mine:
        assert list(tmp_path.glob(".part-*")) == [mine]
        assert not remove_leftovers(tmp_path) and mine.exists()  # its process, this one, is alive
        mine.write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(("age", "removed"), [(0.0, False), (3600.0, False), (200_000.0, True)])
def test_what_another_computer_writes_is_left_alone_for_a_day(
    folder: bool, age: float, removed: bool, tmp_path: Path
) -> None:
    """On a disk that several share, or in a container: its processes cannot be seen."""
    theirs = [tmp_path / f".part-{process}-0badcafe-x.npz" for process in (1, os.getpid(), 4_000_000)]
    for path in theirs:
        path.mkdir() if folder else path.touch()
        os.utime(path, (time.time() - age,) * 2)
    assert remove_leftovers(tmp_path) is removed
    assert [path.exists() for path in theirs] == [not removed] * 3


def test_what_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "at all")
    for wrong in (file, file / "below", tmp_path / "link", tmp_path / ("x" * 300), Path("/proc/none")):
        with pytest.raises(DataError, match="cannot be written"):
            check_output_folder(wrong)
    for wrong in (file / "below", tmp_path / ("x" * 300 + ".png")):
        with pytest.raises(DataError, match="cannot be written"):
            check_output_file(wrong)
    with pytest.raises(DataError, match="is a folder; name a file"):
        check_output_file(tmp_path)
    assert check_output_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()


def test_a_disk_that_is_too_small_is_found_before_the_work(tmp_path: Path) -> None:
    check_free_space(tmp_path / "later", 1000, "numbers")
    with pytest.raises(DataError, match=r"numbers need about 1,000 TB, and the disk of .* free; ask"):
        check_free_space(tmp_path / "later", 1e15, "numbers")


@pytest.mark.parametrize("frames", [3, 80])
def test_a_film_on_a_disk_without_any_space_does_not_crash(tmp_path: Path, frames: int) -> None:
    """FFmpeg crashes when frames follow one that could not be written; so this is in a process of its own."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "film.mp4"), str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and "film.mp4 cannot be written" in done.stdout
    assert list(tmp_path.iterdir()) == []
