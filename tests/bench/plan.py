"""How much one run measures."""

from __future__ import annotations

from typing import NamedTuple

SEED = 20260301


class Plan(NamedTuple):
    """Sizes in events. ``marks`` and ``chunk`` count from the end of ``warm``, which fills the cache."""

    texts: int
    one_by_one: int
    rounds: int
    sample: int
    warm: int
    marks: tuple[int, ...]
    chunk: int

    @property
    def stream(self) -> int:
        """Events of the whole stream."""
        return self.warm + self.marks[-1]


FULL = Plan(
    texts=1024, one_by_one=128, rounds=4, sample=30_000, warm=50_000, marks=(10_000, 100_000, 500_000), chunk=100_000
)
QUICK = Plan(texts=8, one_by_one=2, rounds=1, sample=300, warm=300, marks=(100, 300, 1_200), chunk=300)
