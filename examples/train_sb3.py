"""PPO from Stable-Baselines3 learns to make faces, in ten minutes on two cores.

    python examples/train_sb3.py                                         # EVA/Pose-v0
    python examples/train_sb3.py --env-id EVA/Mimic-v0 --randomise --residual --improvement --out out/mimic

It needs `pip install -e ".[rl]"`. Every option is a field of `Arguments`. Faces to reach are drawn anew for
each episode, so the faces of the final test were never seen. The script writes into the folder `--out`: the
policy (`model.zip`), the normalisation of its observations (`normaliser.pkl`), the learning curve
(`curve.json`, `curve.png`), and the scores beside those of known policies (`scores.json`). `--resume` goes on
after a cut; `--minutes 0 --resume` only tests again. docs/learning.md explains the choices and has results.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from eva_sim.agents.models.inverse import SHIPPED_MODEL, InverseModel
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.contract import FaceSpec, load_spec
from eva_sim.envs.evaluation import Policy, evaluate, known_policies, score_policies, score_table
from eva_sim.envs.residual_actions import ResidualActions
from eva_sim.errors import ArgumentValueError, DataError, EvaError
from eva_sim.files import asset, atomic_path, check_output_folder, read_json, write_json
from eva_sim.progress import report
from eva_sim.registration import IDS

try:
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize
except ModuleNotFoundError:
    raise SystemExit('train_sb3: Stable-Baselines3 is missing; pip install -e ".[rl]"') from None
from eva_sim.envs.stable_baselines3 import ImprovementVecEnv, ResidualVecEnv, make_sb3_vec_env
from eva_sim.plots import write_plot

#: Options that may differ when a run goes on; the others are those of its checkpoint.
CHANGEABLE = ("out", "minutes", "steps", "resume", "test_skin", "test_copies")
#: Seeds of the copies that the curve and the final test are measured on, far from those of training.
CURVE_SEED, TEST_SEED = 1_000_000, 2_000_000


OUT = Path("out/train_sb3")


def option(default: Any, text: str) -> Any:
    """A field that is an option of the command line."""
    return dataclasses.field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Arguments:
    """All settings of a run."""

    out: Path = option(OUT, "folder of the results")  # noqa: RUF009 - a field, as of dataclasses
    env_id: str = option("EVA/Pose-v0", "environment: EVA/Pose-v0 or EVA/Mimic-v0")
    seed: int = option(0, "of policy, bodies and targets")
    minutes: float = option(10.0, "limit of time; learning rates fall to zero by then")
    steps: int = option(2_000_000, "limit of environment steps; whichever comes first")
    start_from: str = option("", "folder of a finished run, whose policy is trained further in a new run")
    resume: bool = option(False, "go on from the checkpoint in the folder")
    skin: str = option("reduced", "skin of the training: reduced or full")
    test_skin: str = option("full", "skin of the final test")
    test_copies: int = option(128, "episodes of the final test")
    randomise: bool = option(False, "another body in each episode")
    action_mode: str = option("relative", "absolute, from_rest or relative")
    residual: bool = option(False, "actions correct the commands of the inverse model that is shipped")
    reach: float = option(0.2, "largest such correction")
    ahead: float = option(
        2.5, "steps by which they are sent ahead: one, a delay of one, half for other bodies"
    )
    improvement: bool = option(False, "rewards are what is better than with actions of 0; twice the work")
    history: int = option(1, "observations that the policy sees at once")
    change_weight: float = option(0.05, "weight of changes of command in the reward")
    copies: int = option(128, "environments side by side")
    rollout: int = option(32, "steps of each copy between two updates")
    episode: int = option(50, "steps of an episode in training; tests have those of the environment")
    batch: int = option(512, "samples of a gradient step")
    epochs: int = option(5, "passes over a rollout")
    rate: float = option(7e-4, "first learning rate of Adam")
    gamma: float = option(0.85, "discount; the face answers within a few steps")
    gae_lambda: float = option(0.9, "lambda of the advantage estimate")
    noise: float = option(0.37, "first standard deviation of actions")
    noise_steps: int = option(1, "steps for which the noise of actions is one function of what is seen")
    width: int = option(128, "units of each of two hidden layers")
    report_every: int = option(200_000, "steps between two points of the curve and checkpoints")


@dataclass
class RunState:
    """A run so far, kept in `curve.json`.

    Attributes:
        arguments: its settings.
        wall: time that it took [s].
        processor: processor time that it took [s].
        points: scores on the way, see `EpisodeScores.summary`, with `steps` and `wall_s`.
    """

    arguments: dict[str, Any]
    wall: float = 0.0
    processor: float = 0.0
    points: list[dict[str, float]] = dataclasses.field(default_factory=list)


class Schedule:
    """Learning rates that fall to zero with whichever limit comes first, steps or minutes."""

    def __init__(self, arguments: Arguments, used: float) -> None:
        self._rate, self._limit = arguments.rate, 60 * arguments.minutes
        self._start = time.monotonic() - used

    @property
    def seconds(self) -> float:
        """Time that the run has had, before a cut too [s]."""
        return time.monotonic() - self._start

    def over(self) -> bool:
        return self.seconds >= self._limit

    def __call__(self, steps_left: float) -> float:
        return self._rate * max(0.0, min(steps_left, 1 - self.seconds / self._limit))


def main() -> None:
    arguments = parse_arguments()
    check_output_folder(arguments.out)
    torch.set_num_threads(1)  # the networks are small
    if arguments.resume:
        arguments = resumed(arguments)
    elif (arguments.out / "model.zip").exists():
        raise DataError(
            f"{arguments.out} holds a run; go on with --resume, name another folder with --out, or remove it."
        )
    state, envs, model = open_run(arguments)
    schedule = Schedule(arguments, state.wall)
    steps = arguments.steps - model.num_timesteps
    if steps > 0 and not schedule.over():
        model.lr_schedule = schedule
        model.learn(steps, callback=Progress(arguments, state, schedule), reset_num_timesteps=False)
    envs.close()
    scores = final_test(arguments, model, envs)
    used = {"steps": model.num_timesteps, "wall_s": state.wall, "processor_s": state.processor}
    write_json(arguments.out / "scores.json", {"arguments": state.arguments, **used, "scores": scores})
    draw_curve(arguments.out / "curve.png", state.points)
    print(score_table(scores))
    print(f"{model.num_timesteps:,} steps, {state.wall:.0f} s, {state.processor:.0f} processor seconds")


def resumed(arguments: Arguments) -> Arguments:
    """Returns the settings of the run in the folder, with the changeable ones of the command line.

    Raises:
        DataError: there is no checkpoint.
    """
    check_holds_run(arguments.out)
    kept = read_json(arguments.out / "curve.json")["arguments"]
    return Arguments(**kept | {name: getattr(arguments, name) for name in CHANGEABLE})


def check_holds_run(folder: Path) -> None:
    """Refuses a folder without a checkpoint.

    Raises:
        DataError: there is none.
    """
    if not (folder / "model.zip").exists():
        raise DataError(f"{folder} holds no checkpoint; train there first, without --resume.")


def open_run(arguments: Arguments) -> tuple[RunState, VecNormalize, PPO]:
    """Begins a run, or goes on with the one in the folder."""
    folder, plain = arguments.out, training_envs(arguments)
    if not arguments.resume:
        settings = dataclasses.asdict(arguments) | {"out": str(arguments.out)}
        if arguments.start_from:
            earlier = Path(arguments.start_from)
            check_holds_run(earlier)
            envs = VecNormalize.load(str(earlier / "normaliser.pkl"), plain)
            model = PPO.load(earlier / "model.zip", envs)
            model.num_timesteps = 0
        else:
            envs = VecNormalize(plain, gamma=arguments.gamma)
            model = new_model(arguments, envs)
        envs.seed(arguments.seed)
        return RunState(settings), envs, model
    state = RunState(**read_json(folder / "curve.json"))
    envs = VecNormalize.load(str(folder / "normaliser.pkl"), plain)
    envs.seed(arguments.seed + 1000 * len(state.points))  # other bodies and targets than before the cut
    return state, envs, PPO.load(folder / "model.zip", envs)


def training_envs(arguments: Arguments) -> Any:
    envs = copies_to_train_on(arguments)
    if arguments.improvement:
        envs = ImprovementVecEnv(envs, copies_to_train_on(arguments))
    return VecFrameStack(envs, arguments.history) if arguments.history > 1 else envs


def copies_to_train_on(arguments: Arguments) -> VecEnv:
    options = {"skin": arguments.skin, "max_episode_steps": arguments.episode, "stagger": True}
    envs = make_sb3_vec_env(arguments.env_id, arguments.copies, **options, **policy_options(arguments))
    return ResidualVecEnv(envs, residual_actions(arguments, load_spec())) if arguments.residual else envs


def policy_options(arguments: Arguments) -> dict[str, Any]:
    """What the policy is made for: options of every environment that it meets."""
    return {
        "observe": "features", "targets": "babbling",
        "action_mode": "absolute" if arguments.residual else arguments.action_mode,
        "randomise": arguments.randomise, "change_weight": arguments.change_weight,
    }  # fmt: skip


def residual_actions(arguments: Arguments, spec: FaceSpec) -> ResidualActions:
    inverse = InverseModel.load(asset(SHIPPED_MODEL) / MODEL_FILE)
    return ResidualActions(spec, inverse.predict, arguments.reach, arguments.ahead)


def new_model(arguments: Arguments, envs: VecNormalize) -> PPO:
    layers, lasting = [arguments.width] * 2, arguments.noise_steps > 1
    # Noise that lasts (gSDE) is a sum over the units of the last layer.
    noise = arguments.noise / arguments.width**0.5 if lasting else arguments.noise
    return PPO(
        "MultiInputPolicy",
        envs,
        n_steps=arguments.rollout,
        batch_size=arguments.batch,
        n_epochs=arguments.epochs,
        gamma=arguments.gamma,
        gae_lambda=arguments.gae_lambda,
        ent_coef=0.0,
        seed=arguments.seed,
        use_sde=lasting,
        sde_sample_freq=arguments.noise_steps if lasting else -1,
        policy_kwargs={
            "net_arch": {"pi": layers, "vf": layers},
            "log_std_init": float(np.log(noise)),
        },
    )


class TrainedPolicy:
    """The mean of a policy, with its normalisation and its history, for `evaluate`."""

    def __init__(self, model: PPO, envs: VecNormalize, arguments: Arguments) -> None:
        self._model, self._envs = model, envs
        self._seen: deque[dict[str, NDArray]] = deque(maxlen=arguments.history)
        self._residual = residual_actions(arguments, load_spec()) if arguments.residual else None

    def __call__(self, seen: dict[str, NDArray], info: dict[str, Any], begins: bool) -> NDArray[np.float32]:
        if self._residual:
            seen = self._residual.observe(seen, begins)
        if begins:
            nothing = {name: np.zeros_like(value) for name, value in seen.items()}
            self._seen.extend([nothing] * (self._seen.maxlen or 1))  # as VecFrameStack begins
        self._seen.append(seen)
        stacked = {name: np.concatenate([old[name] for old in self._seen], axis=-1) for name in seen}
        actions, _ = self._model.predict(self._envs.normalize_obs(stacked), deterministic=True)
        return self._residual.command(actions) if self._residual else actions


def uncorrected(arguments: Arguments, spec: FaceSpec) -> Policy:
    """Returns the policy from which residual actions start."""
    residual = residual_actions(arguments, spec)

    def policy(seen: dict[str, NDArray], info: dict[str, Any], begins: bool) -> NDArray[np.float32]:
        residual.observe(seen, begins)
        return residual.command(np.zeros((len(seen["position"]), *residual.action_space.shape)))

    return policy


def envs_of_whole_episodes(arguments: Arguments, copies: int, skin: str, **options: Any) -> Any:
    """Environments to test in; the options take the place of the policy's."""
    chosen = {**policy_options(arguments), **options}
    return gym.make_vec(
        arguments.env_id, copies, vectorization_mode="vector_entry_point", skin=skin, **chosen
    )


