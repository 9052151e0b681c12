"""The sequence member: one window a host, the same scores however events are batched or replayed, and no identities."""

from __future__ import annotations

import random
import string
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import ConfigError
from connector.models.sequence.arrays import arrays
from connector.models.sequence.member import DAMAGED, MODEL, SequenceMember
from connector.models.sequence.testbed import LABELS, lay_sequence_member, sequence_spec
from connector.models.sequence.tokens import Tokens, seen, window_key
from connector.models.sequence.vocabulary import FILE, NONE, OTHER, Places, Vocabulary
from connector.models.sequence.window import LENGTH, MOST_BYTES, Window
from connector.types import Event
from tests.models.sequence.streams import event, said, scored

WORDS = Vocabulary(kinds=("sysmon-1",), images=("cmd.exe",), text=LABELS, techniques=LABELS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sequence")
    lay_sequence_member(place)
    return place


@pytest.fixture(scope="module")
def member(folder: Path) -> SequenceMember:
    return SequenceMember(sequence_spec(), folder, 1)


def test_what_a_host_did_before_raises_what_it_does_next(member: SequenceMember) -> None:
    bad, after, other = event(1), event(2), event(3, host="pc2")

    found, _ = scored(member, [[bad], [after, other]], {bad.id: 0.99})

    assert found[after.id] > 0.95
    assert found[other.id] < 0.1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.booleans()), min_size=1, max_size=60), st.data()
)
def test_a_score_does_not_depend_on_how_a_stream_is_cut(
    member: SequenceMember, rows: list[tuple[str, int, bool]], data: st.DataObject
) -> None:
    events = [event(number, host=host, seconds=seconds) for number, (host, seconds, _) in enumerate(rows)]
    p_of = {one.id: 0.9 if bad else 0.02 for one, (_, _, bad) in zip(events, rows, strict=True)}
    cuts = sorted(data.draw(st.sets(st.integers(0, len(events)))) | {0, len(events)})

    whole, state = scored(member, [events], p_of)
    cut, cut_state = scored(member, [events[a:b] for a, b in pairwise(cuts)], p_of)

    assert cut == pytest.approx(whole, abs=1e-6)
    assert {key: value for key, (_, value) in cut_state.items()} == {key: value for key, (_, value) in state.items()}


def test_events_are_scored_by_their_own_windows_whatever_rows_were_asked_for_before(member: SequenceMember) -> None:
    batch, strangers = [event(1), event(2)], [event(3, host="pc2"), event(4, host="pc3")]
    member.state_keys(strangers)

    _, change = member.score(batch, said([0.9, 0.02]), {})

    assert change.rows.keys() == member.state_keys(batch)


def test_a_batch_that_is_replayed_on_the_same_rows_gives_the_same_scores_and_rows(member: SequenceMember) -> None:
    _, before = scored(member, [[event(number) for number in range(50)]], {})
    batch = [event(number) for number in range(50, 80)]

    first, second = (scored(member, [batch], {batch[3].id: 0.9}, before) for _ in range(2))

    assert first == second


def test_an_event_that_the_window_holds_scores_the_same_when_it_is_delivered_again(member: SequenceMember) -> None:
    events = [event(number) for number in range(10)]
    found, state = scored(member, [events], {})

    again, after = scored(member, [[events[7]]], {}, state)

    assert again[events[7].id] == pytest.approx(found[events[7].id])
    assert after == state


def test_rows_stay_bounded_however_much_a_host_does(member: SequenceMember) -> None:
    events = [event(number, host="x" * 200) for number in range(10 * LENGTH)]

    _, state = scored(member, [events], {})

    assert [len(value) for _, value in state.values()] == [MOST_BYTES]


def test_a_late_event_reads_what_stood_before_it_and_no_more(member: SequenceMember) -> None:
    early, bad = event(1), event(30)

    in_order, _ = scored(member, [[early, bad]], {bad.id: 0.99})
    late, _ = scored(member, [[bad], [early]], {bad.id: 0.99})

    assert late[early.id] == pytest.approx(in_order[early.id])


def test_an_event_without_a_host_has_no_view(member: SequenceMember) -> None:
    batch = [event(1, host=None), event(2)]

    scores, change = member.score(batch, said([0.9, 0.9]), {})

    assert np.isnan(scores.p_malicious).tolist() == [True, False]
    assert np.isnan(scores.techniques[0]).all()
    assert len(change.rows) == 1


def test_a_damaged_row_begins_anew_and_says_so(member: SequenceMember) -> None:
    batch = [event(1), event(2)]
    [key] = member.state_keys(batch)

    scores, change = member.score(batch, said([0.01, 0.01]), {key: (4, b"damaged")})

    assert scores.notes == ((f"sequence: {DAMAGED}",), ())
    assert change.rows[key][0] == 4
    assert scores.p_malicious.tolist() == member.score(batch, said([0.01, 0.01]), {})[0].p_malicious.tolist()


