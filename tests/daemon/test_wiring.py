"""Putting the application together: what cannot keep its promises is refused at the start, and nothing stays open."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace as Namespace

import pytest
from pydantic import SecretStr

from connector import telemetry, wiring
from connector.errors import ConfigError, TransientError
from connector.models import Bundle
from connector.settings import LedgerSettings, SoarSettings
from connector.soar.dryrun import DryRunSoar
from tests.daemon.site import Site


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
def settings(site):
    loaded = wiring.load_settings(site.config)
    loaded.data_dir.mkdir()
    return loaded


def test_an_origin_key_is_made_once_whoever_comes_first(settings):
    unset = settings.model_copy(update={"origin_key": None})
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: wiring.origin_key(unset), range(64)))
    (key,) = keys
    assert len(key) == 64
    assert [file.name for file in settings.data_dir.iterdir()] == ["origin.key"]
    assert (settings.data_dir / "origin.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("short", ["", "fifteen bytes!!", " " * 40])
def test_a_key_that_could_be_guessed_is_refused_from_either_place(settings, short):
    with pytest.raises(ConfigError, match=r"origin_key must hold at least 16 bytes"):
        wiring.origin_key(settings.model_copy(update={"origin_key": SecretStr(short)}))
    (settings.data_dir / "origin.key").write_text(short)
    with pytest.raises(ConfigError, match=r"origin\.key must hold at least 16 bytes"):
        wiring.origin_key(settings.model_copy(update={"origin_key": None}))


def test_a_start_waits_for_the_ledgers_server_and_says_so_once_and_a_reload_does_not_wait(settings, capsys):
    telemetry.configure("json", "info")
    url = SecretStr("postgresql+psycopg://u@/d?host=/no/such/folder")
    away = settings.model_copy(update={"ledger": settings.ledger.model_copy(update={"url": url})})
    for patience, told in ((0, 0), (0.5, 1)):
        with pytest.raises(TransientError, match="No such file"):
            wiring.App(away, patience=patience)
        assert capsys.readouterr().err.count("daemon.ledger_awaited") == told


def test_a_soar_that_the_policy_runs_on_and_the_settings_lack_is_named(site):
    text = site.config.read_text()
    site.config.write_text(text[: text.index("[soars")])
    settings = wiring.load_settings(site.config)
    with pytest.raises(ConfigError, match=r"runs playbooks on dryrun; configured SOARs are: none.*\[soars\.dryrun\]"):
        wiring.App(settings)
    policy = site.dir / "policy.toml"
    policy.write_text(policy.read_text().replace('"auto"', '"suggest"'))
    wiring.App(settings).close()


def test_a_playbook_that_the_settings_do_not_name_for_its_platform_is_refused(site):
    text = site.config.read_text()
    table = '[soars.dryrun]\ntype = "xsoar"\nurl = "https://xsoar.example"\napi_key = "k"\nplaybooks = { NAME = "Notify" }\n'
    head = text[: text.index("[soars")]
    site.config.write_text(head + table.replace("NAME", "isolate-host"))
    settings = wiring.load_settings(site.config)
    with pytest.raises(ConfigError, match=r"'everything'.*'notify-on-call' on 'dryrun'.*they have: isolate-host"):
        wiring.check_policy(wiring.load_policy(settings), settings)
    site.config.write_text(head + table.replace("NAME", "notify-on-call"))
    settings = wiring.load_settings(site.config)
    wiring.check_policy(wiring.load_policy(settings), settings)


def test_the_shipped_policy_without_a_soar_says_what_to_write(settings):
    bare = settings.model_copy(update={"soars": {}, "policy": settings.policy.model_copy(update={"path": None})})
    with pytest.raises(ConfigError, match=r"\[soars\.dryrun\]"):
        wiring.check_policy(wiring.load_policy(bare), bare)


def test_a_rule_that_counts_for_longer_than_the_ledger_remembers_is_refused(site, settings):
    policy = site.dir / "policy.toml"
    policy.write_text(policy.read_text().replace('tier = "ticket"', 'tier = "ticket"\ncooldown = "200d"'))
    with pytest.raises(ConfigError, match=r"tombstones.*'everything'"):
        wiring.App(settings)
    longer = settings.retention.model_copy(update={"tombstones": timedelta(days=200)})
    wiring.check_policy(wiring.load_policy(settings), settings.model_copy(update={"retention": longer}))


def test_a_lease_ends_only_after_a_run_that_is_searched_for_can_be_found(tmp_path):
    class Slow(DryRunSoar):
        uniqueness = "search"
        index_delay = 60.0

    config = DryRunSoar.Config(path=tmp_path / "runs.sqlite")
    platform = Slow("slow", config, wiring.utc_now)
    with pytest.raises(ConfigError, match="at least 72 s"):
        wiring.check_lease("slow", platform, config, timedelta(seconds=71))
    wiring.check_lease("slow", platform, config, timedelta(seconds=72))


@pytest.mark.parametrize(("timeout", "needed"), [(20, 42), (5, 17), (30, 52)])
def test_a_lease_ends_only_after_the_slowest_start_was_answered(tmp_path, timeout, needed):
    class Timed(SoarSettings):
        type: str = "timed"
        timeout: timedelta

    config = Timed(timeout=timedelta(seconds=timeout))
    platform = DryRunSoar("timed", DryRunSoar.Config(path=tmp_path / "runs.sqlite"), wiring.utc_now)
    with pytest.raises(ConfigError, match=f"at least {needed} s"):
        wiring.check_lease("timed", platform, config, timedelta(seconds=needed - 1))
    wiring.check_lease("timed", platform, config, timedelta(seconds=needed))


def test_every_soar_that_is_shipped_fits_into_the_lease_of_the_settings():
    lease = LedgerSettings().lease
    for name, plugin in wiring.plugins("triaged.soar").items():
        fields = {key: field.default for key, field in plugin.soar.Config.model_fields.items()}
        config, delay = Namespace(**fields), fields.get("index_delay", timedelta(0))
        platform = Namespace(uniqueness=plugin.soar.uniqueness, index_delay=delay.total_seconds())
        wiring.check_lease(name, platform, config, lease)


def test_what_was_opened_is_closed_where_the_rest_cannot_be_built(site, monkeypatch):
    closed = []
    monkeypatch.setattr(Bundle, "close", lambda bundle: closed.append(bundle.ref))
    site.config.write_text(site.config.read_text().replace("[ledger]", '[ledger]\nurl = "nonsense://"'))
    with pytest.raises(ConfigError):
        wiring.App(wiring.load_settings(site.config))
    assert len(closed) == 1


@pytest.mark.parametrize(("threads", "told"), [(0, 1), (1, 0)], ids=["found", "set"])
def test_the_threads_are_found_at_the_start_unless_the_settings_name_them(settings, capsys, threads, told):
    telemetry.configure("json", "info")
    wiring.App(settings.model_copy(update={"model": settings.model.model_copy(update={"threads": threads})})).close()
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "model.threads_found" in line]
    assert len(found) == told
    assert all(line["subject"] == "text" and line["threads"] >= 1 for line in found)
