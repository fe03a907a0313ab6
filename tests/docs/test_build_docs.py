"""The HTML of the docs: every local link leads to a file and a heading that are there."""

from __future__ import annotations

import re
from pathlib import Path

from tools.build_docs import build_docs


def test_every_link_of_the_built_pages_works_from_disk(tmp_path: Path) -> None:
    built = build_docs(tmp_path)
    assert tmp_path / "README.html" in built and tmp_path / "docs/index.html" in built
    broken, followed = [], 0
    for page in built:
        for target in re.findall(r'(?:href|src)="([^"]+)"', page.read_text()):
            if re.match(r"\w+:", target):
                continue
            path, _, anchor = target.partition("#")
            found = (page.parent / path).resolve() if path else page
            followed += 1
            if not found.exists() or (anchor and f'id="{anchor}"' not in found.read_text()):
                broken.append(f"{page.name}: {target}")
    assert not broken and followed > 100


def test_tables_and_code_become_html(tmp_path: Path) -> None:
    build_docs(tmp_path)
    text = (tmp_path / "README.html").read_text()
    assert "<table>" in text and "<pre><code" in text and "<title>EVA twin</title>" in text
