"""The HTML page, in one piece, so that a browser asks for nothing else."""

from __future__ import annotations

import json
from typing import Any

from eva_sim.files import asset


def build_page(panel: dict[str, Any], title: str) -> str:
    """Returns the page with its style and scripts.

    Args:
        panel: see `describe_panel`.
        title: names body and camera.
    """
    described = json.dumps({**panel, "title": title}).replace("<", "\\u003c")
    parts = {
        "/*style*/": asset("web/page.css").read_text(),
        "/*panel*/": f"const PANEL = {described};",
        "/*head*/": asset("web/head.js").read_text(),
        "/*cables*/": asset("web/cables.js").read_text(),
        "/*camera*/": asset("web/camera.js").read_text(),
        "/*page*/": asset("web/page.js").read_text(),
    }
    page = asset("web/page.html").read_text()
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page
