"""Libraries that come with an extra of eva-sim, and are imported only where they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from eva_sim.errors import SEE_DOCTOR, EvaError, missing_module


def import_optional(module: str, extra: str, error: type[EvaError] = EvaError) -> Any:
    """Imports a module of an optional library.

    Args:
        module: name of the module.
        extra: extra of eva-sim that installs it.
        error: class of the error to raise if it is not installed.

    Raises:
        EvaError: the module is not installed, and the message says how to install it; or it is broken.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise error(missing_module(module, f"[{extra}]")) from missing
    except ImportError as broken:
        raise error(
            f"the Python module {module} cannot be loaded ({broken}); reinstall it. {SEE_DOCTOR}"
        ) from broken
