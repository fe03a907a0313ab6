"""Opening a face by the name of its body. Entry points are text, so that nothing is imported before use."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from eva_sim.contract import Capabilities, Face
from eva_sim.errors import EvaError, known_names, nearest_name


class Body(NamedTuple):
    """The entry points of a body, `"module:function"`.

    Attributes:
        opener: opens the face.
        capabilities: returns its `Capabilities` for the same options.
    """

    opener: str
    capabilities: str


#: Every body by name.
BODIES = {
    "twin": Body("eva_sim.twin:Twin", "eva_sim.faces:twin_capabilities"),
    "robot": Body("eva_sim.real.opening:open_robot", "eva_sim.real.opening:robot_capabilities"),
    "virtual": Body("eva_sim.real.opening:open_virtual", "eva_sim.real.opening:hidden_capabilities"),
    "mock": Body("eva_sim.real.opening:open_mock", "eva_sim.real.opening:hidden_capabilities"),
}


def make_face(body: str = "twin", **options: object) -> Face:
    """Opens a face by the name of its body.

    Args:
        body: `"twin"` for the simulated head; `"robot"` for the physical one; `"virtual"` for the real
            firmware on a simulated microcontroller that moves a hidden robot; `"mock"` for the same
            without the toolchain.
        **options: of the body. Of all: `spec`, the face, by default EVA. Of the twin: `skin`, `camera_size`
            and `neck`, see `eva_sim.twin.Twin`. Of the robot: `board`, `port`, `robot_id`, `camera` and
            `calibration`. Of the other two: `seed` (of the hidden robot), `camera_size`, `realtime` and
            `calibration`, see `eva_sim.real.opening`.

    Raises:
        EvaError: no such body, or an option that it does not have.
    """
    face: Face = _checked_opener(body, options)(**options)
    return face


def face_capabilities(body: str = "twin", **options: object) -> Capabilities:
    """Returns what a face can do, without opening it.

    Args:
        body: as in `make_face`.
        **options: as in `make_face`.

    Raises:
        EvaError: no such body, or an option that it does not have.
    """
    _checked_opener(body, options)
    capabilities: Capabilities = _load(BODIES[body].capabilities)(**options)
    return capabilities


def twin_capabilities(**_: object) -> Capabilities:
    """Capabilities of the twin, whatever its options."""
    return Capabilities(measured_positions=True, camera=True, save=True, real_time=False)


def _checked_opener(body: str, options: dict[str, object]) -> Callable[..., Any]:
    if body not in BODIES:
        raise EvaError(f"no body called {body!r}; {known_names(str(body), list(BODIES))}.")
    opener = _load(BODIES[body].opener)
    known = list(inspect.signature(opener).parameters)
    unknown = sorted(set(options) - set(known))
    if unknown:
        near = [name for each in unknown if (name := nearest_name(each, known))]
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise EvaError(f"body={body!r} has no option {', '.join(unknown)}; it has {', '.join(known)}.{hint}")
    return opener


def _load(entry_point: str) -> Callable[..., Any]:
    module, _, name = entry_point.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return loaded
