"""The Markdown pages of this repository: their code, commands and links."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
#: Tells of the past, so its names and commands may be gone.
HISTORY = "CHANGELOG.md"
_PROGRAM = re.compile(r"(\.venv/bin/)?(eva|\./run|python|pytest|pip|make)( |$)")
_CONDITION = re.compile(r"<!-- (needs: .+|slow) -->")


def heading_anchor(heading: str) -> str:
    """Returns the anchor of a heading, as hosting sites make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@dataclass(frozen=True)
class CodeBlock:
    """A fenced or indented block.

    Attributes:
        page: the page it is on, relative to the repository.
        line: number of its first line.
        language: as the fence says; empty for an indented block.
        text: its content.
        condition: the comment above it, e.g. `needs: a robot` or `slow`; empty if it runs anywhere.
    """

    page: str
    line: int
    language: str
    text: str
    condition: str


@dataclass(frozen=True)
class Command:
    """One command line of a page; `inline` if it stands in a sentence or a table and may be shortened."""

    page: str
    words: tuple[str, ...]
    inline: bool

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


@lru_cache(maxsize=1)
def tracked() -> tuple[str, ...]:
    """Files of the repository, also those that are not committed yet."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(sorted(name for name in set(names) if (ROOT / name).exists()))


def pages() -> list[str]:
    return [name for name in tracked() if name.endswith(".md")]


def page_text(page: str) -> str:
    return (ROOT / page).read_text()


@lru_cache(maxsize=64)
def _tokens(page: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page_text(page))


def _inline(page: str) -> Iterator[Token]:
    for token in _tokens(page):
        yield from token.children or ()


def code_blocks(page: str) -> Iterator[CodeBlock]:
    """Blocks of a page in order."""
    condition = ""
    for token in _tokens(page):
        if token.type in ("fence", "code_block"):
            line = (token.map or [0])[0] + (2 if token.type == "fence" else 1)
            yield CodeBlock(page, line, token.info.strip(), token.content, condition)
        found = _CONDITION.fullmatch(token.content.strip()) if token.type == "html_block" else None
        condition = found[1] if found else ""


def inline_code(page: str) -> list[str]:
    """Code in sentences and tables."""
    return [token.content for token in _inline(page) if token.type == "code_inline"]


def commands(page: str) -> Iterator[Command]:
    """Command lines of a page, without comments and without the folder of the virtual environment."""
    for block in code_blocks(page):
        for line in block.text.splitlines():
            for part in re.sub(r"\s+#.*", "", line).split("&&"):
                yield from _command(page, part.strip(), inline=False)
    for text in inline_code(page):
        yield from _command(page, text, inline=True)


def _command(page: str, text: str, inline: bool) -> Iterator[Command]:
    if _PROGRAM.match(text):
        yield Command(page, tuple(shlex.split(text.removeprefix(".venv/bin/"))), inline)


def links(page: str) -> list[str]:
    """Targets of links and pictures."""
    found = [token.attrGet("href") or token.attrGet("src") for token in _inline(page)]
    return [str(target) for target in found if target]


def anchors(page: str) -> set[str]:
    """Anchors of a page's headings, as hosting sites make them."""
    tokens = _tokens(page)
    headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    return {heading_anchor(heading) for heading in headings}
