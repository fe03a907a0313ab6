"""Opening a face by the name of its body. Entry points are text, so that nothing is imported before use."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from eva_sim.errors import ArgumentError, ArgumentValueError, check_keywords, known_names

if TYPE_CHECKING:
    from eva_sim.contract import Capabilities, Face


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
        ArgumentValueError: no such body.
        ArgumentError: an option that it does not have.
    """
    face: Face = _checked_opener("make_face", body, options)(**options)
    return face


def face_options(body: str) -> tuple[str, ...]:
    """Returns the names of the options that a body has.

    Raises:
        ArgumentValueError: no such body.
    """
    return tuple(inspect.signature(_opener(body)).parameters)


def face_capabilities(body: str = "twin", **options: object) -> Capabilities:
    """Returns what a face can do, without opening it.

    Args:
        body: as in `make_face`.
        **options: as in `make_face`.

    Raises:
        ArgumentValueError: no such body.
        ArgumentError: an option that it does not have.
    """
    _checked_opener("face_capabilities", body, options)
    capabilities: Capabilities = _load(BODIES[body].capabilities)(**options)
    return capabilities


def twin_capabilities(**_: object) -> Capabilities:
    """Capabilities of the twin, whatever its options."""
    from eva_sim.contract import Capabilities

    return Capabilities(measured_positions=True, camera=True, save=True, real_time=False)


def check_spec(spec: object) -> None:
    """Checks that what is given as the spec of a face is one, or None.

    Raises:
        ArgumentError: it is something else, such as a folder.
    """
    from eva_sim.contract import FaceSpec

    if not isinstance(spec, FaceSpec | None):
        raise ArgumentError(f"spec is a FaceSpec, not {spec!r}; eva_sim.load_spec(FOLDER) reads one.")


def _checked_opener(call: str, body: str, options: dict[str, object]) -> Callable[..., Any]:
    check_keywords(f"{call}({body!r}, ...)", options, face_options(body))
    check_spec(options.get("spec"))
    return _opener(body)


def _opener(body: str) -> Callable[..., Any]:
    if body not in BODIES:
        raise ArgumentValueError(f"no body called {body!r}; {known_names(body, list(BODIES))}.")
    return _load(BODIES[body].opener)


def _load(entry_point: str) -> Callable[..., Any]:
    module, _, name = entry_point.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return loaded
