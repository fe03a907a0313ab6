"""Pictures in studio light: equal everywhere, of the same geometry as plain ones, with folds to be seen."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eva_sim.rendering.studio as studio
from eva_sim.contract import load_spec
from eva_sim.errors import ArgumentError, DataError, EvaError, RenderError
from eva_sim.rendering.studio_parts import FILE, StudioParts
from eva_sim.rendering.studio_programs import Programs
from eva_sim.twin import Twin
from eva_sim.twin.head_camera import MATERIALS, STYLES, HeadCamera

PROGRAM = """
import hashlib
from eva_sim.twin import Twin
with Twin(style={style!r}) as twin:
    twin.move(twin.spec.command(jaw=-0.3, brow_inner=1))
    print(hashlib.sha256(twin.render(64).tobytes()).hexdigest())
"""


@pytest.fixture(scope="module", params=["fast", "fine"])
def twin(request: pytest.FixtureRequest) -> Iterator[Twin]:
    with Twin(style=request.param) as opened:
        yield opened


def _held(twin: Twin, **pull: float) -> None:
    twin.reset()
    for _ in range(12):
        twin.move(twin.spec.command(**pull))


def test_pictures_are_equal_in_every_process(twin: Twin) -> None:
    _held(twin)
    twin.reset()
    twin.move(twin.spec.command(jaw=-0.3, brow_inner=1))
    here = hashlib.sha256(twin.render(64).tobytes()).hexdigest()
    command = [sys.executable, "-c", PROGRAM.format(style=twin._camera._style)]
    there = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()
    assert there == [here]


def test_depth_and_labels_agree_with_the_plain_style(twin: Twin) -> None:
    with Twin() as plain:
        for one in (plain, twin):
            _held(one, zygomaticus=0.6, jaw=-0.2)
        labels, wanted = twin.segmentation(160), plain.segmentation(160)
        near, expected = (one.depth(160) for one in (twin, plain))
    head = (labels == 1) & (wanted == 1)
    assert head.sum() > 0.85 * (wanted == 1)[:130].sum()
    assert np.median(np.abs(near - expected)[head]) < 5e-4
    assert set(np.unique(labels)) == {0, 1, 3, 4, 5, 6} | ({2} & set(np.unique(labels)))
    assert (near[labels == 0] == 0).all() and (near[labels > 0] > 0.5).all()


def test_plain_pictures_among_those_in_studio_light_show_the_face_as_it_is(twin: Twin) -> None:
    plain, studio = HeadCamera(twin.spec), HeadCamera(twin.spec, "fast")
    twin.reset()
    for camera in (plain, studio):
        camera.picture(twin.skin.points, twin.head.pose, 96)
    _held(twin, jaw=1.0)
    seen = plain.picture(twin.skin.points, twin.head.pose, 96)
    np.testing.assert_array_equal(seen, HeadCamera(twin.spec).picture(twin.skin.points, twin.head.pose, 96))


def test_folds_can_be_seen(twin: Twin) -> None:
    _held(twin, brow_inner=1, brow_outer=1)
    camera = twin._camera._aimed(None)
    placed = twin.placed()
    folded = camera.colour(placed, 224).astype(int)
    smooth = camera.colour(placed._replace(folds=np.zeros_like(placed.folds)), 224).astype(int)
    change = np.abs(folded - smooth).max(axis=2)
    assert np.percentile(change[25:60, 75:150], 90) > 10  # the forehead
    assert change[150:].max() < 60 and (change[170:] == 0).all()  # below the chin nothing folds


def test_the_face_moves_in_the_picture(twin: Twin) -> None:
    _held(twin)
    rest = twin.render(96).astype(int)
    _held(twin, jaw=0.8)
    assert np.abs(twin.render(96) - rest)[56:72, 40:56].mean() > 10


def test_light_and_camera_of_a_randomised_body_are_applied(twin: Twin) -> None:
    _held(twin)
    before = twin.render(64).astype(int)
    twin.set_parameters({"light": np.array(0.5)})
    darker = twin.render(64).astype(int)
    twin.set_parameters({"camera": np.array([0.02, 0.0, 0.0])})
    aside = twin.segmentation(64)
    twin.set_parameters({})
    assert darker[24:40, 24:40].mean() < 0.8 * before[24:40, 24:40].mean()
    assert (aside != twin.segmentation(64)).mean() > 0.005


@pytest.mark.parametrize("material", MATERIALS)
def test_materials_differ(material: str) -> None:
    with Twin(style="fast", material=material) as twin:
        forehead = twin.render(64)[12:18, 28:36].reshape(-1, 3).mean(axis=0)
    red, green, blue = forehead
    told = "blue" if blue > 1.3 * red else "human" if red > 1.15 * blue else "grey"
    assert told == material and green > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "fin"}, "no style called 'fin'; did you mean fine"),
        ({"style": "fast", "material": "gray"}, "no material called 'gray'; did you mean grey"),
        ({"material": "grey"}, "needs style='fast' or style='fine'"),
    ],
)
def test_a_misspelt_style_is_named_before_anything_is_opened(options: dict[str, str], message: str) -> None:
    with pytest.raises(EvaError, match=message):
        Twin(**options)  # type: ignore[arg-type]


def test_without_modernGL_the_plain_style_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moderngl", None)
    monkeypatch.setattr(studio, "programs", Programs)
    with Twin(style="fast") as twin, pytest.raises(RenderError, match="or use 'plain'"):
        twin.render(32)


def test_without_opengl_the_advice_is_that_of_the_plain_style(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise Exception("libEGL.so.1 not loaded")

    monkeypatch.setattr("moderngl.create_context", refuse)
    monkeypatch.setattr("eva_sim.rendering.drawing_thread._loads", lambda library: "EGL" not in library)
    monkeypatch.setattr(studio, "programs", Programs)
    with Twin(style="fast") as twin, pytest.raises(RenderError, match=r"not loaded.*apt install libegl1\."):
        twin.render(32)


def test_fewer_triangles_give_nearly_the_same_picture() -> None:
    """Small pictures are drawn with a subset of the vertices; the full mesh is the reference."""
    with Twin(style="fast") as twin:
        parts = twin._camera._appearance
        full = [replace(part, coarse={}) for part in parts.parts]
        reference = studio.StudioRenderer(full, parts.fold_lines, "fast")
        head = parts.parts[0]
        small, middle = (head.coarse[size] for size in (128, 256))
        assert 1.5 * len(small) < len(middle) < 0.6 * len(head.triangles)
        for pull in ({"jaw": 0.6}, {"zygomaticus": 1.0}, {"brow_inner": 1.0}):
            _held(twin, **pull)
            placed, camera = twin.placed(), twin._camera._aimed(None)
            labels, wanted = (one.segmentation(placed, 224) for one in (camera, reference))
            near, expected = (one.depth(placed, 224) for one in (camera, reference))
            both = (labels == 1) & (wanted == 1)
            assert (labels != wanted).mean() < 0.01
            assert np.percentile(np.abs(near - expected)[both], [50, 95]) == pytest.approx(0, abs=1e-3)
            colour, intended = (one.colour(placed, 224).astype(int) for one in (camera, reference))
            assert np.abs(colour - intended).mean() < 2
            large, same = (one.colour(placed, 300) for one in (camera, reference))
            assert np.array_equal(large, same)


def test_several_pictures_at_once_are_those_made_one_by_one(twin: Twin) -> None:
    camera, poses = twin._camera, []
    for jaw in (-0.8, 0.2, 0.9):
        _held(twin, jaw=jaw)
        poses.append((twin.skin.points.copy(), twin.head.pose, {"light": np.array(0.5 + 0.4 * (jaw > 0))}))
    together = camera.pictures(poses, 48)
    for (points, pose, parameters), picture in zip(poses, together, strict=True):
        assert np.array_equal(picture, camera.picture(points, pose, 48, parameters))
    assert camera.pictures([], 48) == []


def test_edges_are_smoothed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with Twin(style="fine") as twin:
        smooth = twin.render(160).astype(int)
        monkeypatch.setitem(studio.STYLES, "fine", studio.STYLES["fine"]._replace(smooth_edges=False))
        with Twin(style="fine") as other:
            hard = other.render(160).astype(int)
    changed = np.abs(smooth - hard).max(axis=2) > 4
    edges = np.maximum(*(np.abs(step).max(axis=2) for step in np.gradient(hard, axis=(0, 1)))) > 8
    assert 0.01 < changed.mean() < 0.15
    assert edges[changed].mean() > 0.9

    # Along the outline of the base, which is nearly upright, brightness passes through values between.
    def steps(picture: np.ndarray) -> int:
        return int(np.abs(np.diff(picture[130:, :, 1], axis=1)).max(axis=1).sum())

    assert steps(smooth) < 0.9 * steps(hard)


@pytest.mark.parametrize("size", [0, -3, 5000])
def test_sizes_out_of_range_are_refused(twin: Twin, size: int) -> None:
    with pytest.raises(RenderError, match="1 to 4096"):
        twin.render(size)


@pytest.mark.parametrize("style", ["plain", "fast"])
def test_a_size_that_is_no_whole_number_is_refused_and_breaks_nothing(style: str) -> None:
    with Twin(style=style) as twin:
        before = twin.render(32)
        for wrong in (240.0, "32", None):
            with pytest.raises(ArgumentError, match="a whole number of pixels, not"):
                twin.render(wrong)  # type: ignore[arg-type]
        size: Any = np.int64(32)
        assert np.array_equal(twin.render(size), before)


def test_parts_of_another_mesh_are_refused(twin: Twin) -> None:
    placed = twin.placed()
    placed.parts["head"] = placed.parts["head"][:-1]
    with pytest.raises(RenderError, match="head has"):
        twin._camera._aimed(None).colour(placed, 32)


def test_baked_files_of_other_meshes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from eva_sim.rendering import studio_parts

    studio_parts._baked.cache_clear()
    monkeypatch.setattr(studio_parts, "mesh_digest", lambda spec: "other")
    with pytest.raises(DataError, match=f"{FILE} was built for other meshes; run"):
        StudioParts(load_spec())
    studio_parts._baked.cache_clear()


def test_every_style_is_drawn() -> None:
    for style in STYLES:
        with Twin(style=style) as twin:
            assert twin.render(32).std() > 10


def test_pictures_and_twins_do_not_grow_the_process() -> None:
    def draw(times: int) -> None:
        for _ in range(times):
            with Twin(style="fast") as twin:
                for size in (32, 48):
                    twin.render(size)

    draw(8)
    before = _resident()
    draw(25)
    assert _resident() - before < 60e6


def _resident() -> int:
    """Memory of this process that is in use [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_placing_parts_is_pure() -> None:
    with Twin() as twin:
        parts = StudioParts(twin.spec, fine=True)
        first = parts.place(twin.skin.points, twin.head.pose)
        again = parts.place(twin.skin.points, replace(twin.head.pose))
    for name, place in first.parts.items():
        np.testing.assert_array_equal(place, again.parts[name])
