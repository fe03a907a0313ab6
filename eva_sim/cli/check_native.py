"""Checks of `eva doctor` that load native libraries, each in a process of its own.

A driver that crashes or hangs then costs one finding, and not the others.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict

from eva_sim.cli.findings import Finding, guard
from eva_sim.files import Closing

#: Longest time of a check [s]; compiling the skin takes half a minute, and more on a busy machine.
TIME_LIMIT = 180.0


class NativeCheck(Closing):
    """A check that runs in a child process; `finding` waits for it.

    Args:
        name: one of `CHECKS`.
        argument: of the check.
        limit: longest time that it may take [s].
    """

    def __init__(self, name: str, argument: str = "", limit: float = TIME_LIMIT) -> None:
        self._name, self._limit = name, limit
        words = [sys.executable, "-m", "eva_sim.cli.check_native", name, argument]
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def finding(self) -> Finding:
        """Returns the finding, also if the process crashes or hangs."""
        try:
            printed, _ = self._process.communicate(timeout=self._limit)
            return Finding(**json.loads(printed.splitlines()[-1]))
        except subprocess.TimeoutExpired:
            return Finding(
                self._name, "fails", f"no answer in {self._limit:g} s", "End other programs, and try again."
            )
        except (ValueError, IndexError, TypeError):
            code = self._process.returncode
            end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return Finding(
                self._name, "fails", f"the check ended by {end}",
                f"See why: {sys.executable} -m eva_sim.cli.check_native {self._name}",
            )  # fmt: skip

    def close(self) -> None:
        """Ends the process."""
        with self._process as process:
            process.kill()


def check_simulation(_: str = "") -> Finding:
    """Opens the twin, moves it, and says where its compiled functions are kept."""
    from eva_sim.cache import temporary_folder
    from eva_sim.skin.kernel_cache import kernel_folders
    from eva_sim.twin import Twin

    with Twin() as twin:
        twin.reset()
        twin.move(twin.spec.neutral)
    kept = next((folder for folder in kernel_folders() if any(folder.glob("*.kernel"))), None)
    wish = "Set NUMBA_CACHE_DIR to a folder that can be written and lasts."
    if kept is None:
        return Finding("simulation", "missing", "the twin moves; its compiled functions are not kept", wish)
    found = f"the twin moves; its compiled functions are in {kept}"
    if temporary_folder() in kept.parents:
        return Finding("simulation", "missing", found, wish)
    return Finding("simulation", "works", found)


def check_pictures(_: str = "") -> Finding:
    """Makes the graphics contexts of both styles, and names their driver."""
    from eva_sim.rendering.drawing_thread import in_drawing_thread

    drivers = dict.fromkeys(in_drawing_thread(_drivers))
    devices = f", EGL_DEVICE_ID={os.environ['EGL_DEVICE_ID']}" if os.environ.get("EGL_DEVICE_ID") else ""
    return Finding("pictures", "works", f"OpenGL by EGL: {'; '.join(drivers)}{devices}")


def _drivers() -> list[str]:
    """Driver of the plain style, and of studio light."""
    from eva_sim.rendering.drawing_thread import context
    from eva_sim.rendering.studio_programs import programs

    context().make_current()
    import OpenGL.GL as gl

    plain = f"{gl.glGetString(gl.GL_RENDERER).decode()}, OpenGL {gl.glGetString(gl.GL_VERSION).decode()}"
    light = programs().context.info
    return [plain, f"{light['GL_RENDERER']}, OpenGL {light['GL_VERSION']}"]


def check_detector(_: str = "") -> Finding:
    """Finds the face in the first picture of the sample clip."""
    try:
        import av  # noqa: F401
        import mediapipe  # noqa: F401
    except ModuleNotFoundError:
        found = "not installed; clips, cameras and pictures of people need it"
        return Finding("detector", "missing", found, "Run: pip install 'eva-sim[mirror]'")
    from eva_sim.detector import Detector
    from eva_sim.files import asset
    from eva_sim.media.sources import open_source

    _time, picture = next(iter(open_source(asset("samples/person.mp4"))))
    with Detector() as detector:
        points = detector.detect(picture)
    if points is None:
        return Finding("detector", "fails", "no face in the sample clip", "Reinstall eva-sim and mediapipe.")
    return Finding(
        "detector", "works", f"clips open, and {len(points)} points of the sample's face are found"
    )


def check_camera(device: str) -> Finding:
    """Opens the camera that was named, and takes one picture, which is not kept."""
    from eva_sim.media.webcam import Webcam

    camera = Webcam(device)
    try:
        picture = camera.read()
    finally:
        camera.release()
    height, width, _colours = picture.shape
    found = f"camera {device}: {width} × {height} pixels, {camera.fps:g} pictures a second"
    if picture.max() < 16:
        return Finding("camera", "fails", f"{found}, all black", "Uncover it, or switch on a light.")
    return Finding("camera", "works", found)


#: Checks by name; each takes an argument.
CHECKS: dict[str, Callable[[str], Finding]] = {
    "simulation": check_simulation,
    "pictures": check_pictures,
    "detector": check_detector,
    "camera": check_camera,
}


def main(name: str, argument: str = "") -> None:
    """Runs one check and prints its finding as JSON."""
    (finding,) = guard(name, lambda: CHECKS[name](argument))
    print(json.dumps(asdict(finding)))


if __name__ == "__main__":
    main(*sys.argv[1:])
