"""libFuzzer over the firmware's core, with sanitizers and the invariants in fuzz.c."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from eva_sim.contract import load_spec
from eva_sim.real.wire.firmware_table import channel_rows
from eva_sim.testing import protocol_oracle
from eva_sim.testing.firmware_host import make

ROWS = channel_rows(load_spec())


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (shutil.which("clang") and shutil.which("make")):
        pytest.skip("no clang and make here (apt-get install clang make)")
    folder = tmp_path_factory.mktemp("fuzz")
    probe = folder / "probe.c"
    probe.write_text("int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0; }")
    flags = ["-fsanitize=fuzzer,address", "-o", str(folder / "probe")]
    if subprocess.run(["clang", str(probe), *flags], capture_output=True).returncode:
        pytest.skip("clang without its sanitizers (apt-get install libclang-rt-14-dev)")
    return make("fuzz", folder)


def piece(kind: int, wait: int, content: bytes) -> bytes:
    return bytes([kind, wait, len(content)]) + content


def corpus(folder: Path) -> Path:
    """One session that arms, moves to both ends, and falls silent, as a start for mutations."""
    ends = [b"".join(getattr(row, end).to_bytes(2, "little") for row in ROWS) for end in ("high", "low")]
    session = piece(protocol_oracle.ARM, 20, b"\0\0\xff\xff\xff\1")
    for n in range(24):
        session += piece(protocol_oracle.TARGETS, 20, b"\0\0" + ends[n // 20])
    session += piece(protocol_oracle.STOP, 5, b"") + piece(
        protocol_oracle.CLEAR, 5, b"\0\0" + protocol_oracle.KEY.to_bytes(4, "little")
    )
    (folder / "corpus").mkdir()
    (folder / "corpus" / "session").write_bytes(session)
    return folder / "corpus"


def fuzz(fuzzer: Path, folder: Path, runs: int) -> None:
    command = [str(fuzzer), f"-runs={runs}", "-max_len=1600", "-seed=1", f"-artifact_prefix={folder}/"]
    done = subprocess.run([*command, str(corpus(folder))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {runs} runs" in done.stderr


def test_nothing_breaks(fuzzer: Path, tmp_path: Path) -> None:
    fuzz(fuzzer, tmp_path, 6_000)


@pytest.mark.slow
def test_nothing_breaks_for_long(fuzzer: Path, tmp_path: Path) -> None:
    fuzz(fuzzer, tmp_path, 200_000)
