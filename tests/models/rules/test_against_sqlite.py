"""The same rules on the same events by another program: pySigma's SQLite backend.

Where they may differ: SQLite folds the case of ASCII letters alone, knows no keywords, and its ``REGEXP`` is the caller's
(Python's here, RE2 with us). None of that occurs in the drawn rules.
"""

from __future__ import annotations

import random
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pytest
from sigma.exceptions import SigmaFeatureNotSupportedByBackendError

from connector.errors import PermanentError
from connector.models.rules import load
from connector.types import Event
from tests.events import corpora
from tests.models.rules.made import event, rule, sysmon, windows
from tests.models.rules.oracle import Table, found_by, queries, row_of

LETTERS = ("a", "B", "%", "_", "'", "[", "/", "-", " ", "\\\\")
FIELDS = ("Image", "CommandLine", "ParentImage")
MODIFIERS = (
    "",
    "|contains",
    "|startswith",
    "|endswith",
    "|contains|all",
    "|re",
    "|windash|contains",
    "|contains|cased",
)
CONDITIONS = (
    "selection and not other",
    "1 of them",
    "all of them",
    "not selection and not other",
    "other or not (selection and third)",
)
SIGMA = corpora.FOLDER / "SigmaHQ__sigma.tar.xz"
FOLDERS = ("rules/", "rules-emerging-threats/", "rules-threat-hunting/")


def text(draw: random.Random, most: int) -> str:
    return "".join(draw.choice(LETTERS) for _ in range(draw.randint(1, most))).replace("\\\\", "\\")


def value(draw: random.Random, modifier: str) -> Any:
    if modifier == "|fieldref":
        return draw.choice(FIELDS)
    if modifier == "|re":
        return draw.choice(["a.*b", "^[aB]+$", "%_", r"\\$", "(a|b){2,3}"])
    if draw.random() < 0.1 and not modifier:
        return None
    with_wildcards = "".join(draw.choice([*LETTERS, "*", "?", "\\*"]) for _ in range(draw.randint(1, 4)))
    return with_wildcards if not modifier else text(draw, 3)


def selection(draw: random.Random) -> dict[str, Any]:
    found = {}
    for field in draw.sample(FIELDS, draw.randint(1, 2)):
        modifier = draw.choice(MODIFIERS)
        values = [value(draw, modifier) for _ in range(draw.randint(1, 3))]
        found[field + modifier] = values if len(values) > 1 or "all" in modifier else values[0]
    return found


def drawn_rule(draw: random.Random, number: int) -> tuple[str, bytes]:
    more = {"other": selection(draw), "third": selection(draw)}
    return rule(selection(draw), condition=draw.choice(CONDITIONS), title=f"rule-{number}", **more)


def drawn_event(draw: random.Random) -> Event:
    data = {field: text(draw, 5) for field in draw.sample(FIELDS, draw.randint(1, 3))}
    if draw.random() < 0.3:
        data = {{"Image": "NewProcessName", "ParentImage": "ParentProcessName"}.get(k, k): v for k, v in data.items()}
        return windows("Security", 4688, **data)
    return sysmon(draw.choice([1, 1, 1, 5]), **data)


def differences(files: Sequence[tuple[str, bytes]], events: Sequence[Event]) -> tuple[list[str], Counter[str]]:
    """The paths of the rules on which the two differ, and counts of what was compared."""
    rules, table = load(files), Table([row_of(each) for each in events])
    ours: dict[str, set[int]] = {}
    for place, found in enumerate(rules.match(events)):
        for match in found:
            ours.setdefault(match.id, set()).add(place)
    contents, counts, differing = dict(files), Counter[str](), []
    for each in rules.rules:
        try:
            theirs = found_by(table, queries(contents[each.path]))
        except SigmaFeatureNotSupportedByBackendError:
            counts["not said in SQL"] += 1
            continue
        counts.update(rules=1, matches=len(theirs))
        if theirs != ours.get(each.match.id, set()):
            differing.append(each.path)
    return differing, counts


def test_drawn_rules_match_the_drawn_events_that_their_sql_finds() -> None:
    draw = random.Random(20)
    files = [drawn_rule(draw, number) for number in range(60)]
    differing, counts = differences(files, [drawn_event(draw) for _ in range(250)])
    assert differing == []
    assert counts["rules"] == 60
    assert 500 < counts["matches"] < 60 * 250 - 500


def sigma_files() -> Iterator[tuple[str, bytes]]:
    with tarfile.open(corpora.need(SIGMA)) as tar:
        for member in tar:
            path = member.name.partition("SigmaHQ/sigma/")[2]
            stream = tar.extractfile(member) if path.startswith(FOLDERS) and path.endswith(".yml") else None
            if stream is not None:
                yield path, stream.read()


def corpus_events(files: int, per_file: int) -> list[Event]:
    """Distinct Windows events of the recordings and of the EVTX files."""
    found: dict[str, Event] = {}
    for data in chain(corpora.otrf_lines(files, per_file), corpora.evtx_records(4 * files, per_file // 4)):
        try:
            each = event(data)
        except PermanentError:
            continue
        if "winlog" in each.ecs:
            found.setdefault(each.fingerprint, each)
    return list(found.values())


def test_a_sample_of_sigmas_rules_matches_what_its_sql_finds_in_real_events() -> None:
    files = [file for number, file in enumerate(sigma_files()) if b"product: windows" in file[1] and number % 120 == 7]
    differing, counts = differences(files, corpus_events(4, 80))
    assert differing == []
    assert counts["rules"] > 15


@pytest.mark.full
def test_all_of_sigmas_windows_rules_match_what_their_sql_finds_in_thousands_of_real_events() -> None:
    files = [file for file in sigma_files() if b"product: windows" in file[1]]
    events = corpus_events(60, 200)
    differing, counts = differences(files, events)
    assert differing == []
    assert len(events) > 4000
    assert counts["rules"] > 2500
    assert counts["matches"] > 500
