"""``triaged coverage``: how well the events of files, folders and archives are normalised."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from connector.cli.progress import Advance, progress
from connector.cli.tables import show
from connector.learn.coverage import GIVES, Coverage, Gives, Tally
from connector.learn.event_files import Corpus, Share
from connector.types import RawEvent

STEP = 1000
"""Events between two signs of progress."""


class Output(StrEnum):
    """How to print what was found."""

    TABLE = "table"
    JSON = "json"


def share(text: str) -> float:
    """``2%`` or ``0.02`` as a fraction above 0 and at most 1."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise typer.BadParameter(f"{text!r} is no share: write 2% or 0.02")
    return value


def coverage(
    paths: Annotated[list[str], typer.Argument(help="Files, folders, tars, zips: each is one corpus.")],
    output: Annotated[Output, typer.Option(help="Tables, or one JSON document.")] = Output.TABLE,
    sample: Annotated[str, typer.Option(help="Read this share of each corpus' files only, as 2% or 0.02.")] = "100%",
    seed: Annotated[int, typer.Option(help="Another seed draws another sample of files.")] = 0,
    top: Annotated[int, typer.Option(min=0, help="How many unknown kinds and reasons to list.")] = 10,
) -> None:
    """Report how well a corpus is normalised: by a normaliser of its own, generically, or not at all."""
    corpora = [Corpus(path, Share(share(sample), seed)) for path in paths]
    total = Tally()
    rows: list[Coverage] = []
    with progress("events") as advance:
        for corpus in corpora:
            tally = Tally()
            for raw in _watched(corpus.events(), advance):
                tally.take(raw)
            rows.append(tally.coverage(corpus.path, corpus.files, top))
            total.add(tally)
    whole = total.coverage("total", sum(row.files for row in rows), top)
    if output is Output.JSON:
        document = {"sample": sample, "seed": seed, "corpora": rows, "total": whole}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    else:
        _print(rows, whole)


def _watched(raws: Iterable[RawEvent], advance: Advance) -> Iterator[RawEvent]:
    number = 0
    for number, raw in enumerate(raws, 1):
        yield raw
        if number % STEP == 0:
            advance(STEP)
    advance(number % STEP)


def _print(rows: list[Coverage], whole: Coverage) -> None:
    columns = ("corpus", "files", "events", "kinds", "specific", "generic", "dead")
    show(columns, map(_row, [*rows, whole] if len(rows) > 1 else rows))
    show(("family", "events", *(name.replace("_", " ") for name in GIVES)), map(_family, whole.families))
    if whole.unknown_kinds:
        show(("unknown kind", "events", "place"), ((u.kind, u.events, u.place) for u in whole.unknown_kinds))
    if whole.dead_reasons:
        show(
            ("dead because", "events", "places"), ((d.reason, d.events, " ".join(d.places)) for d in whole.dead_reasons)
        )


def _row(row: Coverage) -> tuple[object, ...]:
    shares = (row.specific_share, row.generic_share, row.dead_share)
    return (row.corpus, row.files, row.events, row.kinds, *map(percent, shares))


def _family(row: Gives) -> tuple[object, ...]:
    return (row.family, row.events, *(percent(getattr(row, name) / row.events) for name in GIVES))


def percent(fraction: float) -> str:
    """A share in percent, cut and not rounded: 99.99% is never 100%."""
    return f"{math.floor(fraction * 10_000) / 100:g}%"
