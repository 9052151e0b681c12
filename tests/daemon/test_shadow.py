"""A challenger in shadow changes no verdict and holds none up; what it says otherwise is counted, and nothing is counted twice."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest
from typer.testing import CliRunner

from connector import events as door, wiring
from connector.cli import app as triaged
from connector.daemon import drain
from connector.errors import TransientError
from connector.learn.shadow import SAMPLES, Shadow
from connector.ledger.shadow import Compared
from connector.models import Bundle, Store
from connector.models.testbed import WEIGHTS, lay_bundle
from connector.types import RawEvent, SourceRef
from tests.daemon.site import Site, process_start
from tests.models.members import Fixed

OTHER = {**WEIGHTS, "whoami": {"T1033": 8.0, "malicious": 9.0}}
"""Finds `whoami` malicious, which the champion finds ordinary."""
AGREED, DIFFER = (
    Compared(said="benign", instead="benign"),
    Compared(said="benign", instead="malicious", same_techniques=False),
)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    lay_bundle(tmp_path / "store", version="2", weights=OTHER)
    site.config.write_text(site.config.read_text().replace("[model]\n", '[model]\nshadow = "tiny/2"\n'))
    return site


@pytest.fixture
def app(site):
    app = wiring.App(wiring.load_settings(site.config))
    yield app
    app.close()


def fill(site, name, *images):
    lines = [json.dumps({**process_start(image), "n": number}) for number, image in enumerate(images)]
    (site.dir / "in" / name).write_text("".join(f"{line}\n" for line in lines))


def counted(app):
    return {one.compared: one.events for one in app.ledger.shadow_counts()}


def test_disagreements_are_counted_and_kept_and_the_verdicts_are_the_champions(site, app, monkeypatch):
    monkeypatch.setattr("connector.learn.shadow.BATCH", 8)
    fill(site, "a.jsonl", *["calc.exe"] * 30, *["whoami.exe"] * 25)
    assert drain(app) == []
    assert {document["triaged"]["verdict"] for document in site.verdicts()} == {"benign"}
    assert site.model_versions() == {"1"}
    assert counted(app) == {AGREED: 30, DIFFER: 25}
    samples = app.ledger.shadow_samples(100)
    assert len(samples) == SAMPLES  # of one sort and one run, whatever its batches
    assert {one.compared for one in samples} == {DIFFER}
    assert samples[0].instead_passed == ("T1033",)
    assert {one.event_id for one in samples} <= site.verdict_ids().keys()
    shown = CliRunner().invoke(triaged, ["shadow", "--samples", "1", "--config", str(site.config)]).stdout.splitlines()
    assert shown[0].split("\t") == ["tiny/1", "tiny/2", "benign", "malicious", "other", "25", "45.4545%"]
    assert shown[2].split("\t")[0] == samples[0].event_id


def test_what_is_read_again_is_not_compared_again_and_days_add_up(site, app):
    fill(site, "a.jsonl", "calc.exe", "whoami.exe")
    drain(app)
    drain(app)
    fill(site, "b.jsonl", "cmd.exe")
    drain(app)
    assert counted(app) == {AGREED: 2, DIFFER: 1}


def test_a_challenger_that_cannot_be_used_is_reported_and_stops_nothing(site):
    (site.dir / "store" / "tiny" / "2" / "README.md").write_text("changed")
    app = wiring.App(wiring.load_settings(site.config))
    try:
        fill(site, "a.jsonl", "whoami.exe")
        assert drain(app) == []
        assert (app.shadow, app.ledger.shadow_counts()) == (None, [])
    finally:
        app.close()
    assert len(site.verdicts()) == 1


def test_a_challenger_that_was_promoted_has_nobody_to_compare_with(site, app):
    Store(site.dir / "store").promote("tiny/2")
    assert app.swap_bundle()
    fill(site, "a.jsonl", "whoami.exe")
    drain(app)
    assert counted(app) == {}


@pytest.fixture
def alone(site, app):
    """A shadow with room for four, and events that the champion judged."""
    bundle = app.bundle
    challenger = Store(site.dir / "store").open("tiny/2", 1)

    def judged(count, image="whoami.exe"):
        ref = SourceRef(siem="lab", index="", id="")
        found = [
            door.normalise(RawEvent(deployment="lab", native_id=f"{image}{n}", ref=ref, data=process_start(image)))
            for n in range(count)
        ]
        return found, bundle.predict(found, {})[0], bundle

    return Shadow(challenger, app.ledger, app.clock, waiting=4), judged


def test_what_a_slow_challenger_has_no_room_for_is_counted_and_never_waited_for(app, alone):
    shadow, judged = alone
    shadow.take(*judged(7))
    assert shadow.run() == 4
    assert counted(app) == {DIFFER: 4, Compared(said="benign", instead=None): 3}
    shadow.close()


def test_what_waits_has_a_bound_in_bytes_that_is_free_again_once_it_is_scored(site, app, alone):
    _, judged = alone
    room = len(msgspec.json.encode(judged(1)[0][0].ecs)) * 2
    shadow = Shadow(Store(site.dir / "store").open("tiny/2", 1), app.ledger, app.clock, size=room)
    for _ in range(2):
        shadow.take(*judged(3))
        assert shadow.run() == 2
    assert counted(app) == {DIFFER: 4, Compared(said="benign", instead=None): 2}


class Feeding(Fixed):
    """While it scores, as much comes as it has scored."""

    def score(self, events, views, state):
        self.come()
        return super().score(events, views, state)


def test_a_run_ends_with_what_waited_at_its_start_and_records_each_batch(site, app, alone, monkeypatch):
    _, judged = alone
    monkeypatch.setattr("connector.learn.shadow.BATCH", 2)
    stop = []
    challenger = made_of(site, Feeding)
    shadow = Shadow(challenger, app.ledger, app.clock, stopping=lambda: bool(stop))
    recorded = []

    def come():
        recorded.append(sum(counted(app).values()))
        shadow.take(*judged(2, f"made{len(recorded)}.exe"))

    challenger.members["text"].come = come
    shadow.take(*judged(2, "one.exe"))
    shadow.take(*judged(2, "two.exe"))
    assert (shadow.run(), recorded) == (4, [0, 2])
    stop.append(True)
    assert shadow.run() == 0


def test_what_still_waits_when_the_daemon_ends_is_counted_as_not_compared(app, alone):
    shadow, judged = alone
    shadow.take(*judged(3))
    shadow.close()
    assert counted(app) == {Compared(said="benign", instead=None): 3}


def test_counts_outlive_a_ledger_that_does_not_answer_and_are_written_once(app, alone, monkeypatch):
    shadow, judged = alone
    shadow.take(*judged(2))
    with monkeypatch.context() as patch:

        def down(*_):
            raise TransientError("down")

        patch.setattr(app.ledger, "record_shadow", down)
        with pytest.raises(TransientError):
            shadow.run()
    shadow.take(*judged(2, "calc.exe"))
    shadow.run()
    shadow.run()
    assert counted(app) == {AGREED: 2, DIFFER: 2}
    assert len(app.ledger.shadow_samples(10)) == 2
    shadow.close()


class Failing(Fixed):
    def score(self, events, views, state):
        raise OverflowError("a text that nobody thought of")


def made_of(site, member):
    manifest = Store(site.dir / "store").manifest("tiny/2")
    return Bundle(manifest, [member("text", 0.9, labels=manifest.labels)])


def test_a_challenger_that_fails_is_counted_as_not_asked_and_the_next_run_goes_on(site, app, alone):
    _, judged = alone
    shadow = Shadow(made_of(site, Failing), app.ledger, app.clock)
    shadow.take(*judged(3))
    with pytest.raises(OverflowError):
        shadow.run()
    assert shadow.run() == 0
    assert counted(app) == {Compared(said="benign", instead=None): 3}


def test_a_challenger_scores_a_fingerprint_once_however_often_it_comes(site, app, alone):
    _, judged = alone
    challenger = made_of(site, Fixed)
    shadow = Shadow(challenger, app.ledger, app.clock)
    for _ in range(3):
        shadow.take(*judged(50))
        shadow.run()
    assert sum(counted(app).values()) == 150
    assert len(challenger.members["text"].scored) == 1


def test_old_counts_go_with_the_verdicts_that_they_are_of(app, alone):
    shadow, judged = alone
    shadow.take(*judged(1))
    shadow.run()
    later = app.clock() + app.settings.retention.verdicts + timedelta(days=2)
    assert app.ledger.retain(app.settings.retention, later)["shadow_counts"] == 1
    assert (app.ledger.shadow_counts(), app.ledger.shadow_samples(9)) == ([], [])
    shadow.close()
