"""Builds the documentation site: HTML of every Markdown page, with navigation, search and API reference.

python -m tools.build_docs FOLDER

It needs the extra `docs`. A warning is an error, so a link to a page or name that is not there is one, too.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from eva_sim.errors import DataError, EvaError
from eva_sim.files import check_output_folder
from eva_sim.optional import import_optional

ROOT = Path(__file__).resolve().parent.parent
HOME = "docs/index.html"
#: The folder opens with the site's first page, also where it is served.
_REDIRECT = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={home}">
<title>EVA twin</title>
<a href="{home}">EVA twin</a>
"""


def build_docs(out: Path, source: Path = ROOT) -> Path:
    """Writes the site, and returns its first page. Links work when it is opened from disk.

    Args:
        out: folder to write; made if missing.
        source: folder of the pages, with `docs/index.md`.

    Raises:
        DataError: Sphinx had a warning or an error; it has printed which.
        EvaError: Sphinx is not installed.
    """
    sphinx = import_optional("sphinx.cmd.build", "docs")
    check_output_folder(out)
    strict = ["-q", "-n", "-W", "--keep-going"]
    with tempfile.TemporaryDirectory() as cache:
        code = sphinx.build_main(
            [*strict, "-E", "-c", str(ROOT / "docs"), "-d", cache, str(source), str(out)]
        )
    if code:
        raise DataError(
            f"the site in {out} has the faults above; mend them and build it again. "
            "A class of this package that is not found goes into docs/api.md."
        )
    (out / "index.html").write_text(_REDIRECT.format(home=HOME))
    return out / HOME


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("folder", type=Path, help="folder for the pages, for example out/docs")
    print(f"open {build_docs(parser.parse_args().folder)}")


if __name__ == "__main__":
    try:
        main()
    except EvaError as error:
        raise SystemExit(f"build_docs: {error}") from None
