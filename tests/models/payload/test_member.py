"""The payload member: keyed by what it reads, as bad as its worst piece, silent without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from connector.errors import ConfigError
from connector.events import normalise
from connector.models.payload.member import SHOWN, PayloadMember
from connector.models.payload.testbed import lay_payload_member, payload_spec
from connector.types import Event, RawEvent, Scores, SourceRef


def event(query: str | None, **more: Any) -> Event:
    url = {} if query is None else {"url": {"query": query, "path": "/"}}
    data = {"ecs": {"version": "8.0"}, "event": {"kind": "event"}, **url, **more}
    return normalise(RawEvent(deployment="d", native_id="1", ref=SourceRef(siem="s", index="i", id="1"), data=data))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("payload")
    lay_payload_member(path)
    return path


@pytest.fixture(scope="module")
def member(folder: Path) -> Iterator[PayloadMember]:
    made = PayloadMember(payload_spec(), folder, 1)
    yield made
    made.close()


def score(member: PayloadMember, *events: Event) -> Scores:
    return member.score(list(events), {}, {})[0]


def test_an_event_is_as_bad_as_its_worst_piece_and_the_note_shows_it(member: PayloadMember) -> None:
    good, bad = score(member, event("a=hello&b=world")), score(member, event("a=hello&b=1%2527+or"))

    assert good.p_malicious[0] < 0.1
    assert bad.p_malicious[0] > 0.9
    assert bad.techniques[0][member.labels.index("T1190")] > 0.8
    assert bad.techniques[0][member.labels.index("T1189")] < 0.1
    assert bad.notes == (("payload: sqli in url.query: 1' or",),)
    assert good.notes == ((),)


def test_a_kind_of_attack_shows_the_techniques_that_the_options_give_it(member: PayloadMember) -> None:
    found = score(member, event("a=<b"))

    assert (found.techniques[0] > 0.8).all()


def test_what_no_payload_stands_in_gets_no_view(member: PayloadMember) -> None:
    found = score(member, event(None), event("a='"))

    assert np.isnan(found.p_malicious[0])
    assert np.isnan(found.techniques[0]).all()
    assert found.p_malicious[1] > 0.9


def test_bytes_that_are_no_text_get_no_view_of_a_member_that_never_learnt_any(member: PayloadMember) -> None:
    found = score(member, event(None, request="\x00\x01'\x02\x03<\x04"))

    assert np.isnan(found.p_malicious[0])


def test_the_key_is_of_the_unmasked_pieces_alone(member: PayloadMember) -> None:
    one = member.key(event("a=10.0.0.1", host={"name": "x"}))

    assert one == member.key(event("a=10.0.0.1", host={"name": "y"}))
    assert one != member.key(event("a=10.0.0.2"))
    assert member.key(event(None)) == member.key(event(None, host={"name": "z"}))


def test_scores_do_not_depend_on_what_else_is_in_the_batch(member: PayloadMember) -> None:
    events = [event(f"a={'x' * number}&b={text}") for number, text in enumerate(["'", "<", "ok", "'" * 2000])]
    together = score(member, *events)

    for place, each in enumerate(events):
        alone = score(member, each)
        np.testing.assert_allclose(alone.p_malicious[0], together.p_malicious[place], atol=1e-6)
        np.testing.assert_allclose(alone.techniques[0], together.techniques[place], atol=1e-6)


def test_an_attack_far_behind_the_beginning_is_found(member: PayloadMember) -> None:
    assert score(member, event(f"a={'x' * 3000}'")).p_malicious[0] > 0.9


def test_a_note_is_short_printable_text_whatever_was_sent(member: PayloadMember) -> None:
    note = score(member, event("a=%00%1b[31m'" + "%e2%80%ae" * 300)).notes[0][0]

    assert note.isprintable()
    assert len(note) < SHOWN + 40


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kinds": {}}, "none of its kinds"),
        ({"kinds": {"sqli": ["T1190"]}}, "not its labels"),
        ({"kinds": {"sqli": ["T1190"], "xss": ["T1189"]}, "raw": ["dns"]}, "none of its kinds"),
        ({"kinds": 1}, "kinds"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], told: str, folder: Path) -> None:
    spec = msgspec.structs.replace(payload_spec(), options=options)

    with pytest.raises(ConfigError, match=told):
        PayloadMember(spec, folder, 1)
