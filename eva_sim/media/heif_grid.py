"""Pictures of phones (HEIC) that are stored as a grid of tiles, which PyAV decodes one by one.

The file format is ISO/IEC 23008-12, in boxes of ISO/IEC 14496-12.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import av.error
import numpy as np
from PIL import Image

from eva_sim.errors import MediaError
from eva_sim.media.assumptions import Assumptions
from eva_sim.media.clip_reader import open_container
from eva_sim.media.encoding import Picture
from eva_sim.media.frame_reader import DecodedFrame, FrameReader
from eva_sim.media.geometry import check_size, square_size
from eva_sim.media.local_file import LocalFile

#: Kinds of files with pictures in HEVC. Pillow reads the other kind, AVIF.
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2")
#: The head of a file with pictures is small; a larger one is no such file [bytes].
_MAX_HEAD = 1 << 24


class Grid(NamedTuple):
    """The layout of a picture in tiles.

    Attributes:
        tiles: number of each tile's item, row by row.
        columns: tiles in a row.
        width: of the picture; the tiles may be larger [pixels].
        height: of the picture [pixels].
        turns: quarter turns to the left and flips, in order: `("irot", turns)` or `("imir", axis)`.
    """

    tiles: tuple[int, ...]
    columns: int
    width: int
    height: int
    turns: tuple[tuple[str, int], ...]


class HeifGridReader(FrameReader):
    """Reads the main picture of a file that stores it in tiles."""

    length = 1

    def __init__(self, file: LocalFile, grid: Grid) -> None:
        check_size(grid.width, grid.height, file.path)
        self._file, self._grid = file, grid

    def frames(self, assumed: Assumptions) -> Iterator[DecodedFrame]:
        """Yields the picture.

        Raises:
            MediaError: a tile is missing or damaged.
        """
        tiles = self._decode_tiles()
        try:
            rows = [
                np.concatenate(
                    [tiles[item] for item in self._grid.tiles[start : start + self._grid.columns]], 1
                )
                for start in range(0, len(self._grid.tiles), self._grid.columns)
            ]
            picture = np.concatenate(rows)[: self._grid.height, : self._grid.width]
        except (KeyError, ValueError) as error:
            raise MediaError(
                f"{self._file.path} lacks a part of its picture; save it again, or save it as JPEG."
            ) from error
        yield DecodedFrame(_shrink(_turn(picture, self._grid.turns)))

    def _decode_tiles(self) -> dict[int, Picture]:
        tiles: dict[int, Picture] = {}
        with open_container(self._file) as container:
            streams: list[Any] = [s for s in container.streams.video if s.id in self._grid.tiles]
            for packet in container.demux(*streams):
                try:
                    for frame in packet.decode():
                        tiles[packet.stream.id] = frame.to_ndarray(format="rgb24")
                except av.error.FFmpegError:
                    continue  # the missing tile is told later
        return tiles


def find_grid(file: LocalFile) -> Grid | None:
    """Returns the layout of a file whose main picture is stored in tiles; None for any other file.

    Raises:
        MediaError: the layout cannot be read.
    """
    with file.open() as opened:
        start = opened.read(12)
        if start[4:8] != b"ftyp" or start[8:12] not in _BRANDS:
            return None
        head = start + opened.read(_MAX_HEAD)
    try:
        boxes = dict(_boxes(head))
        return None if b"moov" in boxes else _parse(head, dict(_boxes(boxes[b"meta"][4:])))
    except (KeyError, IndexError, struct.error, ValueError) as error:
        raise MediaError(
            f"{file.path} is damaged, or of a kind that is not known; save it as JPEG."
        ) from error


def _parse(file: bytes, meta: dict[bytes, bytes]) -> Grid | None:
    wide = meta[b"pitm"][0] > 0
    main = int.from_bytes(meta[b"pitm"][4 : 8 if wide else 6], "big")
    if dict(_items(meta[b"iinf"])).get(main) != b"grid":
        return None
    place = _place(meta, main)
    layout = place if isinstance(place, bytes) else file[place[0] : place[0] + place[1]]
    large, rows, columns = layout[1] & 1, layout[2] + 1, layout[3] + 1
    width, height = struct.unpack(">II" if large else ">HH", layout[4 : 12 if large else 8])
    tiles = _tiles(meta[b"iref"], main)
    if len(tiles) != rows * columns:
        raise ValueError("rows and columns do not fit the number of tiles")
    return Grid(tiles, columns, width, height, tuple(_turns(meta[b"iprp"], main)))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields type and content of each box."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, position + 8)[0], 16
        end = position + size if size else len(data)
        if end < position + head:
            raise ValueError("a box is smaller than its head")
        yield kind, data[position + head : end]
        position = end


def _items(iinf: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields number and type of each item."""
    for kind, entry in _boxes(iinf[6 if iinf[0] == 0 else 8 :]):
        if kind == b"infe" and entry[0] >= 2:
            size = 2 if entry[0] == 2 else 4
            yield int.from_bytes(entry[4 : 4 + size], "big"), entry[6 + size : 10 + size]


def _place(meta: dict[bytes, bytes], wanted: int) -> bytes | tuple[int, int]:
    """Returns an item's content where the head holds it, else its offset and length in the file."""
    iloc = meta[b"iloc"]
    version = iloc[0]
    sizes = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if version else 0
    position = 6

    def number(size: int) -> int:
        nonlocal position
        position += size
        return int.from_bytes(iloc[position - size : position], "big")

    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        in_head = bool(number(2) & 1) if version else False
        number(2)
        base = number(sizes[2])
        extents = []
        for _ in range(number(2)):
            number(sizes[3])
            extents.append((base + number(sizes[0]), number(sizes[1])))
        if item == wanted:
            offset, length = extents[0]
            return meta[b"idat"][offset : offset + length] if in_head else (offset, length)
    raise KeyError(wanted)


def _tiles(iref: bytes, main: int) -> tuple[int, ...]:
    """Returns the items that the main picture is made of, in order."""
    size = 4 if iref[0] else 2
    for kind, content in _boxes(iref[4:]):
        numbers = [
            int.from_bytes(content[i : i + size], "big") for i in (0, *range(size + 2, len(content), size))
        ]
        if kind == b"dimg" and numbers[0] == main:
            return tuple(numbers[1:])
    raise KeyError(main)


def _turns(iprp: bytes, main: int) -> Iterator[tuple[str, int]]:
    """Yields the turns and flips of the main picture in their order."""
    boxes = dict(_boxes(iprp))
    properties, ipma = list(_boxes(boxes[b"ipco"])), boxes[b"ipma"]
    size, long = (2 if ipma[0] < 1 else 4), ipma[3] & 1
    position = 8
    for _ in range(int.from_bytes(ipma[4:8], "big")):
        item = int.from_bytes(ipma[position : position + size], "big")
        count = ipma[position + size]
        position += size + 1
        for _ in range(count):
            entry = int.from_bytes(ipma[position : position + 1 + long], "big")
            position += 1 + long
            index = entry & (0x7FFF if long else 0x7F)
            if item == main and index:
                kind, content = properties[index - 1]
                if kind in (b"irot", b"imir"):
                    yield kind.decode(), content[0] & 3


def _turn(picture: Picture, turns: tuple[tuple[str, int], ...]) -> Picture:
    for kind, amount in turns:
        picture = np.rot90(picture, amount) if kind == "irot" else np.flip(picture, amount & 1)
    return np.ascontiguousarray(picture)


def _shrink(picture: Picture) -> Picture:
    size = square_size(picture.shape[1], picture.shape[0])
    return np.asarray(Image.fromarray(picture).resize(size))
