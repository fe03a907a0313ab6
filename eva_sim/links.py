"""Checks the links of a checkout, by which top-level folders are part of the package."""

from __future__ import annotations

import os


def check_links() -> None:
    """Checks that the folders linked into the package are folders.

    A checkout without symbolic links, as Git for Windows makes by default, has text files in their place.

    Raises:
        ImportError: a link is missing; the message says how to get it.
    """
    package = os.path.dirname(os.path.realpath(__file__))
    linked = ("agents", "assets", "envs", "real")
    if broken := [name for name in linked if not os.path.isdir(os.path.join(package, name))]:
        raise ImportError(
            f"{', '.join(broken)} in {package} should be symbolic links to folders, but this checkout has no "
            "symbolic links. Run `git config core.symlinks true` (on Windows first switch on developer mode) "
            "and check out again with `git checkout -f HEAD`; or pip install a wheel of eva-sim."
        )
