"""Progress of long work: a live bar on a terminal, a plain line now and then elsewhere. Always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

SECONDS_BETWEEN_LINES = 10.0


class Advance(Protocol):
    """Called with how many more items are done."""

    def __call__(self, items: int) -> None:
        """Says that so many more items are done."""
        ...


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """Shows how many items of ``what`` are done while the block runs."""
    if sys.stderr.isatty():
        columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda items: bar.advance(task, items)
        return
    begun = last = time.monotonic()
    done = 0

    def advance(items: int) -> None:
        nonlocal done, last
        done += items
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            sys.stderr.write(f"{what}: {done} in {last - begun:.0f} s\n")

    yield advance


@contextmanager
def batches(what: str) -> Iterator[Callable[[str], None]]:
    """Shows how many batches were committed; what it yields is to be told of each step of the loops."""
    with progress(f"{what}: batches") as advance:
        yield lambda step: advance(1) if step == "ingest.committed" else None
