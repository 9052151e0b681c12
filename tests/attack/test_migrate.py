import json
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from connector.attack import catalogue, migrate, to_v19
from connector.attack.versions import FACTS, _backward

TAG = re.compile(rb"^\s*-\s*attack\.(t\d{4}(?:\.\d{3})?)\s*$", re.IGNORECASE | re.MULTILINE)


@pytest.mark.parametrize(
    ("given_id", "ids", "kind"),
    [
        ("T1059.001", {"T1059.001"}, "exact"),
        ("T1647", {"T1647"}, "exact"),  # live in v18.1 although the crosswalk also maps a revoked id to it
        ("T1685", {"T1562", "T1562.001", "T1562.006"}, "merged"),
        ("T1686", {"T1562.004"}, "exact"),
        ("T1686.002", {"T1562.013"}, "exact"),
        ("T1686.003", {"T1562.004"}, "exact"),
        ("T1086", {"T1059.001"}, "exact"),  # revoked
        ("T1073", {"T1574.001"}, "exact"),  # revoked twice over
        ("T1547.011", {"T1647"}, "exact"),
        ("T1034", set(), "unknown"),  # deprecated, no successor
        ("T9999", set(), "unknown"),
        ("", set(), "unknown"),
    ],
)
def test_every_id_leads_to_the_catalogue_or_is_unknown(given_id: str, ids: set[str], kind: str) -> None:
    migration = migrate(given_id)
    assert (migration.ids, migration.kind) == (ids, kind)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_no_text_makes_migrate_raise(text: str) -> None:
    assert migrate(text).ids <= set(catalogue().techniques)


def test_every_live_id_is_itself() -> None:
    for technique_id in catalogue().techniques:
        assert migrate(technique_id).ids == {technique_id}


def test_what_goes_forward_to_v19_comes_back() -> None:
    for technique_id in catalogue().techniques:
        assert technique_id in migrate(to_v19(technique_id)).ids


def test_v19_forward_follows_the_crosswalk_and_keeps_the_rest() -> None:
    assert to_v19("T1562.002") == "T1685.001"
    assert to_v19("T1562.004") == "T1686"
    assert to_v19("T1562.013") == "T1686.002"
    assert to_v19("T1059.001") == "T1059.001"


def test_the_crosswalk_is_the_published_one(corpora: Path) -> None:
    published = json.loads((corpora / "attack_v18_to_v19.json").read_text())
    assert json.loads(FACTS.read_text())["map"] == published["map"]


def test_no_sigma_tag_is_unknown(corpora: Path) -> None:
    kinds: Counter[str] = Counter()
    unknown = set()
    with tarfile.open(corpora / "SigmaHQ__sigma.tar.xz") as archive:
        for member in archive:
            if not member.name.endswith(".yml"):
                continue
            stream = archive.extractfile(member)
            for tag in TAG.findall(stream.read() if stream else b""):
                migration = migrate(tag.decode())
                kinds[migration.kind] += 1
                if migration.kind == "unknown":
                    unknown.add(tag)
    assert not unknown
    assert kinds["exact"] > 4000
    assert kinds["merged"] > 100


def test_no_row_of_the_crosswalk_leads_back_to_an_id_that_is_not_live() -> None:
    for ids in _backward().values():
        assert ids <= set(catalogue().techniques)
