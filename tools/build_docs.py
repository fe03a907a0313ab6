"""Makes HTML of every Markdown page in the repository, at the same places, with the files that they link to.

python -m tools.build_docs FOLDER
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterable
from html import escape
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
body {{ font: 1rem/1.5 system-ui, sans-serif }}
pre, code {{ background: #f3f4f6; border-radius: 3px }}
pre {{ padding: .7rem; overflow-x: auto }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }}
th, td {{ border: 1px solid #d5d8dd; padding: .3rem .6rem; text-align: left; vertical-align: top }}
img {{ max-width: 100% }}
</style>
{body}
</html>
"""


def heading_anchor(heading: str) -> str:
    """Returns the anchor of a heading, as hosting sites make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def build_docs(out: Path) -> list[Path]:
    """Writes the pages and what they link to, and returns the pages.

    Args:
        out: folder to write; made if missing. Links work when it is opened from disk.
    """
    built = []
    for name in _pages():
        target = out / Path(name).with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        tokens = MarkdownIt("commonmark").enable("table").parse((ROOT / name).read_text())
        _add_anchors(tokens)
        for linked in _local_links(tokens):
            _copy((ROOT / name).parent / linked, out)
        target.write_text(_PAGE.format(title=escape(_title(tokens, name)), body=_render(tokens)))
        built.append(target)
    return built


def _pages() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def _title(tokens: list[Token], otherwise: str) -> str:
    first = next((i for i, token in enumerate(tokens) if token.type == "heading_open"), None)
    return otherwise if first is None else tokens[first + 1].content


def _add_anchors(tokens: list[Token]) -> None:
    for token, after in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", heading_anchor(after.content))


def _local_links(tokens: Iterable[Token]) -> list[str]:
    """Points links at the HTML pages, and returns the paths of other files that are linked."""
    files = []
    for link in (child for token in tokens for child in token.children or ()):
        name = "href" if link.type == "link_open" else "src"
        path, mark, anchor = str(link.attrGet(name) or "").partition("#")
        if not path or re.match(r"\w+:", path):
            continue
        if path.endswith(".md"):
            link.attrSet(name, path.removesuffix(".md") + ".html" + mark + anchor)
        else:
            files.append(path)
    return files


def _copy(source: Path, out: Path) -> None:
    target = out / source.resolve().relative_to(ROOT)
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    else:
        target.mkdir(parents=True, exist_ok=True)


def _render(tokens: list[Token]) -> str:
    markdown = MarkdownIt("commonmark")
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make HTML of the Markdown pages.")
    parser.add_argument("folder", type=Path, help="folder for the pages, for example out/docs")
    folder = parser.parse_args().folder
    print(f"wrote {len(build_docs(folder))} pages; begin with {folder / 'docs/index.html'}")


if __name__ == "__main__":
    main()
