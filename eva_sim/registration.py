"""Registers the Gymnasium ids of this package. `import eva_sim` imports this, so it must stay light."""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple


class RegisteredId(NamedTuple):
    """What is registered for one id.

    Attributes:
        entry_point: the single environment; N environments at once are the class of that name with
            "Vector" in it.
        max_episode_steps: control steps after which an episode is truncated, unless `gym.make` or
            `gym.make_vec` is given another number.
    """

    entry_point: str
    max_episode_steps: int


#: Every id. The number after -v rises when results would no longer be comparable.
IDS = {
    "EVA/Pose-v0": RegisteredId("eva_sim.envs.pose:PoseEnv", 100),
    "EVA/Mimic-v0": RegisteredId("eva_sim.envs.mimic:MimicEnv", 250),
}
#: The module of Gymnasium that holds the ids.
_REGISTRY = "gymnasium.envs.registration"


def register_with_gymnasium() -> None:
    """Registers the ids: now if Gymnasium is imported, otherwise when it is.

    Importing Gymnasium, with NumPy, takes several times as long as the rest of `import eva_sim`, and the help
    of `eva` needs neither. Gymnasium 1 has no entry points for packages, so its import is waited for.
    """
    if _REGISTRY in sys.modules:
        register_ids()
    elif not any(isinstance(finder, _WaitForGymnasium) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WaitForGymnasium())


def register_ids() -> None:
    """Registers every id once; calling it again changes nothing."""
    from gymnasium.envs.registration import register, registry

    for name, (entry_point, steps) in IDS.items():
        if name not in registry:
            vector = entry_point.replace("Env", "VectorEnv")
            register(id=name, entry_point=entry_point, vector_entry_point=vector, max_episode_steps=steps)


class _WaitForGymnasium(MetaPathFinder):
    """Has the ids registered as soon as the registry of Gymnasium is imported."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != _REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


class _RegisteringLoader(Loader):
    """Loads a module as its own loader does, then registers the ids; the module keeps its own loader."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        register_ids()
