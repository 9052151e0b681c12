"""`docs/normalisers.md` says what the code does; what was measured carries its date and its command."""

from __future__ import annotations

import re
from datetime import date

from connector.events.families import FAMILIES
from tests.docs import normalisers

TEXT = normalisers.PAGE.read_text(encoding="utf-8")


def test_the_table_of_normalisers_is_what_the_code_gives() -> None:
    written, _ = normalisers.split(TEXT)
    assert written == normalisers.derived(), "python -m tests.docs.normalisers writes the page anew"


def test_every_family_has_a_row_with_doors_and_fields() -> None:
    rows = re.findall(r"^\| ([a-z0-9_-]+) \| ([A-Za-z, ]+) \| (.+?) \| (.*?) \|$", normalisers.derived(), re.MULTILINE)
    assert {row[0] for row in rows} >= {family.name for family in FAMILIES}


def test_what_was_measured_says_when_and_how() -> None:
    _, measured = normalisers.split(TEXT)
    found = re.search(r"Measured on (\d{4}-\d\d-\d\d), with a sample of (\S+) of each corpus' files", measured)
    assert found
    date.fromisoformat(found[1])
    assert found[2] == "100%"
    assert normalisers.COMMAND in measured


def test_what_was_measured_meets_what_is_promised() -> None:
    cells = normalisers.numbers(TEXT)
    for corpus, least in (("OTRF", 99), ("EVTX-to-MITRE", 99), ("omerbenamram", 99), ("open-xp", 95), ("panther", 80)):
        rows = [row for name, row in cells.items() if corpus in name]
        assert rows, corpus
        assert all(float(row[3].rstrip("%")) >= least for row in rows), corpus
