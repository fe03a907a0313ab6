"""Commands and snippets of the pages: they run, or name what they need, and every command line is known."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from eva_sim.cli.app import app as eva_app
from tests.docs.markdown_pages import (
    HISTORY,
    ROOT,
    CodeBlock,
    Command,
    code_blocks,
    commands,
    inline_code,
    page_text,
    pages,
)

PRESENT = [page for page in pages() if page != HISTORY]
BLOCKS = {
    page: blocks
    for page in PRESENT
    if (blocks := [block for block in code_blocks(page) if block.language == "python"])
}
#: Commands of the pages that take a second or two, so they really run.
CHEAP = ("eva actuators", "eva look joy jaw=0.2", "eva look joy:0.5")
BODIES = ("twin", "robot", "virtual", "mock")


@pytest.mark.parametrize("page", BLOCKS)
def test_python_snippets_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a page run in order and share their names, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVA_CONFIG", str(tmp_path))
    namespace: dict[str, object] = {"__name__": "snippet"}
    for block in BLOCKS[page]:
        code = _compiled(block)
        if not block.condition:
            exec(code, namespace)
    for value in namespace.values():
        if hasattr(value, "unwrapped") and hasattr(value, "close"):
            value.close()


def _compiled(block: CodeBlock) -> CodeType:
    """Every snippet is Python, also where it cannot run; tracebacks name the line of the page."""
    return compile("\n" * (block.line - 1) + block.text, block.page, "exec")


def test_conditions_are_named_in_words() -> None:
    for page in PRESENT:
        for block in code_blocks(page):
            assert block.condition in ("", "slow") or re.match(r"needs: \w+", block.condition), block


def _of(*programs: str) -> list[Command]:
    return [command for page in PRESENT for command in commands(page) if command.words[0] in programs]


@lru_cache(maxsize=1)
def _eva() -> dict[str, Any]:
    """Subcommands of `eva` by name."""
    return dict(_eva_group().commands)


def _eva_group() -> Any:
    return typer.main.get_command(eva_app)


@pytest.mark.parametrize("command", [c for c in _of("eva") if len(c.words) > 1], ids=str)
def test_eva_command_is_known(command: Command) -> None:
    name, *words = command.words[1:]
    if name.startswith("--"):
        assert name in {"--help", *_options(_eva_group())}
        return
    assert name in _eva()
    known = _eva()[name]
    if not command.inline:  # all that it takes is there
        known.make_context(f"eva {name}", list(words)).close()
    options = _options(known) | {"--help"}
    assert not [word for word in words if word.startswith("--") and word not in options]
    if "--body" in words and len(words) > words.index("--body") + 1:
        assert words[words.index("--body") + 1] in BODIES


@pytest.mark.parametrize("line", CHEAP)
def test_cheap_eva_command_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert line in {" ".join(command.words) for command in _of("eva")}
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(eva_app, line.split()[1:])
    assert result.exit_code == 0, result.output


def test_options_in_sentences_are_known() -> None:
    """Options without their command, as in `--seed`, belong to `eva` or to a script."""
    known = {option for command in (_eva_group(), *_eva().values()) for option in _options(command)}
    known.add("--help")
    for folder in ("benchmarks", "examples", "tools"):
        for script in (ROOT / folder).glob("*.py"):
            known |= _script_options(script)
    pages_of_eva = [page for page in PRESENT if not page.startswith("real/")]
    named = {text.split()[0] for page in pages_of_eva for text in inline_code(page) if text.startswith("--")}
    assert not named - known


def _options(command: Any) -> set[str]:
    return {option for p in command.params for option in (*p.opts, *p.secondary_opts)}


def _script_options(script: Path) -> set[str]:
    """Options of a script, read from its text: importing all of them takes too long.

    They are those of its parser, and the fields of its class `Arguments`.
    """
    text = script.read_text()
    fields = [
        line.target.id.replace("_", "-")
        for part in ast.parse(text).body
        if isinstance(part, ast.ClassDef) and part.name == "Arguments"
        for line in part.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    ]
    return {*re.findall(r'add_argument\(\s*"(--[\w-]+)"', text), *(f"--{name}" for name in fields)}


def test_readme_lists_every_eva_command() -> None:
    readme = page_text("README.md")
    assert not [name for name in _eva() if f"`eva {name}" not in readme]


@pytest.mark.parametrize("command", _of("./run"), ids=str)
def test_run_command_is_known(command: Command) -> None:
    script = page_text("run")
    known = re.findall(r"^#   \./run (\w+)", script, flags=re.MULTILINE)
    assert len(command.words) == 1 or command.words[1] in known
    assert not _missing_paths(command.words[2:])


@pytest.mark.parametrize("command", _of("python"), ids=str)
def test_python_command_is_known(command: Command) -> None:
    """Modules and scripts of this repository exist and have the options named."""
    words = list(command.words[1:])
    if words[:1] == ["-m"] and words[1:2] and words[1].split(".")[0] in ("benchmarks", "tools"):
        script, words = ROOT / f"{words[1].replace('.', '/')}.py", words[2:]
    elif words and words[0].endswith(".py"):
        script, words = ROOT / words[0], words[1:]
    else:
        return
    assert script.is_file()
    options = _script_options(script)
    assert not [word for word in words if word.startswith("--") and word not in options]
    if script.parts[-2] == "benchmarks" and not command.inline:
        wanted = '"wheel"' in script.read_text()
        assert not wanted or [word for word in words if not word.startswith("--")]


@pytest.mark.parametrize("command", _of("pytest"), ids=str)
def test_pytest_command_names_tests(command: Command) -> None:
    assert not _missing_paths(command.words[1:])


def _missing_paths(words: tuple[str, ...]) -> list[str]:
    return [word for word in words if word.startswith("tests/") and not (ROOT / word.split("::")[0]).exists()]


@pytest.mark.parametrize("command", _of("make"), ids=str)
def test_make_target_is_known(command: Command) -> None:
    folder, targets = (ROOT / command.page).parent, command.words[1:]
    if targets[:1] == ("-C",):
        folder, targets = ROOT / targets[1], targets[2:]
    makefile = (folder / "Makefile").read_text()
    for target in targets:
        assert "=" in target or re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_extras_are_known() -> None:
    project = tomllib.loads(page_text("pyproject.toml"))["project"]
    for page in pages():
        for named in re.findall(r"pip install '[\w.-]*\[([\w,]+)\]'", page_text(page)):
            assert set(named.split(",")) <= set(project["optional-dependencies"]), page
