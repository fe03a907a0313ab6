"""What server and page say to each other: updates to the page, requests from it.

An update is binary: the length of a JSON header (uint32), the header, the vertices, and a picture as JPEG.
A request is a JSON object with a `type`. Where the browser's camera is used, a binary message to the server
is a picture as JPEG.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from eva_sim.errors import EvaError

#: Longest request [bytes].
LONGEST_REQUEST = 4096
#: Kind of the request by which the server tells that a page has closed; pages cannot send it.
CLOSED = "closed"


class RequestError(EvaError, ValueError):
    """A page asked for something that is not understood; it is told, and nothing changes."""


@dataclass(frozen=True)
class Update:
    """One moment of the face, as pages get it.

    Attributes:
        number: rises by one from update to update.
        packed: what is sent.
        arrival: when the picture that it answers came, by `time.perf_counter` [s]; None if it answers none.
    """

    number: int
    packed: bytes
    arrival: float | None = None


@dataclass(frozen=True)
class Request:
    """What a page asks for.

    Attributes:
        kind: name of the request.
        fields: its values, checked by type.
        page: number of the page that asks.
        time: when it came, by `time.perf_counter` [s].
    """

    kind: str
    fields: Mapping[str, Any]
    page: int
    time: float


#: Fields of each request, and their type.
KINDS: dict[str, dict[str, type]] = {
    "seen": {"number": float},
    "mode": {"mode": str},
    "slider": {"name": str, "value": float},
    "expression": {"name": str, "intensity": float},
    "neutral": {},
    "idle": {"on": bool},
    "arm": {},
    "stop": {},
    "record": {"on": bool},
    "replay": {},
    "export": {"what": str},
}


def pack_update(header: Mapping[str, Any], vertices: bytes, picture: bytes) -> bytes:
    """Packs an update; the vertices begin at a multiple of four bytes."""
    sizes = {"vertices": len(vertices), "picture": len(picture)}
    text = json.dumps({**header, "sizes": sizes}, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([len(text).to_bytes(4, "little"), text, vertices, picture])


def parse_request(message: str | bytes, page: int) -> Request:
    """Parses a message of a page.

    Raises:
        RequestError: it is no request, too long, or a field is missing, of another type or no finite number.
    """
    if len(message) > LONGEST_REQUEST:
        raise RequestError(f"a request has at most {LONGEST_REQUEST} bytes; this one has {len(message)}.")
    try:
        fields = json.loads(message, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError("a request is a JSON object; this message is none.") from error
    if not isinstance(fields, dict):
        raise RequestError("a request is a JSON object; this message is none.")
    kind = fields.pop("type", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise RequestError(f"no request of type {str(kind)[:40]!r}; there are {', '.join(KINDS)}.")
    checked = {name: _checked(kind, name, wanted, fields) for name, wanted in KINDS[kind].items()}
    return Request(kind, checked, page, perf_counter())


def _checked(kind: str, name: str, wanted: type, fields: Mapping[str, Any]) -> Any:
    value = fields.get(name)
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) < 1e15:
            return float(value)
    elif isinstance(value, wanted):
        return value
    raise RequestError(f"the request {kind} needs {name} as {_WORDS[wanted]}.")


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


_WORDS = {float: "a finite number", str: "text", bool: "true or false"}
