"""The rows of the table of faults, and how they are tried.

`python -m benchmarks.faults` and `eva conform` print the table.

A watcher on the servos' side of the board, which knows assets/*.toml and none of the code under test,
compares each pulse with the limits and the slew, and counts channels that start though nobody armed them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rich import box
from rich.table import Table

from eva_sim.clock import WallClock
from eva_sim.priority import RunningAhead
from eva_sim.progress import progress
from eva_sim.testing.conformance import line, noise, parts
from eva_sim.testing.conformance.bench import LIMP, Opener, Trial, open_machine


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        fault: what it is called.
        side: where it is injected.
        act: tries it.
        needs: what of the board must be at hand for it, a key of `MISSING`; empty for its line alone.
        unwatched: whether the servos are in another process, so that nobody sees them.
    """

    fault: str
    side: str
    act: Callable[[Trial], None]
    needs: str = ""
    unwatched: bool = False


#: What the boards lack, and why a row that needs it is not tried.
MISSING: dict[str, dict[str, str]] = {
    "virtual": {},
    "mock": {"baud": "its line has no baud rate", "processor": "it has no processor", "bus": "it has no bus"},
    "port": {
        "baud": "its rate is the computer's to keep",
        "plug": "pull it by hand",
        "process": "kill the program by hand",
        "second line": "its port is locked",
        "processor": "hang it with a debugger",
        "power": "switch it by hand",
        "supply": "change it by hand",
        "bus": "cut or short it by hand",
    },
    "maestro": {"bus servos": "hobby servos tell nobody"},
    "feetech": {},
    "dynamixel": {},
}
#: What simulated boards lack as well by the wall clock.
MISSING_IN_REAL_TIME: dict[str, dict[str, str]] = {
    "virtual": {
        "plug": "the operating system owns the terminal",
        "baud": "the terminal has no rate",
        "bus": "bits are met in simulated time only",
    }
}

ROWS = (
    Row("random bytes", "host to board", noise.noise_to_board),
    Row("random bytes", "board to host", noise.noise_to_host),
    Row("each bit of TARGETS flipped", "host to board", line.flips_of_targets),
    Row("each bit of every other order flipped", "host to board", line.flips_of_the_rest),
    Row("each bit of STATUS flipped", "board to host", line.flips_of_status),
    Row("each bit of IDENT and CHANNEL flipped", "board to host", line.flips_of_answers),
    Row("TARGETS cut to every length", "host to board", line.cut_to_board),
    Row("STATUS cut to every length", "board to host", line.cut_to_host),
    Row("every other order cut to every length", "host to board", line.cuts_of_the_rest),
    Row("frames twice", "host to board", line.twice),
    Row("frames in pairs swapped", "host to board", line.swapped),
    Row("frames three late", "host to board", line.late),
    Row("frames held back, then all at once", "host to board", line.held_back_frames),
    Row("stale frames: a session replayed", "host to board", line.stale),
    Row("an old frame of the same session", "host to board", line.old_frames),
    Row("a second host", "line", parts.second_host, "second line"),
    Row("wrong baud rates", "line", line.wrong_baud, "baud"),
    Row("unplugged at every byte of a frame, replugged", "line", line.unplugged, "plug"),
    Row("silence, at every ms of a period", "host", parts.silence),
    Row("SIGKILL while moving, in real time", "host", parts.killed, "process"),
    Row("firmware hangs", "board", parts.hang, "processor"),
    Row("board loses power", "board", parts.power_cycle, "power"),
    Row("brown-out of the servos' supply", "board", parts.brown_out, "supply"),
    Row("servo supply too high", "board", parts.high_supply, "supply"),
    Row("dips of the supply, each too short", "board", parts.dips, "supply"),
    Row("each bit on I2C flipped", "board", parts.bus_noise, "bus"),
    Row("PCA9685 gone or cut, bus stuck or held", "board", parts.broken_bus, "bus"),
    Row("calibration file cut, changed, of another robot", "host", parts.calibration_file),
    Row("NaN, inf, out of range, malformed commands", "host", parts.malformed),
    Row("targets out of range", "host to board", parts.wild_targets),
    Row("camera lost", "camera", parts.lost_camera),
    Row("SIGKILL while recording", "host", parts.killed_recorder, "process", unwatched=True),
)


