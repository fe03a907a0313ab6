"""Builds `docs/pictures/mirror.webp`, the short clip at the top of the README, from a mirrored video.

python -m tools.build_clip out/demo/mirror/mirror.mp4 --part 6.6 3.8 --part 19.2 5.4
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from eva_sim.agents.mirroring.video_panels import HEIGHT, TRACE_WIDTH
from eva_sim.files import atomic_path
from eva_sim.media.sources import open_file

OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "mirror.webp"
SIDE = 256  # pixels of each of the two faces
STRIDE = 2  # of the video's frames, one in so many is kept
QUALITY = 62  # of WebP, 0..100


def squares(picture: np.ndarray) -> Image.Image:
    """Returns the person beside the robot, from one frame of `eva mirror`, (H, W, 3)."""
    height, width = picture.shape[:2]  # the reader makes large pictures smaller
    person_width = width - height - round(TRACE_WIDTH * height / HEIGHT)
    left = max((person_width - height) // 2, 0)
    panels = (picture[:, left : left + height], picture[:, person_width : person_width + height])
    pair = Image.new("RGB", (2 * SIDE, SIDE))
    for number, panel in enumerate(panels):
        pair.paste(Image.fromarray(panel).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (number * SIDE, 0))
    return pair


def build_clip(video: Path, parts: list[tuple[float, float]], out: Path = OUT) -> int:
    """Writes the clip and returns its number of frames.

    Args:
        video: `mirror.mp4` of `eva mirror` or of the demo.
        parts: start and duration of each part of it [s].
        out: file to write.

    Raises:
        MediaError: the video cannot be read.
        ValueError: it has fewer than two frames in these parts.
    """
    kept, times = [], []
    for number, (time, picture) in enumerate(open_file(video)):
        inside = any(start <= time < start + duration for start, duration in parts)
        if inside and number % STRIDE == 0:
            kept.append(squares(picture))
            times.append(time)
    if len(kept) < 2:
        raise ValueError(f"{video} has fewer than two frames in {parts} s; name earlier parts.")
    step = round(1000 * float(np.median(np.diff(times))))
    with atomic_path(out) as part:
        kept[0].save(
            part,
            "WEBP",
            save_all=True,
            append_images=kept[1:],
            duration=step,
            loop=0,
            quality=QUALITY,
            method=6,
        )
    return len(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument(
        "--part", type=float, nargs=2, action="append", required=True, help="start and duration [s]"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    frames = build_clip(given.video, given.part, given.out)
    print(f"{given.out}: {frames} frames, {given.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
