"""Routings that docs/cables.md compares with the one in use."""

from __future__ import annotations

from tools.assets.cables import CABLES, Cable, Patch, Place


def with_cables(routing: tuple[Cable, ...], *changed: Cable) -> tuple[Cable, ...]:
    """Returns a routing with some of its cables replaced by those of the same name."""
    new = {cable.name: cable for cable in changed}
    return tuple(new.get(cable.name, cable) for cable in routing)


def with_exit(routing: tuple[Cable, ...], name: str, place: Place) -> tuple[Cable, ...]:
    """Returns a routing with the exit of one cable [mm] moved."""
    return with_cables(routing, *(cable._replace(exit=place) for cable in routing if cable.name == name))


#: One round patch for each cable, pulled straight towards the origin of its muscle.
ONE_PATCH_EACH: tuple[Cable, ...] = (
    Cable("brow_inner", (Patch((15, 22), (15, 15)),), (16, 50), 2),
    Cable("brow_outer", (Patch((40, 26), (15, 15)),), (46, 56), 2),
    Cable("corrugator", (Patch((20, 22), (11, 11)),), (4, 9), 2),
    Cable("levator", (Patch((17, -55), (7, 7)),), (25, -22), 3),
    Cable("zygomaticus", (Patch((27, -64), (7, 7)),), (54, -34), 3),
    Cable("depressor", (Patch((26, -68), (7, 7)),), (28, -97), 3, jaw=0.5),
)

DESIGNS: dict[str, tuple[Cable, ...]] = {
    "in use": CABLES,
    "one patch each": ONE_PATCH_EACH,
    "one patch each, exits inwards": with_exit(
        with_exit(ONE_PATCH_EACH, "levator", (10, -28)), "depressor", (10, -96)
    ),
    "in use, depressor inwards": with_exit(CABLES, "depressor", (9, -96)),
    "in use, depressor outwards": with_exit(CABLES, "depressor", (28, -106)),
}
