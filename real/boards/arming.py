"""Acts of arming, on which all motion of a robot depends.

The rule of every board: **a servo is driven only under an act of arming, and every stop ends that act for
ever.** An act is one explicit call of `arm`, or one confirmation of an operator. A stop is whatever makes the
face limp: a call, a fault, or silence for so long that the face must be limp. Time counts also while the
computer sleeps or the program is frozen, because the clock does (`eva_sim.clock`).

`Board` keeps this rule for all boards. A board without firmware of ours has a `LineGuard` as well, which lets
no packet that drives a servo pass without a valid act (`eva_sim.real.boards.line_guard`).
"""

from __future__ import annotations

import itertools
import threading

from eva_sim.clock import Clock
from eva_sim.errors import RobotError

#: Longest time from the act until the board arms [s]; connecting again and writing EEPROM take seconds.
ARM_WITHIN = 10.0

_numbers = itertools.count(1)


class ArmingAct:
    """One act of a person that arms a robot. It is used once, and does not come back once it has ended.

    Args:
        clock: the board's clock.
        limp_after: silence after which the face must be limp [s].

    Attributes:
        number: a number that no other act of this process has.
        used: whether the board was armed by it.
    """

    def __init__(self, clock: Clock, limp_after: float) -> None:
        self.number = next(_numbers)
        self._clock, self._limp_after = clock, limp_after
        self._life, self.used, self._ended = clock.now(), False, ""

    def check_usable(self) -> None:
        """Checks that the act may still be used.

        Raises:
            RobotError: it was used before, or a stop came after it.
        """
        if self._ended or self.used:
            raise RobotError(f"not armed: {self._ended or 'this act of arming was used before'}; arm again.")

    def use(self) -> None:
        """Begins to arm under this act; it lives by its signs of life from here on.

        Raises:
            RobotError: it is too old, was used before, or a stop came after it.
        """
        self.check_usable()
        now = self._clock.now()  # once: a freeze from here on is silence of an act in use
        if now - self._life > ARM_WITHIN:
            self.end("the computer slept, or this program was frozen, while it was arming")
            raise RobotError(f"not armed: {self._ended}. Look at the robot, then arm again.")
        self._life = now  # before `used`, because the watchdog thread may ask meanwhile
        self.used = True

    def renew(self, began: float) -> None:
        """Notes a sign of life that began at a time [s], unless the act has ended by then."""
        if not self.is_over():
            self._life = max(self._life, began)

    def end(self, reason: str) -> None:
        """Ends the act for ever; the first reason counts."""
        self._ended = self._ended or reason

    @property
    def silence(self) -> float:
        """Time since the last sign of life [s]."""
        return self._clock.now() - self._life

    def is_over(self) -> bool:
        """Whether no servo may be driven under this act now."""
        if self.used and self.silence >= self._limp_after:
            self.end("targets stopped")
        return bool(self._ended)


class ArmingActs:
    """The acts of arming of one robot: one at a time, so that a stop ends all there are.

    Args:
        clock: the board's clock.
        limp_after: silence after which the face must be limp [s].

    Attributes:
        latest: the latest act; None before the first one.
    """

    def __init__(self, clock: Clock, limp_after: float) -> None:
        self._clock, self._limp_after = clock, limp_after
        self._lock = threading.Lock()
        self.latest: ArmingAct | None = None

    def begin_act(self) -> ArmingAct:
        """Returns a new act. One that another thread began, and has not used yet, is over."""
        act = ArmingAct(self._clock, self._limp_after)
        with self._lock:
            if self.latest and not self.latest.used:
                self.latest.end("another call of arm came later")
            self.latest = act
        return act

    def end(self, reason: str) -> None:
        """Ends the latest act, if there is one. A call of `begin_act` may be under way in another thread."""
        if self.latest:
            self.latest.end(reason)