def test_what_the_text_member_has_no_view_of_still_stands_in_the_window(member: SequenceMember) -> None:
    scores, change = member.score([event(1)], said([float("nan")]), {})

    assert not np.isnan(scores.p_malicious[0])
    assert len(change.rows) == 1


def test_an_explanation_never_counts_from_a_time_to_come(member: SequenceMember) -> None:
    bad, after = event(1, seconds=10**9), event(2)

    scores, _ = member.score([bad, after], said([0.99, 0.01]), {})

    assert "0 s before" in scores.notes[1][0]
    assert "-" not in scores.notes[1][0].split("of")[-1]


def test_a_high_score_names_the_worst_of_what_stood_before(member: SequenceMember) -> None:
    bad, after = event(1, executable="C:\\Windows\\System32\\cmd.exe"), event(6)

    scores, _ = member.score([bad, after], said([0.99, 0.01]), {})

    assert scores.notes[1] == ("sequence: 1 before it, the worst sysmon-1 of cmd.exe 5 s before",)


def test_hosts_are_told_apart_by_what_their_collector_attests_and_by_deployment() -> None:
    one = event(1)
    other = msgspec.structs.replace(one, ref=msgspec.structs.replace(one.ref, siem="else"))
    attested = msgspec.structs.replace(one, ecs={**one.ecs, "agent": {"id": "a1"}})
    full = event(1, host="PC1.lab.example")
    addresses = [window_key(event(1, host=f"10.0.0.{n}")) for n in (1, 2)]

    assert len({window_key(one), window_key(other), window_key(attested), *addresses}) == 5
    assert window_key(full) == window_key(one)
    assert all("pc1" not in str(window_key(each)) for each in (one, attested))


def renamed(found: Event, names: random.Random) -> Event:
    """The same event with another host, user, address, id, process numbers and time of day; what is equal stays equal."""

    def other(value: object) -> str:
        names.seed(str(value))
        return "".join(names.choices(string.ascii_letters, k=12))

    process = found.ecs["process"]
    parent = {"parent": {**process["parent"], "entity_id": other(process["parent"]["entity_id"])}}
    return msgspec.structs.replace(
        found,
        id=other(found.id),
        ecs={
            **found.ecs,
            "@timestamp": str(found.ecs["@timestamp"]).replace("2026-01-05", "2031-07-19"),
            "host": {"name": other(found.ecs["host"]["name"]), "ip": ["10.9.8.7"]},
            "user": {"name": other("user")},
            "source": {"ip": "192.0.2.7"},
            "process": {**process, **parent, "entity_id": other(process["entity_id"])},
        },
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.floats(0.001, 0.999)), min_size=1, max_size=40))
def test_no_feature_holds_a_host_a_user_an_id_or_a_time_of_day(rows: list[tuple[int, int, float]]) -> None:
    events = [
        event(number, entity_id=f"p{own}", parent={"entity_id": f"p{above}"})
        for number, (own, above, _) in enumerate(rows)
    ]
    strangers = [renamed(one, random.Random()) for one in events]
    tokens = Tokens(WORDS)
    view = said([p for _, _, p in rows])["text"]

    features = []
    for stream in (events, strangers):
        window = Window()
        known = list(map(seen, stream))
        made = tokens.of(stream, known, tokens.told(view.techniques, view.p_malicious))
        contexts = [window.enter(token, timed=one.at is not None) for one, token in zip(known, made, strict=True)]
        features.append(arrays([(*before, own) for before, own in contexts]).inputs())

    for name, values in features[0].items():
        assert np.array_equal(values, features[1][name]), name


def test_a_program_that_nobody_ordinary_bears_is_only_the_folder_that_it_lies_in() -> None:
    places = Places(WORDS)

    def image(path: str) -> int:
        return places.of("sysmon-1", (("process.executable", path),))[1]

    assert image("c:\\temp\\cmd.exe") == image("c:\\windows\\system32\\cmd.exe") > OTHER
    assert image("c:\\users\\ann\\ann.exe") == image("c:\\users\\bob\\tool.exe") > OTHER
    assert image("d:\\x.exe") == OTHER
    assert places.of("unheard", ())[0] == OTHER
    assert places.of("sysmon-1", ())[1] == NONE


def test_a_text_member_of_other_labels_is_refused(member: SequenceMember) -> None:
    view = said([0.5])["text"]
    narrow = msgspec.structs.replace(view, techniques=view.techniques[:, 1:])

    with pytest.raises(ConfigError, match="a bundle takes both from one training"):
        member.score([event(1)], {"text": narrow}, {})


@pytest.mark.parametrize("broken", [FILE, MODEL])
def test_a_folder_with_a_broken_file_is_refused_when_it_is_loaded(tmp_path: Path, broken: str) -> None:
    lay_sequence_member(tmp_path)
    (tmp_path / broken).write_bytes(b"{}")

    with pytest.raises(ConfigError, match=broken):
        SequenceMember(sequence_spec(), tmp_path, 1)


def test_a_graph_for_other_labels_is_refused_when_it_is_loaded(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"wanted \(2, 1\)"):
        SequenceMember(sequence_spec(labels=LABELS[:1]), folder, 1)
