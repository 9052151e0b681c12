"""The site layer in the daemon: in shadow until a baseline stands, and again after another bundle was promoted."""

from __future__ import annotations

import json
from threading import Thread

import pytest

from connector import wiring
from connector.daemon import drain
from connector.learn.site_baseline import Baseline
from connector.models import Store
from connector.models.site_store import SiteStore
from tests.daemon.site import Site, process_start
from tests.models.tiny import tiny_store

EXTRA = '[site]\nfolder = "{folder}"\nevents = 200\ndays = 2\n'


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path, extra=EXTRA.format(folder=tmp_path / "site"))
    text = site.config.read_text().replace("batch = 20", "batch = 500")
    site.config.write_text(text)
    return site


@pytest.fixture
def app(site):
    app = wiring.App(wiring.load_settings(site.config))
    yield app
    app.close()


def fill(site, *, days, command="backup {0}"):
    rows = []
    for day in days:
        for number in range(100):
            row = process_start(command.format("abcdefghijklmnopqrst"[number % 20]))
            rows.append(
                {
                    **row,
                    "@timestamp": f"2026-03-{day:02d}T10:00:00Z",
                    "host": {"name": f"ws{number // 50}"},
                    "n": number,
                }
            )
    with (site.dir / "in" / f"{days[0]}.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_a_site_is_in_shadow_until_its_baseline_stands_and_contains_nothing_by_itself(site, app):
    ready = app.acts["dryrun"]._bundle_ready
    fill(site, days=(1,))
    assert drain(app) == []
    app.learn_site()
    assert app.bundle.site is None
    assert not ready()
    fill(site, days=(2, 3))
    assert drain(app) == []
    assert app.bundle.site is not None
    assert not app.bundle.site.shadow
    assert app.bundle.site.manifest.learnt.events == 300
    assert ready()


def test_a_roll_back_ends_containment_in_a_running_daemon_until_a_person_promotes(site, app):
    ready = app.acts["dryrun"]._bundle_ready
    fill(site, days=(1, 2, 3))
    drain(app)
    assert ready()
    SiteStore(site.dir / "site").roll_back()
    assert not app.swap_bundle()
    assert not ready()
    app.learn_site()
    app.swap_bundle()
    assert not ready()
    SiteStore(site.dir / "site").promote("000001")
    app.swap_bundle()
    assert ready()
    dressed = app.bundle
    app.swap_bundle()
    assert app.bundle is dressed


@pytest.mark.parametrize("damaged", ["site/000001/seen.bin", "site/000001/manifest.json", "site/production.json"])
def test_a_damaged_layer_stops_no_daemon_and_contains_nothing(site, app, damaged):
    fill(site, days=(1, 2, 3))
    drain(app)
    assert app.site.stands(app.bundle)
    (site.dir / damaged).write_bytes(b"{\x00")
    again = wiring.App(wiring.load_settings(site.config))
    try:
        assert again.bundle.site is None
        assert not again.acts["dryrun"]._bundle_ready()
    finally:
        again.close()


def test_a_stop_and_a_reload_lose_nothing_that_was_gathered(site, app):
    for ingest in app.ingests.values():
        ingest.poll()
    settings = wiring.load_settings(site.config)
    fresh = wiring.App(settings)
    fill(site, days=(1,))
    for ingest in app.ingests.values():
        ingest.poll()
    idle = wiring.App(settings)
    app.close()
    idle.close()
    fresh.go_on_from(app)
    fresh.close()
    assert len(Baseline.opened(site.dir / "site").frozen().kept) == 20


def test_a_bundle_that_is_swapped_while_a_layer_is_put_on_is_not_taken_back(site, app, monkeypatch):
    fill(site, days=(1, 2, 3))
    drain(app)
    tiny_store(site.dir / "store", version="2")
    swap, dressed = Thread(target=app.swap_bundle), app.site.dressed

    def slowly(bundle):
        monkeypatch.undo()
        swap.start()
        swap.join(1)
        return dressed(bundle)

    monkeypatch.setattr(app.site, "dressed", slowly)
    app.learn_site()
    swap.join()
    assert app.bundle.ref == "tiny/2"


def test_what_was_gathered_outlives_the_daemon_and_another_bundle_begins_in_shadow(site, app):
    fill(site, days=(1, 2, 3))
    drain(app)
    assert app.site.stands(app.bundle)
    again = wiring.App(wiring.load_settings(site.config))
    try:
        assert again.site.stands(again.bundle)
        tiny_store(site.dir / "store", version="2")
        assert Store(site.dir / "store").production() == "tiny/2"
        assert again.swap_bundle()
        assert not again.site.stands(again.bundle)
        again.learn_site()
        assert again.site.stands(again.bundle)
        assert again.bundle.ref == "tiny/2"
    finally:
        again.close()
