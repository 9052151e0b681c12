import msgspec
import numpy as np
import pytest

from connector.learn import leakage
from connector.learn.dataset import Dataset, Facts, Row, digest_of
from connector.learn.leakage import auc, probed, report


def row(number: int, *, malicious: bool, fields: tuple[str, ...], split: str = "train", text: str = "") -> Row:
    return Row(
        text=text or f"process start {number} {'alpha beta gamma' if malicious else 'delta epsilon zeta'} {number * 7}",
        kind="sysmon-1",
        fingerprint=f"{malicious}{number}",
        techniques=(),
        malicious=malicious,
        basis="executed-test" if malicious else "manual-page",
        source="s",
        group=f"{malicious}{number % 20}",
        record=str(number),
        licence="MIT",
        split=split,
        fields=fields,
    )


def of(rows: list[Row], **facts: object) -> Dataset:
    plain = Facts(
        digest=digest_of(rows),
        seed=1,
        split="",
        attack_version="18.1",
        canonical_versions={},
        rows={},
        sources={},
        bases={},
        dropped={},
        authors={},
    )
    return Dataset(tuple(rows), msgspec.structs.replace(plain, **facts))


def alike(count: int) -> list[Row]:
    return [
        row(n, malicious=malicious, fields=("a", "b") if n % 3 else ("a",))
        for n in range(count)
        for malicious in (True, False)
    ]


def test_a_clean_dataset_has_no_problem() -> None:
    found = report(of(alike(100)))

    assert found.problems == []
    assert found.probes[0].auc <= leakage.MOST


@pytest.mark.parametrize(
    ("attack", "benign"),
    [(("a", "b"), ("a",)), (("a",), ("a", "b"))],
    ids=["attacks have a field more", "attacks lack a field"],
)
def test_a_field_that_one_class_has_more_often_is_found(attack: tuple[str, ...], benign: tuple[str, ...]) -> None:
    rows = [row(n, malicious=True, fields=attack if n % 4 else benign) for n in range(100)]
    rows += [row(n, malicious=False, fields=benign if n % 4 else attack) for n in range(100)]

    (probe,) = report(of(rows)).probes
    assert probe.auc > leakage.MOST
    assert "AUC" in report(of(rows)).problems[0]


def test_a_combination_that_no_single_field_shows_is_found() -> None:
    def fields(n: int, *, same: bool) -> tuple[str, ...]:
        first = n % 2 == 0
        return tuple(name for name, there in (("a", first), ("b", first == same)) if there)

    rows = [
        row(n, malicious=malicious, fields=fields(n, same=malicious)) for n in range(100) for malicious in (True, False)
    ]

    probe = probed("sysmon-1", rows)
    assert probe is not None
    assert probe.auc > 0.9


def test_a_kind_with_too_few_groups_of_a_class_is_not_probed() -> None:
    rows = [msgspec.structs.replace(found, group="one") if found.malicious else found for found in alike(100)]

    assert probed("sysmon-1", rows) is None
    assert report(of(rows)).unprobed == len(rows)


def test_planted_leaks_are_flagged() -> None:
    rows = alike(60)
    said = row(900, malicious=True, fields=("a",), text="cmd.exe /c C:\\T1003.001\\a.exe")
    crossing = msgspec.structs.replace(
        rows[0], fingerprint="x", split="dev", text="another text of the same group here"
    )
    copied = msgspec.structs.replace(rows[1], fingerprint="y", split="dev", group="elsewhere")

    problems = " ".join(report(of([*rows, said, crossing, copied], names=3)).problems)

    assert "1 texts name a technique" in problems
    assert "s:True0 is in more than one split" in problems
    assert "1 rows nearly repeat" in problems
    assert "3 texts hold the name" in problems


def test_the_auc_counts_equal_scores_half() -> None:
    truth = np.array([True, False, True, False])

    assert auc(np.array([1.0, 0.0, 1.0, 0.0]), truth) == 1.0
    assert auc(np.array([1.0, 1.0, 1.0, 1.0]), truth) == 0.5
    assert auc(np.array([0.0, 1.0, 1.0, 1.0]), truth) == 0.25
