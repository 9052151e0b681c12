"""The intruder's hands: a clock that moves on, and the machine that they are on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector.demo.programs import programs

if TYPE_CHECKING:
    from connector.demo.cast import Cast
    from connector.demo.machine import Machine
    from connector.demo.nouns import Process, User


class Intruder:
    """Acts on one machine, a few seconds after the last act."""

    def __init__(self, cast: Cast, key: str, begins: str) -> None:
        self.cast = cast
        self.key = key
        self.machine: Machine = cast.machine(key)
        self._now = cast.clock(begins)

    def after(self, seconds: float) -> datetime:
        """Lets time pass, and tells the time then."""
        self._now += timedelta(seconds=seconds)
        return self._now

    def plans(self, step: str, *shows: str) -> None:
        """What comes next, and the techniques that its events show."""
        self.machine.plant(step, *shows)

    def runs(
        self, parent: Process, program: str, command: str, *, wait: float = 6.2, user: User | None = None
    ) -> Process:
        """Starts a program."""
        return self.machine.start(self.after(wait), parent, programs()[program], command, user=user)
