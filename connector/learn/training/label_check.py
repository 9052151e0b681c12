"""``python -m connector.learn.training.label_check``: what ``triaged labels check`` starts as a subprocess."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.learn.export.folder import Folder, replaced
from connector.learn.export.rows import Row
from connector.learn.training.quality import Report, check
from connector.learn.training.served import reader
from connector.models.store import Store
from connector.models.text import TextMember

EXIT_CONFIG: Final = 2
REPORT, EXCLUDE, PAGE = "labels.json", "exclude.json", "labels.md"
SHOWN: Final = 160
"""Characters of a text on the page."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks one export; 0 done, 2 something must be changed first."""
    parser = argparse.ArgumentParser(prog="triaged labels check", description=__doc__)
    for name in ("export", "store", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--bundle")
    options = parser.parse_args(arguments)
    try:
        labels = [row for row in Folder(options.export).labels() if row.stands]
        report = check(labels, _features(Store(options.store), options.bundle, labels))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    _write(options.output, report, labels)
    print(
        f"{report.labels} labels in {report.groups} groups of near-duplicates; judged: {', '.join(report.judged) or 'none'}\n"
        f"likely errors: {len(report.errors)}; conflicts: {len(report.conflicts)}; classes that are too small: {len(report.small)}\n"
        f"not to be trained on: {len(report.excluded)} labels, {options.output / EXCLUDE}; for people: {options.output / PAGE}"
    )
    return 0


def _features(store: Store, bundle: str | None, labels: Sequence[Row]) -> NDArray[np.float32]:
    """The features of each text by the bundle's member that reads texts, in production where none is named."""
    ref = bundle or store.production()
    if ref is None:
        raise ConfigError(f"no bundle is in production; name one of: {', '.join(store.list()) or 'none'}")
    if problems := store.verify(ref):
        raise ConfigError(f"bundle {ref} is refused: {'; '.join(problems)}")
    spec = reader(store.manifest(ref))
    member = TextMember(spec, store.directory(ref) / spec.directory, 0)
    try:
        return member.embed([label.text for label in labels])
    finally:
        member.close()


def _write(folder: Path, report: Report, labels: Sequence[Row]) -> None:
    """The report for machines and for people, and last the list that retraining reads; for their owner alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    replaced(folder / REPORT, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    replaced(folder / PAGE, "\n".join(_page(report, labels)).encode("utf-8", "replace") + b"\n")
    replaced(folder / EXCLUDE, msgspec.json.format(msgspec.json.encode(report.excluded), indent=1) + b"\n")


def _page(report: Report, labels: Sequence[Row]) -> Iterator[str]:
    yield f"# Labels\n\n{report.labels} labels that stand, in {report.groups} groups of near-duplicates.\n"
    yield f"Looked for errors in: {', '.join(report.judged) or 'nothing, there are too few labels'}.\n"
    yield "## Likely errors, the likeliest first\n"
    yield from _table(
        ("row", "alert", "analyst", "question", "said", "quality", "text"),
        [
            (one.row, one.alert, one.analyst or "-", one.question, "yes" if one.said else "no", one.quality, one.text)
            for one in report.errors
        ],
    )
    yield "\n## By analyst\n"
    every = Counter(label.analyst or "-" for label in labels)
    wrong = Counter(analyst for analyst, _ in {(one.analyst or "-", one.row) for one in report.errors})
    yield from _table(
        ("analyst", "labels", "likely errors"), [(name, count, wrong[name]) for name, count in every.most_common()]
    )
    yield "\n## Conflicts\n"
    yield from _table(
        ("group", "malicious", "benign", "analysts", "not trained on"),
        [
            (one.group, len(one.malicious), len(one.benign), ", ".join(one.analysts), len(one.excluded))
            for one in report.conflicts
        ],
    )
    yield "\n## Classes that are too small\n"
    yield from _table(("class", "labels", "groups"), [(one.name, one.labels, one.groups) for one in report.small])


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A Markdown table; what events and people wrote cannot break out of its cell."""
    yield from (f"| {' | '.join(head)} |", f"|{'---|' * len(head)}")
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"


def _cell(value: object) -> str:
    plain = " ".join(str(value).split())[:SHOWN]
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`").replace("<", "&lt;").replace("[", "\\[")


if __name__ == "__main__":
    raise SystemExit(main())
