"""Which rules take part, what a match tells of its rule, and why others are left out."""

from __future__ import annotations

import sys

import pytest

from connector.errors import ConfigError
from connector.models.rules import LeftOut, load
from connector.models.rules.reading import read_file
from tests.models.rules.made import rule, sysmon

ID = "0b5b2a6e-0000-4000-8000-000000000001"

CORRELATION = b"""
title: Many
correlation: {type: event_count, rules: [x], group-by: [User], timespan: 5m, condition: {gte: 10}}
"""
FILTER = b"""
title: Known
logsource: {category: process_creation, product: windows}
filter: {rules: any, selection: {User: x}, condition: not selection}
"""


def test_a_match_tells_its_rule_with_techniques_of_the_catalogues_version_and_its_author() -> None:
    tags = ["attack.t1685", "attack.execution", "attack.T1059.001", "attack.t9999", "cve.2021-44228"]
    file = rule({"Image": "a"}, title="Shell", id=ID, level="high", tags=tags, author="A. Uthor, B. Ook")
    ((match,),) = load([file]).match([sysmon(Image="a")])
    assert (match.id, match.title, match.level, match.author) == (ID, "Shell", "high", "A. Uthor, B. Ook")
    # T1685 is v19's name of what v18.1 has below T1562
    assert "T1059.001" in match.techniques
    assert "T1685" not in match.techniques
    assert "T9999" not in match.techniques


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CORRELATION, "correlation"),
        (FILTER, "filter"),
        (b"title: [", "no YAML"),
        (b"\xff\xfe\x00", "no YAML"),
        (b"- just\n- a list", "no Sigma rule"),
        (b"title: No detection\nlogsource: {product: windows}", "detection"),
        (rule({"Image|upside-down": "a"})[1], "upside-down"),
        (rule({"Image": "a"}, condition="selection and other")[1], "other"),
        (rule({"Image": "a"}, condition="selection | count() > 3")[1], "correlations"),
        (rule({"Image": "a"}, logsource={"product": "toaster"})[1], "log source toaster is not known"),
        (rule({"Image": "a"}, logsource={"product": "windows", "service": "toaster"})[1], "windows/toaster"),
        (rule({"Image": "a"}, status="deprecated")[1], "deprecated"),
        (rule({"Image|expand": "%admins%"})[1], "%admins%"),
        (rule({"Image|re": r"(a)\1"})[1], "refers back"),
        (rule({"Image|re": r"a(?=b)"})[1], "looks ahead"),
        (rule({"Image|re": r"a{2000}"})[1], "1000"),
        (rule({"Image|re": "("})[1], "("),
        (rule({"UtcTime|hour": 3})[1], "time"),
    ],
)
def test_what_cannot_be_compiled_is_listed_with_the_reason_and_the_rest_is_loaded(content, reason) -> None:
    rules = load([("bad.yml", content), rule({"Image": "a"}, id=ID)])
    assert [rule.match.id for rule in rules.rules] == [ID]
    ((path, told),) = rules.left_out
    assert path == "bad.yml"
    assert reason in told


def test_two_rules_with_one_id_are_told_apart_in_words() -> None:
    one, two = rule({"Image": "a"}, id=ID), ("copy.yml", rule({"Image": "b"}, id=ID)[1])
    assert load([one, two]).left_out == (LeftOut("copy.yml", f"has the id of {one[0]}"),)


def test_documents_of_one_file_are_rules_of_their_own() -> None:
    whole = b"---\n".join(rule({"Image": name}, id=ID[:-1] + name, title=name)[1] for name in "ab")
    rules = load([("two.yml", whole)])
    assert [rule.match.title for rule in rules.rules] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"title: [", True),
        (rule({"Image|upside-down": "a"}, id=ID)[1], True),
        (rule({"Image": "a"}, id=ID, logsource={"product": "toaster"})[1], True),
        (rule({"Image": "a"}, id="no-uuid")[1], True),
        (rule({"Image": "a"}, id=ID, status="deprecated")[1], False),
        (rule({"Image|upside-down": "a"}, id=ID[:-1] + "9")[1], False),
        (b"", False),
    ],
)
def test_a_slip_keeps_the_rule_as_it_last_was_and_its_owners_will_does_not(content, kept) -> None:
    before = read_file("a.yml", rule({"Image": "a"}, id=ID)[1]).rules
    assert read_file("a.yml", content, before).rules == (before if kept else ())


def test_a_folder_is_read_with_its_folders_and_a_missing_one_is_refused(tmp_path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.yml").write_bytes(rule({"Image": "a"})[1])
    (tmp_path / "b.yaml").write_bytes(rule({"Image": "b"})[1])
    (tmp_path / "README.md").write_text("no rule")
    assert [rule.path for rule in load(tmp_path).rules] == ["b.yaml", "deep/a.yml"]
    with pytest.raises(ConfigError, match="no folder of rules"):
        load(tmp_path / "nowhere")


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ahocorasick", None)
    with pytest.raises(ConfigError, match=r"ahocorasick: pip install 'triaged\[rules\]'"):
        load([])
