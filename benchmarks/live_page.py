"""The page of `eva live` in a headless Chromium, with the sample clip as the camera.

    python -m benchmarks.live_page [--json FILE] [--seconds 20] [--fps 30] [--pictures FOLDER]

The clip's pictures are stamped one control period apart, so that each of them asks for a control step. The
browser draws in processes of its own, on the processor. What is reported is read back through the page: the
mouth is the distance of two vertices in the page's own memory. `--pictures` writes screenshots, for which the
page draws as finely as on a graphics card.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.agents.mirroring.stage_times import summarise_times
from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.agents.models.routes import load_model
from eva_sim.files import asset, write_json
from eva_sim.live.run import open_session
from eva_sim.media.clip_as_camera import ClipAsCamera
from eva_sim.testing.browser import Browser, Tab
from eva_sim.twin import Twin

#: Notes of each update: the page's time [ms], and both mouths.
_NOTE = """
  window.notes = [];
  const received = receive;
  receive = (buffer) => {
    received(buffer);
    notes.push([performance.now(), shown.person_mouth, view.mouth()]);
  };
"""


def measure(fps: float, seconds: float, pictures: Path | None) -> dict[str, Any]:
    """Returns rate [1/s], delay [ms] and correlation of the mouths, as the page has them, and the load."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, Twin() as twin, ThreadPoolExecutor(1) as threads:
        camera = ClipAsCamera(asset("samples/person.mp4"), fps, period=twin.spec.control_dt)
        model = load_model(asset(SHIPPED_MODEL))
        fine = pictures is not None
        with open_session(twin, Path(folder), camera, model, title="twin", fine=fine) as (session, server):

            def browse() -> dict[str, Any]:
                with Browser() as browser:
                    tab = browser.open(f"{server.address}{'?quality=fine' if fine else ''}")
                    found = _mirror(browser, tab, seconds, pictures)
                return {**found, "delay_ms": summarise_times(server.delays())}

            browsing = threads.submit(browse)
            session.run(browsing.done)
    return {"load": load, "cores": os.cpu_count(), "pictures_per_second": fps, **browsing.result()}


def _mirror(browser: Browser, tab: Tab, seconds: float, pictures: Path | None) -> dict[str, Any]:
    """Lets the page mirror for a while.

    Returns:
        The rate of its updates, the correlation of the mouths, and processor times of an update.
    """
    tab.wait_for("view && shown && picture", 120.0)
    tab.run("$('mirror').click()")
    tab.wait_for("shown.person_mouth !== null", 60.0)
    tab.run(f"(() => {{ {_NOTE} }})()")
    before = np.array([process_time(), browser.processor_time()])
    tab.wait_for(f"notes.length && notes.at(-1)[0] - notes[0][0] > {1000 * seconds}", seconds + 30)
    used = 1000 * (np.array([process_time(), browser.processor_time()]) - before) / tab.run("notes.length")
    if pictures is not None:
        _take_pictures(tab, pictures)
    notes = [note for note in tab.run("notes") if note[1] is not None and note[0]]
    times, person, robot = np.array(notes, float).T
    rate = 1000 * (len(times) - 1) / (times[-1] - times[0])
    return {
        "updates_per_second": rate,
        "mouth_correlation": float(np.corrcoef(person, robot)[0, 1]),
        "processor_ms_per_update": dict(zip(("server", "browser"), used.tolist(), strict=True)),
    }


def _take_pictures(tab: Tab, folder: Path) -> None:
    """Writes the screenshots of the docs."""
    folder.mkdir(parents=True, exist_ok=True)
    tab.wait_for("shown.mouth > 0.15 && shown.points", 120.0)
    tab.run("new Promise(requestAnimationFrame)")
    (folder / "live_mirror.png").write_bytes(tab.screenshot())
    tab.run("$('expression').value = 'joy'; $('expression').dispatchEvent(new Event('change'))")
    tab.run("$('displacement').click(); view.turn(0.5, 0.05)")
    tab.wait_for("shown.mode === 'panel' && shown.sent[8] > 0.5", 120.0)
    tab.run("new Promise((done) => setTimeout(done, 1500))")
    (folder / "live_panel.png").write_bytes(tab.screenshot())
    tab.run("$('displacement').click(); $('cables').click(); view.turn(0.25, 0)")
    tab.run("new Promise((done) => setTimeout(done, 1500))")
    (folder / "live_cables.png").write_bytes(tab.screenshot())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    found = measure(given.fps, given.seconds, given.pictures)
    table = Table("measure", "result", "aim", title=f"load {found['load']:.1f} on {found['cores']} cores")
    table.add_row("updates in the page", f"{found['updates_per_second']:.1f} /s", ">= 25 /s")
    delay = found["delay_ms"]
    table.add_row(
        "picture to vertices", f"{delay['median']:.0f} ms, p95 {delay['p95']:.0f} ms", "p95 <= 120 ms"
    )
    table.add_row("correlation of the mouths", f"{found['mouth_correlation']:.3f}", ">= 0.9")
    for side, used in found["processor_ms_per_update"].items():
        table.add_row(f"processor time of an update, {side}", f"{used:.0f} ms", "")
    Console().print(table)
    if given.json:
        write_json(given.json, found)


if __name__ == "__main__":
    main()
