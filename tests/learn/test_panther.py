"""The reader of detection rules' test events."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.learn.corpora import panther
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora, Source

ROOT = "panther-labs/panther-analysis"
RULE = """
AnalysisType: rule
RuleID: "Okta.Example"
LogTypes: [Okta.SystemLog]
Reports:
  MITRE ATT&CK: ["TA0005:T1562", "TA0006", "TA0001:T0000"]
Tests:
  - Name: positive
    ExpectedResult: true
    Mocks: [{objectName: get, returnValue: "x"}]
    Log: {eventType: user.session.start, published: 2024-03-05 09:12:44, Mocks: no event, 7: seven, p_mocks: []}
  - Name: named already
    ExpectedResult: false
    Log: {p_log_type: Other.Log, a: [1, {b: 2024-03-05}]}
  - Name: no event
    ExpectedResult: true
"""
POLICY = """
AnalysisType: policy
PolicyID: "AWS.Example"
ResourceTypes: [AWS.S3.Bucket, AWS.KMS.Key]
Tests:
  - ExpectedResult: true
    Resource: {Arn: "arn:aws:s3:::x"}
"""
CORRELATION = "AnalysisType: correlation_rule\nTests: [{ExpectedResult: true, RuleOutputs: [{ID: x}]}]\n"


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("corpora")
    tree = folder / ROOT
    for name, text in (
        ("rules/okta.yml", RULE),
        ("policies/s3.yml", POLICY),
        ("correlation_rules/c.yml", CORRELATION),
        ("rules/empty.yml", "# nothing\n"),
        ("rules/none.yml", "RuleID: x\n"),
    ):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, "utf-8")
    source = Source(
        name=panther.NAME,
        upstream="-",
        commit="-",
        archive="panther.tar",
        sha256="-",
        root=ROOT,
        licence="Apache-2.0",
        credit="-",
        may_train=True,
    )
    return list(panther.samples(Corpora(folder, {panther.NAME: source})))


def test_each_test_event_is_a_sample_of_its_rule(read: list[Sample]) -> None:
    assert [(s.group, s.record, s.malicious) for s in read] == [
        ("policies/s3.yml", "AWS.Example:0", False),
        ("rules/okta.yml", "Okta.Example:0", True),
        ("rules/okta.yml", "Okta.Example:1", False),
    ]


def test_techniques_are_the_rules_in_the_catalogues_version(read: list[Sample]) -> None:
    assert read[1].techniques
    assert all(technique.startswith("T") for technique in read[1].techniques)
    assert read[0].techniques == ()


def test_an_event_is_json_without_its_mocks_and_says_its_log_where_the_rule_names_one(read: list[Sample]) -> None:
    policy, first, second = (sample.data for sample in read)
    assert first == {
        "eventType": "user.session.start",
        "published": "2024-03-05 09:12:44",
        "7": "seven",
        "p_log_type": "Okta.SystemLog",
    }
    assert second == {"p_log_type": "Other.Log", "a": [1, {"b": "2024-03-05"}]}
    assert policy == {"Arn": "arn:aws:s3:::x"}


def test_what_a_rule_must_not_fire_on_is_harmless_and_shows_no_technique(read: list[Sample]) -> None:
    assert [(s.basis, bool(s.techniques)) for s in read] == [
        ("negative-test", False),
        ("rule-test", True),
        ("negative-test", False),
    ]
