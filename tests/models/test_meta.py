"""The meta-classifier: what it makes of the members' votes, of missing ones, and of members that it was not trained with."""

from __future__ import annotations

import math

import numpy as np
import pytest

from connector.errors import ConfigError
from connector.models import Store, commons
from connector.models.bundle import Bundle
from connector.models.meta import MODEL, MetaMember, features, of_member, width
from connector.models.meta_testbed import STEP, lay_meta_member, meta_spec
from connector.models.testbed import lay_bundle
from connector.testing import examples
from tests.models.events import process_start
from tests.models.members import Fixed, scores

COLUMNS = {"text": ("T1033", "T1059"), "rules": ("T1059",)}
NAN = float("nan")


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def meta(folder, *, columns=COLUMNS, **options):
    lay_meta_member(folder, list(columns))
    return MetaMember(meta_spec(columns, trained=list(columns), **options), folder, 1)


def asked(member, text, rules, **others):
    """What the member makes of so many events' votes."""
    events = [process_start("whoami", native_id=str(place)) for place in range(len(text))]
    votes = {"text": text, "rules": rules, **others}
    views = {
        name: scores([[p] * len(COLUMNS.get(name, ("T1059",))) for p in votes[name]], votes[name]) for name in votes
    }
    return member.score(events, views, {})[0]


def test_each_members_vote_counts_and_a_missing_one_counts_for_nothing(tmp_path):
    found = asked(meta(tmp_path), [0.9, 0.9, 0.1, 0.9, NAN], [0.9, 0.1, 0.1, NAN, NAN]).p_malicious
    assert found[:4] == pytest.approx([sigmoid(2 * STEP), 0.5, sigmoid(-2 * STEP), sigmoid(STEP)], abs=1e-6)
    assert math.isnan(found[4]), "where no member has a view, it has none"


def test_permuting_a_members_votes_over_the_events_permutes_what_they_change(tmp_path):
    member = meta(tmp_path)
    straight = asked(member, [0.9, 0.9, 0.1], [0.9, 0.1, 0.1]).p_malicious
    turned = asked(member, [0.9, 0.9, 0.1], [0.1, 0.9, 0.1]).p_malicious
    assert straight[0] == turned[1] > straight[1] == turned[0]
    assert straight[2] == turned[2]


def test_a_member_that_it_was_not_trained_with_is_not_read(tmp_path):
    lay_meta_member(tmp_path, ("text",))
    member = MetaMember(meta_spec(COLUMNS, trained=["text"]), tmp_path, 1)
    assert asked(member, [0.9], [0.2]).p_malicious == asked(member, [0.9], [0.8]).p_malicious


def test_techniques_are_left_to_the_members(tmp_path):
    assert np.isnan(asked(meta(tmp_path), [0.9], [0.9]).techniques).all()


def test_a_likely_attack_is_told_with_what_each_member_added(tmp_path):
    found = asked(meta(tmp_path), [0.9, 0.1], [0.9, 0.1])
    assert found.notes == ((f"meta: text +{STEP:.1f}, rules +{STEP:.1f}; log-odds",), ())


def test_what_many_recordings_share_is_told_from_what_none_has(tmp_path):
    common, rare = process_start("whoami"), process_start("mimikatz")
    commons.write(tmp_path / commons.FILE, {common.fingerprint: 7, rare.fingerprint: 1})
    known = commons.read(tmp_path / commons.FILE)
    found = features(("text",), [common, rare], {"text": scores([[0.5]] * 2, [0.5] * 2)}, known, {"text": ("T1059",)})
    assert found.shape == (2, width(("text",)))
    assert found[:, 3].tolist() == [3.0, 0.0]
    assert found[0, 4:].sum() == 1.0, "a process start is of one family"


def test_entropy_is_lowest_where_one_technique_stands_out():
    said = np.array([[0.9, 0.0], [0.5, 0.5], [NAN, NAN]], np.float32)
    found = of_member(np.array([0.5, 0.5, NAN], np.float32), said, ("T1033", "T1059"))
    assert found[0, 1] == pytest.approx(0.0)
    assert found[1, 1] == pytest.approx(math.log(2))
    assert np.isnan(found[2]).all()


def test_a_member_that_names_parts_of_techniques_is_read_as_one_that_names_their_parents_alone():
    votes = np.array([0.7, 0.2], np.float32)
    parents = np.array([[0.6, 0.1], [0.2, 0.3]], np.float32)
    parts = np.array([[0.6, 0.1, 0.95], [0.2, 0.3, NAN]], np.float32)
    alone = of_member(votes, parents, ("T1033", "T1059"))
    assert of_member(votes, parts, ("T1033", "T1059", "T1059.001")).tolist() == alone.tolist()
    assert np.isnan(of_member(votes, parts[:, 2:], ("T1059.001",))[:, 1:]).all()


@pytest.mark.parametrize("content", [b"", b"not a graph"])
def test_a_graph_that_does_not_run_is_refused_when_it_is_loaded(tmp_path, content):
    lay_meta_member(tmp_path, tuple(COLUMNS))
    (tmp_path / MODEL).write_bytes(content)
    with pytest.raises(ConfigError, match=r"model\.onnx"):
        MetaMember(meta_spec(COLUMNS), tmp_path, 1)


def test_a_graph_of_other_features_is_refused(tmp_path):
    lay_meta_member(tmp_path, ("text",))
    with pytest.raises(ConfigError, match="features"):
        MetaMember(meta_spec(COLUMNS), tmp_path, 1)


@pytest.mark.parametrize("content", [b"1", b"\x02" * 9 + b"\x01" * 9])
def test_a_table_of_common_fingerprints_that_is_cut_or_unsorted_is_refused(tmp_path, content):
    lay_meta_member(tmp_path, tuple(COLUMNS))
    (tmp_path / commons.FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=r"commons\.bin"):
        MetaMember(meta_spec(COLUMNS), tmp_path, 1)


def test_a_bundle_keeps_every_members_vote_and_meta_has_the_last_word(tmp_path):
    manifest = lay_bundle(tmp_path)
    member = meta(tmp_path / "meta", columns={"text": ("T1059",), "rules": ("T1059",)})
    text, rules = Fixed("text", 0.9), Fixed("rules", 0.9, word="evil")
    both, alone = Bundle(manifest, [text, rules, member]).predict(
        [process_start("evil"), process_start("good", native_id="2")], {}
    )[0]
    assert both.members == pytest.approx({"text": 0.9, "rules": 0.9, "meta": sigmoid(2 * STEP)}, abs=1e-5)
    assert alone.members["rules"] is None
    assert alone.p_malicious == pytest.approx(sigmoid(STEP), abs=1e-5)


def test_a_bundle_with_a_corrupt_member_is_refused_whole(tmp_path):
    folder = tmp_path / "tiny" / "1"
    lay_meta_member(folder / "meta", ("text",))
    text = lay_bundle(tmp_path).members[0]
    lay_bundle(tmp_path, members=(meta_spec({"text": text.labels}),))
    store = Store(tmp_path)
    store.open("tiny/1").close()
    graph = folder / "meta" / MODEL
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="differs from the SHA-256"):
        store.open("tiny/1")
    graph.unlink()
    with pytest.raises(ConfigError, match="missing"):
        store.open("tiny/1")


def test_all_that_it_says_depends_on_the_key_and_what_it_needs(tmp_path):
    events = examples.events(6)
    member = meta(tmp_path)
    assert [member.key(event) for event in events] == [event.fingerprint for event in events]
    assert member.state_keys(events) == frozenset()
