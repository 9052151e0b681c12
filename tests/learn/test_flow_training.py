"""The flow member is trained on what a conn.log gives, and what is served says what was measured."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from connector.attack import catalogue
from connector.errors import ConfigError
from connector.learn.corpora import labelled_flows, nsl_kdd
from connector.learn.corpora.source import Corpora, pinned
from connector.learn.training.flow import measure, train
from connector.learn.training.flow.fit import Recipe, fit, flows_of, raw
from connector.learn.training.members import TrainedMember, read_member
from connector.models.flow.classes import BENIGN
from connector.models.flow.features import NAMES
from connector.models.flow.member import MODEL, FlowMember
from connector.models.flow.view import Outcome
from tests.learn import flow_corpora
from tests.models.flow.flows import event, netflow

RECIPE = Recipe(trees=5)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    folder = tmp_path_factory.mktemp("flows")
    return Corpora(folder, flow_corpora.build(folder))


@pytest.fixture(scope="module")
def member(corpora: Corpora, tmp_path_factory: pytest.TempPathFactory) -> TrainedMember:
    return train.trained(corpora, tmp_path_factory.mktemp("member") / "flow", RECIPE)


def test_the_table_names_every_attack_once_with_a_reason_and_live_techniques() -> None:
    table = labelled_flows.classes()
    named = Counter(attack for row in table.values() for attack in row.attacks)

    assert set(named) == {attack for name, attacks in nsl_kdd.ATTACKS.items() if name != "Normal" for attack in attacks}
    assert set(named.values()) == {1}
    assert all(row.why for row in table.values())
    assert {label for row in table.values() for label in row.techniques} <= set(catalogue().techniques)


def test_flows_hold_what_each_data_set_says_and_nothing_else(corpora: Corpora) -> None:
    (scan, *_) = [
        row for row in labelled_flows.nsl_flows(nsl_kdd.read(corpora, nsl_kdd.TRAIN)) if row.attack == "satan"
    ]
    assert scan.kind == "service-scan"
    assert (scan.flow.port, scan.flow.sent_packets) == (None, None)
    assert scan.flow.outcome == Outcome(established=False, reset=True, closed=False)

    sample = list(labelled_flows.cicids_flows(corpora))
    assert len(sample) == 80
    assert {row.kind for row in sample} == {BENIGN, labelled_flows.ATTACK}
    assert all(row.flow.transport is None and float(row.flow.sent_packets or 0.5).is_integer() for row in sample)

    foreign = list(labelled_flows.unsw_flows(corpora))
    assert len(foreign) == 59
    assert {row.attack for row in foreign} == {"Normal", "DoS", "Reconnaissance"}


def test_a_data_set_for_evaluation_alone_is_no_source_of_the_member(member: TrainedMember) -> None:
    assert {source.name for source in member.report.sources} == {nsl_kdd.NAME, labelled_flows.CICIDS}
    assert all(pinned()[source.name].may_train for source in member.report.sources)
    assert not pinned()[labelled_flows.UNSW].may_train
    assert "UNSW-NB15" in member.report.metrics


def test_the_member_that_was_written_is_served_and_says_what_scikit_learn_says(
    corpora: Corpora, member: TrainedMember
) -> None:
    read = read_member(member.folder)
    assert read.spec.labels == ("T1018", "T1046", "T1110", "T1498", "T1499")
    served = FlowMember(read.spec, member.folder, 1)
    scores, _ = served.score([event(netflow())], {}, {})
    assert 0.0 < scores.p_malicious[0] < 1.0

    flows = train.read(corpora).train
    classes = read.spec.options["classes"]
    session = onnxruntime.InferenceSession(member.folder / MODEL, providers=["CPUExecutionProvider"])
    graph = session.run(None, {"features": flows.features})[0]
    assert np.abs(graph - raw(fit(flows, classes, RECIPE), flows)).max() < 1e-4


def test_no_near_copy_and_no_attack_left_out_is_on_both_sides(corpora: Corpora) -> None:
    flows = flows_of(labelled_flows.nsl_flows(nsl_kdd.read(corpora, nsl_kdd.TRAIN)))
    for rest, held in measure.group_folds(flows, 1):
        assert not set(flows.groups[rest]) & set(flows.groups[held])

    left_out = set()
    for rest, held in measure.attack_folds(flows, 1):
        unknown = set(flows.attacks[held]) - {"normal"}
        assert not unknown & set(flows.attacks[rest])
        assert set(flows.kinds) == set(flows.kinds[rest])
        left_out |= unknown
    assert len(left_out) == len(flow_corpora.KINDS) - 1 - len(labelled_flows.classes())


def test_a_missing_data_set_and_a_table_of_another_kind_are_named(corpora: Corpora, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nsl_kdd: neither"):
        train.read(Corpora(tmp_path, corpora.sources))
    flows = train.read(corpora).test
    with pytest.raises(ConfigError, match="no flow is of the class heat"):
        fit(flows, (BENIGN, "heat"), RECIPE)
    assert flows.features.shape == (len(flows), len(NAMES))
