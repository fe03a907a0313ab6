"""The documentation site: it is built without a warning, its links work, and it fetches nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

import eva_sim
from eva_sim.registration import IDS
from tests.docs.markdown_pages import ROOT, pages

for library in ("sphinx", "myst_parser", "furo"):
    pytest.importorskip(library, reason="the extra docs is not installed")
extension = pytest.importorskip("tools.site_extension", reason="the extra docs is not installed")


def run_build(out: Path, source: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Builds a site in a process of its own, since Sphinx changes the one that it runs in."""
    code = "import sys; from pathlib import Path; from tools.build_docs import build_docs\n"
    code += "build_docs(Path(sys.argv[1]), Path(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(out), str(source)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = run_build(out)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return out


@lru_cache(maxsize=128)
def html(page: Path) -> str:
    return page.read_text()


def targets(page: Path) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', html(page))


def test_every_page_is_built_and_listed(site: Path) -> None:
    wanted = [Path(name).with_suffix(".html") for name in pages() if not name.startswith(".github")]
    assert not [page for page in wanted if not (site / page).exists()]
    listed = {(site / "docs" / target).resolve() for target in targets(site / "docs/index.html")}
    assert not [page for page in wanted if (site / page).resolve() not in listed | {site / "docs/index.html"}]
    assert 'url=docs/index.html"' in html(site / "index.html")


def test_lines_of_code_are_wrapped(site: Path) -> None:
    (style,) = (target for target in targets(site / "docs/index.html") if "site.css" in target)
    assert "pre-wrap" in (site / "docs" / style.partition("?")[0]).read_text()


def test_every_link_works_from_disk(site: Path) -> None:
    broken, followed = [], 0
    for page in site.rglob("*.html"):
        for target in targets(page):
            if re.match(r"\w+:", target):
                continue
            path, _, anchor = target.partition("#")
            found = (page.parent / path.partition("?")[0]).resolve() if path else page
            followed += 1
            if not found.exists() or (anchor and f'id="{anchor}"' not in html(found)):
                broken.append(f"{page.name}: {target}")
    assert not broken and followed > 1000


def test_the_pages_fetch_nothing_from_the_network(site: Path) -> None:
    """Links may lead there; pictures, scripts, styles and fonts may not."""
    fetched = re.compile(
        r'src="(?:\w+:)?//|<link[^>]*rel="(?:stylesheet|preload|preconnect|icon)"[^>]*href="\w+:'
    )
    assert not [page.name for page in site.rglob("*.html") if fetched.search(html(page))]
    styles = [
        path for path in site.rglob("*.css") if re.search(r"(url\(|@import )['\"]?\w*:?//", path.read_text())
    ]
    assert not styles


def test_the_reference_has_every_name_of_the_package(site: Path) -> None:
    text = html(site / "docs/api.html")
    names = [name for name in eva_sim.__all__ if not name.startswith("__")]
    assert not [name for name in names if f'id="eva_sim.{name}"' not in text]


def test_environments_have_their_pages(site: Path) -> None:
    text = html(site / "docs/environments.html")
    for name in IDS:
        assert text.count(name) > 2 and text.count(">Observation space<") >= len(IDS)


def test_formulas_and_programs_are_on_their_pages(site: Path) -> None:
    assert html(site / "docs/skin.html").count("<math") > 20
    assert "sample_command" in html(site / "docs/tutorials/train_in_40_lines.html")


FAULTS = {
    "a link to a page that is not there": ("[away](away.md)", "away.md"),
    "a link to a heading that is not there": ("[here](index.md#away)", "away"),
    "a picture that is not there": ("![face](away.png)", "away.png"),
    "a page that no table lists": ("", "other.md"),
}


def test_a_fault_of_a_page_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    lines = "\n\n".join(line for line, _ in FAULTS.values())
    (tmp_path / "docs/index.md").write_text(f"# Pages\n\n{lines}\n")
    (tmp_path / "docs/other.md").write_text("# Another page\n")
    done = run_build(tmp_path / "site", tmp_path)
    assert done.returncode == 1 and "mend them" in done.stderr
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert not [name for name, (_, word) in FAULTS.items() if not any(word in line for line in warnings)]


def test_a_clean_folder_is_built(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Pages\n\n## Part\n| page |\n|---|\n| [One](one.md) |\n")
    (tmp_path / "docs/one.md").write_text("# One page\n$a^2$\n\n- `settling_steps` of `eva_sim.settling`\n")
    done = run_build(tmp_path / "site", tmp_path)
    assert done.returncode == 0, done.stderr
    text = html(tmp_path / "site/docs/one.html")
    assert "<math" in text and 'id="eva_sim.settling.settling_steps"' in text


def test_the_navigation_is_that_of_the_tables() -> None:
    index = "# All\n\n## One\n| [A](a.md) | x |\n| [B b](../b/c.md) | y |\n\n## Two\n| [D](e/d.md#f) | z |\n"
    first, second = extension.navigation(index, "docs").split("```\n\n")
    assert ":caption: One" in first and "A </docs/a>\nB b </b/c>" in first
    assert ":caption: Two" in second and "</" not in second  # a heading within a page is no page


@pytest.mark.parametrize("name", ["eva_sim.envs.pose.PoseEnv", "eva_sim.envs.mimic.MimicEnv"])
def test_a_docstring_is_one_level_lower(name: str) -> None:
    text = extension.docstring(name)
    assert "\n### Reward\n" in text and not re.search(r"^## ", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("module", "name", "kind"),
    [("eva_sim", "make_face", "autofunction"), ("eva_sim.twin", "Twins", "autoclass")],
)
def test_a_name_is_documented_as_what_it_is(module: str, name: str, kind: str) -> None:
    assert f".. {kind}:: {module}.{name}" in extension.reference(module, name)
