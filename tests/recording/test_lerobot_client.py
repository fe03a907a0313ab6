"""LeRobot itself on exported data sets: it opens, iterates and loads them, trains on them, and acts.

`pytest -m clients tests/recording/test_lerobot_client.py` makes an environment of LeRobot's own in
`out/clients/`, of about 6 GB, because LeRobot needs a later Python than the other tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from eva_sim.recording.lerobot_export import LANDMARKS, PICTURE, export_lerobot
from tests.checkout import ROOT, build_wheel
from tests.clients.installed_pythons import find_python
from tests.recording.test_lerobot import EPISODES, STEPS, Resized, Seeing, Unseen, make, pairs

pytestmark = pytest.mark.clients
#: Version of LeRobot, and versions of Python that it runs on, the best first.
LEROBOT, PYTHONS = "0.6.1", ("3.12", "3.13")
ENVIRONMENT = ROOT / "out" / "clients" / f"lerobot-{LEROBOT}"
#: Longest time of an installation, of one run of LeRobot, and of the example, which compiles the skin [s].
INSTALLING, RUNNING, EXAMPLE = 1800, 300, 900
#: Nothing is fetched, sent or shown.
OFFLINE = {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "2",
}  # fmt: skip
#: Small versions of LeRobot's policies. Weights are not fetched.
POLICIES = {
    "act": ["--policy.chunk_size=8", "--policy.n_action_steps=8", "--policy.dim_model=64",
            "--policy.n_heads=4", "--policy.dim_feedforward=64"],
    "diffusion": ["--policy.horizon=8", "--policy.n_action_steps=4", "--policy.down_dims=[32,64]"],
}  # fmt: skip
FEATURES = {
    "observation.state": {"type": "STATE", "shape": [25]},
    LANDMARKS: {"type": "ENV", "shape": [450]},
    PICTURE: {"type": "VISUAL", "shape": [3, 48, 64]},
}
#: Reads every row and a batch with action chunks, and prints as JSON what it found.
READ = """
import json, sys, torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
root, fps = sys.argv[1], 25
rows = LeRobotDataset("eva/test", root=root, video_backend="pyav")
rows = [rows[k] for k in range(len(rows))]
chunked = LeRobotDataset("eva/test", root=root, video_backend="pyav", delta_timestamps={
    "action": [k / fps for k in range(16)], "observation.state": [-1 / fps, 0]})
batches = list(torch.utils.data.DataLoader(chunked, batch_size=4, shuffle=True))
keys = ("action", "observation.state", "observation.environment_state", "landmarks_found")
print(json.dumps({
    **{key: [row[key].tolist() for row in rows] for key in keys},
    "shade": [255 * row["observation.images.face"].mean().item() for row in rows],
    "task": [row["task"] for row in rows],
    "batch": {key: list(batches[0][key].shape) for key in ("action", "observation.state")},
    "batches": len(batches)}))
"""


def lerobot_python() -> str:
    for version in PYTHONS:
        if python := find_python(version):
            return python
    pytest.skip(f"LeRobot {LEROBOT} needs Python {' or '.join(PYTHONS)}, which is not installed here")


@pytest.fixture(scope="module")
def environment() -> Path:
    """The folder of the commands of an environment with LeRobot; made at the first run."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'eva-sim[lerobot]'")
    commands = ENVIRONMENT / "bin"
    if not (commands / "lerobot-train").exists():
        python = lerobot_python()
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        subprocess.run([python, "-m", "venv", ENVIRONMENT], check=True, timeout=INSTALLING)
        wanted = f"lerobot[training,diffusion]=={LEROBOT}"
        install = [str(commands / "python"), "-m", "pip", "install", "--quiet", wanted]
        subprocess.run(install, check=True, timeout=INSTALLING)
    return commands


def run(home: Path, *command: str | Path, longest: float = RUNNING) -> str:
    """Runs a program of LeRobot offline and returns what it printed."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=longest, cwd=home,
        env={**os.environ, **OFFLINE, "HF_HOME": str(home / "hf"), "HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings with landmarks and pictures of two sizes."""
    folder = tmp_path_factory.mktemp("session")
    made = [make(folder / "first", Seeing()), make(folder / "second", Resized())]
    export_lerobot(made, folder / "set", "smile")
    return folder / "set"


