"""The base of the stand-ins for SOAR platforms: each records what it is asked, counts what took effect, and can fail.

A platform has its vendor's own semantics: a key is unique only where the vendor has it so. It is the testbed of its
adapter's contract suite too.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from connector.types import RunState
from tests.splunkd.wire import Answer, CutOffError, Listener, Request, json_answer


class Platform(ABC):
    """A server on loopback, from ``with`` to its end."""

    playbook: ClassVar[str] = "notify-on-call"
    """A playbook that it knows."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked: list[Request] = []
        self.outcome: RunState = "succeeded"
        """How runs stand when they are asked for: ``running`` keeps them so."""
        self.hook: Callable[[Literal["before", "after"], Request], None] = lambda _moment, _request: None
        """Called right before and after a request that starts something takes effect."""
        self._lost = 0
        self._refusals: list[int] = []
        self._lock = threading.Lock()
        self._listener = Listener(self._answer)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()
        assert not self._listener.mistakes, self._listener.mistakes[0]

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._listener.url

    @abstractmethod
    def soar_config(self) -> Mapping[str, Any]:
        """The settings table of the adapter."""

    @abstractmethod
    def serve(self, request: Request) -> Answer:
        """Does what is asked and says so, under a lock."""

    @abstractmethod
    def starts(self, request: Request) -> bool:
        """Whether this request may start a playbook (or what stands for one)."""

    @abstractmethod
    def runs(self) -> Mapping[str, int]:
        """Effective runs by action key, as the platform itself counts them."""

    def lose_answers(self, times: int = 1) -> None:
        """The next requests that start something take effect, and the connection ends before the answer."""
        self._lost += times

    def refuse(self, times: int = 1, status: int = 503) -> None:
        """The next requests that start something are answered so, and change nothing."""
        self._refusals += [status] * times

    def started(self) -> list[Request]:
        """The requests that could have started something."""
        return [request for request in self.asked if self.starts(request)]

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            self.asked.append(request)
            starts = self.starts(request)
            if starts and self._refusals:
                return json_answer({"message": "refused on demand"}, self._refusals.pop(0))
            if not starts:
                return self.serve(request)
            self.hook("before", request)
            answer = self.serve(request)
            self.hook("after", request)
            if self._lost:
                self._lost -= 1
                raise CutOffError
            return answer
