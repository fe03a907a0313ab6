"""Executes the notebooks of `examples/notebooks`, and stores what they show.

python -m tools.build_notebooks

It needs the extra `notebooks`. Their kernels work in temporary folders, and listen on loopback at most.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from eva_sim.errors import EvaError
from eva_sim.optional import import_optional

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "notebooks"
#: Longest time of a cell [s].
_PATIENCE = 600


def execute(path: Path, parameters: str | None = None) -> Any:
    """Executes a notebook in an empty folder, and returns it with what it shows.

    Args:
        path: the notebook.
        parameters: what stands in its cell with the tag `parameters` instead, for a smaller size.
    """
    nbformat = import_optional("nbformat", "notebooks")
    nbclient = import_optional("nbclient", "notebooks")
    traitlets = import_optional("traitlets.config", "notebooks")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if parameters is not None and "parameters" in cell.metadata.get("tags", ()):
            cell.source = parameters
    with tempfile.TemporaryDirectory() as folder:
        # No home is needed, and nobody's own configuration counts.
        own = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
        settings = {name: str(Path(folder) / name.lower()) for name in own}
        settings["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # plots go into the notebook
        paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        # Cells come through a file of this folder, not through a port.
        kernel = {"transport": "ipc", "connection_file": str(Path(folder) / "kernel.json")}
        work = Path(folder) / "work"
        work.mkdir()
        client = nbclient.NotebookClient(
            notebook, timeout=_PATIENCE, record_timing=False, resources={"metadata": {"path": str(work)}},
            config=traitlets.Config({"KernelManager": kernel}),
        )  # fmt: skip
        client.execute(env={**os.environ, **settings, **paths})
    for cell in notebook.cells:
        if cell.cell_type == "code":  # progress is no result
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> None:
    nbformat = import_optional("nbformat", "notebooks")
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = execute(path)
        nbformat.write(notebook, path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    try:
        main()
    except EvaError as error:
        raise SystemExit(f"build_notebooks: {error}") from None
