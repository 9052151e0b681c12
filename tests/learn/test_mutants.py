"""Training rows written otherwise: by no family that is left out, the same for the same seed, and as often on either side."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from connector.learn.dataset import Row
from connector.learn.evasion.families import LEFT_OUT, TRAINED
from connector.learn.training.mutants import mutants, written
from tests.learn.evaluation.test_report import ROWS

LONG = "net.exe group {} copy every file of the first folder to the second folder and show it | findstr x"
LISTED = "schtasks.exe /create /tn task{} /tr c:\\users\\user\\a.exe /sc daily"


def row(number: int, line: str, *, malicious: bool | None) -> Row:
    return msgspec.structs.replace(
        ROWS[0],
        text=f"process start | cmd.exe | command {line.format(number)} | parent explorer.exe | integrity high",
        kind="sysmon-1",
        fields=("process.executable", "process.command_line", "process.parent.executable", "process.integrity"),
        fingerprint=f"{number:064x}",
        malicious=malicious,
    )


SOME = [
    *(row(number, LONG if number % 4 else "whoami", malicious=True) for number in range(40)),
    *(row(number + 100, LONG if number % 10 == 0 else LISTED, malicious=False) for number in range(30)),
    *(row(number + 200, LISTED, malicious=True) for number in range(8)),
    *(row(number + 300, LONG, malicious=None) for number in range(8)),
]


def test_only_families_that_training_may_use_write_a_row_and_its_other_fields_stay() -> None:
    found = written(SOME[1], Random(1))

    assert set(found) == {"truncation"}
    (text,) = found["truncation"]
    assert text.startswith("process start | cmd.exe | command net.exe group 1 copy")
    assert text.endswith(" | parent explorer.exe | integrity high")
    assert len(text) < len(SOME[1].text)
    assert {family for one in SOME for family in written(one, Random(1))} <= TRAINED
    assert not TRAINED & LEFT_OUT


def test_what_the_text_undoes_and_what_shows_no_command_is_not_written() -> None:
    assert written(row(1, "whoami", malicious=True), Random(1)) == {}
    assert written(msgspec.structs.replace(SOME[1], fields=("message",)), Random(1)) == {}


def test_no_family_tells_the_class_both_are_written_equally_often() -> None:
    chances = mutants(SOME, 0.6, 1).chances
    families = [list(written(one, Random(f"1 {one.fingerprint}"))) for one in SOME]
    expected = {
        (side, family): sum(
            chance
            for one, names, found in zip(SOME, families, chances, strict=True)
            for name, (chance, _) in zip(names, found, strict=True)
            if one.malicious is side and name == family
        )
        / sum(one.malicious is side for one in SOME)
        for side in (True, False)
        for family in ("truncation", "options", "paths")
    }

    assert all(expected[True, family] == pytest.approx(expected[False, family]) for _, family in expected)
    assert all(0 < value <= 0.6 for value in expected.values())
    assert max(sum(chance for chance, _ in found) for found in chances) <= 0.6 + 1e-9


def test_a_family_that_one_class_has_nothing_of_is_not_used() -> None:
    one_sided = [one for one in SOME if one.malicious is not False]

    assert not any(mutants(one_sided, 1.0, 1).chances)


def test_the_same_seed_pass_and_row_are_written_the_same() -> None:
    first, again, other = (mutants(SOME, 1.0, seed) for seed in (1, 1, 2))

    assert first == again
    drawn = [[found.drawn(place, Random(place)) for place in range(len(SOME))] for found in (first, again)]
    assert drawn[0] == drawn[1]
    assert any(text is not None for text in drawn[0])
    assert any(text is None for text in drawn[0])
    assert first != other
