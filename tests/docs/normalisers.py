"""Writes `docs/normalisers.md`: what is normalised, from the code and its golden events, and how well, from corpora.

    python -m tests.docs.normalisers [COVERAGE.json]

COVERAGE.json is what `triaged coverage --output json` printed over the corpora; without it the measured part stays.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from connector.cli.coverage import percent
from connector.events.canonical import tables
from connector.events.families import FAMILIES, family_of
from connector.events.family import Family
from connector.events.generic import ECS_ROOTS
from connector.events.normalise import to_ecs
from tests.events import vectors

PAGE = Path(__file__).parents[2] / "docs" / "normalisers.md"
MEASURED = "## How well\n"
COMMAND = "triaged coverage --output json CORPUS… > coverage.json && python -m tests.docs.normalisers coverage.json"

HEAD = """# Normalisers

What has a normaliser of its own, which ECS fields it fills, and how much of the public corpora goes through one. Everything
else is taken generically: known names become ECS fields, and the whole record is kept in `event.original`.
`python -m tests.docs.normalisers` writes this page.

| door | what comes through it |
|---|---|
| Windows | an event of a Windows log as EVTX, event XML, Winlogbeat, Elastic Agent, flat JSON or a row of a Splunk export |
| record | a record in the vendor's own JSON, also inside a search hit, a Splunk row or a collector's envelope |
| text | a line of text |
| ECS | a document of Elastic's integration, told by `event.dataset` |

"""

LEFT_OUT = frozenset({"event", "winlog", "agent", "ecs", "data_stream", "log", "related"})
"""Roots that nearly every document has, or that tell nothing of what an event is about."""


def families() -> Iterator[tuple[str, list[Family]]]:
    """The families by name; one that is asked twice is one family."""
    found: dict[str, list[Family]] = defaultdict(list)
    for family in FAMILIES:
        found[family.name].append(family)
    yield from sorted(found.items())


def doors(parts: Iterable[Family]) -> str:
    """The doors by which a family's events come."""
    parts = list(parts)
    named = {
        "Windows": any(part.kinds or part.logs for part in parts),
        "record": any(part.read for part in parts),
        "text": any(part.read_text for part in parts),
        "ECS": any(part.datasets for part in parts),
    }
    return ", ".join(name for name, is_there in named.items() if is_there)


def kinds(parts: Iterable[Family]) -> str:
    """Canonical kinds of their own, datasets, and how many events by code share the kind `windows`."""
    of_dataset: Mapping[str, str] = tables()["datasets"]
    own: set[str] = set()
    datasets: set[str] = set()
    codes = 0
    for part in parts:
        own |= {*part.kinds, *(of_dataset[name] for name in part.datasets if name in of_dataset)}
        datasets |= part.datasets
        codes += sum(len(log.events) for log in part.logs)
    told = [", ".join(grouped(sorted(own)))]
    told.append(f"{codes} more events by code" if codes else "")
    told.append("datasets " + ", ".join(f"`{name}`" for name in sorted(datasets)) if datasets else "")
    return "; ".join(filter(None, told))


def grouped(names: list[str]) -> list[str]:
    """`a-1`, `a-2` as `a-1`, `-2`."""
    found, before = [], ""
    for name in names:
        stem, dash, last = name.rpartition("-")
        found.append(f"`-{last}`" if dash and stem == before and last.isdigit() else f"`{name}`")
        before = stem
    return found


@cache
def golden_fields() -> Mapping[str, frozenset[str]]:
    """The ECS fields that the golden events of each family have."""
    found: dict[str, set[str]] = defaultdict(set)
    for raw in vectors.golden().values():
        kind, ecs = to_ecs(raw)
        family = family_of(kind, ecs)
        if family is not None:
            found[family] |= set(leaves({root: ecs[root] for root in ECS_ROOTS - LEFT_OUT if root in ecs}))
    return {family: frozenset(paths) for family, paths in found.items()}


def leaves(node: Any, path: str = "") -> Iterator[str]:
    """The paths of a document's leaves."""
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path


def fields(name: str, parts: Iterable[Family]) -> str:
    """The fields of a family's rules and of its golden events, by object."""
    paths = set(golden_fields().get(name, ()))
    for part in parts:
        metas = [*part.kinds.values(), *(meta for log in part.logs for meta in log.events.values())]
        paths |= {".".join((*rule.folders, rule.leaf)) for meta in metas for rule in meta.rules}
    by_object: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for path in paths if path.partition(".")[0] not in LEFT_OUT and "." in path):
        folder, _, leaf = path.rpartition(".")
        by_object[folder].append(leaf)
    return ", ".join(
        f"`{folder}.{found[0]}`" if len(found) == 1 else f"`{folder}.{{{','.join(found)}}}`"
        for folder, found in by_object.items()
    )


def derived() -> str:
    """The part of the page that follows from the code."""
    rows = [f"| {name} | {doors(parts)} | {kinds(parts)} | {fields(name, parts)} |" for name, parts in families()]
    head = f"{len(rows)} families.\n\n| family | doors | kinds | ECS fields |\n|---|---|---|---|\n"
    return HEAD + "## What\n\n" + head + "\n".join(rows) + "\n\n"


def measured(report: Mapping[str, Any], day: str) -> str:
    """The part of the page that was measured."""
    corpora = [
        f"| {Path(row['corpus']).name} | {row['files']} | {row['events']} | {row['kinds']} | "
        + " | ".join(percent(row[f"{what}_share"]) for what in ("specific", "generic", "dead"))
        + " |"
        for row in [*report["corpora"], report["total"]]
    ]
    shares = [
        f"| {row['family']} | {row['events']} | "
        + " | ".join(percent(row[what] / row["events"]) for what in ("command_line", "hash", "user", "address"))
        + " |"
        for row in report["total"]["families"]
    ]
    return "\n".join(
        [
            f"{MEASURED}\nMeasured on {day}, with a sample of {report['sample']} of each corpus' files, by",
            f"\n```\n{COMMAND}\n```\n",
            "| corpus | files | events | kinds | specific | generic | dead |",
            "|---|---|---|---|---|---|---|",
            *corpora,
            "\nOf each family's events in these corpora, how many have what an analyst looks for first. Families that no",
            "corpus holds are proven by golden events alone.\n",
            "| family | events | command line | hash | user | address |",
            "|---|---|---|---|---|---|",
            *shares,
            "",
        ]
    )


def split(page: str) -> tuple[str, str]:
    """The derived and the measured part of a page."""
    before, mark, behind = page.partition(MEASURED)
    return before, mark + behind


def main(arguments: list[str]) -> None:
    """Writes the page."""
    if arguments:
        report = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        rest = measured(report, datetime.now(UTC).date().isoformat())
    else:
        rest = split(PAGE.read_text(encoding="utf-8"))[1]
    PAGE.write_text(derived() + rest, encoding="utf-8")


def numbers(page: str) -> dict[str, list[str]]:
    """The cells of the measured part by the name in the first column."""
    rows = re.findall(r"^\| ([^|]+?) \| (\d.*) \|$", split(page)[1], re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in rows}


if __name__ == "__main__":
    main(sys.argv[1:])