def test_lerobot_reads_every_row(environment: Path, dataset: Path, tmp_path: Path) -> None:
    recording = make(tmp_path / "again", Seeing())  # the same as the first one
    found = json.loads(run(tmp_path, environment / "python", "-c", READ, dataset).splitlines()[-1])
    seen = np.array(pairs(recording))
    for key, expected in {
        "action": recording.sent[seen + 1],
        "observation.state": recording.position[seen],
        LANDMARKS: recording.landmarks[seen].reshape(len(seen), -1),
        "landmarks_found": recording.found[seen],
    }.items():
        assert np.array_equal(np.array(found[key], np.float32), expected), key
    assert set(found["task"]) == {"smile"} and len(found["task"]) == 2 * EPISODES * STEPS
    assert np.allclose(np.reshape(found["shade"], (-1, STEPS)), 50 + 10 * np.arange(STEPS), atol=4)
    assert found["batch"] == {"action": [4, 16, 25], "observation.state": [4, 2, 25]}
    assert found["batches"] == 2 * EPISODES * STEPS // 4


def train(environment: Path, home: Path, dataset: Path, policy: str, *options: str) -> dict[str, object]:
    """Trains for three steps with the command `lerobot-train`; returns the policy's configuration."""
    out = home / "trained"
    run(
        home, environment / "lerobot-train", "--dataset.repo_id=eva/test", f"--dataset.root={dataset}",
        f"--output_dir={out}", f"--policy.type={policy}", *POLICIES[policy], *options,
        "--policy.device=cpu", "--policy.push_to_hub=false", "--policy.pretrained_backbone_weights=null",
        "--dataset.video_backend=pyav", "--wandb.enable=false", "--steps=3", "--batch_size=2",
        "--num_workers=0", "--log_freq=1",
    )  # fmt: skip
    saved = out / "checkpoints" / "000003" / "pretrained_model"
    assert (saved / "model.safetensors").stat().st_size > 0
    return dict(json.loads((saved / "config.json").read_text()))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("names", [("observation.state", PICTURE), ("observation.state", LANDMARKS), ()])
def test_lerobot_trains(
    environment: Path, dataset: Path, tmp_path: Path, policy: str, names: tuple[str, ...]
) -> None:
    """Trains on a picture, on landmarks, and on everything that LeRobot takes by itself."""
    chosen = {name: FEATURES[name] for name in names}
    options = [f"--policy.input_features={json.dumps(chosen)}"] if names else []
    config = train(environment, tmp_path, dataset, policy, *options)
    assert config["input_features"] == (chosen or FEATURES)
    assert config["output_features"] == {"action": {"type": "ACTION", "shape": [25]}}


def test_lerobot_trains_without_landmarks(environment: Path, tmp_path: Path) -> None:
    export_lerobot([make(tmp_path / "dark", Unseen())], tmp_path / "set")
    config = train(environment, tmp_path, tmp_path / "set", "act")
    assert config["input_features"] == {name: f for name, f in FEATURES.items() if name != LANDMARKS}


def test_lerobot_merges_exports(environment: Path, dataset: Path, tmp_path: Path) -> None:
    run(
        tmp_path, environment / "lerobot-edit-dataset", "--operation.type=merge", "--new_repo_id=eva/both",
        f"--new_root={tmp_path / 'both'}", "--operation.repo_ids=['eva/one','eva/two']",
        f"--operation.roots=['{dataset}','{dataset}']",
    )  # fmt: skip
    info = json.loads((tmp_path / "both/meta/info.json").read_text())
    assert info["total_episodes"] == 4 * EPISODES and info["total_frames"] == 4 * EPISODES * STEPS


def test_a_policy_that_learned_from_recordings_acts_in_an_environment(
    environment: Path, tmp_path: Path
) -> None:
    """The example of docs/clients.md, with this package installed beside LeRobot."""
    pip: list[str | Path] = [environment / "python", "-m", "pip", "install", "--quiet"]
    wheel = build_wheel(tmp_path / "checkout")
    for options in ([], ["--no-deps", "--force-reinstall"]):  # an earlier wheel has the same version
        subprocess.run([*pip, *options, wheel], check=True, timeout=INSTALLING, stdout=subprocess.DEVNULL)
    told = run(tmp_path, environment / "python", ROOT / "examples/train_lerobot.py", longest=EXAMPLE)
    found = {name: float(error) for name, error in re.findall(r"^(.+): ([\d.]+) mm from", told, re.MULTILINE)}
    trained = found.pop("trained")
    assert set(found) == {"untrained", "neutral face", "mean of the expressions"}
    assert trained < min(found.values()) / 4
