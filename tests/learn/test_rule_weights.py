"""What a rule is worth is counted by group, on labels that do not come of Sigma's rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora, Source
from connector.learn.dataset import split_of
from connector.learn.rule_weights import learn
from connector.models.rules import Match, load
from connector.models.rules.weights import Count, Weights
from tests.models.rules.made import rule

ID = "0b5b2a6e-0000-4000-8000-000000000001"
SOURCE = Source(
    name="made", upstream="", commit="", archive="", sha256="", root="", licence="", credit="", may_train=True
)
TRAIN = [f"g{n}" for n in range(40) if split_of("made", f"g{n}", 1) == "train"]
OTHER = next(f"g{n}" for n in range(40) if split_of("made", f"g{n}", 1) != "train")


def sample(group: str, line: str, malicious: bool | None, basis: str = "process-tree", techniques=()) -> Sample:
    channel = "Microsoft-Windows-Sysmon/Operational"
    data = {"EventID": 1, "Channel": channel, "CommandLine": line}
    return Sample(
        data=data, group=group, record=line, basis=basis, malicious=malicious, techniques=techniques  # type: ignore[arg-type]
    )  # fmt: skip


def learnt(samples: list[Sample], source: Source = SOURCE) -> Weights:
    def recipe(_: Corpora) -> Iterator[Sample]:
        yield from samples

    rules = load([rule({"CommandLine|contains": "evil"}, id=ID, level="high", tags=["attack.t1059.001"])])
    return learn(Corpora(Path(), {"made": source}), rules, recipes={"made": recipe})


def test_a_long_recording_is_one_witness() -> None:
    loud = [sample(TRAIN[0], f"evil {n}", True) for n in range(50)]
    mixed = [sample(TRAIN[1], "evil a", True), sample(TRAIN[1], "evil b", False)]
    weights = learnt([*loud, *mixed, sample(TRAIN[2], "evil", False)])
    assert weights.malicious == {ID: Count(1.5, 3.0)}
    # the level's mean is (1.5 + 1) / (3 + 2), as heavy as two witnesses
    prior = weights.malicious_prior["high"]
    assert (prior.a, prior.b) == pytest.approx((1.0, 1.0))
    assert weights.p_malicious(Match(ID, "", "high", (), "")) == pytest.approx(2.5 / 5)


def test_the_name_of_a_file_tells_what_a_match_shows_and_nothing_of_malice() -> None:
    weights = learnt([sample(TRAIN[0], line, True, "file-name", ("T1059",)) for line in ("evil", "notepad")])
    assert weights.techniques == {ID: Count(1.0, 1.0)}
    assert (weights.malicious, weights.silent) == ({}, Count(0.0, 0.0))


def test_a_record_that_is_text_teaches_as_well() -> None:
    told = sample(TRAIN[0], "evil", True)
    weights = learnt([msgspec.structs.replace(told, data=msgspec.json.encode(told.data).decode())])
    assert weights.malicious == {ID: Count(1.0, 1.0)}


def test_labels_of_sigmas_rules_and_of_other_splits_teach_nothing() -> None:
    echoes = [sample(TRAIN[0], "evil", True, basis) for basis in ("rule-match", "rule-pattern", "rule-filter")]
    weights = learnt([*echoes, sample(OTHER, "evil", True)])
    assert weights == Weights(prevalence=0.5)
    closed = msgspec.structs.replace(SOURCE, may_train=False)
    assert learnt([sample(TRAIN[0], "evil", True)], closed).malicious == {}


def test_a_match_is_right_about_a_technique_where_the_label_names_its_parent() -> None:
    weights = learnt(
        [
            sample(TRAIN[0], "evil", None, techniques=("T1059.003",)),
            sample(TRAIN[1], "evil", None, techniques=("T1003",)),
            sample(TRAIN[2], "evil", True),
        ]
    )
    assert weights.techniques == {ID: Count(1.0, 2.0)}
    assert weights.malicious == {ID: Count(1.0, 1.0)}
    assert weights.labels == ("process-tree",)


def test_events_that_rules_speak_of_and_none_matches_say_what_silence_is_worth() -> None:
    weights = learnt([sample(group, "notepad", n == 0) for n, group in enumerate(TRAIN[:4])])
    assert weights.silent == Count(1.0, 4.0)
    assert weights.p_silent() == pytest.approx(2 / 6)
    assert weights.prevalence == pytest.approx(2 / 6)
