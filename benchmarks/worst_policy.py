"""Ten minutes of the worst legal policy on the twin, with the limits of `robot.toml` and without them.

    python -m benchmarks.worst_policy [--minutes 10] [--seed 0] [--candidates 256] [--json FILE]

First random commands are settled without limits, ends of travel above all. Of these, those that load a cable,
a patch or the skin most are kept, one for each quantity, beside all cables at their ends. The policy jumps
among them: it holds one for up to three seconds, or turns every actuator round at every step for as long.
Each command is legal, -1 to 1. A face that goes limp from heat is armed again, as warm as it is, as soon as
it has cooled to where it would not be slowed. Both runs get the same commands.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.errors import PhysicsError
from eva_sim.files import write_json
from eva_sim.head.kinematic import Linkage
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.limits.heat import HeatModel
from eva_sim.limits.neck_poses import pose_shares
from eva_sim.progress import progress
from eva_sim.robot_config import robot_config
from eva_sim.twin import Twin, Twins
from eva_sim.twin.overloads import Overloads

#: Steps until a candidate has settled, and longest time that the policy holds a command [control steps].
_SETTLED, _LONGEST = 16, 75
#: Share of the time in which the policy turns every actuator round at every step.
_SHAKES = 0.3
#: Control steps between two measurements of stretch and pose, which take longer than a step.
_SHAPE_EVERY = 10
Commands = NDArray[np.float32]


def worst_commands(spec: FaceSpec, candidates: int, seed: int) -> Commands:
    """Of random commands those that load some quantity most without limits, and all cables at their ends."""
    rng = np.random.default_rng(seed)
    drawn = np.where(
        rng.random((candidates, len(spec))) < 0.7,
        rng.choice([-1.0, 1.0], (candidates, len(spec))),
        rng.uniform(-1, 1, (candidates, len(spec))),
    ).astype(np.float32)
    with Twins(64, spec=spec, limits=False) as twins:
        overloads = Overloads(twins.skins.anatomy)
        shares = []
        for begin in progress(range(0, candidates, twins.faces), "search", unit="batch"):
            part = np.resize(drawn[begin : begin + twins.faces], (twins.faces, len(spec)))
            twins.reset()
            for _ in range(_SETTLED):
                twins.move(part)
            shares.append(overloads.shares(twins.skins.points, twins.skins.tension))
    worst = np.unique(np.concatenate(shares)[:candidates].argmax(axis=0))
    ends = spec.neutral
    ends[spec.where("cable")] = 1.0
    return np.concatenate([drawn[worst], ends[None]])


def worst_policy(spec: FaceSpec, commands: Commands, steps: int, seed: int) -> Iterator[Commands]:
    """Yields the commands of the policy, (A,)."""
    rng, left = np.random.default_rng(seed), steps
    while left > 0:
        count = min(left, int(rng.integers(5, _LONGEST)))
        shakes, chosen = rng.random() < _SHAKES, commands[rng.integers(len(commands))]
        for n in range(count):
            yield (chosen if n % 2 else -chosen) if shakes else chosen
        left -= count


class Measured:
    """What the policy did to a face.

    Args:
        twin: the face.
    """

    def __init__(self, twin: Twin) -> None:
        self.twin, self._overloads = twin, Overloads(twin.skin.anatomy)
        self._shares = np.zeros(len(self._overloads.names))
        self._linkage = Linkage(twin.spec)
        self._pose = np.zeros(4)
        self._last, self._sense = twin.actuators.position, np.zeros(len(twin.spec))
        self._turns = np.zeros(len(twin.spec), dtype=int)
        self.hottest, self.limp_steps, self.rearmed, self.unsettled = 0.0, 0, 0, 0
        self.changed = 0

    def note(self, step: int, asked: Commands, sent: Commands, temperature: Floats) -> None:
        """Measures the face after a step."""
        twin, position = self.twin, self.twin.actuators.position
        self._shares[:-1] = np.maximum(self._shares[:-1], self._overloads.pulls(twin.skin.tension))
        sense = np.sign(position - self._last)
        self._turns += (sense * self._sense) < 0
        self._sense, self._last = np.where(sense == 0, self._sense, sense), position.copy()
        self.hottest = max(self.hottest, float(temperature.max()))
        self.changed += bool(np.abs(asked - sent).max() > 1e-6)
        if step % _SHAPE_EVERY == 0:
            shares = self._overloads.shares(twin.skin.points, twin.skin.tension)
            self._shares = np.maximum(self._shares, shares)
            pose = self._linkage.pose(position)
            self._pose = np.maximum(self._pose, pose_shares(twin.spec, pose.skull))

    def report(self, seconds: float) -> dict[str, Any]:
        """Results as JSON."""
        shares = dict(zip(self._overloads.names, self._shares.tolist(), strict=True))
        kinds = {
            kind: max(v for k, v in shares.items() if k.startswith(kind))
            for kind in ("cable", "patch", "skin")
        }
        return {
            "share_of_limit": kinds | {"neck": float(self._pose.max())},
            "worst": max(shares, key=lambda name: shares[name]),
            "hottest": self.hottest,
            "reversals_per_second": float(self._turns.max() / seconds),
            "limp_share": self.limp_steps * self.twin.spec.control_dt / seconds,
            "armed_again": self.rearmed,
            "unsettled": self.unsettled,
            "commands_changed": self.changed * self.twin.spec.control_dt / seconds,
            "shares": shares,
        }


def run(spec: FaceSpec, commands: Commands, steps: int, seed: int, limits: bool) -> dict[str, Any]:
    """Plays the policy on a twin."""
    cool = robot_config(spec)["heat"]["slow_from"]
    with Twin(spec=spec, limits=limits) as twin:
        measured, heat = Measured(twin), HeatModel(spec, (len(spec),))
        policy = worst_policy(spec, commands, steps, seed)
        for step, command in enumerate(progress(policy, "with limits" if limits else "without", total=steps)):
            try:
                sent = twin.move(command).sent
            except PhysicsError:  # a skin that does not settle keeps its shape for one step
                measured.unsettled += 1
                continue
            if twin.limits is None:
                heat.warm(heat.load(twin.actuators.cable_torque()))
                temperature = heat.temperature
            else:
                temperature = twin.limits.heat.temperature
                rearm(twin.limits, measured, cool)
            measured.note(step, command, sent, temperature)
        return measured.report(steps * spec.control_dt)


def rearm(limits: CommandLimits, measured: Measured, cool: float) -> None:
    """Counts limp time, and arms again once all servos are cool."""
    if limits.limp:
        measured.limp_steps += 1
        if limits.heat.temperature.max() < cool:
            limits.limp[...] = False
            measured.rearmed += 1


def show(results: dict[str, dict[str, Any]]) -> None:
    table = Table("quantity", *results, title="worst legal policy")
    for kind in ("cable", "patch", "skin", "neck"):
        table.add_row(
            f"{kind}: share of its limit", *(f"{r['share_of_limit'][kind]:.2f}" for r in results.values())
        )
    for name, unit in (
        ("hottest", " degrees"), ("reversals_per_second", "/s"), ("limp_share", ""), ("armed_again", ""),
        ("commands_changed", ""), ("unsettled", ""),
    ):  # fmt: skip
        table.add_row(name.replace("_", " "), *(f"{r[name]:.3g}{unit}" for r in results.values()))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the worst legal policy does to the face.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    spec = load_spec()
    steps = round(60 * options.minutes / spec.control_dt)
    commands = worst_commands(spec, options.candidates, options.seed)
    results = {
        name: run(spec, commands, steps, options.seed, limits)
        for name, limits in (("with limits", True), ("without", False))
    }
    show(results)
    if options.json:
        write_json(options.json, {"minutes": options.minutes, "seed": options.seed, **results})


if __name__ == "__main__":
    main()
