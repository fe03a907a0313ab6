"""The notebooks: they run at small size, and what is stored in them is whole, small and names no machine."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tools.build_notebooks import FOLDER, execute

#: What the cell with the tag `parameters` says in the tests.
SMALL = {
    "face_by_hand.ipynb": "side = 32\nstart, seconds = 18.0, 2.0",
    "train_in_40_lines.ipynb": "faces, passes = 384, 30\nside = 32",
}
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
#: Largest stored picture [bytes].
LARGEST = 200_000


def code_cells(name: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads((FOLDER / name).read_text())["cells"] if cell["cell_type"] == "code"]


def pictures(cells: list[dict[str, Any]]) -> list[bytes]:
    shown = [output.get("data", {}) for cell in cells for output in cell["outputs"]]
    packed = [data[kind] for data in shown for kind in ("image/jpeg", "image/png") if kind in data]
    return [base64.b64decode("".join(lines)) for lines in packed]


def test_every_notebook_has_a_small_size() -> None:
    assert set(SMALL) == set(NAMES) and len(NAMES) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own assertions hold, and every cell that shows a picture shows one."""
    for library in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(library, reason="the extra notebooks is not installed")
    monkeypatch.setenv("HOME", str(tmp_path))
    done = execute(FOLDER / name, SMALL[name])
    cells = [cell for cell in done.cells if cell.cell_type == "code"]
    stored = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert len(pictures(cells)) == len(pictures(stored)) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_is_whole_and_small(name: str) -> None:
    cells = code_cells(name)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert len(pictures(cells)) >= 3 and max(map(len, pictures(cells))) < LARGEST
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result", "stream"}
    told = json.dumps([{**output, "data": output.get("data", {}).get("text/plain")} for output in outputs])
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|usr|var|Users)\b", told)
    assert '"stderr"' not in told and "Warning" not in told


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_names_its_kernel_and_parameters(name: str) -> None:
    content = json.loads((FOLDER / name).read_text())
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    tagged = [cell for cell in content["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1 and len(tagged[0]["source"]) == len(SMALL[name].splitlines())
