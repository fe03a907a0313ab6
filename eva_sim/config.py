"""The folder of the user's configuration: calibrations, and ports at which robots were found."""

from __future__ import annotations

import os
from pathlib import Path


def config_folder() -> Path:
    """`EVA_CONFIG`, or a folder in the user's configuration folder; it may not exist yet."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(os.environ.get("EVA_CONFIG") or Path(base) / "eva-sim")