class Progress(BaseCallback):
    """Ends the training in time; adds points to the curve, with a checkpoint each."""

    def __init__(self, arguments: Arguments, state: RunState, schedule: Schedule) -> None:
        super().__init__()
        self._arguments, self._state, self._schedule = arguments, state, schedule
        self._processor = time.process_time() - state.processor
        self._envs = envs_of_whole_episodes(arguments, 64, arguments.skin)
        self._next = state.points[-1]["steps"] + arguments.report_every if state.points else 0

    def _on_step(self) -> bool:
        self._state.wall = self._schedule.seconds
        self._state.processor = time.process_time() - self._processor
        return not self._schedule.over()

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._next:
            self._add_point()
            self._next = self.num_timesteps + self._arguments.report_every

    def _on_training_end(self) -> None:
        self._add_point()
        self._envs.close()

    def _add_point(self) -> None:
        arguments, state = self._arguments, self._state
        policy = TrainedPolicy(self.model, self.training_env, arguments)
        scores = evaluate(self._envs, policy, CURVE_SEED).summary()
        state.points.append({"steps": self.num_timesteps, "wall_s": state.wall, **scores})
        save(arguments, state, self.model, self.training_env)
        report(
            f"{self.num_timesteps:,} steps, {state.wall:.0f} s, {state.processor:.0f} processor seconds: "
            f"error {scores['error_mm']:.3f} mm, settled {scores['settled_mm']:.3f} mm"
        )


