"""The pictures for readers, and the confusion table of their answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks import expressions
from eva_sim.errors import DataError
from eva_sim.files import read_json, write_json


def test_readers_get_numbered_pictures_and_the_key_is_beside_them(tmp_path: Path) -> None:
    out = tmp_path / "readers"
    expressions.draw_pictures(out, ["joy", "fear", "anger"], seed=3, size=64)
    key = read_json(out / "key.json")
    assert sorted(key) == [f"{m}/0{n}.png" for m in ("blue", "grey") for n in (1, 2, 3)]
    for material in ("blue", "grey"):
        assert sorted(n for f, n in key.items() if f.startswith(material)) == ["anger", "fear", "joy"]
        assert sorted(path.name for path in (out / material).iterdir()) == ["01.png", "02.png", "03.png"]
    with Image.open(out / "grey" / "02.png") as picture:
        assert picture.size == (64, 64) and not picture.info


def test_answers_are_counted_by_what_was_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = {"blue/01.png": "joy", "blue/02.png": "fear", "grey/01.png": "fear"}
    write_json(tmp_path / "a.json", {"blue/01.png": "Joy ", "blue/02.png": "surprise"})
    write_json(tmp_path / "b.json", {"blue/01.png": "joy", "blue/02.png": "fear", "grey/01.png": "fear"})
    readers = [expressions.read_answers(tmp_path / name, key) for name in ("a.json", "b.json")]
    counts = expressions.count_answers(key, readers)
    assert counts["blue"]["joy"] == {"joy": 2} and counts["blue"]["fear"] == {"surprise": 1, "fear": 1}
    assert counts["grey"]["fear"] == {"fear": 1}
    expressions.print_table("blue", counts["blue"])
    assert "1 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answers", "message"),
    [([], "has no answers"), ({}, "has no answers"), ({"blue/01.png": 3}, "has no answers"),
     ({"blue/09.png": "joy"}, r"answers 'blue/09\.png', which is no picture")],
)  # fmt: skip
def test_wrong_answers_are_told(tmp_path: Path, answers: object, message: str) -> None:
    write_json(tmp_path / "a.json", answers)
    with pytest.raises(DataError, match=message):
        expressions.read_answers(tmp_path / "a.json", {"blue/01.png": "joy"})
