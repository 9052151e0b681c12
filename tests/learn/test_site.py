"""A site layer: what it learns, what it never takes for ordinary, what it refuses."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from connector.errors import ConfigError
from connector.learn.logistic import fitted
from connector.learn.site import Demands, guarded, learn, score
from connector.learn.site_baseline import Baseline, gathered, novelty
from connector.learn.site_levels import cut_at, rate_at
from connector.learn.site_study import studied
from connector.models import Store
from connector.models.calibration import logit, sigmoid
from connector.models.manifest import Calibration, Platt
from connector.models.site import HEAD, SEEN, Recurrence, bundle_digest, lowered
from connector.models.site_store import SiteStore
from connector.models.testbed import TEXT_THRESHOLDS
from tests.learn.sites import ADMIN, ATTACK, bundle_with_reference, event, week
from tests.models.tiny import tiny_store
from tests.models.whole import whole_store

NOW = datetime(2026, 3, 9, tzinfo=UTC)
FEW = Demands(events=100, days=2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    bundle = bundle_with_reference(tmp_path_factory.mktemp("site") / "store")
    yield bundle
    bundle.close()


@pytest.fixture
def store(tmp_path):
    return SiteStore(tmp_path / "site")


def learnt(bundle, store, events, **options):
    found = gathered([events], fires=options.pop("fires", None), key="k")
    return learn(found, bundle, store, now=NOW, demands=options.pop("demands", FEW), **options)


def opened(bundle, store):
    return bundle.on_site(store.open(bundle.ref, bundle_digest(bundle.manifest)))


def p(bundle, *events):
    return [prediction.p_malicious for prediction in bundle.predict(list(events), {})[0]]


def left_out(events, bundle, **options):
    found = gathered([events], key="k", **options)
    scored = score(found, bundle)
    left = guarded(scored)
    place = scored.fingerprints.index(event(ATTACK).fingerprint)
    return {name for name in ("rules", "tail", "lone") if getattr(left, name)[place]}


def test_the_same_stream_gives_the_same_bytes_whatever_the_order_of_threads(bundle, tmp_path):
    first, second = SiteStore(tmp_path / "a"), SiteStore(tmp_path / "b")
    assert learnt(bundle, first, week()).files == learnt(bundle, second, week()).files


def test_what_recurs_on_hosts_and_days_becomes_less_suspicious_and_the_attack_does_not(bundle, store):
    manifest = learnt(bundle, store, week())
    assert manifest.stands
    store.promote(manifest.version)
    here = opened(bundle, store)
    assert p(here, event(ADMIN))[0] < p(bundle, event(ADMIN))[0]
    assert p(here, event(ATTACK))[0] >= 0.6
    assert "site layer 000001" in " ".join(here.predict([event(ATTACK)], {})[0][0].explanation)


def test_an_attack_planted_on_one_host_is_left_out_and_found_on_another_later(bundle, store):
    planted = [event(ATTACK, host="ws2", day=2)] * 30
    assert "lone" in left_out(week() + planted, bundle)
    store.promote(learnt(bundle, store, week() + planted).version)
    assert p(opened(bundle, store), event(ATTACK, host="ws3", day=5))[0] >= bundle.thresholds.malicious


def test_an_attack_on_every_host_and_day_is_left_out_where_a_rule_fires_on_it(bundle):
    everywhere = [event(ATTACK, host=host, day=day) for host in ("ws1", "ws2") for day in (1, 2)]
    assert "lone" not in left_out(week() + everywhere, bundle)
    assert "rules" in left_out(
        week() + everywhere, bundle, fires=lambda rows: [ATTACK in str(e.canonical) for e in rows]
    )


def test_one_host_on_one_day_teaches_nothing_that_recurs():
    assert lowered(Recurrence(1000, 1, 1), Recurrence(1000, 1, 1)) == 0.0
    assert 0.0 < lowered(Recurrence(2, 2, 1), Recurrence()) < lowered(Recurrence(9, 9, 9), Recurrence(9, 9, 9)) <= 4.0


def test_a_layer_of_another_bundle_is_refused_and_says_to_learn_again(bundle, store, tmp_path):
    store.promote(learnt(bundle, store, week()).version)
    with pytest.raises(ConfigError, match=r"another one: learn it again with `triaged baseline learn`"):
        store.open("tiny/2", "0" * 64)


@pytest.mark.parametrize("name", [HEAD, SEEN, "manifest.json"])
def test_a_damaged_file_is_refused(bundle, store, name):
    version = learnt(bundle, store, week()).version
    path = store.directory(version) / name
    path.write_bytes(path.read_bytes()[:-3] + b"\x00\x7f\x01")
    with pytest.raises(ConfigError):
        store.promote(version)


def test_every_file_is_on_the_disk_before_it_has_its_name(bundle, store, monkeypatch):
    synced, sync = [], os.fsync

    def fsync(number):
        synced.append(Path(f"/proc/self/fd/{number}").readlink().name)
        sync(number)

    monkeypatch.setattr(os, "fsync", fsync)
    store.promote(learnt(bundle, store, week()).version)
    baseline = Baseline()
    baseline.take([event("backup")])
    baseline.save(store.path)
    assert synced[-4:] == ["production.json.new", "site", "gathered.json.new", "site"]
    assert {HEAD, SEEN, "manifest.json"} == set(synced[:3])
    assert synced[3:-4] == [f".000001.{os.getpid()}", "site"]


def test_a_layer_that_was_not_written_whole_is_none(store):
    adding = store.adding("000001")
    (adding.__enter__() / "manifest.json").write_text("{}")
    assert store.list() == []
    assert not adding.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert list(store.path.iterdir()) == []


def test_promoting_and_rolling_back_name_one_layer_at_a_time(bundle, store):
    first, second = (learnt(bundle, store, week()).version for _ in range(2))
    assert store.open(bundle.ref, bundle_digest(bundle.manifest)).shadow
    store.promote(first)
    store.promote(second)
    assert opened(bundle, store).site.version == second
    assert store.roll_back() == first
    assert store.roll_back() is None
    store.promote(second)
    store.keep(1)
    assert store.list() == [second]


def test_a_layer_in_shadow_says_what_it_would_change_and_changes_nothing(bundle, store):
    learnt(bundle, store, week())
    here = opened(bundle, store)
    suspicious = event("mimikatz")
    (shadowed,), (plain,) = here.predict([suspicious], {})[0], bundle.predict([suspicious], {})[0]
    assert shadowed.p_malicious == plain.p_malicious
    assert "(shadow: not applied)" in " ".join(shadowed.explanation)


def test_a_baseline_that_is_short_or_still_changes_does_not_stand(bundle, store):
    manifest = learnt(bundle, store, week(days=1, commands=60), demands=Demands(events=1000, days=7))
    assert not manifest.stands
    assert [reason.partition(",")[0] for reason in manifest.reasons] == [
        "124 events passed",
        "they are of 1 days",
        "50% of the last events were of a kind not seen before; it must be 20% or less",
    ]


def test_where_rules_fire_on_all_that_passed_the_levels_stay_and_nothing_stands(bundle, store):
    manifest = learnt(bundle, store, week(), fires=lambda events: [True] * len(events))
    assert manifest.reasons == ("the guards leave nothing that is ordinary",)
    assert [level.here for level in manifest.levels.values()] == [level.bundle for level in manifest.levels.values()]
    assert store.open(bundle.ref, bundle_digest(bundle.manifest)).shadow


def test_without_an_attack_reference_there_is_no_head_and_recurrence_still_counts(store, tmp_path):
    bundle = Store(tiny_store(tmp_path / "store")).open(threads=1)
    manifest = learnt(bundle, store, week())
    assert not manifest.head
    store.promote(manifest.version)
    assert p(opened(bundle, store), event(ADMIN))[0] < p(bundle, event(ADMIN))[0]
    bundle.close()


def test_of_several_members_a_layer_moves_the_text_members_vote_alone_and_by_levels_of_its_own(store, tmp_path):
    scaled = Calibration(train_prevalence=0.5, reference_prevalence=0.5, malicious=Platt(a=3.0, b=1.0))
    several = bundle_with_reference(tmp_path / "store", partial(whole_store, calibration=scaled))
    manifest = learnt(several, store, week())
    own = np.array(list(TEXT_THRESHOLDS.levels().values()))
    assert [level.bundle for level in manifest.levels.values()] == pytest.approx(logit(own).tolist())
    store.promote(manifest.version)
    (before,), (after,) = (one.predict([event(ADMIN)], {})[0] for one in (several, opened(several, store)))
    assert after.members["text"] < before.members["text"]
    assert after.members["rules"] == before.members["rules"]
    (here,) = opened(several, store).text_alone([event(ADMIN)])
    assert here.p_malicious == pytest.approx(after.members["text"]), "what is published is as it is here, unscaled"
    several.close()


def test_the_study_asks_all_members_as_the_bundle_does(tmp_path):
    place = whole_store(tmp_path)
    held, plain = studied(place), Store(place).open(threads=1)
    for events in ([event(ATTACK), event(ADMIN)], [event(ADMIN), event(ATTACK, host="ws2")]):
        assert held.predict(events, {}) == plain.predict(events, {})
    held.close()
    plain.close()


def test_what_is_kept_is_bounded_and_what_came_often_stays():
    baseline = Baseline(capacity=50, key="k")
    often = [event("backup daily")] * 5
    baseline.take(often)
    for number in range(40):
        baseline.take([event(f"once {chr(97 + number % 26)}{chr(97 + number // 26)}{x}") for x in "abcdef"])
    found = baseline.frozen()
    assert len(found.kept) <= 56
    assert often[0].fingerprint in found.kept
    assert found.forgotten + len(found.kept) == 241
    assert found.events == 245


def test_no_host_is_kept_by_name_and_what_was_gathered_comes_back(tmp_path):
    baseline = Baseline(key="k")
    baseline.take([event("backup", host="finance-01"), event("backup", host="FINANCE-01"), event("backup", host="ws9")])
    baseline.save(tmp_path)
    (file,) = tmp_path.iterdir()
    assert b"finance" not in file.read_bytes().lower()
    assert file.stat().st_mode & 0o077 == 0
    again = Baseline.opened(tmp_path).frozen()
    assert len(again.hosts) == 2
    assert msgspec.json.encode(again, order="deterministic") == file.read_bytes()
    file.write_bytes(b"{")
    with pytest.raises(ConfigError, match="delete it to begin anew"):
        Baseline.opened(tmp_path)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday"])
def test_an_event_of_no_day_that_there_is_counts_without_one(time):
    odd = msgspec.structs.replace(event("backup"), ecs={"@timestamp": time})
    found = gathered([[odd, event("backup")]], key="k")
    assert (found.events, len(found.days)) == (2, 1)


def test_novelty_is_of_the_last_events_alone():
    assert novelty(gathered([[event("a")] * 10_000, [event("b")] * 10_000], key="k")) == pytest.approx(1e-4)


def test_the_head_is_the_minimum_that_newton_promises():
    draw = np.random.default_rng(1)
    rows = draw.normal(size=(300, 4))
    truth = (rows[:, 0] - rows[:, 1] + draw.normal(size=300) > 0).astype(float)
    weights = fitted(rows, truth, np.ones(300), 2.0)
    slope = rows.T @ (sigmoid(rows @ weights[:-1] + weights[-1]) - truth) + 2.0 * weights[:-1]
    assert np.abs(slope).max() < 1e-3


def test_a_cut_costs_what_was_asked_and_thins_out_beyond_what_was_seen():
    draw = np.random.default_rng(1)
    logits, counts = draw.exponential(size=20_000), np.ones(20_000)
    assert rate_at(logits, counts, cut_at(logits, counts, 100.0, 20_000), 20_000) == pytest.approx(100.0, abs=1)
    assert cut_at(logits, counts, 0.1, 20_000) > logits.max() - 1.0
    assert cut_at(logits, counts, 0.01, 20_000) > cut_at(logits, counts, 0.1, 20_000)
