"""EVA: one face, two bodies.

Start reading here, then `eva_sim/contract.py` (what a face is) and `eva_sim/twin.py` (the
simulated body, in one page). Importing this package registers the Gymnasium ids and loads
nothing heavy: no physics, no renderer, no torch.
"""

from typing import Any

from eva_sim.contract import Face, FaceSpec, Reading, load_spec
from eva_sim.errors import EvaError
from eva_sim.registration import register_ids

__version__ = "0.1.0"
__all__ = ["EvaError", "Face", "FaceSpec", "Reading", "__version__", "load_spec", "make_face"]

register_ids()


def make_face(body: str = "twin", **options: object) -> Face:
    """Opens a face by the name of its body.

    Args:
        body: `"twin"` for the simulated head; `"robot"` for the physical one; `"virtual"` for the real
            firmware on a simulated microcontroller that moves a hidden head; `"mock"` for the same
            without the toolchain.
        **options: of the body: of the twin `skin`, `camera` and `neck`, see `eva_sim.twin.Twin`; of the
            robot `board`, `port`, `camera` and `calibration`, of the other two `robot` (seed of the hidden
            head), `size`, `realtime` and `calibration`, see `eva_sim.real.opening`.

    Raises:
        EvaError: no such body, or an option that it does not have.
    """
    openers: dict[str, Any] = {}
    if body == "twin":
        from eva_sim.twin import Twin

        openers = {"twin": Twin}
    elif body in ("robot", "virtual", "mock"):
        from eva_sim.real import opening

        openers = {"robot": opening.open_robot, "virtual": opening.open_virtual, "mock": opening.open_mock}
    if body not in openers:
        raise EvaError(f"no body called {body!r}; choose 'twin', 'robot', 'virtual' or 'mock'.")
    _check_options(body, openers[body], options)
    face: Face = openers[body](**options)
    return face


def _check_options(body: str, opener: Any, options: dict[str, object]) -> None:
    import inspect

    known = list(inspect.signature(opener).parameters)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise EvaError(f"body={body!r} has no option {', '.join(unknown)}; it has {', '.join(known)}.")
