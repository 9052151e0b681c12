"""The canonical form follows its closed rules: the reference, the shared vectors, and what must not change it."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.events import CANONICAL_VERSIONS, canonical, fingerprint, kind_of
from connector.events.canonical import TABLE, Table
from connector.events.masks import compile_mask, cut, fold_spaces, lower, scrub, text_mask, user
from connector.events.normalise import to_ecs
from tests.events import reference, strategies, vectors

VECTORS = json.loads(vectors.VECTORS.read_text("utf-8"))
SOURCE = reference.TABLE


def _mask(row: str, text: str) -> str:
    mask = SOURCE["masks"][row]
    return compile_mask(mask["verb"], mask["cut"], mask.get("map"))(text)


@pytest.mark.parametrize("vector", VECTORS["masks"], ids=lambda vector: f"{vector['mask']}:{vector['in'][:24]!r}")
def test_a_masked_value_is_what_the_vectors_say(vector: dict[str, str]) -> None:
    assert _mask(vector["mask"], vector["in"]) == vector["out"]


@pytest.mark.parametrize("vector", VECTORS["documents"], ids=lambda vector: vector["kind"])
def test_a_document_has_the_canonical_form_and_fingerprint_of_the_vectors(vector: dict[str, Any]) -> None:
    document = vector["document"]
    kind = kind_of(document)
    pairs = canonical(document, kind)
    assert (kind, [list(pair) for pair in pairs]) == (vector["kind"], vector["canonical"])
    assert fingerprint(pairs) == vector["fingerprint"]


def test_the_committed_vectors_are_what_the_reference_computes() -> None:
    assert vectors.VECTORS.read_text("utf-8") == vectors.dump(vectors.vectors())


@settings(max_examples=300, deadline=None)
@given(strategies.TEXTS, st.sampled_from(sorted(SOURCE["masks"])))
def test_every_mask_does_what_the_plain_scanner_does(text: str, row: str) -> None:
    assert _mask(row, text) == reference.mask(row, text)


@settings(max_examples=200, deadline=None)
@given(strategies.DOCUMENTS)
def test_every_document_has_the_form_that_the_reference_gives_it(document: dict[str, Any]) -> None:
    kind = kind_of(document)
    pairs = canonical(document, kind)
    assert kind == reference.kind_of(document)
    assert [list(pair) for pair in pairs] == reference.canonical(document, kind)
    assert fingerprint(pairs) == reference.fingerprint([list(pair) for pair in pairs])


@settings(max_examples=150, deadline=None)
@given(strategies.DOCUMENTS)
def test_normalising_an_ecs_document_leaves_its_form_and_the_source_as_they_were(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    kind, ecs = to_ecs(document)
    assert document == before
    assert kind == kind_of(document)
    assert canonical(ecs, kind) == canonical(document, kind)


@settings(max_examples=200, deadline=None)
@given(strategies.TEXTS)
def test_masking_and_folding_again_change_nothing(text: str) -> None:
    text = scrub(text)
    assert fold_spaces(fold_spaces(text)) == fold_spaces(text)
    assert scrub(cut(text, 7)) == cut(text, 7)
    assert lower(lower(text)) == lower(text)


@pytest.mark.parametrize(
    "text",
    [
        "C:\\Users\\alice\\x.exe 12345 8.8.8.8",
        "{36EC8CA6-D7AD-4861-BE7A-1DA9059A75EC} HKU\\S-1-5-21-1-2-3-1104\\x",
        "\\Device\\HarddiskVolume3\\Users\\bob\\x \\\\FS01\\c$ 2020-01-02 12:34:56 deadbeef12",
    ],
)
def test_a_masked_text_is_not_masked_further(text: str) -> None:
    assert text_mask(text_mask(text)) == text_mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "1." * 8000 + "1x",
        "a:" * 8000 + "g",
        "\\\\" + "a" * 16000 + ":",
        ":\\users\\" * 1700,
        "s-1-" * 4000,
        "a1" * 8000,
        "1-" * 8000,
    ],
    ids=lambda text: text[:8],
)
@pytest.mark.timeout(120)  # a hang guard: a quadratic way would take an hour
def test_no_text_costs_more_than_its_length_to_mask(text: str) -> None:
    assert text_mask(text * 60)


START = {
    "@timestamp": "2024-03-05T10:11:12Z",
    "host": {"name": "ws01"},
    "winlog": {
        "channel": "Microsoft-Windows-Sysmon/Operational",
        "provider_name": "Microsoft-Windows-Sysmon",
        "event_id": "1",
        "computer_name": "WS01",
        "record_id": 77,
        "event_data": {
            "UtcTime": "2024-03-05 10:11:12.130",
            "ProcessGuid": "{6a910b9d-498a-5ee0-c903-000000000400}",
            "ProcessId": "6196",
            "Image": "C:\\Users\\alice\\whoami.exe",
            "CommandLine": "whoami /all > C:\\Users\\alice\\o.txt",
            "User": "CORP\\alice",
            "IntegrityLevel": "High",
        },
    },
}

_HEX4 = st.text("0123456789abcdef", min_size=4, max_size=4)


@given(
    name=st.from_regex(r"[a-z]{3,12}", fullmatch=True),
    host=st.from_regex(r"[A-Z]{2,8}[0-9]{1,3}", fullmatch=True),
    half=_HEX4,
    number=st.integers(0, 1 << 40),
    shuffled=st.randoms(use_true_random=False),
)
def test_who_where_and_when_never_reach_the_fingerprint(
    name: str, host: str, half: str, number: int, shuffled: Any
) -> None:
    changed = copy.deepcopy(START)
    changed |= {"@timestamp": f"20{number % 90 + 10}-01-01T00:00:00Z", "host": {"name": host.lower()}}
    winlog: Any = changed["winlog"]
    winlog |= {"computer_name": host, "record_id": number}
    data = winlog["event_data"]
    data |= {
        "ProcessId": str(number),
        "ProcessGuid": f"{{6a910b9d-{half}-5ee0-c903-000000000400}}",
        "User": f"{host}\\{name}",
    }
    if name not in {"public", "default", "guest", "system", "krbtgt"}:
        for key in ("Image", "CommandLine"):
            data[key] = data[key].replace("alice", name)
        items = list(data.items())
        shuffled.shuffle(items)
        winlog["event_data"] = dict(items)
        assert fingerprint(canonical(*reversed(to_ecs(changed)))) == fingerprint(canonical(*reversed(to_ecs(START))))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("IntegrityLevel", "Medium"),
        ("CommandLine", "whoami /priv"),
        ("ParentImage", "C:\\Windows\\System32\\cmd.exe"),
        ("User", "NT AUTHORITY\\SYSTEM"),
    ],
)
def test_what_tells_the_technique_changes_the_fingerprint(field: str, value: str) -> None:
    changed = copy.deepcopy(START)
    changed["winlog"]["event_data"][field] = value  # type: ignore[index]
    assert fingerprint(canonical(*reversed(to_ecs(changed)))) != fingerprint(canonical(*reversed(to_ecs(START))))


def test_pairs_that_run_together_have_different_fingerprints() -> None:
    assert fingerprint((("a", "1b"), ("c", ""))) != fingerprint((("a", "1"), ("bc", "")))
    assert fingerprint((("a", "1"),)) != fingerprint((("a", "1"), ("", "")))


@pytest.mark.parametrize("kind", sorted(TABLE.kinds))
def test_a_kind_lists_known_fields_once_and_has_a_digest_of_its_own(kind: str) -> None:
    fields = SOURCE["kinds"][kind]["fields"]
    assert len(fields) == len(set(fields))
    assert all(SOURCE["fields"][field]["mask"] in SOURCE["masks"] for field in fields)
    assert list(CANONICAL_VERSIONS.values()).count(CANONICAL_VERSIONS[kind]) == 1


def test_every_field_of_the_table_is_used_by_some_kind() -> None:
    used = {field for row in SOURCE["kinds"].values() for field in row["fields"]}
    assert used == SOURCE["fields"].keys()
    assert SOURCE["labels"].keys() <= used
    assert SOURCE["codes"].keys() - {"*"} <= used


def test_a_change_of_the_table_changes_only_the_digests_that_it_touches() -> None:
    changed = copy.deepcopy(SOURCE)
    changed["fields"]["registry.path"]["mask"] = "text"
    table = Table(changed)
    touched = {kind for kind, row in table.kinds.items() if row.digest != CANONICAL_VERSIONS[kind]}
    assert touched == {kind for kind, row in SOURCE["kinds"].items() if "registry.path" in row["fields"]}


def test_rules_that_are_code_change_every_digest() -> None:
    table = Table({**SOURCE, "rules": SOURCE["rules"] + 1})
    assert not {row.digest for row in table.kinds.values()} & set(CANONICAL_VERSIONS.values())


def test_a_well_known_account_has_its_class_in_every_spelling() -> None:
    assert {user(name) for name in ("NT AUTHORITY\\SYSTEM", "SYSTEM", "S-1-5-18", "LocalSystem")} == {"<system>"}


def test_a_persons_folder_is_masked_without_a_drive_too_and_shared_folders_stay() -> None:
    masked = compile_mask("named", 512)
    assert (
        masked("/Users/ana/x -o='/Users/bo b/y' /Users/Shared/z")
        == "/users/<user>/x -o='/users/<user>/y' /users/shared/z"
    )
    assert masked("https://host.example/users/ana") == "https://host.example/users/<user>"
    assert masked("users\\ana\\desktop\\x") == "users\\<user>\\desktop\\x"
    assert masked(masked("open /Users/ana")) == "open /users/<user>"


def test_a_mail_address_is_masked_and_a_version_stays() -> None:
    masked = compile_mask("named", 512)
    assert masked("from Ana.Walker@acme.example, bob%40acme.example") == "from <user>, <user>"
    assert masked("ssh ana@web01; scp x ana@10.1.2.3:/tmp") == "ssh <user>@<host>; scp x <user>@<private>:/tmp"
    assert masked("npm i left-pad@1.3.0 x@v4") == "npm i left-pad@<version> x@v4"


def test_no_id_of_a_technique_is_left_of_a_rules_name() -> None:
    masked = compile_mask("named", 512)
    assert masked("T1078 - Brute force (attack.t1110.001)") == "<technique> - brute force (attack.<technique>)"


@pytest.mark.parametrize(
    "text", ["a" * 16000, "a@" * 8000, "users/" * 2600, "a." * 8000, "%40" * 5000, "t1000." * 2600]
)
def test_a_long_value_is_masked_in_time_that_its_length_alone_decides(text: str) -> None:
    start = time.process_time()
    compile_mask("named", 16384)(text)
    assert time.process_time() - start < 0.5
