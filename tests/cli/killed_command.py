"""Runs an `eva` command that sends itself a signal at a chosen call of a function.

    python killed_command.py NUMBER MODULE:NAME COUNT WORDS ...

NUMBER is that of the signal, 0 for none. The twin is the fake face unless REAL is set, since only the moment
of the signal matters. What takes minutes is made short.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from eva_sim import make_face
from eva_sim.contract import Face
from eva_sim.testing.fake_face import FakeFace


def find(place: str) -> tuple[Any, str]:
    """Returns what holds a function, and the function's name; `module:name` or `module:Class.name`."""
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    return owner, name


def replace(place: str, value: Any) -> None:
    """Puts something else in the place of a function or a constant."""
    owner, name = find(place)
    setattr(owner, name, value)


def signal_at(number: int, place: str, count: int) -> None:
    """Makes the call with this count of a function, from 1, send a signal first."""
    owner, name = find(place)
    function, calls = getattr(owner, name), 0

    @functools.wraps(function)
    def counted(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), number)
        return function(*given, **named)

    replace(place, counted)


def open_face(body: str = "twin", **options: Any) -> Face:
    """Opens the fake for the twin, and other bodies as they are."""
    return FakeFace() if body == "twin" else make_face(body, **options)


def use_fakes() -> None:
    """Puts the fake face in the place of the twin."""
    from eva_sim.agents.data.babbling import babble

    replace("eva_sim.twin:Twin", FakeFace)
    replace("eva_sim:make_face", open_face)
    babble.__kwdefaults__ = {**(babble.__kwdefaults__ or {}), "open_face": open_face}


def shorten(command: str) -> None:
    """Makes training, the demo and the transfer report take seconds."""
    replace("eva_sim.agents.data.babbling:SHARD_SIZE", 10)
    if command in ("train", "demo"):
        from eva_sim.agents.models.inverse import TrainingConfig

        replace("eva_sim.agents.train:TrainingConfig", functools.partial(TrainingConfig, epochs=8))
    if command == "demo":
        from eva_sim.agents.demo import demo

        demo.__defaults__ = (40,)
        replace("eva_sim.agents.demo:make_face", open_face)
        replace("eva_sim.agents.demo:asset", lambda name: Path("clip.mp4"))
    if command == "transfer":
        from eva_sim.real.transfer.plan import make_plan

        replace("eva_sim.real.transfer.plan:HOLD", 0.2)
        replace("eva_sim.real.transfer.report:CAMERAS", 1)
        replace("eva_sim.real.transfer.report:make_plan", functools.partial(make_plan, poses=1, walk=0.4))


def main() -> None:
    number, place, count, *words = sys.argv[1:]
    if not os.environ.get("REAL"):
        use_fakes()
    shorten(words[0])
    if int(number):
        signal_at(int(number), place, int(count))
    sys.argv = ["eva", *words]
    from eva_sim.cli.app import main as eva

    eva()


if __name__ == "__main__":
    main()
