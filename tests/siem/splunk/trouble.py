"""Everything that may be wrong with a site's search heads and collectors, switched on at random."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tests.splunkd import Cut, Refusal, Splunkd


class Trouble:
    """What is wrong for one poll. Each kind comes before any comes again, so that few polls meet all of them."""

    def __init__(self, heads: Sequence[Splunkd], dice: random.Random) -> None:
        self.heads, self._dice = heads, dice
        self.met: Counter[str] = Counter()
        self._bag: list[str] = []
        self._down: Splunkd | None = None
        self._seen = [0 for _ in heads]
        self._first = 0
        """The head that was asked most since the last poll, and so will be asked first."""
        for head in heads:
            head.faults.session_s = 45.0

    @property
    def kinds(self) -> Mapping[str, Callable[[], object]]:
        """How each of them is switched on."""
        return {
            "a session is forgotten": lambda: [head.forget_sessions() for head in self.heads],
            "a search head is down": self._stop,
            "a search head refuses searches": partial(self._refuse, self._dice.choice((429, 500, 503)), "export"),
            "a search head breaks off": partial(self._refuse, 0, self._dice.choice(("export", "server/info"))),
            "the search quota is used up": partial(self._all, quota=0),
            "a search peer is down": partial(self._all, peers_down={"idx2"}),
            "results are truncated": partial(self._all, most_rows=20),
            "preview rows come first": partial(self._all, previews=3),
            **{f"a stream is cut: {how}": partial(self._cut, how) for how in ("broken", "reset", "quiet", "told")},
            "a collector is busy": partial(self._all, hec_busy=2),
            "the answer of a collector is lost": partial(self._all, hec_no_answer=1),
            "channels are reset": lambda: [head.reset_channels() for head in self.heads],
            "acknowledgements cannot be asked for": partial(self._all, ack_busy=3),
            "acknowledgements come late": partial(self._all, ack_polls=3),
            **{
                f"acknowledgements: {what}": partial(self._all, acks=what)
                for what in ("lost", "never", "pending", "twice")
            },
        }

    def begin(self) -> None:
        """Switches up to four kinds on."""
        self.end()
        kinds = self.kinds
        asked = [len(head.requests) for head in self.heads]
        self._first = max(range(len(asked)), key=lambda number: asked[number] - self._seen[number])
        self._seen = asked
        for _ in range(self._dice.randint(1, 4)):
            if not self._bag:
                self._bag = self._dice.sample(sorted(kinds), len(kinds))
            kind = self._bag.pop()
            self.met[kind] += 1
            kinds[kind]()

    def end(self) -> None:
        """Nothing is wrong any more; what was lost stays lost."""
        if self._down is not None:
            self._down.start()
            self._down = None
        self._all(
            quota=None, peers_down=set(), most_rows=None, previews=0, hec_busy=0, hec_no_answer=0, ack_busy=0,
            ack_polls=0, acks="told",
        )  # fmt: skip
        for head in self.heads:
            head.faults.cuts.clear()
            head.faults.refuse.clear()

    def _all(self, **switches: Any) -> None:
        for head in self.heads:
            for name, value in switches.items():
                setattr(head.faults, name, value)

    def _cut(self, how: Any) -> None:
        for head in self.heads:
            head.faults.cuts.append(Cut(self._dice.randrange(50), how))

    def _refuse(self, status: int, path: str) -> None:
        self.heads[self._first].faults.refuse.append(Refusal(status, path))

    def _stop(self) -> None:
        self._down = self.heads[self._first]
        self._down.stop()
