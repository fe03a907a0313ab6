"""What a command checks and cleans before it begins to work."""

from __future__ import annotations

from pathlib import Path

from eva_sim.files import check_output_file, check_output_folder, remove_leftovers
from eva_sim.progress import report


def prepare_folder(out: Path) -> None:
    """Checks that a folder can hold the results, and says so if a killed call is started over.

    Raises:
        DataError: something is in the way, or may not be written.
    """
    _remove_leftovers(check_output_folder(out))


def prepare_file(out: Path) -> None:
    """Checks that a file can be written, and says so if a killed call is started over.

    Raises:
        DataError: a folder is in the way, or may not be written.
    """
    _remove_leftovers(check_output_file(out).parent)


def _remove_leftovers(folder: Path) -> None:
    if remove_leftovers(folder):
        report(f"What a killed call left in {folder} was removed; this one starts over.")
