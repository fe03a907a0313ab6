"""Requests of pages, and updates to them."""

from __future__ import annotations

import json

import pytest

from eva_sim.live.wire import KINDS, RequestError, pack_update, parse_request

VALUES = {float: 0.5, str: "jaw", bool: True}


@pytest.mark.parametrize("kind", KINDS)
def test_each_request_is_parsed(kind: str) -> None:
    fields = {name: VALUES[wanted] for name, wanted in KINDS[kind].items()}
    request = parse_request(json.dumps({"type": kind, **fields, "more": 1}), 3)
    assert (request.kind, request.page, request.fields) == (kind, 3, fields)


@pytest.mark.parametrize("kind", [kind for kind, fields in KINDS.items() if fields])
@pytest.mark.parametrize("value", [None, [], {}, float("nan"), float("inf"), 1e300, "absent"])
def test_a_wrong_field_is_refused(kind: str, value: object) -> None:
    fields: dict[str, object] = {
        name: [value] if wanted is str or value == "absent" else value for name, wanted in KINDS[kind].items()
    }
    with pytest.raises(RequestError):
        parse_request(json.dumps({"type": kind, **fields}), 1)


def test_an_update_can_be_taken_apart() -> None:
    packed = pack_update({"number": 7, "prompt": "ä"}, bytes(range(8)), b"jpeg")
    length = int.from_bytes(packed[:4], "little")
    header = json.loads(packed[4 : 4 + length])
    assert length % 4 == 0 and header["number"] == 7
    assert packed[4 + length : 4 + length + header["sizes"]["vertices"]] == bytes(range(8))
    assert packed.endswith(b"jpeg")
