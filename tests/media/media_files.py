"""Makes small clips and pictures, also odd ones that usual tools do not write."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from eva_sim.files import asset
from eva_sim.media.encoding import Picture
from eva_sim.media.sources import open_source

HEIGHT, WIDTH = 64, 96
X265_QUIET = {"x265-params": "log-level=none:keyint=1"}
#: Four colours, one a quarter: upper left, upper right, lower left, lower right.
CORNERS = ((230, 30, 30), (30, 200, 30), (30, 30, 230), (220, 220, 40))


def quarters(height: int = HEIGHT, width: int = WIDTH) -> Picture:
    """A picture whose orientation can be seen."""
    picture = np.empty((height, width, 3), np.uint8)
    for index, colour in enumerate(CORNERS):
        rows = slice(0, height // 2) if index < 2 else slice(height // 2, None)
        columns = slice(width // 2, None) if index % 2 else slice(0, width // 2)
        picture[rows, columns] = colour
    return picture


def ramp(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A grey ramp from black to white, uint8 (height, width)."""
    return np.tile(np.linspace(0, 255, width).round().astype(np.uint8), (height, 1))


def film(count: int, height: int = HEIGHT, width: int = WIDTH) -> list[Picture]:
    """Pictures that get brighter from one to the next."""
    return [np.full((height, width, 3), 20 + 200 * i // max(1, count), np.uint8) for i in range(count)]


def brightness(frames: Sequence[Picture]) -> list[float]:
    return [float(frame.mean()) for frame in frames]


def two_people(left: int, right: int) -> Picture:
    """A picture of two persons: these frames of the sample clip, side by side."""
    frames = dict(enumerate(picture for _, picture in islice(open_source(asset("samples/person.mp4")), 200)))
    return np.concatenate([frames[number][20:300, 120:320] for number in (left, right)], axis=1)


def add_stream(
    container: Any, pictures: Sequence[Picture], codec: str, pixels: str = "yuv420p", **settings: Any
) -> Any:
    """Adds a stream of the pictures' size, with attributes of its own or of its codec."""
    options = X265_QUIET if codec == "libx265" else {}
    stream = container.add_stream(codec, rate=25, options=options)
    stream.pix_fmt, stream.height, stream.width = pixels, *pictures[0].shape[:2]
    for name, value in settings.items():
        setattr(stream if name == "disposition" else stream.codec_context, name, value)
    return stream


def encode(
    container: Any, stream: Any, pictures: Sequence[Picture], times: Sequence[int] | None = None
) -> None:
    """Encodes pictures at the given frame numbers; by default 0, 1, 2, ..."""
    for number, picture in zip(times or range(len(pictures)), pictures, strict=True):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def write_clip(
    path: Path,
    pictures: Sequence[Picture],
    codec: str = "libx264",
    times: Sequence[int] | None = None,
    matrix: Sequence[int] | None = None,
    container_format: str | None = None,
    **settings: Any,
) -> Path:
    """Writes a clip at 25 frames a second."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = add_stream(container, pictures, codec, **settings)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        encode(container, stream, pictures, times)
    return path


def write_jpeg_clip(path: Path, images: Sequence[Image.Image], header: bytes) -> Path:
    """Writes a clip of JPEGs with this EXIF header, as some cameras do."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.pix_fmt, stream.width, stream.height = "yuvj420p", *images[0].size
        for number, image in enumerate(images):
            coded = io.BytesIO()
            image.save(coded, "jpeg", quality=95, exif=header)
            packet = av.Packet(coded.getvalue())
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            container.mux(packet)
    return path


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _full_box(kind: bytes, version: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24), *parts)


def _hevc(picture: Picture) -> tuple[bytes, bytes]:
    """Returns the configuration box and the coded data of one picture."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        encode(container, add_stream(container, [picture], "libx265"), [picture])
    raw = buffer.getvalue()
    start = raw.index(b"hvcC") - 4
    buffer.seek(0)
    with av.open(buffer, "r") as coded:
        data = b"".join(bytes(packet) for packet in coded.demux(video=0) if packet.size)
    return raw[start : start + int.from_bytes(raw[start : start + 4], "big")], data


def write_tiff(path: Path, strip: bytes, bits: int, meaning: int = 1, kind: int = 1) -> Path:
    """Writes a grey TIFF of `HEIGHT` x `WIDTH` pixels as its samples are given.

    Args:
        path: of the file.
        strip: samples, packed.
        bits: of a sample.
        meaning: 1 if 0 is black, 0 if 0 is white.
        kind: 1 for unsigned samples, 2 for signed ones, 3 for floats.
    """
    tags = [(256, WIDTH), (257, HEIGHT), (258, bits), (259, 1), (262, meaning), (273, 8), (277, 1),
            (278, HEIGHT), (279, len(strip)), (339, kind)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag == 279 else 3, 1, value) for tag, value in tags)
    end = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + end)
    return path


class HeifWriter:
    """Writes a HEIC file: one picture or a grid of tiles, turned and flipped by its header.

    As in those of phones, the layout of a grid stands in the head (`idat`), not beside the tiles.

    Args:
        picture: as stored.
        rows: of tiles.
        columns: of tiles.
        turns: `(b"irot", quarter turns to the left)` or `(b"imir", axis)`, in order.
        shape: height and width that are shown of the tiles; by default all.
    """

    def __init__(
        self,
        picture: Picture,
        rows: int = 1,
        columns: int = 1,
        turns: Sequence[tuple[bytes, int]] = (),
        shape: tuple[int, int] | None = None,
    ) -> None:
        self._items: list[tuple[bytes, bytes]] = []  # type and data; their numbers count from 1
        self._properties: list[bytes] = []
        self._owned: list[list[int]] = []  # properties of each item
        height, width = picture.shape[0] // rows, picture.shape[1] // columns
        for row in range(rows):
            for column in range(columns):
                across = slice(column * width, (column + 1) * width)
                configuration, data = _hevc(picture[row * height : (row + 1) * height, across])
                self._add(b"hvc1", data, (configuration, self._size(height, width)))
        self._tiles = len(self._items)
        if self._tiles > 1:
            high, wide = shape or picture.shape[:2]
            layout = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, wide, high)
            self._add(b"grid", layout, (self._size(high, wide),))
        for kind, amount in turns:
            self._properties.append(_box(kind, bytes([amount])))
            self._owned[-1].append(len(self._properties))

    def write(self, path: Path) -> Path:
        head = _box(b"ftyp", b"heic", b"\0\0\0\0", b"mif1", b"heic")
        place = len(head) + len(self._meta(0)) + 8
        data = _box(b"mdat", *(data for kind, data in self._items if kind != b"grid"))
        path.write_bytes(head + self._meta(place) + data)
        return path

    @staticmethod
    def _size(height: int, width: int) -> bytes:
        return _full_box(b"ispe", 0, struct.pack(">II", width, height))

    def _add(self, kind: bytes, data: bytes, properties: tuple[bytes, ...]) -> None:
        self._items.append((kind, data))
        first = len(self._properties) + 1
        self._properties += properties
        self._owned.append(list(range(first, first + len(properties))))

    def _meta(self, place: int) -> bytes:
        count, places = len(self._items), b""
        for number, (kind, data) in enumerate(self._items, 1):
            in_head = kind == b"grid"
            places += struct.pack(">HHHHII", number, in_head, 0, 1, 0 if in_head else place, len(data))
            place += 0 if in_head else len(data)
        entries = [
            _full_box(b"infe", 2, struct.pack(">HH", number, 0), kind, b"\0")
            for number, (kind, _) in enumerate(self._items, 1)
        ]
        owned = b"".join(
            struct.pack(">HB", number, len(each)) + bytes(each) for number, each in enumerate(self._owned, 1)
        )
        parts = [
            _full_box(b"hdlr", 0, b"\0\0\0\0pict", bytes(13)),
            _full_box(b"pitm", 0, struct.pack(">H", count)),
            _full_box(b"iloc", 1, struct.pack(">BBH", 0x44, 0, count), places),
            _full_box(b"iinf", 0, struct.pack(">H", count), *entries),
        ]
        if self._tiles > 1:
            tiles = struct.pack(f">{self._tiles + 2}H", count, self._tiles, *range(1, self._tiles + 1))
            parts += [_full_box(b"iref", 0, _box(b"dimg", tiles)), _box(b"idat", self._items[-1][1])]
        ipma = _full_box(b"ipma", 0, struct.pack(">I", count), owned)
        return _full_box(b"meta", 0, *parts, _box(b"iprp", _box(b"ipco", *self._properties), ipma))
