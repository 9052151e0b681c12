"""A bundle scores each distinct event once, and what it keeps equals what it would compute."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from prometheus_client import REGISTRY

from connector.models.bundle import Bundle
from connector.models.cache import Cache
from connector.models.manifest import Calibration, Platt
from connector.models.testbed import lay_bundle
from tests.models.events import process_start
from tests.models.members import Columned, Counting, Fixed, Highest, Reciting


@pytest.fixture
def made(tmp_path):
    manifest = lay_bundle(tmp_path)

    def make(*members, cache_entries=1000, **parts):
        return Bundle(msgspec.structs.replace(manifest, **parts), members, cache_entries=cache_entries)

    return make


def starts(*commands):
    return [process_start(command, native_id=str(n)) for n, command in enumerate(commands)]


def test_a_repeated_event_is_scored_once_and_predicts_the_same(made):
    text = Fixed("text", 0.8, word="evil")
    bundle = made(text)
    first, _ = bundle.predict(starts("evil", "good", "evil"), {})
    again, _ = bundle.predict(starts("good", "evil", "new"), {})
    assert len(text.scored) == 3
    assert first[0] == first[2] == again[1]
    assert first[1] == again[0]


def test_without_room_nothing_is_kept_but_copies_in_a_batch_still_count_once(made):
    text = Fixed("text", 0.8)
    bundle = made(text, cache_entries=0)
    for _ in range(2):
        assert len(bundle.predict(starts("a", "a", "b"), {})[0]) == 3
    assert len(text.scored) == 4


def test_a_cached_prediction_equals_a_fresh_one(store):
    commands = ["mimikatz", "whoami", "powershell -c whoami", "mimikatz"]
    warm = store.open()
    warm.predict(starts(*commands), {})
    assert warm.predict(starts(*commands), {})[0] == store.open(cache_entries=0).predict(starts(*commands), {})[0]


def test_an_event_predicts_the_same_alone_and_in_a_batch(store):
    commands = ["mimikatz", "whoami /all", "powershell", "notepad a b c d e f"]
    together, _ = store.open(threads=2).predict(starts(*commands), {})
    alone = [store.open(threads=1, cache_entries=0).predict(starts(c), {})[0][0] for c in commands]
    assert together == alone


def test_what_the_text_member_says_alone_is_not_scaled_as_what_several_say_together(made):
    one = made(Fixed("text", 0.8)).manifest
    beside = msgspec.structs.replace(one.members[0], name="rules", directory="rules")
    calibration = Calibration(train_prevalence=0.5, reference_prevalence=0.5, malicious=Platt(a=3.0, b=1.0))
    several = made(Fixed("text", 0.8), Fixed("rules", 0.2), members=(*one.members, beside), calibration=calibration)
    assert several.text_alone(starts("a"))[0].p_malicious == pytest.approx(0.8, abs=1e-5)
    lone = made(Fixed("text", 0.8), calibration=calibration)
    assert lone.text_alone(starts("a"))[0].p_malicious > 0.98


def test_meta_is_used_and_cached_through_the_members_that_it_needs(made):
    low, high = Fixed("low", 0.1), Fixed("high", 0.7, word="evil")
    meta = Highest("meta", needs=("low", "high"))
    bundle = made(meta, low, high)
    evil, good = bundle.predict(starts("evil", "good"), {})[0]
    assert evil.p_malicious == pytest.approx(0.7, abs=1e-5)
    assert good.p_malicious == pytest.approx(0.1, abs=1e-5)
    assert evil.members == pytest.approx({"meta": 0.7, "low": 0.1, "high": 0.7}, abs=1e-5)
    assert good.members["high"] is None
    bundle.predict(starts("good", "evil"), {})
    assert len(meta.scored) == len(low.scored) == 2


class Asked(Fixed):
    """Counts how often it is asked for a key."""

    asked = 0

    def key(self, event):
        self.asked += 1
        return super().key(event)


def test_a_member_is_asked_for_its_key_once_an_event_of_a_batch_whoever_needs_it(made):
    text, payload = Asked("text", 0.8), Asked("payload", 0.3)
    bundle = made(text, payload, Highest("meta", ["text", "payload"]))
    bundle.predict(starts("a", "b", "a"), {})
    assert (text.asked, payload.asked) == (3, 3)
    bundle.text_alone(starts("a", "b", "a"))
    assert (text.asked, payload.asked) == (6, 3)
    bundle = made(text, payload, Counting("sequence"))
    bundle.predict_without_state(starts("a", "b", "a"))
    assert (text.asked, payload.asked) == (9, 6)


def test_a_member_without_a_key_is_asked_every_time_and_its_neighbours_are_not(made):
    text, fickle = Fixed("text", 0.8), Fixed("fickle", 0.2, cached=False)
    meta = Highest("meta", needs=("text", "fickle"))
    bundle = made(text, fickle, meta)
    for _ in range(3):
        bundle.predict(starts("a", "a"), {})
    assert len(text.scored) == 1
    assert len(fickle.scored) == len(meta.scored) == 6


def test_equal_events_are_told_apart_by_what_a_member_without_a_key_says_of_them(made):
    nan = float("nan")
    script = [(0.2, ""), (0.8, ""), (0.2, ""), (0.2, "seen before"), (nan, ""), (0.8, "seen before"), (0.8, "")]
    events = starts(*"aabaaab")
    together = made(Fixed("text", 0.5), Reciting("sequence", script)).predict(events, {})[0]
    apart = made(Fixed("text", 0.5), Reciting("sequence", script), cache_entries=0)
    assert together == [apart.predict([event], {})[0][0] for event in events]
    assert len({one.p_malicious for one in together}) == 3
    assert [one.explanation for one in together] == [(note,) if note else () for _, note in script]


def test_a_member_without_a_key_may_give_its_techniques_in_any_order_in_memory(made):
    labels = ("T1003", "T1059")
    by_row, by_column = (
        made(Fixed("text", 0.5), member("flow", 0.8, word="a", labels=labels), cache_entries=0)
        for member in (Fixed, Columned)
    )
    events = starts(*"abac")
    assert by_column.predict(events, {})[0] == by_row.predict(events, {})[0]


def test_state_goes_in_and_its_changes_come_out_in_event_order(made):
    bundle = made(Fixed("text", 0.5), Counting("sequence"))
    events = starts("a", "a", "b")
    assert bundle.state_keys(events) == {"sequence": frozenset({"seen"})}
    found, changes = bundle.predict(events, {"sequence": {"seen": (7, b"2")}})
    assert [p.members["sequence"] for p in found] == pytest.approx([0.3, 0.4, 0.5], abs=1e-5)
    assert changes["sequence"].rows == {"seen": (7, b"5")}
    assert set(changes) == {"sequence"}


def test_kinds_that_the_bundle_was_not_trained_on_are_scored_and_counted(made):
    def count():
        return REGISTRY.get_sample_value("triaged_untrained_events_total", {"kind": "sysmon-1"}) or 0.0

    bundle = made(Fixed("text", 0.8), canonical_versions={"sysmon-3": "0" * 64})
    before = count()
    found, _ = bundle.predict(starts("a", "b", "a"), {})
    assert count() - before == 3
    assert all(p.abstain is None for p in found)


def test_threads_that_predict_at_once_agree(store):
    bundle = store.open(threads=2)
    commands = [f"tool{n} {'mimikatz' if n % 3 else 'whoami'}" for n in range(40)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: bundle.predict(starts(*commands), {})[0], range(8)))
    assert all(answer == answers[0] for answer in answers)
    bundle.close()


def test_a_bundle_tells_what_training_saw(tmp_path):
    from connector.models import Store

    seen, new = starts("seen", "new")
    lay_bundle(tmp_path, trained_on=[seen.fingerprint])
    bundle = Store(tmp_path).open("tiny/1")
    assert bundle.saw_in_training(seen.fingerprint)
    assert not bundle.saw_in_training(new.fingerprint)


def test_the_cache_is_bounded_and_keeps_what_is_asked_for():
    cache: Cache[int, str] = Cache(100)
    for n in range(10_000):
        cache.put(n, "x")
        assert cache.get(0 if n < 40 else n) == "x"
        cache.get(1)
        assert len(cache) <= 100
    assert cache.get(1) == "x"
    assert cache.get(5) is None
