"""The animated head in glTF is read back, and compared with the twin's own vertices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from eva_sim.errors import DataError
from eva_sim.expressions import expression_command
from eva_sim.rendering.gltf import GltfBuilder
from eva_sim.rendering.studio_parts import StudioParts
from eva_sim.twin import animation
from eva_sim.twin.animation import TOLERANCE, AnimatedTwin, find_targets

NUMBERS = {5126: "<f4", 5125: "<u4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class Read:
    """A .glb file, as a viewer takes it."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        assert data[:4] == b"glTF" and int.from_bytes(data[8:12], "little") == len(data)
        length = int.from_bytes(data[12:16], "little")
        self.document: dict[str, Any] = json.loads(data[20 : 20 + length])
        self.binary = data[28 + length :]
        self.nodes = {node["name"]: (i, node) for i, node in enumerate(self.document["nodes"])}

    def array(self, number: int) -> np.ndarray:
        about = self.document["accessors"][number]
        view = self.document["bufferViews"][about["bufferView"]]
        kind, width = NUMBERS[about["componentType"]], WIDTHS[about["type"]]
        numbers = np.frombuffer(self.binary, kind, about["count"] * width, view["byteOffset"])
        return numbers.reshape(-1, width) if width > 1 else numbers

    def channel(self, node: int, path: str, frame: int) -> np.ndarray | None:
        (animation,) = self.document["animations"]
        for channel in animation["channels"]:
            if channel["target"] == {"node": node, "path": path}:
                sampler = animation["samplers"][channel["sampler"]]
                count = len(self.array(sampler["input"]))
                return self.array(sampler["output"]).reshape(count, -1)[frame]
        return None

    def moved(self, node: int, points: np.ndarray, frame: int) -> np.ndarray:
        turn, shift = self.channel(node, "rotation", frame), self.channel(node, "translation", frame)
        if turn is None or shift is None:
            return points
        return Rotation.from_quat(turn).apply(points) + shift

    def vertices(self, name: str, frame: int) -> np.ndarray:
        """Vertices of a part in the world, (V, 3)."""
        number, node = self.nodes[name]
        (primitive,) = self.document["meshes"][node["mesh"]]["primitives"]
        points = self.array(primitive["attributes"]["POSITION"]).astype(float)
        weights = self.channel(number, "weights", frame)
        if weights is not None:
            for weight, target in zip(weights, primitive["targets"], strict=True):
                points = points + weight * self.array(target["POSITION"])
        return self.moved(self.nodes["skull"][0], self.moved(number, points, frame), frame)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, np.ndarray]]]:
    path, wanted = tmp_path_factory.mktemp("gltf") / "face.glb", []
    with AnimatedTwin() as twin:
        twin.reset()
        studio = StudioParts(twin.spec, fine=False)
        for name in ("surprise", "joy"):
            command = expression_command(twin.spec, name)
            command[twin.spec.where("neck")] = 0.4
            command[twin.spec.index("eye_left_yaw")] = -0.7
            for _ in range(8):
                twin.move(command)
                wanted.append(studio.place(twin.skin.points, twin.head.pose).parts)
        summary = twin.write_animation(path)
    assert summary.frames == 16 and 1 < summary.targets < 16 and summary.error < TOLERANCE
    return path, wanted


@pytest.mark.parametrize("frame", [0, 7, 15])
@pytest.mark.parametrize("part", ["head", "mouth", "lid_left", "lower_teeth", "eye_left", "upper_teeth"])
def test_every_part_is_where_the_twin_has_it(
    written: tuple[Path, list[dict[str, np.ndarray]]], part: str, frame: int
) -> None:
    read, wanted = Read(written[0]), written[1][frame][part]
    found = read.vertices(part, frame)
    if wanted.shape == (4, 4):
        (mesh,) = read.document["meshes"][read.nodes[part][1]["mesh"]]["primitives"]
        own = read.array(mesh["attributes"]["POSITION"])
        wanted = own @ wanted[:3, :3].T + wanted[:3, 3]
    assert np.linalg.norm(found - wanted, axis=1).max() < TOLERANCE + 1e-6


def test_another_library_reads_the_head(written: tuple[Path, list[dict[str, np.ndarray]]]) -> None:
    scene = trimesh.load(written[0])
    assert isinstance(scene, trimesh.Scene) and {"head", "eye_left", "bust"} <= set(scene.geometry)
    assert np.ptp(scene.geometry["head"].vertices, axis=0).max() == pytest.approx(0.25, abs=0.08)
    assert scene.geometry["head"].visual.material.baseColorTexture.size[0] >= 512


@pytest.mark.parametrize("part", ["eye_left", "lower_teeth", "head"])
def test_a_viewer_that_plays_nothing_shows_the_first_frame(
    written: tuple[Path, list[dict[str, np.ndarray]]], part: str
) -> None:
    scene = trimesh.load(written[0])
    assert isinstance(scene, trimesh.Scene)
    pose, name = scene.graph[part]
    points = scene.geometry[name].vertices @ pose[:3, :3].T + pose[:3, 3]
    wanted = Read(written[0]).vertices(part, 0)
    assert np.abs(points.min(axis=0) - wanted.min(axis=0)).max() < 1e-5
    assert np.abs(points.max(axis=0) - wanted.max(axis=0)).max() < 1e-5


@pytest.mark.parametrize("part, dark", [("bust", True), ("eye_left", False), ("eye_right", False)])
def test_viewers_without_vertex_colours_show_eyes_and_bust(
    written: tuple[Path, list[dict[str, np.ndarray]]], part: str, dark: bool
) -> None:
    scene = trimesh.load(written[0])
    assert isinstance(scene, trimesh.Scene)
    material = scene.geometry[part].visual.material
    if dark:
        assert max(material.baseColorFactor[:3]) < 50
        return
    picture = np.array(material.baseColorTexture)
    assert picture[0].max() < 60 and picture[-1].min() > 100  # the pupil, and the white of the eye


@pytest.mark.parametrize("frames", [0, 4])
def test_too_short_and_too_long_are_refused(
    frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animation, "LONGEST", 3)
    with AnimatedTwin() as twin:
        for _ in range(frames):
            twin.move(twin.spec.neutral)
        with pytest.raises(DataError, match=f"1 to 3 frames, not {frames}"):
            twin.write_animation(tmp_path / "face.glb")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rank", [0, 1, 5])
def test_targets_of_a_linear_motion_are_as_many_as_its_directions(rank: int) -> None:
    chance = np.random.default_rng(rank)
    weights = chance.normal(size=(40, rank))
    weights -= weights[:1]
    motion = 0.1 * chance.normal(size=(30, 3)) + np.tensordot(
        weights, 0.01 * chance.normal(size=(rank, 30, 3)), 1
    )
    targets, found, error = find_targets(motion.astype(np.float32))
    assert len(targets) == rank and found.shape == (40, rank) and error < TOLERANCE
    assert np.abs(found).max(initial=0.0) <= 1.0 + 1e-6


def test_arrays_are_stored_at_multiples_of_four_bytes() -> None:
    builder = GltfBuilder()
    builder.add_texture(np.zeros((3, 5, 3), np.uint8))
    builder.add_array(np.arange(3, dtype=np.uint32))
    assert all(view["byteOffset"] % 4 == 0 for view in builder.document["bufferViews"])
    assert len(builder.pack()) % 4 == 0
