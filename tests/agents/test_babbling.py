"""Babbling: random commands, and recordings that no interruption changes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eva_sim.agents.data import babbling as module
from eva_sim.agents.data.babbling import babble, plan_babbling, record_shard
from eva_sim.agents.data.dataset import DatasetManifest, load_dataset, load_failures, shard_path
from eva_sim.contract import Reading, load_spec
from eva_sim.errors import DataError, EvaError, PhysicsError
from eva_sim.files import read_arrays, write_arrays
from eva_sim.landmarks import POINTS
from eva_sim.settling import settling_steps
from eva_sim.testing.fake_face import FakeFace, open_broken, open_fake

SPEC = load_spec()


def _babble(out: Path, samples: int = 30, **changes: Any) -> DatasetManifest:
    arguments = {"seed": 4, "body": "fake", "workers": 1, "image_size": 16, "open_face": open_fake}
    return babble(out, samples, **{**arguments, **changes})


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_SIZE", 8)


def _contents(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    return {path.name: read_arrays(path) for path in sorted(folder.glob("shard-*.npz"))}


def _assert_same(a: Path, b: Path) -> None:
    one, two = _contents(a), _contents(b)
    assert one.keys() == two.keys()
    for name in one:
        for key in one[name]:
            np.testing.assert_array_equal(one[name][key], two[name][key], err_msg=f"{name} {key}")


def test_records_commands_readings_and_pictures(tmp_path: Path) -> None:
    manifest = _babble(tmp_path)
    data = load_dataset(tmp_path)
    assert manifest == data.manifest
    assert len(data) == 30 and manifest.shards == 4 and data.landmarks.shape == (30, len(POINTS), 3)
    np.testing.assert_allclose(data.positions, data.commands, atol=1e-6)
    pictures = data.images(np.array([29, 0, 9]))
    assert pictures.shape == (3, 16, 16, 3)
    last = read_arrays(shard_path(tmp_path, 3))
    assert np.array_equal(pictures[0], last["images"][5])
    assert manifest.settle == settling_steps(SPEC)


def test_a_share_of_the_samples_rests(tmp_path: Path) -> None:
    _babble(tmp_path, samples=400, neutral_share=0.3)
    data = load_dataset(tmp_path)
    resting = (data.commands == SPEC.neutral).all(1).mean()
    assert 0.22 < resting < 0.38
    assert "--neutral 0.3" in data.manifest.babble_command(tmp_path, 400)
    with pytest.raises(DataError, match=r"was recorded with neutral_share=0\.3, not neutral_share=0\.0"):
        _babble(tmp_path, samples=400)
    with pytest.raises(EvaError, match="share from 0 to 1"):
        _babble(tmp_path / "other", neutral_share=1.5)


class TearsAtWideJaws(FakeFace):
    """A face whose skin cannot be solved where the jaw opens far, and which is not found in between."""

    def move(self, command: Any) -> Reading:
        jaw = command[SPEC.index("jaw")]
        if jaw > 0.5:
            raise PhysicsError("the skin tore")
        return replace(super().move(command), found=bool(jaw <= 0))


def test_samples_that_fail_are_kept_and_left_out_of_training(tmp_path: Path) -> None:
    _babble(tmp_path, samples=60, open_face=lambda body, **options: TearsAtWideJaws(**options))
    data, failures = load_dataset(tmp_path), load_failures(tmp_path)
    jaw = SPEC.index("jaw")
    told = {(failure.faults, failure.command[jaw] > 0.5) for failure in failures}
    assert told == {("the skin tore", True), ("no landmarks were read", False)}
    assert len(data) + len(failures) == 60 and (data.commands[:, jaw] <= 0).all()
    whole = np.concatenate([each["commands"] for each in _contents(tmp_path).values()])
    assert np.array_equal(whole[data.shard * 8 + data.row], data.commands)
    pictures = data.images(np.array([0]))
    shard = read_arrays(shard_path(tmp_path, int(data.shard[0])))
    assert np.array_equal(pictures[0], shard["images"][data.row[0]])


def test_shards_of_earlier_versions_have_no_failures(tmp_path: Path) -> None:
    _babble(tmp_path)
    for path in tmp_path.glob("shard-*.npz"):
        arrays = read_arrays(path)
        del arrays["faults"]
        write_arrays(path, **arrays)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["neutral_share"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert len(load_dataset(tmp_path)) == 30 and load_failures(tmp_path) == []


def test_neither_workers_nor_interruption_change_the_data(tmp_path: Path) -> None:
    whole, broken, parallel = tmp_path / "whole", tmp_path / "broken", tmp_path / "parallel"
    _babble(whole)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        _babble(broken, open_face=open_broken)
    assert 0 < len(_contents(broken)) < 4
    assert not list(broken.glob(".part-*"))
    with pytest.raises(DataError, match="lacks"):
        load_dataset(broken)
    _babble(broken)
    _babble(parallel, workers=2)
    _assert_same(whole, broken)
    _assert_same(whole, parallel)


def test_an_error_in_a_worker_process_is_raised_and_the_run_resumed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="pulled the plug"):
        _babble(tmp_path / "a", workers=2, samples=80, open_face=open_broken)
    _babble(tmp_path / "a", samples=80)
    _babble(tmp_path / "b", samples=80)
    _assert_same(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(("parts", "samples"), [(3, 24), (5, 40), (6, 44)])
def test_a_set_that_was_stopped_may_be_ended_with_what_it_has(
    tmp_path: Path, parts: int, samples: int
) -> None:
    """Its parts are kept, and it may be made larger again; a set that is whole is not made smaller."""
    stopped, small, whole = tmp_path / "stopped", tmp_path / "small", tmp_path / "whole"
    _babble(whole, samples=80)
    _babble(stopped, samples=80)
    for index in range(parts, 10):
        shard_path(stopped, index).unlink()
    with pytest.raises(
        DataError, match=f"lacks {10 - parts} of 10 parts; complete it with `eva babble"
    ) as told:
        load_dataset(stopped)
    assert f"end it with the {8 * parts} that it has: `eva babble --samples {8 * parts} --seed 4" in str(
        told.value
    )
    _babble(stopped, samples=samples)
    _babble(small, samples=samples)
    _assert_same(stopped, small)
    assert len(load_dataset(stopped)) == samples
    _babble(stopped, samples=80)
    _assert_same(stopped, whole)
    with pytest.raises(DataError, match=f"samples=80, not samples={samples}"):
        _babble(stopped, samples=samples)


@pytest.mark.parametrize(
    ("size", "style", "words"),
    [
        (64, None, "--seed 4 --out"),
        (96, "fast", "--seed 4 --picture-size 96 --style fast --out"),
    ],
)
def test_the_advice_about_a_part_of_a_set_names_its_settings(
    tmp_path: Path, size: int, style: str | None, words: str
) -> None:
    options = {"style": style} if style else {}
    manifest = _babble(tmp_path, samples=8, image_size=size)
    replace(manifest, samples=16, options=options).write(tmp_path)
    with pytest.raises(DataError, match=f"`eva babble --samples 16 {words} {tmp_path}`"):
        load_dataset(tmp_path)


def test_the_first_minutes_are_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _babble(tmp_path)
    assert "Progress is told after every 8 expressions" in capsys.readouterr().err
    _babble(tmp_path)
    assert "Progress" not in capsys.readouterr().err  # nothing is left to record


def test_damaged_and_missing_shards_are_made_again(tmp_path: Path) -> None:
    whole, hurt = tmp_path / "whole", tmp_path / "hurt"
    _babble(whole), _babble(hurt)
    cut = shard_path(hurt, 1)
    cut.write_bytes(cut.read_bytes()[:500])
    flipped = bytearray(shard_path(hurt, 2).read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    shard_path(hurt, 2).write_bytes(flipped)
    shard_path(hurt, 3).unlink()
    untouched = shard_path(hurt, 0).stat().st_mtime_ns
    _babble(hurt)
    _assert_same(whole, hurt)
    assert shard_path(hurt, 0).stat().st_mtime_ns == untouched


def test_a_truncated_shard_is_refused_when_loading(tmp_path: Path) -> None:
    _babble(tmp_path)
    cut = shard_path(tmp_path, 1)
    cut.write_bytes(cut.read_bytes()[:500])
    with pytest.raises(DataError, match="damaged"):
        load_dataset(tmp_path)


def test_a_shard_of_another_run_is_refused_and_replaced(tmp_path: Path) -> None:
    _babble(tmp_path / "a"), _babble(tmp_path / "b", seed=5)
    shard_path(tmp_path / "a", 1).write_bytes(shard_path(tmp_path / "b", 1).read_bytes())
    with pytest.raises(DataError, match="another data set"):
        load_dataset(tmp_path / "a")
    _babble(tmp_path / "a")
    assert load_dataset(tmp_path / "a").manifest.seed == 4


def test_more_samples_keep_what_is_there(tmp_path: Path) -> None:
    _babble(tmp_path / "a", samples=12)
    kept = shard_path(tmp_path / "a", 0).stat().st_mtime_ns
    _babble(tmp_path / "a", samples=30)
    _babble(tmp_path / "b", samples=30)
    _assert_same(tmp_path / "a", tmp_path / "b")
    assert shard_path(tmp_path / "a", 0).stat().st_mtime_ns == kept


def test_another_run_is_not_mixed_in(tmp_path: Path) -> None:
    _babble(tmp_path)
    with pytest.raises(DataError, match="was recorded with seed=4, not seed=5"):
        _babble(tmp_path, seed=5)
    with pytest.raises(DataError, match="recorded with image_size="):
        _babble(tmp_path, image_size=32)
    with pytest.raises(DataError, match="samples=30, not samples=20"):
        _babble(tmp_path, samples=20)
    with pytest.raises(DataError, match="holds a data set"):
        _babble(tmp_path, resume=False)
    assert len(load_dataset(tmp_path)) == 30


def test_another_spec_is_refused(tmp_path: Path) -> None:
    _babble(tmp_path)
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "digest": "0" * 64}))
    with pytest.raises(DataError, match=r"face\.toml is not the table of this data set"):
        load_dataset(tmp_path)
    with pytest.raises(DataError, match=r"another face\.toml \(other digest\)"):
        _babble(tmp_path)
    path.write_text(json.dumps({**content, "points": [1, 2, 3]}))
    with pytest.raises(DataError, match="another set of landmarks"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seed": 1}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="damaged"):
        load_dataset(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="eva babble"):
        load_dataset(tmp_path)
    with pytest.raises(EvaError, match="samples=0"):
        _babble(tmp_path, samples=0)


def test_the_actuator_table_is_kept_and_added_to_older_folders(tmp_path: Path) -> None:
    _babble(tmp_path)
    assert (tmp_path / "face.toml").read_bytes().decode() == SPEC.text
    assert load_dataset(tmp_path).spec.actuators == SPEC.actuators
    (tmp_path / "face.toml").unlink()
    with pytest.raises(DataError, match="run `eva babble` on the folder again"):
        load_dataset(tmp_path)
    times = [shard_path(tmp_path, i).stat().st_mtime_ns for i in range(4)]
    _babble(tmp_path)
    assert load_dataset(tmp_path).spec.digest == SPEC.digest
    assert [shard_path(tmp_path, i).stat().st_mtime_ns for i in range(4)] == times


def test_other_settings_are_refused_before_a_face_is_opened(tmp_path: Path) -> None:
    def open_nothing(body: str, **options: Any) -> FakeFace:
        raise AssertionError("a face was opened")

    _babble(tmp_path)
    with pytest.raises(DataError, match="was recorded with seed=4, not seed=5"):
        _babble(tmp_path, seed=5, open_face=open_nothing)
    with pytest.raises(DataError, match="holds a data set"):
        _babble(tmp_path, resume=False, open_face=open_nothing)
    assert _babble(tmp_path, spec=SPEC, open_face=open_nothing).samples == 30  # nothing is left to record


def test_one_face_is_opened_and_closed(tmp_path: Path) -> None:
    opened: list[FakeFace] = []

    def open_counted(body: str, **options: Any) -> FakeFace:
        opened.append(FakeFace())
        return opened[-1]

    _babble(tmp_path, open_face=open_counted)
    assert [face.closed for face in opened] == [True]


def test_pictures_are_optional(tmp_path: Path) -> None:
    _babble(tmp_path, image_size=None)
    data = load_dataset(tmp_path)
    assert "images" not in read_arrays(shard_path(tmp_path, 0))
    with pytest.raises(DataError, match="without pictures"):
        data.images(np.array([0]))


def test_split_shares_no_shard(tmp_path: Path) -> None:
    _babble(tmp_path, samples=60, image_size=None)
    data = load_dataset(tmp_path)
    train, held_out = data.split(0.25)
    assert len(train) + len(held_out) == 60
    assert not set(train.shard) & set(held_out.shard)
    assert len(set(held_out.shard)) == 2
    assert np.array_equal(data.split(0.25)[1].commands, held_out.commands)


def test_one_shard_cannot_be_split(tmp_path: Path) -> None:
    _babble(tmp_path, samples=8)
    with pytest.raises(DataError, match="has 8 samples; training needs 24 or more"):
        load_dataset(tmp_path).split()


def test_a_data_set_that_can_be_split_may_be_too_small_to_train_on(tmp_path: Path) -> None:
    for samples, enough in ((23, False), (24, True)):
        _babble(tmp_path, samples=samples)
        data = load_dataset(tmp_path)
        assert all(len(part) for part in data.split())
        with nullcontext() if enough else pytest.raises(DataError, match="--samples 24 --seed 4"):
            data.check_size()


def test_processes_of_ones_own_record_what_a_plan_lacks(tmp_path: Path) -> None:
    """In any order, and again what is damaged; the data are those of `babble`."""
    arguments: dict[str, Any] = {"body": "fake", "image_size": 16, "open_face": open_fake}
    _babble(tmp_path / "whole")
    plan = plan_babbling(tmp_path / "own", 30, 4, **arguments)
    assert plan.manifest == DatasetManifest.read(tmp_path / "whole")
    assert list(plan.missing_shards()) == [0, 1, 2, 3]
    for index in (3, 0, 1):
        record_shard(FakeFace(), plan.folder, plan.manifest, index)
    shard_path(plan.folder, 0).write_bytes(b"cut")
    skipped = list[int]()
    assert list(plan.missing_shards(skipped.append)) == [0, 2] and skipped == [8, 6]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda index: record_shard(FakeFace(), plan.folder, plan.manifest, index), [2, 0]))
    assert not list(plan_babbling(tmp_path / "own", 30, 4, **arguments).missing_shards())
    _assert_same(tmp_path / "whole", tmp_path / "own")


def test_a_shard_without_an_array_is_refused(tmp_path: Path) -> None:
    _babble(tmp_path)
    path = shard_path(tmp_path, 0)
    arrays = read_arrays(path)
    del arrays["positions"]
    write_arrays(path, **arrays)
    with pytest.raises(DataError, match="positions"):
        load_dataset(tmp_path)


def test_the_twin_babbles_the_same_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        babble(tmp_path / name, 4, 1, workers=1, image_size=32)
    _assert_same(tmp_path / "a", tmp_path / "b")
    data = load_dataset(tmp_path / "a")
    assert np.abs(data.positions - data.commands).max() < 0.02
    assert np.linalg.norm(data.landmarks - data.neutral, axis=2).max() > 0.02
