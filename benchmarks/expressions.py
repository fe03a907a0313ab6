"""How people read the named expressions: pictures without labels, and the confusion table of their answers.

    python -m benchmarks.expressions draw --out out/readers [--all] [--seed 0]
    python -m benchmarks.expressions score --out out/readers READER.json ... [--json FILE]

`draw` writes numbered pictures in random order to `OUT/blue/` and `OUT/grey/`, and to `OUT/key.json` what
they show. Give a reader the pictures only, and the list of names. A reader's answers are a JSON object such
as `{"blue/01.png": "joy", ...}`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from eva_sim.errors import DataError
from eva_sim.expressions import load_expressions
from eva_sim.files import atomic_folder, read_json, write_json
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin

#: What readers are asked to tell apart, unless `--all` is given.
NAMES = ("joy", "sadness", "surprise", "anger", "fear", "disgust", "neutral")
MATERIALS = ("blue", "grey")
SIZE = 480  # pixels
KEY = "key.json"


def draw_pictures(out: Path, names: list[str], seed: int, size: int = SIZE) -> None:
    """Writes the pictures, each material in an order of its own, and the key."""
    rng, key = np.random.default_rng(seed), {}
    with atomic_folder(out) as part:
        for material in MATERIALS:
            (part / material).mkdir()
            with Twin(style="fine", material=material) as twin:
                commands = load_expressions(twin.spec)
                for number, name in enumerate(rng.permutation(names).tolist(), start=1):
                    reset_and_hold(twin, commands[name])
                    file = f"{material}/{number:02d}.png"
                    Image.fromarray(twin.render(size)).save(part / file)
                    key[file] = name
        write_json(part / KEY, key)


def read_answers(path: Path, key: dict[str, str]) -> dict[str, str]:
    """Reads one reader's answers.

    Raises:
        DataError: they are no answers to these pictures.
    """
    answers = read_json(path)
    if not isinstance(answers, dict) or not answers or not all(isinstance(a, str) for a in answers.values()):
        raise DataError(f'{path} has no answers; write an object such as {{"blue/01.png": "joy"}}.')
    if unknown := sorted(answers.keys() - key.keys()):
        raise DataError(f"{path} answers {unknown[0]!r}, which is no picture of {KEY}.")
    return {file: answer.strip().lower() for file, answer in answers.items()}


def count_answers(key: dict[str, str], readers: list[dict[str, str]]) -> dict[str, dict[str, Counter[str]]]:
    """Returns how often each expression was given each name, by material and expression."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for file, name in sorted(key.items()):
        material = counts.setdefault(file.partition("/")[0], {})
        given = [answers[file] for answers in readers if file in answers]
        material.setdefault(name, Counter()).update(given)
    return counts


def print_table(material: str, counts: dict[str, Counter[str]]) -> None:
    """Prints a confusion table: a row for each expression shown, a column for each answer."""
    answers = [*counts, *sorted({a for row in counts.values() for a in row} - counts.keys())]
    table = Table("shown", *answers, "right", title=material)
    for name, row in counts.items():
        total = row.total()
        cells = (str(row[answer] or "") for answer in answers)
        table.add_row(name, *cells, f"{row[name]} of {total}")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("do", choices=("draw", "score"))
    parser.add_argument("answers", type=Path, nargs="*", help="files of answers, one for each reader")
    parser.add_argument("--out", type=Path, default=Path("out/readers"), help="folder of the pictures")
    parser.add_argument("--all", action="store_true", help="draw every expression, not only the seven")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--json", type=Path, help="file for the counts")
    given = parser.parse_intermixed_args()
    if given.do == "draw":
        with Twin() as twin:
            names = list(load_expressions(twin.spec)) if given.all else list(NAMES)
        draw_pictures(given.out, names, given.seed)
        print(f"{given.out}: {len(names)} pictures of each material; {KEY} is not for readers")
        return
    key: dict[str, str] = read_json(given.out / KEY)
    counts = count_answers(key, [read_answers(path, key) for path in given.answers])
    for material, rows in counts.items():
        print_table(material, rows)
    if given.json:
        metrics: dict[str, Any] = {m: {n: dict(c) for n, c in rows.items()} for m, rows in counts.items()}
        write_json(given.json, metrics)


if __name__ == "__main__":
    main()