def attempt(
    row: Row,
    body: str,
    quick: bool,
    note: Callable[[int], object],
    opener: Opener = open_machine,
    real_time: bool = False,
) -> dict[str, Any]:
    """Tries one fault. An error fails this row only.

    Args:
        row: the fault.
        body: `"mock"`, `"virtual"`, `"port"`, or the kind of another board.
        quick: whether fewer cases will do.
        note: called with the number of new cases.
        opener: opens the board.
        real_time: whether a simulated board lives by the wall clock.
    """
    missing = MISSING[body] | (MISSING_IN_REAL_TIME.get(body, {}) if real_time else {})
    if reason := missing.get(row.needs):
        return {"fault": row.fault, "side": row.side, "skipped": f"not on the {body}: {reason}"}
    trial, begin = Trial(body, quick, note, opener, real_time), time.monotonic()
    ahead = RunningAhead(WallClock(), LIMP)
    try:
        if trial.real_time:
            ahead.begin()
        row.act(trial)
        trial.expect(row.unwatched or trial.events, "no servo ever moved")
    except Exception as error:
        trial.expect(False, f"{type(error).__name__}: {error}")
    finally:
        ahead.end()
    return {**summary(row, trial), "took_s": round(time.monotonic() - begin, 1)}


def summary(row: Row, trial: Trial) -> dict[str, Any]:
    """The table's row of a trial."""
    servos = {
        "outside_us": round(trial.beyond, 3),
        "slew_exceeded_us": round(trial.faster, 3),
        "rearmed": trial.rearmed,
        "pulses": trial.events,
    }
    return {
        "fault": row.fault,
        "side": row.side,
        "tried": trial.tried,
        "happened": dict(trial.happened),
        **(dict.fromkeys(servos) if row.unwatched else servos),
        "hold_ms": _most(trial.holds),
        "limp_ms": _most(trial.limps),
        "limp_allowed_ms": round(1000 * trial.limp_by) if trial.limps else None,
        "wrong": list(dict.fromkeys(trial.wrong))[:5],
        "ok": trial.ok,
    }


def _most(times: list[float]) -> float | None:
    return round(1000 * max(times), 1) + 0.0 if times else None  # never -0


def try_all(
    rows: tuple[Row, ...],
    body: str,
    quick: bool,
    opener: Opener = open_machine,
    real_time: bool = False,
) -> list[dict[str, Any]]:
    """Tries faults one after another; the table's rows."""
    results = []
    for number, row in enumerate(rows, 1):
        with progress(does=f"{number} of {len(rows)}: {row.fault}", unit="cases", leave=False) as cases:
            results.append(attempt(row, body, quick, cases.update, opener, real_time))
    return results


#: Measured values of a row, with their heads.
_MEASURED = {
    "outside_us": "outside",
    "slew_exceeded_us": "slew +",
    "hold_ms": "hold",
    "limp_ms": "limp",
    "rearmed": "re-armed",
}


def narrow_table(results: list[dict[str, Any]], title: str) -> Table:
    """Fits a terminal of 80 columns: what was measured stands below what happened."""
    out = Table("fault", "what happened", "ok", title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    out.columns[0].ratio, out.columns[1].ratio, out.columns[2].min_width = 2, 3, 3
    out.expand = True
    for r in results:
        fault = f"{r['fault']} ({r['side']})"
        if "skipped" in r:
            out.add_row(fault, r["skipped"], "")
            continue
        measured = (f"{head} {_plain(r[key])}" for key, head in _MEASURED.items() if r[key] is not None)
        happened = [f"{what}: {n:,}" for what, n in r["happened"].items()]
        happened += [f"WRONG: {what}" for what in r["wrong"]]
        out.add_row(fault, "\n".join([*happened, ", ".join(measured)]), "yes" if r["ok"] else "NO")
        out.add_section()
    out.caption = "outside and slew + in us, hold and limp in ms; docs/faults.md explains them"
    return out


def table(results: list[dict[str, Any]], title: str) -> Table:
    """In the form of Markdown, so that it can be put into a page."""
    heads = "fault", "injected at", "tried", "what happened", *_MEASURED.values(), "ok"
    out = Table(*heads, title=title, box=box.MARKDOWN)
    for r in results:
        if "skipped" in r:
            out.add_row(r["fault"], r["side"], "", r["skipped"])
            continue
        numbers = [_plain(r[key]) for key in _MEASURED]
        happened = "; ".join(
            [*(f"{what}: {n:,}" for what, n in r["happened"].items()), *map("**{}**".format, r["wrong"])]
        )
        out.add_row(
            r["fault"], r["side"], f"{r['tried']:,}", happened, *numbers, "yes" if r["ok"] else "**no**"
        )
    return out


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:.4g}"
