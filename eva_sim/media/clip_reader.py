"""Clips that FFmpeg reads, through PyAV. It also reads single pictures that Pillow does not know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import PurePath
from typing import Any

import av
import av.error
import av.filter
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from eva_sim.errors import MediaError
from eva_sim.media.assumptions import Assumptions
from eva_sim.media.encoding import Picture
from eva_sim.media.frame_reader import DEFAULT_FPS, DecodedFrame, FrameReader, believable_fps
from eva_sim.media.geometry import MAX_PIXELS, Orientation, believable_aspect, check_size, square_size
from eva_sim.media.local_file import LocalFile

#: Streams that are no film: covers, thumbnails, and what belongs to another stream.
_NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.dependent
#: Packets that are looked at to find the stream that moves.
_LOOK_AHEAD = 5000
#: Nothing but the file itself is opened: playlists name other files, and addresses in the network.
_NO_PROTOCOL = {"protocol_whitelist": "none"}
#: Transfer characteristics of high dynamic range, by their numbers in ITU-T H.273: PQ and HLG.
_HDR = (16, 18)
#: The length of one stream in the tags of Matroska.
_TAGGED_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
#: What reading a damaged file raises.
_ERRORS = (av.error.FFmpegError, ValueError, OverflowError, OSError)
#: Formats that mark packets as damaged when pieces of files were joined.
_FALSE_ALARMS = ("mpegts",)
#: End of the names of formats that are pictures one after another; their times are not in the file.
_PICTURES = "_pipe"
_DAMAGED = "damaged pieces left out: {count}"


class NamedStream:
    """An open file for PyAV. Of its name PyAV sees only the suffix, as a hint at the format."""

    def __init__(self, file: LocalFile) -> None:
        self._opened = opened = file.open()
        suffix = PurePath(file.name).suffix
        self.name = "file" + (suffix if suffix[1:].isalnum() and suffix.isascii() else "")
        self.read, self.tell, self.close = opened.read, opened.tell, opened.close

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place in the file; -1 if there is none, after which FFmpeg reads on elsewhere."""
        try:
            return self._opened.seek(offset, whence)
        except (OSError, ValueError):
            return -1


@contextmanager
def open_container(file: LocalFile) -> Iterator[InputContainer]:
    """Opens a file with PyAV.

    Raises:
        MediaError: it is no clip, or too damaged to be read.
    """
    opened = NamedStream(file)
    try:
        with av.open(opened, "r", container_options=_NO_PROTOCOL, metadata_errors="replace") as container:
            yield container
    except _ERRORS as error:
        if isinstance(error, MediaError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{file.path} is no picture or clip, or damaged ({reason})."
        raise MediaError(f"{message} Give one that a player shows, such as MP4 or PNG.") from error
    finally:
        opened.close()


class ClipReader(FrameReader):
    """Reads the stream that moves.

    Attributes:
        format: name of the file format, as FFmpeg calls it.

    Raises:
        MediaError: no clip, without pictures, or their size is unusable.
    """

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._streams_that_move = 1
        with open_container(file) as container:
            self.format = container.format.name
            films = [s for s in container.streams.video if not s.disposition & _NO_FILM]
            candidates: list[Any] = [s for s in films if s.codec_context is not None]
            if not films:
                raise MediaError(f"{file.path} has no pictures to mirror; give a clip or picture of a face.")
            if not candidates:
                raise MediaError(f"{file.path} is damaged, or of an unknown coding; save it as MP4 or JPEG.")
            if len(candidates) > 1:
                self._index = self._find_film(container, candidates)
            else:
                self._index = candidates[0].index
            self._describe(container.streams[self._index])

    def frames(self, assumed: Assumptions) -> Iterator[DecodedFrame]:
        if self._streams_that_move > 1:
            assumed.add("streams with pictures: {streams}; number {index} is taken",
                        streams=self._streams_that_move, index=self._index)  # fmt: skip
        with open_container(self._file) as container:
            stream: Any = container.streams[self._index]
            stream.thread_type = "AUTO"
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            aspect = _pixel_aspect(stream, assumed)
            first: int | None = None
            for frame in _decode(container, stream, assumed):
                time = None
                if frame.pts is not None and frame.time_base and not self.format.endswith(_PICTURES):
                    first = frame.pts if first is None else first
                    time = float(frame.pts - first) * frame.time_base.numerator / frame.time_base.denominator
                duration = (
                    frame.duration * float(frame.time_base) if frame.duration and frame.time_base else None
                )
                yield DecodedFrame(_upright(frame, aspect, assumed), time, duration)

    def _find_film(self, container: InputContainer, candidates: list[Any]) -> int:
        """Returns the index of the stream that moves; of several, the default or else the largest."""
        counts: Counter[int] = Counter()
        for packet in container.demux(*candidates):
            counts[packet.stream_index] += bool(packet.size)
            everyone_moves = min(counts[stream.index] for stream in candidates) > 1
            if everyone_moves or counts.total() > _LOOK_AHEAD:
                break
        self._streams_that_move = max(1, sum(counts[stream.index] > 1 for stream in candidates))
        return max(
            candidates,
            key=lambda stream: (
                min(counts[stream.index], 2),
                bool(stream.disposition & Disposition.default),
                stream.width * stream.height,
                -stream.index,
            ),
        ).index

    def _describe(self, stream: Any) -> None:
        width, height = stream.codec_context.width, stream.codec_context.height
        if not width or not height:
            raise MediaError(f"{self._file.path} is damaged: it has no readable pictures; save it again.")
        check_size(width, height, self._file.path)
        self.fps = believable_fps(float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS))
        tagged = _TAGGED_DURATION.match(stream.metadata.get("DURATION", ""))
        if stream.duration and stream.time_base:
            self.duration = float(stream.duration * stream.time_base)
        elif tagged:
            hours, minutes, seconds = map(float, tagged.groups())
            self.duration = 3600 * hours + 60 * minutes + seconds
        self.length = stream.frames or round((self.duration or 0) * self.fps) or None