def save(arguments: Arguments, state: RunState, model: PPO, envs: Any) -> None:
    """Writes a checkpoint; a file is replaced when it is whole."""
    folder = arguments.out
    content = io.BytesIO()
    model.save(content, exclude=["lr_schedule"])
    with atomic_path(folder / "model.zip") as part:
        part.write_bytes(content.getbuffer())
    with atomic_path(folder / "normaliser.pkl") as part:
        envs.save(str(part))
    write_json(folder / "curve.json", dataclasses.asdict(state))


def final_test(arguments: Arguments, model: PPO, normaliser: VecNormalize) -> dict[str, dict[str, float]]:
    """Scores the policy beside known ones, on bodies and faces that it never saw."""
    inverse = InverseModel.load(asset(SHIPPED_MODEL) / MODEL_FILE)
    report(f"test on the {arguments.test_skin} skin, {arguments.test_copies} episodes of each policy")
    copies, skin = arguments.test_copies, arguments.test_skin
    known = envs_of_whole_episodes(arguments, copies, skin, observe="landmarks", action_mode="absolute")
    policies: dict[str, Policy] = known_policies(known.twins.spec, arguments.seed)
    policies["inverse model"] = lambda seen, info, begins: inverse.predict(seen["target"])
    scores = score_policies(known, policies, TEST_SEED)
    known.close()
    own = envs_of_whole_episodes(arguments, copies, skin)
    trained: dict[str, Policy] = {"PPO": TrainedPolicy(model, normaliser, arguments)}
    if arguments.residual:
        trained["PPO, untrained"] = uncorrected(arguments, own.twins.spec)
    scores |= score_policies(own, trained, TEST_SEED)
    own.close()
    return scores


