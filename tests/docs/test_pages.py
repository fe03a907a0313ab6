"""Links, anchors, paths and messages that the pages name exist."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import PurePosixPath

import pytest

import eva_sim
from eva_sim.real.wire.protocol import Answer, Fault
from tests.architecture.test_imports import ALLOWED, ON_TOP
from tests.docs.markdown_pages import HISTORY, ROOT, anchors, inline_code, links, page_text, pages, tracked

PRESENT = [page for page in pages() if page != HISTORY]
_FOLDERS = ("eva_sim", "envs", "agents", "real", "assets", "tools", "benchmarks", "examples", "tests", "docs")
_PATH = re.compile(rf"({'|'.join(_FOLDERS)})/[\w./*-]*")


@pytest.mark.parametrize("page", pages())
def test_links_and_anchors_resolve(page: str) -> None:
    broken = []
    for target in links(page):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        found = ((ROOT / page).parent / path if path else ROOT / page).resolve()
        if not found.exists() or (anchor and anchor not in anchors(found.relative_to(ROOT).as_posix())):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PRESENT)
def test_paths_exist(page: str) -> None:
    """Whole paths, and file names such as `servo_bench.py`, which some folder must have."""
    names = {PurePosixPath(name).name for name in tracked()}
    unknown = []
    for text in inline_code(page):
        if _PATH.fullmatch(text):
            found = any(ROOT.glob(text.rstrip("/"))) or text.startswith("real/firmware/build")
            unknown += [] if found else [text]
        elif re.fullmatch(r"[\w-]+\.(py|c|h|toml|md)", text) and text not in {"table.h", *names}:
            unknown.append(text)
    assert not unknown


@pytest.mark.parametrize("page", PRESENT)
def test_dotted_names_exist(page: str) -> None:
    unknown = []
    for text in inline_code(page):
        if re.fullmatch(r"eva_sim(\.\w+)+", text):
            parent, _, name = text.rpartition(".")
            if not (hasattr(eva_sim, name) and parent == "eva_sim") and find_spec(text) is None:
                unknown.append(text)
    assert not unknown


@pytest.mark.parametrize("page", PRESENT)
def test_classes_and_functions_exist(page: str) -> None:
    """Names such as `RobotFace` and calls such as `arm()` are defined somewhere in the code."""
    named = set()
    for text in inline_code(page):
        if found := re.fullmatch(r"(?:\w+\.)*(\w+)\(.*\)|([A-Z][a-z]+(?:[A-Z][a-z]+)+)", text):
            named.add(found[1] or found[2])
    foreign = {
        "DataLoader",
        "LeRobotDataset",
        "VectorEnv",
        "DeprecationWarning",
        "tan",
        "exp",
        "make",
        "make_vec",
        "help",
    }
    assert not sorted(named - foreign - _defined())


@lru_cache(maxsize=1)
def _defined() -> set[str]:
    code = "\n".join(page_text(name) for name in tracked() if name.endswith(".py"))
    return set(re.findall(r"^\s*(?:class|def) (\w+)", code, flags=re.MULTILINE))


@pytest.mark.parametrize("page", pages())
def test_nothing_is_left_to_do(page: str) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", page_text(page))


def test_index_lists_every_page() -> None:
    listed = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in links("docs/index.md")}
    missing = [page for page in pages() if page.startswith("docs/") and page != "docs/index.md"]
    assert not [page for page in missing if (ROOT / page).resolve() not in listed]


def test_architecture_lists_every_folder() -> None:
    """Of each room that holds files, so that a new folder is explained where it is made."""
    text = page_text("docs/architecture.md")
    rooms = {
        "/".join(parts[:2])
        for name in tracked()
        if len(parts := PurePosixPath(name).parts) > 2 and parts[0] in ("eva_sim", "agents", "real", "assets")
    }
    rooms |= {name.split("/")[0] for name in tracked() if name.count("/") and name.split("/")[0] in _FOLDERS}
    rooms -= {"docs"}
    assert not [room for room in sorted(rooms) if f"`{room}/`" not in text]


def test_architecture_shows_the_import_rules() -> None:
    """The page's table of rooms, and its list of folders on top, equal those that the imports are held to."""
    assert {name: set(imports) for name, imports in _rows("may import").items()} == ALLOWED
    assert set(_rows("folder on top")) == set(ON_TOP)


def test_protocol_page_names_the_answers_and_faults_of_the_code() -> None:
    text = page_text("docs/protocol.md")
    bits = {fault.name: fault.value.bit_length() - 1 for fault in Fault}
    for name, number in {answer.name: answer.value for answer in Answer}.items() | bits.items():
        assert re.search(rf"\| {number} \| `{name}`", text), name


def _rows(heading: str) -> dict[str, list[str]]:
    """Rows of the table of architecture.md that has a heading: the rooms in the last column by the first one.

    Rooms are named as in `ALLOWED`: `agents/data/` is `agents.data`, and `eva_sim/` itself is the core.
    """
    lines = page_text("docs/architecture.md").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|") and f"| {heading} |" in line)
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        first, *_, last = (cell.strip() for cell in line.strip("|").split("|"))
        name = first.strip("`").removeprefix("eva_sim/").strip("/").replace("/", ".") or "core"
        imports = [part.strip(" `").replace("/", ".") for part in last.split(",")]
        rows[name] = [] if last == "–" else imports
    return rows


def test_faq_quotes_messages_that_exist() -> None:
    """Each fragment between dots of a quoted message stands in a string of the code or in `run`."""
    known = [_plain(text) for text in (*_strings(), page_text("run"))]
    rows = re.findall(r"^\| `([^`]+)`", page_text("docs/faq.md"), flags=re.MULTILINE)
    assert len(rows) >= 12
    fragments = [part.strip(" .,;:()'") for row in rows for part in row.split("...")]
    unknown = [
        part for part in fragments if len(part) > 8 and not any(_plain(part) in text for text in known)
    ]
    assert not unknown


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[`'\"]", "", text).split())


@lru_cache(maxsize=1)
def _strings() -> tuple[str, ...]:
    """Texts in the code of the package; values in them are left out."""
    texts = []
    for name in tracked():
        if name.endswith(".py") and name.startswith(("eva_sim/", "envs/", "agents/", "real/")):
            for node in ast.walk(ast.parse(page_text(name))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    texts.append(
                        "".join(
                            str(part.value) if isinstance(part, ast.Constant) else "\0"
                            for part in node.values
                        )
                    )
    return tuple(texts)
