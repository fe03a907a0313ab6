"""The container file and the devcontainer do what the README says a bare machine needs.

No container is built here: what they install and run is compared with `run` and the pages.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess

import pytest
from packaging.specifiers import SpecifierSet

from eva_sim.rendering import drawing_thread
from tests.docs.markdown_pages import ROOT, page_text

#: Packages that a container needs and that are on a machine with a checkout already.
OF_A_CHECKOUT = {"ca-certificates", "git", "python3.11"}
#: What git ignores and a container must not get either: it would be of another machine.
IGNORED = (
    "/.venv/",
    "/out/",
    "/examples/notebooks/out/",
    "/build/",
    "/dist/",
    "__pycache__/",
    "/real/*/build/",
)
DOCKERFILE = page_text("Dockerfile")
#: Python of Debian 12, which the README names. Later releases of some packages need a later 3.11.
DEBIANS_PYTHON = "3.11.2"


def installed(dockerfile: str) -> set[str]:
    """Debian packages that a container file installs."""
    joined = dockerfile.replace("\\\n", " ")
    words = re.findall(r"apt-get install ([^&\n]+)", joined)
    return {word for line in words for word in line.split() if not word.startswith("-")}


def of_run() -> set[str]:
    """Debian packages that `./run` names."""
    text = page_text("run")
    libraries = re.findall(r'^    "lib[\w.+-]+": "([\w.+-]+)",$', text, re.MULTILINE)
    tools = re.findall(
        r'(?:/[\w./-]+:|\|\| echo ")([\w.+-]+)', text[text.index("missing_tools()") : text.index("# Whether")]
    )
    return {*libraries, *tools, *re.findall(r'print\("(python[\w.-]+)"\)', text)}


def of_readme() -> set[str]:
    """Debian packages that the README names before its first heading after "Try it"."""
    part = page_text("README.md").split("## Try it")[1].split("\n## ")[0]
    lists = re.findall(r"(?:system packages: |also need\s+|need )`([^`]+)`", part)
    return {name for words in lists for name in words.split()}


def test_all_name_the_same_packages() -> None:
    assert len(of_run()) >= 12
    assert installed(DOCKERFILE) - OF_A_CHECKOUT == of_run() == of_readme()


def test_packages_that_errors_advise_are_installed() -> None:
    advised = set(drawing_thread._LIBRARIES.values())
    for line in re.findall(r"apt install ([\w .+-]+?)\. ", page_text("eva_sim/detector.py")):
        advised |= set(line.split())
    assert len(advised) >= 4 and advised <= installed(DOCKERFILE)


@pytest.mark.parametrize(
    "changed",
    [DOCKERFILE.replace(" libgles2", ""), DOCKERFILE.replace("chromium", "chromium firefox-esr")],
    ids=["one less", "one more"],
)
def test_another_package_is_noticed(changed: str) -> None:
    assert installed(changed) != installed(DOCKERFILE)


def test_the_commands_are_those_of_run() -> None:
    known = set(re.findall(r"^#   \./run (\w+)", page_text("run"), re.MULTILINE))
    named = set(re.findall(r'\./run"?,? "?(\w+)', DOCKERFILE))
    assert {"setup", "demo", "test"} <= named <= known
    assert DOCKERFILE.count("FROM debian:12") == 1


def test_pinned_packages_run_on_debians_python() -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", page_text("requirements.lock"), re.MULTILINE))
    installed = [each for each in importlib.metadata.distributions() if pinned.get(each.name) == each.version]
    needs = {each.name: SpecifierSet(each.metadata["Requires-Python"] or "") for each in installed}
    assert len(needs) > 100
    assert not [name for name, versions in needs.items() if DEBIANS_PYTHON not in versions]


def test_the_devcontainer_uses_the_container_file() -> None:
    folder = ROOT / ".devcontainer"
    content = json.loads((folder / "devcontainer.json").read_text())
    assert (folder / content["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (folder / content["build"]["context"]).resolve() == ROOT
    assert f"AS {content['build']['target']}\n" in DOCKERFILE
    assert f"useradd --create-home {content['remoteUser']}\n" in DOCKERFILE
    assert content["postCreateCommand"] == "./run setup"


def test_nothing_built_here_goes_into_a_container() -> None:
    """The tests need the history of git, so that folder is copied; what git ignores is not."""
    left_out = {line.removeprefix("**/").strip("/") for line in page_text(".dockerignore").split()}
    kept = [line for line in IGNORED if line.strip("/") not in left_out]
    assert not kept and ".git" not in left_out
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not [name for name in listed.split() if name.split("/")[0] in left_out]
