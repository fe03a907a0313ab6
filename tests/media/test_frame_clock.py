"""Times that files claim: kept where they can be believed, replaced where not."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eva_sim.media.assumptions import Assumptions
from eva_sim.media.frame_clock import MAX_HOLD, MIN_STEP, FrameClock
from eva_sim.media.sources import open_source
from tests.media.media_files import brightness, film, write_clip

EVEN = [0.04 * i for i in range(10)]


def run(
    claimed: list[float | None], durations: list[float | None] | None = None
) -> tuple[list[float], list[str]]:
    assumed = Assumptions()
    clock = FrameClock(25, assumed)
    held = durations or [None] * len(claimed)
    return [clock(time, duration) for time, duration in zip(claimed, held, strict=True)], assumed.in_words()


@pytest.mark.parametrize(
    ("claimed", "said"),
    [
        ([None] * 10, "without a time: 10"),
        ([0.0] * 10, "repeat or go back: 9"),
        ([*EVEN[:5], *EVEN[:5]], "repeat or go back"),
        ([*EVEN[:5], *[-7.0 + t for t in EVEN[:5]]], "go back: 1"),
        ([*EVEN[:5], *[9000.0 + t for t in EVEN[:5]]], "jumps by 9000 s after 0.2 s"),
        ([*EVEN[:5], math.nan, *EVEN[6:]], "without a time: 1"),
        ([*EVEN[:5], math.inf, *EVEN[6:]], "without a time: 1"),
        ([None, *EVEN[:9]], "without a time: 1"),
        ([t / 1e6 for t in EVEN], "repeat or go back: 9"),
        ([t + 1e12 for t in np.arange(10.0)], None),
        ([t - 3600 for t in EVEN], None),
        (list(EVEN), None),
    ],
)
def test_times_rise_by_a_frame_where_none_can_be_believed(
    claimed: list[float | None], said: str | None
) -> None:
    times, assumed = run(claimed)
    step = 1.0 if claimed[0] == 1e12 else 0.04
    assert times == pytest.approx(step * np.arange(10), abs=1e-6)
    assert (said is None) == (not assumed)
    assert said is None or said in assumed[0]


def test_repeated_pairs_do_not_lengthen_a_clip() -> None:
    times, _ = run([0.0, 0.0, 0.08, 0.08, 0.16, 0.16])
    assert times[2::2] == pytest.approx([0.08, 0.16])
    assert times[1] == pytest.approx(0.04) and times[5] > times[4]


def test_real_gaps_stay_and_longer_ones_need_a_picture_that_stands_for_them() -> None:
    assert run([0.0, 0.04, 3.0, 3.04])[0] == pytest.approx([0, 0.04, 3.0, 3.04])
    assert run([0.0, 0.04, 60.0], [0.04, 59.96, 0.04])[0] == pytest.approx([0, 0.04, 60.0])
    assert run([0.0, 0.04, 60.0])[0] == pytest.approx([0, 0.04, 0.08], abs=0.01)
    assert run([0.0, 0.04, 9000.0], [0.04, 8999.96, 0.04])[0][-1] < 1  # nothing stands for hours


NUMBERS = st.none() | st.floats() | st.floats(0, 5) | st.sampled_from([0.0, 0.04, 0.08])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=60))
def test_whatever_a_file_claims_times_rise_and_end(pairs: list[tuple[float | None, float | None]]) -> None:
    times, _ = run([claimed for claimed, _ in pairs], [duration for _, duration in pairs])
    assert times[:1] in ([], [0.0])
    assert all(b - a > 0.99 * MIN_STEP for a, b in pairwise(times))
    assert not times or times[-1] <= 2 * MAX_HOLD * len(times)


def test_streams_without_times_and_joined_pieces_play_in_order(tmp_path: Path) -> None:
    shades = film(12)
    for name, codec in (("raw.hevc", "libx265"), ("raw.m4v", "mpeg4")):
        write_clip(tmp_path / name, shades, codec, container_format="hevc" if codec == "libx265" else "m4v")
    pieces = [
        write_clip(tmp_path / f"{half}.ts", shades[6 * half : 6 * half + 6], "mpeg2video") for half in (0, 1)
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    for name in ("raw.hevc", "raw.m4v", "joined.ts"):
        source = open_source(tmp_path / name)
        times, frames = zip(*source, strict=True)
        assert times == pytest.approx(0.04 * np.arange(12), abs=1e-6), name
        assert (np.diff(brightness(frames)) > 0).all(), name
        assert source.assumed or name == "raw.m4v", name  # MPEG-4 has times inside its pictures


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_jump_by_an_hour_is_left_out_and_a_gap_of_seconds_stays(suffix: str, tmp_path: Path) -> None:
    for gap, kept in ((90_000, False), (75, True)):
        numbers = [0, 1, 2, 3, *(gap + n for n in range(4))]
        source = open_source(write_clip(tmp_path / f"{gap}{suffix}", film(8), times=numbers))
        times = [time for time, _ in source]
        assert times[4] == pytest.approx(3.0 if kept else 0.16, abs=0.01)
        assert times[:4] == pytest.approx([0, 0.04, 0.08, 0.12], abs=0.01)
        assert bool(source.assumed) == (not kept)