def draw_curve(path: Path, points: list[dict[str, float]]) -> None:
    with write_plot(path, dpi=100, figsize=(6, 4)) as figure:
        axes = figure.subplots()
        steps = [point["steps"] for point in points]
        for name, label in (("error_mm", "whole episode"), ("settled_mm", "settled")):
            axes.plot(steps, [point[name] for point in points], label=label)
        axes.set(xlabel="environment steps", ylabel="landmark error [mm]", yscale="log")
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.yaxis.set_minor_formatter("{x:.3g}")
        axes.legend()
        figure.tight_layout()


def parse_arguments(words: list[str] | None = None) -> Arguments:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for field in dataclasses.fields(Arguments):
        name, text = f"--{field.name.replace('_', '-')}", f"{field.metadata['help']} ({field.default})"
        if isinstance(field.default, bool):
            parser.add_argument(name, action="store_true", help=text)
        else:
            parser.add_argument(name, type=type(field.default), default=field.default, help=text)
    arguments = Arguments(**vars(parser.parse_args(words)))
    if arguments.env_id not in IDS:
        raise ArgumentValueError(f"no environment {arguments.env_id!r}; there are {', '.join(IDS)}.")
    if arguments.copies * arguments.rollout < arguments.batch:
        raise ArgumentValueError("--batch is at most --copies times --rollout.")
    return arguments


if __name__ == "__main__":
    try:
        main()
    except EvaError as error:
        raise SystemExit(f"train_sb3: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("train_sb3: interrupted; the same command with --resume goes on.") from None
