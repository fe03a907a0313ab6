"""Which folder may import which, where a spec is loaded, and that no two folders import each other."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Everything a folder may import beside itself. Folders are named as they are imported, without `eva_sim.`;
#: "core" is the modules of `eva_sim` itself. docs/architecture.md has the same table in words.
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "head": {"core"},
    "skin": {"core", "head"},
    "rendering": {"core", "head", "skin"},
    "limits": {"core", "head", "skin"},
    "twin": {"core", "head", "skin", "rendering", "limits"},
    "workers": {"core"},
    "media": {"core"},
    "recording": {"core", "media"},
    "envs": {"core", "twin", "agents.data"},
    "agents.data": {"core", "limits", "workers"},
    "agents.models": {"core", "agents.data"},
    "agents.evaluation": {"core", "agents.data", "agents.models"},
    "agents.mirroring": {"core", "head", "limits", "media", "agents.models"},
    "agents.optimisation": {
        "core", "limits", "media", "skin", "twin", "agents.data", "agents.models", "agents.mirroring",
    },
    "agents": {
        "core", "workers", "media", "twin", "agents.data", "agents.models", "agents.evaluation",
        "agents.mirroring", "agents.optimisation",
    },
    "live": {
        "core", "media", "recording", "rendering", "skin", "twin", "agents.models", "agents.mirroring",
    },
    "real.wire": {"core"},
    "real.vision": {"core", "media"},
    "real.boards": {"core", "real.wire"},
    "real.calibration": {"core", "recording", "real.wire", "real.boards"},
    "real.safety": {"core", "limits", "real.wire", "real.boards", "real.calibration"},
    "real.simulation": {"core", "twin", "real.wire", "real.boards", "real.vision"},
    "real.transfer": {"core", "workers", "media", "twin", "real.wire"},
    "real": {
        "core", "real.wire", "real.boards", "real.calibration", "real.safety", "real.vision",
        "real.simulation",
    },
}  # fmt: skip
#: The modules that load a spec, beside command line and test helpers: they open bodies.
LOADS_SPEC = {
    "eva_sim/twin/twin.py", "eva_sim/twin/twins.py", "real/opening.py",
    "eva_sim/robot_config.py",  # rules of another face may name what EVA has
}  # fmt: skip
#: Folders on top of the package: they may import any room, and no room imports them.
ON_TOP = ("cli", "testing", "benchmarks", "examples", "tools", "tests")


def sources(*folders: str) -> list[Path]:
    return [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py")) if _is_own(p)]


def _is_own(path: Path) -> bool:
    """Leaves out what is reached through the links in `eva_sim/`, since the folders themselves are listed."""
    inside = path.relative_to(ROOT).parts
    return not (inside[0] == "eva_sim" and inside[1] in ("envs", "agents", "real", "assets"))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; `from package import module` counts as the module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str | None:
    """The folder a module is in; None if it is not of this repository."""
    parts = module.split(".")
    if parts[0] in ("benchmarks", "examples", "tools", "tests"):
        return parts[0]
    if parts[0] != "eva_sim":
        return None
    if len(parts) > 1 and parts[1] in ("agents", "real"):
        inner = ".".join(parts[1:3])
        return inner if inner in ALLOWED else parts[1]
    if len(parts) > 1 and parts[1] in (*ALLOWED, "cli", "testing"):
        return parts[1]
    return "core"


def room_of(path: Path) -> str:
    inside = path.relative_to(ROOT).with_suffix("").parts
    dotted = ".".join(inside if inside[0] == "eva_sim" else ("eva_sim", *inside))
    found = room(
        dotted if inside[0] not in ("benchmarks", "examples", "tools", "tests") else ".".join(inside)
    )
    assert found
    return found


def edges() -> Iterator[tuple[str, str, Path]]:
    """Every import from one folder to another: importing folder, imported folder, file."""
    for path in sources("eva_sim", "envs", "agents", "real", "benchmarks", "examples", "tools"):
        here = room_of(path)
        for module in imported(path):
            there = room(module)
            if there and there != here:
                yield here, there, path


def test_a_folder_imports_only_what_it_may() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {here} imports {there}"
        for here, there, path in edges()
        if here in ALLOWED and there not in ALLOWED[here]
    ]
    assert wrong == []


def test_every_permission_is_used() -> None:
    used = {(here, there) for here, there, _ in edges()}
    unused = [(here, there) for here in ALLOWED for there in ALLOWED[here] if (here, there) not in used]
    assert unused == []


def test_nothing_imports_what_lies_on_top() -> None:
    top = {
        "benchmarks": {"tools", "testing"},
        "examples": {"testing"},
        "cli": {"testing"},
        "testing": set(),
        "tools": {"testing"},
    }
    wrong = [
        f"{path.relative_to(ROOT)} imports {there}"
        for here, there, path in edges()
        if there in ON_TOP and there not in top.get(here, set())
    ]
    assert wrong == []


def test_no_two_folders_import_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for here, there, _ in edges():
        graph.setdefault(here, set()).add(there)
    pairs = itertools.combinations(sorted(graph), 2)
    circles = [(a, b) for a, b in pairs if a in reach(graph, b) and b in reach(graph, a)]
    assert circles == []


def reach(graph: dict[str, set[str]], start: str) -> set[str]:
    """All folders that are imported from `start`, directly or not."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for there in graph.get(waiting.pop(), ()):
            if there not in seen:
                seen.add(there)
                waiting.append(there)
    return seen


def test_no_module_imports_itself_in_a_circle() -> None:
    """Within the package, module by module; imports inside functions and for types only count too."""
    names = {module_name(path): path for path in sources("eva_sim", "envs", "agents", "real")}
    graph = {
        name: {there for module in imported(path) if (there := known(module, names)) and there != name}
        for name, path in names.items()
    }
    circles = sorted(name for name in graph if name in reach(graph, name) and name not in PACKAGE_ROOTS)
    assert circles == []


#: Opening a body by name is the package's own front door, which environments and tools knock at.
PACKAGE_ROOTS = {"eva_sim"}


def module_name(path: Path) -> str:
    inside = path.relative_to(ROOT).with_suffix("").parts
    parts = inside if inside[0] == "eva_sim" else ("eva_sim", *inside)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def known(module: str, names: dict[str, Path]) -> str | None:
    """The module of this package that an import names, or whose attribute it takes."""
    while module and module not in names:
        module = module.rpartition(".")[0]
    return module or None


def test_a_spec_is_loaded_only_where_a_body_is_opened() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources("eva_sim", "envs", "agents", "real")
        if room_of(path) not in ("cli", "testing") and str(path.relative_to(ROOT)) not in LOADS_SPEC
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("load_spec")
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["eva_sim", "envs", "agents", "real"])
def test_every_module_says_what_it_is(folder: str) -> None:
    silent = [str(p.relative_to(ROOT)) for p in sources(folder) if not _docstring(p).endswith((".", ":"))]
    assert silent == []


def _docstring(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return "" if text.startswith("TODO") else text.split("\n\n")[0].strip() or ""
