"""The page in a headless Chromium: what it shows is read back from its own memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from eva_sim import make_face
from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.agents.models.routes import load_model
from eva_sim.contract import FaceSpec
from eva_sim.files import asset
from eva_sim.live.scene import COLUMNS, PLACE_SCALE, LiveScene
from eva_sim.live.server import _IN_FLIGHT, _PATIENCE
from eva_sim.live.session import Session
from eva_sim.media.sources import Frames, FrameSource, open_file
from eva_sim.testing.browser import Browser, Tab
from eva_sim.twin import Twin
from tests.live.conftest import Served, serving, wait_until

pytestmark = pytest.mark.wall_clock  # the browser draws on the processor, and the twin lives by the clock
websockets = pytest.importorskip("websockets.sync.client", reason="the extra web is not installed")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Twin() as twin, serving(twin, tmp_path_factory.mktemp("live")) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Tab]:
    tab = browser.open(served[1].address)
    tab.wait_for("view && shown")
    tab.run("$('both').checked && $('both').click(); $('neutral').click(); send({type: 'idle', on: false})")
    tab.wait_for("!shown.idle && shown.mode === 'panel'")
    yield tab
    tab.close()


def places(tab: Tab) -> np.ndarray:
    """Vertices that the page has, (V, 3) [m]."""
    moving = np.array(json.loads(tab.run("JSON.stringify(Array.from(view.moving))")))
    return moving.reshape(-1, COLUMNS)[:, :3]


def settle(tab: Tab) -> None:
    """Waits until the servos are where the sliders are, and the skin with them."""
    tab.wait_for("shown.sent.every((value, i) => Math.abs(value - shown.position[i]) < 0.02)")
    tab.run("window.from = shown.number")
    tab.wait_for("shown.number > from + 5")


def expected(spec: FaceSpec, **values: float) -> np.ndarray:
    """Vertices of another twin after the same command."""
    with Twin(spec=spec) as twin:
        scene = LiveScene(twin)
        for _ in range(25):
            twin.move(spec.command(**values))
        numbers = np.frombuffer(scene.update(twin), "<i2").reshape(-1, COLUMNS)
    return PLACE_SCALE / 32767 * numbers[:, :3]


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_each_slider_moves_the_right_vertices(page: Tab, spec: FaceSpec, every: int) -> None:
    """Every sixth; all of them take half a minute."""
    settle(page)
    rest = places(page)
    wrong = []
    for name, neutral in list(zip(spec.names, spec.neutral.tolist(), strict=True))[::every]:
        value = 0.6 if neutral < 0.5 else -0.6
        slide = "(name, value) => {{ const input = sliders[name].input; input.value = value; "
        slide = slide.replace("{{", "{") + "input.dispatchEvent(new Event('input')); }"
        page.run(f"({slide})({json.dumps(name)}, {value})")
        index = spec.names.index(name)
        page.wait_for(f"Math.abs(shown.sent[{index}] - {value}) < 0.01")
        settle(page)
        moved, wanted = places(page), expected(spec, **{name: value})
        if np.abs(moved - wanted).max() > 5e-4 or np.abs(moved - rest).max() < 1e-3:
            wrong.append((name, float(np.abs(moved - wanted).max()), float(np.abs(moved - rest).max())))
        page.run("$('neutral').click()")
        page.wait_for(f"Math.abs(shown.sent[{index}] - {neutral}) < 0.01")
    assert not wrong


@pytest.mark.parametrize("name", ["surprise", "joy:0.5"])
def test_an_expression_is_shown_at_its_intensity(page: Tab, spec: FaceSpec, name: str) -> None:
    from eva_sim.expressions import expression_command

    plain, _, intensity = name.partition(":")
    page.run(f"$('expression').value = '{plain}'; $('intensity').value = {intensity or 1};")
    page.run("$('expression').dispatchEvent(new Event('change'))")
    wanted = expression_command(spec, name).round(2).tolist()
    page.wait_for(f"{wanted}.every((value, i) => Math.abs(value - shown.sent[i]) < 0.02)")


def test_idle_life_moves_the_lids_of_a_resting_face(page: Tab, spec: FaceSpec) -> None:
    page.wait_for("!$('idle').checked")
    page.run("$('idle').click(); window.lids = new Set()")
    lid = spec.index("lid_left")
    page.run(f"window.watch = setInterval(() => lids.add(shown.sent[{lid}]), 20)")
    page.wait_for("lids.size > 3", 30.0)
    page.run("clearInterval(watch)")


def test_the_mouse_turns_the_head(page: Tab) -> None:
    x, y = page.run("(({x, y, width, height}) => [x + width / 2, y + height / 2])"
                    "(view.canvas.getBoundingClientRect())")  # fmt: skip
    for kind, shift in (("mousePressed", 0), ("mouseMoved", 90), ("mouseReleased", 90)):
        event = {"type": kind, "x": x + shift, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
        page.ask("Input.dispatchMouseEvent", event)
    page.wait_for("view.angles[0] < -0.5")


@pytest.mark.parametrize("x, y", [(0.5, 0.8), (0.43, 0.5), (0.57, 0.45), (0.5, 0.05)])
def test_quick_light_looks_like_that_of_stills(page: Tab, browser: Browser, served: Served, x: float, y: float
                                               ) -> None:  # fmt: skip
    """Forehead, cheeks and coat, where a processor draws and as on a graphics card."""
    script = f"""(() => {{ view.changed = true; view.draw();
      const gl = view.gl, pixel = new Uint8Array(4), {{width, height}} = view.canvas;
      gl.readPixels(width * {x}, height * {y}, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
      return Array.from(pixel); }})()"""
    fine = browser.open(f"{served[1].address}?quality=fine")
    fine.wait_for("view && shown && !view.slow")
    wanted = np.array(fine.run(script))
    fine.close()
    assert page.run("view.slow")
    np.testing.assert_allclose(page.run(script), wanted, atol=25)


def test_the_canvas_shows_a_blue_face(page: Tab) -> None:
    script = """(() => { view.changed = true; view.draw();
      const gl = view.gl, pixel = new Uint8Array(4), {width, height} = view.canvas;
      gl.readPixels(width / 2, height * 0.62, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
      return Array.from(pixel); })()"""
    red, _, blue, _ = page.run(script)
    assert blue > 100 and blue > 1.5 * red


@pytest.mark.parametrize("name", ["zygomaticus_left", "brow_inner_right"])
def test_transparent_skin_shows_the_cables(page: Tab, name: str) -> None:
    """A taut cable turns red, and the head behind the skin is drawn without a fault."""
    script = """(() => { view.changed = true; view.draw();
      const gl = view.gl, {width, height} = view.canvas, all = new Uint8Array(4 * width * height);
      gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, all);
      let red = 0, sum = 0;
      for (let i = 0; i < all.length; i += 4) {
        red += all[i] > all[i + 1] + 40 && all[i] > all[i + 2] + 25;
        sum += all[i];
      }
      return [red, sum / (width * height), gl.getError()]; })()"""
    page.run(f"send({{type: 'slider', name: '{name}', value: 1}})")
    page.wait_for(f"shown.tension[PANEL.cables.indexOf('{name}')] > 9")
    covered = page.run(script)
    page.run("$('cables').click()")
    seen = page.run(script)
    page.run("$('cables').click()")
    assert covered[2] == seen[2] == 0
    assert seen[0] > covered[0] + 10 and seen[1] > covered[1] + 5
    assert page.run(script)[:2] == pytest.approx(covered[:2], abs=30)


def test_a_lost_connection_comes_back(page: Tab, served: Served) -> None:
    page.run("socket.close()")
    page.wait_for("!$('lost').hidden")
    before = page.run("shown.number")
    page.wait_for(f"$('lost').hidden && shown.number > {before} + 5")


def test_two_tabs_show_the_same_and_both_command(page: Tab, browser: Browser, served: Served) -> None:
    second = browser.open(served[1].address)
    second.wait_for("view && shown")
    second.run("send({type: 'slider', name: 'jaw', value: 0.4})")
    # A tab behind another one may be silent; it shows the newest update when it is seen again.
    page.ask("Page.bringToFront")
    page.wait_for("Math.abs(shown.sent[12] - 0.4) < 0.01")
    second.close()
    page.run("window.from = shown.number")
    page.wait_for("shown.number > from + 5")


@pytest.mark.parametrize("message", [b"\xff\x00", "{", "[1]", '{"type": "warp"}', '{"type": "slider"}',
                                     '{"type": "slider", "name": "jaw", "value": NaN}',
                                     '{"type": "slider", "name": "jaw", "value": 7}',
                                     '{"type": "slider", "name": "tail", "value": 0}',
                                     '{"type": "expression", "name": "joy", "intensity": 2}',
                                     '{"type": "mode", "mode": "mirror"}', "[" * 4000])  # fmt: skip
def test_a_bad_message_is_answered_and_changes_nothing(served: Served, message: str | bytes) -> None:
    session, server = served
    with websockets.connect(server.address.replace("http", "ws") + "updates") as socket:
        socket.send(message)
        answer = next(each for each in socket if isinstance(each, str))
        assert json.loads(answer)["error"].endswith((".", "?"))
    wait_until(lambda: session.mode == "panel")


def test_a_slow_page_delays_nobody(page: Tab, served: Served) -> None:
    """One page reads nothing at all, one reads and never says so."""
    address = served[1].address.replace("http", "ws") + "updates"
    began, received = monotonic(), 0
    with websockets.connect(address), websockets.connect(address) as deaf:
        page.run("window.from = shown.number; window.since = arrivals.length")
        page.wait_for("shown.number > from + 25")
        with suppress(TimeoutError):
            while monotonic() < began + 30.0:
                received += isinstance(deaf.recv(timeout=0.5), bytes)
    # No queue was kept for it: it gets an update or two, and as many again whenever it was silent for long.
    assert received <= _IN_FLIGHT * (1 + (monotonic() - began) / _PATIENCE)


@pytest.mark.parametrize("body", ["mock", pytest.param("virtual", marks=pytest.mark.slow)])
def test_a_robot_is_armed_and_stopped_by_the_page(browser: Browser, tmp_path: Path, body: str) -> None:
    with make_face(body, realtime=True, camera_size=None) as face, serving(face, tmp_path) as (_, server):
        tab = browser.open(server.address)
        tab.wait_for("view && shown && !$('arm').hidden && !$('arm').disabled")
        tab.run("sliders.jaw.input.value = 0.5; sliders.jaw.input.dispatchEvent(new Event('input'))")
        tab.run("window.from = shown.number")
        tab.wait_for("shown.number > from + 5")
        assert tab.run("!shown.armed && $('state').textContent.includes('not armed')")
        tab.run("$('arm').click()")
        tab.wait_for("shown.armed && $('arm').disabled")
        tab.run("document.activeElement.blur()")
        for kind in ("keyDown", "keyUp"):
            tab.ask("Input.dispatchKeyEvent", {"type": kind, "code": "Space", "key": " ", "text": " "})
        tab.wait_for("!shown.armed && shown.trouble === 'stopped from the page'")
        tab.close()


class StepByStep(FrameSource):
    """Every other picture of the sample clip, each when the page has been sent the one before.

    So the result does not depend on how fast the machine is.
    """

    name, fps, live = "a clip, step by step", 25.0, True

    def __init__(self, period: float) -> None:
        self.session: Session | None = None
        self._period = period

    def __iter__(self) -> Frames:
        pictures = [picture for _, picture in open_file(asset("samples/person.mp4"))]
        for number, picture in enumerate([*pictures[:1] * 55, *pictures[::2]]):
            yield number * self._period, picture
            end = monotonic() + 5.0
            while (self.session is None or self.session.shown_frame < number) and monotonic() < end:
                sleep(0.002)
        while self.session is None or self.session.mode == "mirror":
            sleep(0.05)


def test_the_mouth_in_the_page_follows_the_person(browser: Browser, spec: FaceSpec, tmp_path: Path) -> None:
    source = StepByStep(spec.control_dt)
    model = load_model(asset(SHIPPED_MODEL))
    with Twin() as twin, serving(twin, tmp_path, source=source, model=model) as (session, server):
        tab = browser.open(server.address)
        tab.wait_for("view && shown")
        tab.run("""window.notes = []; const received = receive; receive = (buffer) => { received(buffer);
                   if (shown.person_mouth !== null) notes.push([shown.person_mouth, view.mouth()]); }""")
        tab.run("$('mirror').click()")
        tab.wait_for("shown.mode === 'mirror'")
        source.session = session
        tab.wait_for("notes.length > 100", 90.0)
        sleep(0.5)
        person, robot = np.array(tab.run("notes"), float).T
        tab.run("$('panel').click()")
        tab.close()
    assert np.ptp(person) > 0.1
    assert np.corrcoef(person, robot)[0, 1] >= 0.9
