"""The faces that targets of many copies are made of: tried out on all bodies side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.envs.target_faces import BabbledCommands, TargetFaces, Targets, atlas_faces
from eva_sim.envs.task import Task
from eva_sim.settling import settling_steps
from eva_sim.twin.twins import Readings, Twins


def settle(twins: Twins, commands: NDArray[np.float32]) -> Readings:
    """Resets all faces and holds a command on each, (N, 25), until it has arrived."""
    twins.reset()
    for _ in range(settling_steps(twins.spec)):
        readings = twins.move(commands)
    return readings


class VectorTargets:
    """Finds the faces of the copies' targets, as a single environment does for its own.

    Settling moves all faces. So faces are drawn ahead for every copy that has none left; otherwise each copy
    that begins an episode would cost a settling of all.

    Args:
        twins: the bodies; their state stays.
        task: of the environment.
        targets: where faces to reach come from.
    """

    def __init__(self, twins: Twins, task: type[Task], targets: Targets) -> None:
        self._twins, self._task, self._targets = twins, task, targets
        self._babbled: list[BabbledCommands | None] = [None] * twins.faces
        self._ahead: list[deque[TargetFaces]] = [deque() for _ in range(twins.faces)]

    def forget(self, copy: int) -> None:
        """Lets the next faces of a copy follow from its generator, after that got a seed."""
        self._babbled[copy] = None
        self._ahead[copy].clear()

    def find(
        self, options: Mapping[int, dict[str, Any]], generators: Sequence[np.random.Generator]
    ) -> dict[int, TargetFaces]:
        """Returns the faces of the copies that begin an episode.

        Args:
            options: of `reset`, by copy.
            generators: of all copies.

        Raises:
            EvaError: an option is malformed.
        """
        goals = {copy: self._task.goal(own, self._twins.spec) for copy, own in options.items()}
        tried = {copy: goal for copy, goal in goals.items() if goal is not None}
        found = self._try_goals(tried) if tried else {}
        others = [copy for copy in options if copy not in found]
        babbling = [] if self._targets == "atlas" else others
        babbling = [copy for copy in babbling if not self._task.holds_landmarks(options[copy])]
        for copy in babbling:
            self._babbled[copy] = self._babbled[copy] or BabbledCommands.drawn(generators[copy])
        for copy in others:
            found[copy] = self._next(copy) if copy in babbling else atlas_faces(self._twins.spec)
        return found

    def _try_goals(self, goals: Mapping[int, NDArray[np.float32]]) -> dict[int, TargetFaces]:
        """Tries out one command on each of some bodies, with the constants that they have."""
        spec = self._twins.spec
        commands = np.stack([goals.get(copy, spec.neutral) for copy in range(self._twins.faces)])
        state = self._twins.save()
        settled = settle(self._twins, commands)
        self._twins.restore(state)
        neutral = self._twins.neutral_landmarks, spec.neutral
        return {
            copy: TargetFaces.after_neutral(neutral, settled.landmarks[[copy]], settled.sent[[copy]])
            for copy in goals
        }

    def _next(self, copy: int) -> TargetFaces:
        """Takes the next faces of a copy, and draws more before if there are none."""
        while not self._ahead[copy]:
            self._draw()
        return self._ahead[copy].popleft()

    def _draw(self) -> None:
        """Draws faces for every copy that has a sequence and none ahead.

        Faces are lost if one of them did not settle; the copy then has none ahead still.
        """
        spec, drawn = self._twins.spec, self._task.DRAWN
        commands = np.tile(spec.neutral, (self._twins.faces, drawn, 1))
        wanting = [i for i, own in enumerate(self._babbled) if own is not None and not self._ahead[i]]
        for copy in wanting:
            own = self._babbled[copy]
            assert own is not None
            commands[copy], self._babbled[copy] = own.take(spec, drawn)
        settled = self._settled_as_in_the_atlas(commands)
        landmarks, sent = (
            np.stack([getattr(readings, name) for readings in settled], axis=1)
            for name in ("landmarks", "sent")
        )
        neutral = self._twins.neutral_landmarks, spec.neutral
        for copy in wanting:
            if not any(readings.faults[copy] for readings in settled):
                faces = TargetFaces.after_neutral(neutral, landmarks[copy], sent[copy])
                self._ahead[copy].append(faces)

    def _settled_as_in_the_atlas(self, commands: NDArray[np.float32]) -> list[Readings]:
        """Settles bodies with the constants of the table in commands (N, K, 25), one after the other."""
        state = self._twins.save()
        for face in np.flatnonzero([bool(own) for own in state["parameters"]]).tolist():
            self._twins.set_parameters(face, {})
        settled = [settle(self._twins, commands[:, k]) for k in range(commands.shape[1])]
        self._twins.restore(state)
        return settled
