"""What `eva doctor` finds: one finding for each thing that it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from eva_sim.errors import describe_error

#: `works`; `missing`: not there, and not needed by every installation; `fails`: needed, or named by the user.
State = Literal["works", "missing", "fails"]


@dataclass(frozen=True)
class Finding:
    """A finding about one thing.

    Attributes:
        name: of the thing.
        state: see `State`.
        found: what was found, in words.
        remedy: what to do about it; empty if it works.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def guard(name: str, check: Callable[[], Finding | Iterator[Finding]]) -> Iterator[Finding]:
    """Yields the findings of a check; an error of it is a finding, too.

    Args:
        name: of the thing that is checked.
        check: returns one finding, or several one by one. Its errors say what to do.
    """
    try:
        found = check()
        yield from (found,) if isinstance(found, Finding) else found
    except Exception as error:  # whatever a library raises is what the doctor is asked for
        yield Finding(name, "fails", f"the check ended with {type(error).__name__}", describe_error(error))
