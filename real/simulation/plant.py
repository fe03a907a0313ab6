"""The hidden robot: pulses move servos, which move a simulated head before a simulated camera.

It stands in for a physical head, so its parameters are hidden. A seed draws them from the face's
`randomise.toml`, and a `Plant` offers two functions only: pulses in, pictures out.

- Pulses are read once each control period, as the twin reads commands.
- A servo's horn, its gain and the clock of its driver deviate a little. Its mechanism stops it at both
  ends of the table's travel, so a cable that would go beyond slack is only slack.
- A limp servo stays where it is: its gears do not turn backwards. Commands in its queue are dropped.
- With seed 0 everything is nominal.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.clock import WallClock
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import PhysicsError
from eva_sim.randomise import Parameters, draw_parameters
from eva_sim.real.vision.camera_source import CameraSource, TimedImage
from eva_sim.real.wire.firmware_table import robot_config

#: Number of channels of one servo driver.
_PER_BOARD = 16
#: Greatest number of control steps that a picture in real time waits for.
_MOST_STEPS = 5
#: Time [s], channel and width [us] of a pulse; NaN for limp.
Pulse = tuple[float, int, float]
#: Two times that differ by less count as one [s].
_INSTANT = 1e-6


class Plant:
    """A robot of which only pulses and pictures are known.

    Args:
        spec: the face.
        seed: seed of its parameters; 0 for a robot that is exactly as the tables say.
        size: side of its picture [pixels].
        style: of its picture, see `eva_sim.twin.HeadCamera`.

    Attributes:
        follow: `follow(time, channel, width)`: from `time` [s] on the pulse of a channel is `width` [us],
            NaN for limp. Times must not go back.
        picture: `picture(time, most_steps)`: picture of the camera at that time, uint8 (size, size, 3). With
            `most_steps`, no more control steps are computed; the others of the time that passed are left
            out, and the robot is the slower by them.
    """

    __slots__ = ("follow", "picture")

    follow: Callable[[float, int, float], None]
    picture: Callable[..., NDArray[np.uint8]]

    def __init__(self, spec: FaceSpec, seed: int = 0, size: int = 320, style: str = "plain") -> None:
        hidden, lock = _Hidden(spec, seed, size, style), threading.Lock()
        pulses = deque[Pulse]()

        def follow(time: float, channel: int, width: float) -> None:
            # Only noted: a board must not wait for the physics, which may take longer than a second.
            pulses.append((time, channel, width))

        def picture(time: float, most_steps: float = np.inf) -> NDArray[np.uint8]:
            with lock:
                return hidden.picture(time, pulses, most_steps)

        self.follow, self.picture = follow, picture


class PlantCamera(CameraSource):
    """The camera in front of a hidden robot.

    Args:
        plant: the hidden robot.
        machine: the board whose pulses move it: anything with `pulses` and `clock`.
    """

    def __init__(self, plant: Plant, machine: Any) -> None:
        self._picture, self._machine = plant.picture, machine
        # A board counts its time from 0, and so does its clock, unless that is the wall clock.
        self._real_time = isinstance(machine.clock, WallClock)
        self._start = machine.clock.now() if self._real_time else 0.0

    def latest_image(self) -> TimedImage:
        _ = self._machine.pulses  # a mock runs up to now when it is accessed
        now = self._machine.clock.now()
        # In real time a computer that is too slow must not fall behind more and more.
        return TimedImage(now, self._picture(now - self._start, _MOST_STEPS if self._real_time else np.inf))


class _Hidden:
    """State that only the two functions of a plant can reach."""

    def __init__(self, spec: FaceSpec, seed: int, size: int, style: str) -> None:
        from eva_sim.twin import Twin

        parameters = draw_parameters(spec, np.random.default_rng(seed), robot=True) if seed else {}
        self._twin, self._size = Twin(spec=spec, limits=False, style=style), size
        self._twin.set_parameters(parameters)
        self._servos = PlantServos(self._twin.spec, parameters)
        self._pulses = np.full(len(self._twin.spec), np.nan)
        self._by_channel = {a.channel: i for i, a in enumerate(self._twin.spec.actuators)}
        self._steps = 0
        self._shown: tuple[int, NDArray[np.uint8]] | None = None

    def picture(self, time: float, pulses: deque[Pulse], most_steps: float) -> NDArray[np.uint8]:
        """Follows the pulses up to this time, and renders."""
        left = most_steps
        while pulses and pulses[0][0] <= time + _INSTANT:
            at, channel, width = pulses.popleft()
            left -= self._advance(at - _INSTANT, left)
            self._pulses[self._by_channel[channel]] = width
        self._advance(time + _INSTANT, left)
        if self._shown is None or self._shown[0] != self._steps:
            self._shown = self._steps, self._twin.render(self._size)
        return self._shown[1]

    def _advance(self, time: float, most_steps: float) -> int:
        """Lets time pass; returns the number of steps that were computed, at most `most_steps`."""
        done = 0
        while (self._steps + 1) * self._twin.spec.control_dt <= time:
            self._steps += 1
            if done < most_steps:
                self._step()
                done += 1
        return done

    def _step(self) -> None:
        self._hold_limp()
        aim = np.where(np.isnan(self._pulses), self._twin.actuators.position, self._servos(self._pulses))
        with contextlib.suppress(PhysicsError):  # a skin that does not settle keeps its shape for one step
            self._twin.move(self._twin.spec.to_command(aim).clip(-1, 1))

    def _hold_limp(self) -> None:
        drive, limp = self._twin.actuators, np.isnan(self._pulses)
        drive.queue[:, limp] = drive.position[limp]
        drive.target[limp] = drive.position[limp]


class PlantServos:
    """Converts pulses of all actuators [us] to the positions where these servos go [rad, m]."""

    def __init__(self, spec: FaceSpec, parameters: Parameters) -> None:
        ends = np.array([robot_config(spec)["pulse"][a.kind][:: a.direction] for a in spec.actuators])
        self._low, self._high, self._rest = (spec.column(name) for name in ("low", "high", "neutral"))
        self._per_us = (self._high - self._low) / (ends[:, 1] - ends[:, 0])
        self._at_rest = ends[:, 0] + (self._rest - self._low) / self._per_us
        board = spec.column("channel").astype(int) // _PER_BOARD
        self._clock = np.asarray(parameters.get("board_clock", np.ones(2)))[board]
        self._offset: Floats | float = parameters.get("servo_offset", 0.0)
        self._gain: Floats | float = parameters.get("servo_gain", 1.0)

    def __call__(self, pulses: Floats) -> Floats:
        beyond = pulses * self._clock + self._offset - self._at_rest
        angle: Floats = self._rest + self._gain * self._per_us * beyond
        return angle.clip(self._low, self._high)
