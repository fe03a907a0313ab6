"""What the documentation site adds to Sphinx: navigation, docstrings and notebooks in Markdown, and MathML.

`docs/conf.py` loads it. The pages stay plain Markdown, so that they can be read without the site.
"""

from __future__ import annotations

import inspect
import json
import posixpath
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils.utils.math.latex2mathml import tex2mathml

ROOT = Path(__file__).resolve().parent.parent
#: Names in annotations that lead nowhere, for nitpick_ignore_regex.
UNLINKED = [
    # Of Python and other libraries, whose pages are on the network.
    (r"py:.*", r"(collections|contextlib|gymnasium|numpy|os|pathlib|types|typing)\..*"),
    # Of types that a module imports for the type checker only, so autodoc cannot tell their module.
    (r"py:class", r"Board|BoardIdentity|CameraSource|Mode"),
    # Of types of arrays, which are NumPy's.
    (r"py:class", r"Array|Floats"),
    # Of the environments, whose docstrings are Markdown: docs/environments.md has them.
    (r"py:class", r"eva_sim\.envs\.vector\.FaceVectorEnv"),
]
#: Comments in a page whose place the Markdown docstring of a class, a program or a notebook takes.
_DOCSTRING = re.compile(r"^<!-- docstring: ([\w.]+) -->$", re.MULTILINE)
_PROGRAM = re.compile(r"^<!-- code: ([\w./]+) -->$", re.MULTILINE)
_NOTEBOOK = re.compile(r"^<!-- notebook: ([\w./]+) -->$", re.MULTILINE)
#: A name of the API reference, and its module.
_NAME = re.compile(r"^- `(\w+)` of `(eva_sim[\w.]*)`$", re.MULTILINE)
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_ROW = re.compile(r"^\| \[([^]]+)\]\(([^)#]+)\.md\)", re.MULTILINE)


def navigation(index: str, folder: str) -> str:
    """Returns toctrees of the tables of an index page: one for each section, with title and page of each row.

    Args:
        index: text of the page.
        folder: folder that the page is in, relative to the source.
    """
    parts = _SECTION.split(index)[1:]
    trees = []
    for caption, text in zip(parts[::2], parts[1::2], strict=True):
        rows = [
            (title, posixpath.normpath(posixpath.join(folder, name))) for title, name in _ROW.findall(text)
        ]
        listed = "\n".join(f"{title} </{name}>" for title, name in rows)
        trees.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n")
    return "\n".join(trees)


def docstring(name: str) -> str:
    """Returns the docstring of a class, Markdown, with headings one level lower.

    Args:
        name: of the class, with its module.
    """
    module, _, attribute = name.rpartition(".")
    text = inspect.getdoc(getattr(import_module(module), attribute)) or ""
    return re.sub(r"^## ", "### ", text, flags=re.MULTILINE)


def notebook_page(content: str) -> str:
    """Returns an executed notebook as Markdown, without its title: text, code, and what the code showed.

    Args:
        content: of the notebook's file, JSON.
    """
    parts = []
    for cell in json.loads(content)["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"\A# .*\n", "", text))
        else:
            parts += [f"```python\n{text}\n```", *(_shown(output) for output in cell["outputs"])]
    return "\n\n".join(parts)


def _shown(output: dict[str, Any]) -> str:
    """Returns what one output of a cell shows: a picture if there is one, else its text."""
    data = output.get("data", {})
    for kind in ("image/jpeg", "image/png"):
        if kind in data:
            packed = "".join("".join(data[kind]).split())
            return f'<img alt="what the code shows" src="data:{kind};base64,{packed}">'
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```"


def reference(module: str, name: str) -> str:
    """Returns the directive that documents a public name, with the members of a class.

    Args:
        module: to import it from.
        name: of a class or function.
    """
    named = getattr(import_module(module), name)
    kind = "autoclass" if inspect.isclass(named) else "autofunction"
    # The fields of a named tuple are attributes in its docstring already.
    options = "   :members:\n" if kind == "autoclass" and not issubclass(named, tuple) else ""
    return f"```{{eval-rst}}\n.. {kind}:: {module}.{name}\n{options}```"


def _complete_page(app: Any, page: str, source: list[str]) -> None:
    if page == app.config.root_doc:
        source[0] += "\n" + navigation(source[0], posixpath.dirname(page))
    text = _DOCSTRING.sub(lambda found: docstring(found[1]), source[0])
    text = _PROGRAM.sub(lambda found: f"```python\n{(ROOT / found[1]).read_text()}```", text)
    text = _NOTEBOOK.sub(lambda found: notebook_page((ROOT / found[1]).read_text()), text)
    source[0] = _NAME.sub(lambda found: reference(found[2], found[1]), text)


def _write_inline_formula(writer: Any, node: Any) -> None:
    writer.body.append(tex2mathml(node.astext()))


def _write_formula(writer: Any, node: Any) -> None:
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')


def _visit(write: Any) -> tuple[Any, None]:
    """Returns a visitor that writes a formula and skips what is in it."""
    from docutils.nodes import SkipNode

    def visit(writer: Any, node: Any) -> None:
        write(writer, node)
        raise SkipNode

    return visit, None


def setup(app: Any) -> dict[str, bool]:
    """Registers all of it with Sphinx."""
    app.connect("source-read", _complete_page)
    app.add_html_math_renderer("mathml", _visit(_write_inline_formula), _visit(_write_formula))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
