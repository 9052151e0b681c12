"""Lists for people: a table on a terminal, tab-separated lines elsewhere, so that `grep` and `cut` find whole values."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints rows under their column names. Values are text, never markup; line breaks and tabs in them become spaces."""
    plain = [[" ".join(str(value).split()) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in plain:
            sys.stdout.write("\t".join(row) + "\n")
        return
    table = Table(*columns)
    for row in plain:
        table.add_row(*map(Text, row))
    Console().print(table)