def find_picture_row(file: LocalFile) -> ClipReader | None:
    """Returns a reader for pictures one after another, such as PNGs; None for a single picture.

    JPEGs in a row have a reader of their own, since some have a preview behind them.
    """
    try:
        reader = ClipReader(file)
        if not reader.format.endswith(_PICTURES) or reader.format.startswith("jpeg"):
            return None
        several = len(list(islice(reader.frames(Assumptions()), 2))) > 1
    except MediaError:
        return None
    return reader if several else None


def _decode(container: InputContainer, stream: Any, assumed: Assumptions) -> Iterator[Any]:
    """Yields the frames that are whole."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except _ERRORS:
            assumed.add("the file is damaged: it cannot be read to its end")
            packet = None
        if packet is not None and packet.is_corrupt and container.format.name not in _FALSE_ALARMS:
            assumed.add(_DAMAGED)  # as a rule the last one, which is cut
            continue
        try:
            frames = stream.decode(packet)
        except av.error.EOFError:  # the decoder was emptied already, by the empty packet at the end
            return
        except _ERRORS:
            assumed.add(_DAMAGED)
            frames = []
        for frame in frames:
            if frame.is_corrupt:
                assumed.add(_DAMAGED)
            else:
                yield frame
        if packet is None:
            return


def _pixel_aspect(stream: Any, assumed: Assumptions) -> float:
    aspect = float(stream.sample_aspect_ratio or 1)
    if believable_aspect(aspect):
        return aspect
    assumed.add(
        "a pixel cannot be {aspect:.3g} times as wide as high: square ones are assumed", aspect=aspect
    )
    return 1.0


def _upright(frame: Any, aspect: float, assumed: Assumptions) -> Picture:
    size = square_size(frame.width, frame.height, aspect)
    transparent = any(component.is_alpha for component in frame.format.components)
    pixels = "rgba" if transparent else "rgb24"
    if size == (frame.width, frame.height):
        picture = frame.to_ndarray(format=pixels)
    else:
        picture = frame.reformat(*size, format=pixels).to_ndarray()
    if transparent:
        picture = _over_white(picture)
    if getattr(frame, "color_trc", None) in _HDR:
        assumed.add("colours of high dynamic range are shown as they are stored, paler than meant")
    return _orientation(frame, assumed).apply(picture)


def _over_white(picture: np.ndarray) -> Picture:
    opacity = picture[..., 3:].astype(np.uint16)
    return ((picture[..., :3] * opacity + 255 * (255 - opacity)) // 255).astype(np.uint8)


def _orientation(frame: Any, assumed: Assumptions) -> Orientation:
    matrix = _side_data(frame).get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return Orientation()
    orientation = Orientation.of_display_matrix(bytes(matrix))
    if orientation is None:
        assumed.add("the orientation in the header shows nothing: the picture is taken as stored")
    return orientation or Orientation()


def _side_data(frame: Any) -> Any:
    """Returns what FFmpeg says beside the pixels, by kind, without kinds that PyAV does not know yet.

    One unknown kind, such as the EXIF header of a JPEG or HEIC, keeps PyAV from reading any.
    """
    try:
        return frame.side_data
    except ValueError as error:  # "31 is not a valid Type"
        unknown = int(str(error).split()[0])
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1)
        ),
        graph.add("sidedata", f"mode=delete:type={unknown}"),
        graph.add("buffersink"),
    ).configure()
    graph.push(frame)
    return _side_data(graph.pull())
