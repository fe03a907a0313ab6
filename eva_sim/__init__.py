"""EVA: one face, two bodies.

Start reading here, then `eva_sim/contract.py` (what a face is) and `eva_sim/twin.py` (the
simulated body, in one page). Importing this package registers the Gymnasium ids and loads
nothing heavy: no physics, no renderer, no torch.
"""

from eva_sim.contract import Face, FaceSpec, Reading, load_spec
from eva_sim.envs.ids import register_ids
from eva_sim.errors import EvaError

__version__ = "0.1.0"
__all__ = ["EvaError", "Face", "FaceSpec", "Reading", "__version__", "load_spec", "make_face"]

register_ids()


def make_face(body: str = "twin", **options: object) -> Face:
    """Opens a face by the name of its body.

    Args:
        body: `"twin"` for the simulated head, `"robot"` or `"virtual"` for the serial adapter.
        **options: of the body; the twin's are `skin`, `camera` and `neck`, see `eva_sim.twin.Twin`.

    Raises:
        EvaError: no such body, or one that this version does not have yet.
    """
    if body == "twin":
        from eva_sim.twin import Twin

        return Twin(**options)  # type: ignore[arg-type]
    if body in ("robot", "virtual"):
        raise EvaError(f"body={body!r} is not in version {__version__} yet; use body='twin'.")
    raise EvaError(f"no body called {body!r}; choose 'twin'; 'robot' and 'virtual' are to come.")
