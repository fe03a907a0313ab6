"""What predicting a person ahead of time can gain: lag against jerk, on the sample clip.

    python -m benchmarks.anticipation [--clip FILE] [--json FILE]

A robot lags a person by its servos' delay and by the filter that calms the detector's noise. A predictor
could make up for both. The best linear one is fitted on the first half of the clip: taps h over the last
frames that minimise |h * x - x(t + ahead)|² + calm |third difference of h * x|². It is scored on the second
half beside the filter of `PersonTracker`: how much sooner its curves come, their jerk, and by how much it
overshoots a head that turns in 0.4 s and stops. `HeadPredictor` uses one of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.agents.mirroring.frame_detector import VIDEO_MODE
from eva_sim.agents.mirroring.metrics import ANGLES, measure_faces
from eva_sim.agents.mirroring.motion_metrics import lag_between, rms_jerk
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.agents.mirroring.person_tracker import OneEuroFilter
from eva_sim.contract import Floats
from eva_sim.detector import Detector
from eva_sim.files import asset, write_json
from eva_sim.media.sources import open_file
from eva_sim.progress import progress

#: Number of frames that the predictor sees.
TAPS = 8
#: How far ahead predictors look [control periods], and weights of their third difference.
AHEAD, CALM = (1.0, 1.5, 2.0, 2.5, 3.0), (0.3, 1.0, 2.0, 4.0)
#: The choice of `head_predictor.py` [ms, weight].
USED = (60.0, 1.0)
#: What is compared: the mouth, brows and lids, and the head.
COMPARED = ("jaw_opening", "mouth_width", "brow_height", "lid_opening", "corner_height", *ANGLES[:3])
#: Duration of a turn whose end is overshot [s].
TURN_DURATION = 0.4
#: Frames at both ends of the curves that are not scored, since a lag shifts them out.
_EDGE = 12


def read_clip(clip: Path) -> tuple[Floats, Floats]:
    """Returns times, (T,) [s], and what is read of the person, unfiltered: (T, N + 1, 3).

    The rows are the aligned landmarks [outer-eye distances] and the turn of the head from rest [rad].
    """
    times, faces = [], []
    with Detector(VIDEO_MODE, scores=True) as detector:
        for time, picture in progress(open_file(clip), "detect", unit="frames"):
            if (face := detector.detect_face(picture, time)) is not None:
                times.append(time)
                faces.append(face)
    rest = PersonAtRest.of(faces)
    states = []
    for face in faces:
        landmarks, _, orientation = rest.align(face)
        states.append(np.concatenate([landmarks, rest.head_turns(orientation)[None]]))
    return np.array(times), np.array(states)


def fit_predictor(states: Floats, ahead: float, calm: float) -> Floats:
    """Returns the taps, (TAPS,), newest first, that predict `ahead` steps ahead; their sum is 1.

    Args:
        states: (T, ...), evenly timed.
        ahead: [steps].
        calm: weight of the third difference of what is predicted.
    """
    flat = states.reshape(len(states), -1)
    flat = flat - flat.mean(0)
    steps = np.arange(len(flat))
    coming = np.array([np.interp(steps + ahead, steps, column) for column in flat.T]).T[TAPS - 1 :]
    past = np.array([flat[TAPS - 1 - k : len(flat) - k] for k in range(TAPS)])
    rough = np.diff(past, 3, axis=1)
    normal = np.einsum("atd,btd->ab", past, past) + calm * np.einsum("atd,btd->ab", rough, rough)
    normal += 1e-6 * np.trace(normal) / TAPS * np.eye(TAPS)
    taps: Floats = np.linalg.solve(normal, np.einsum("atd,td->a", past, coming))
    return taps / taps.sum()


def predict(states: Floats, taps: Floats) -> Floats:
    """Applies the taps to states, (T, ...); the first ones see their first state again and again."""
    padded = np.concatenate([np.repeat(states[:1], TAPS - 1, axis=0), states])
    predicted: Floats = sum(tap * padded[TAPS - 1 - k : len(padded) - k] for k, tap in enumerate(taps))
    return predicted


def curves(states: Floats) -> dict[str, Floats]:
    """Returns what is compared, (T,) each."""
    measured = measure_faces(states[:, :-1], states[:, -1], np.zeros((len(states), 2, 2)))
    return {name: measured[name] for name in COMPARED}


def score(read: Floats, shown: Floats, dt: float) -> dict[str, tuple[float, float]]:
    """Returns the lag [s] and the jerk [1/s³] of each curve of what is shown behind what was read."""
    pairs = zip(curves(read).items(), curves(shown).values(), strict=True)
    inner = slice(_EDGE, -_EDGE)
    return {name: (lag_between(a[inner], b[inner], dt), float(rms_jerk(b, dt))) for (name, a), b in pairs}


def overshoot(taps: Floats, dt: float) -> float:
    """Returns how far a turn that ends is overshot, as a share of it.

    The turn has the least jerk, as movements of people have (Flash and Hogan, J. Neurosci. 5(7), 1985).
    """
    s = np.clip((np.arange(60) - TAPS) * dt / TURN_DURATION, 0, 1)
    return float(predict(10 * s**3 - 15 * s**4 + 6 * s**5, taps).max() - 1)


def measure(clip: Path) -> list[dict[str, Any]]:
    """Returns a row for the filter and for each predictor, of the second half of the clip."""
    times, states = read_clip(clip)
    dt = float(np.median(np.diff(times)))
    smooth = OneEuroFilter()
    filtered = np.array([smooth(time, state) for time, state in zip(times, states, strict=True)])
    half = len(states) // 2
    parts = slice(None, -1), slice(-1, None)  # landmarks and head are predicted by taps of their own
    base = score(states[half:], filtered[half:], dt)
    rows = [{"ahead_ms": 0.0, "calm": None, "taps": None, "overshoot": 0.0, **_compare(base, base)}]
    for ahead in AHEAD:
        for calm in CALM:
            taps = [fit_predictor(states[:half, part], ahead, calm) for part in parts]
            shown = np.concatenate(
                [predict(states[:, part], each) for part, each in zip(parts, taps, strict=True)], axis=1
            )
            found = _compare(base, score(states[half:], shown[half:], dt))
            head = {"taps": taps[1].round(2).tolist(), "overshoot": overshoot(taps[1], dt)}
            rows.append({"ahead_ms": round(1000 * ahead * dt, 1), "calm": calm, **head, **found})
    return rows


def _compare(base: dict[str, tuple[float, float]], found: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """Returns lag, lag gained [ms] and ratio of jerk by curve."""
    return {
        "lag_ms": {name: 1000 * found[name][0] for name in found},
        "gained_ms": {name: 1000 * (base[name][0] - found[name][0]) for name in found},
        "jerk_ratio": {name: found[name][1] / base[name][1] for name in found},
    }


def _in_two_lines(name: str) -> str:
    return name.replace("_", "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, default=asset("samples/person.mp4"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = measure(given.clip)
    title = "sooner than the filter by so many ms (jerk over that of the filter)"
    table = Table("ahead\n\\[ms]", "calm", *map(_in_two_lines, COMPARED), "head overshoots", title=title)
    for row in rows:
        cells = [f"{row['gained_ms'][name]:+.0f} ({row['jerk_ratio'][name]:.2f})" for name in COMPARED]
        calm = "" if row["calm"] is None else f"{row['calm']:g}"
        table.add_row(f"{row['ahead_ms']:.0f}", calm, *cells, f"{100 * row['overshoot']:.0f} %")
    console = Console(width=150)
    console.print(table)
    lags = ", ".join(f"{name} {lag:.0f}" for name, lag in rows[0]["lag_ms"].items())
    console.print(f"lag of the filter \\[ms]: {lags}")
    used = next(row["taps"] for row in rows if (row["ahead_ms"], row["calm"]) == USED)
    console.print(f"taps of the head, {USED[0]:g} ms ahead, calm {USED[1]:g}: {used}")
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
