"""The installer on real servers: twice is as good as once, a diff tells what would change, and nothing is left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.errors import ConfigError
from connector.siem.elastic import attach, installer
from connector.siem.elastic.assets import Asset, assets
from connector.siem.elastic.server import ClusterServer
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.opensearch import OpenSearch
from tests.siem.elastic.asked import ask, held, put
from tests.siem.elastic.ingest import connected

START = {
    "ecs": {"version": "8.0.0"},
    "event": {"code": "1"},
    "winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": 1},
}


@pytest.fixture
def server(opensearch: OpenSearch) -> Iterator[ClusterServer]:
    with connected(opensearch) as connection:
        yield connection
        for place in list(attach.attached(connection)):
            attach.detach(connection, place)
        installer.uninstall(connection, installer.plan(connection, assets("opensearch", "table")), data=True)


def states(server: ClusterServer, wanted: tuple[Asset, ...] | None = None) -> set[str]:
    changes = installer.plan(server, wanted or assets("opensearch", "table"))
    return {change.state for change in changes if not change.asset.optional}


def test_installing_twice_changes_nothing_and_uninstalling_leaves_nothing(server: ClusterServer) -> None:
    wanted = assets("opensearch", "table")
    assert states(server) == {"missing"}
    assert len(installer.install(server, installer.plan(server, wanted))) == len([a for a in wanted if not a.optional])
    assert states(server) == {"installed"}
    assert installer.install(server, installer.plan(server, wanted)) == []
    gone = installer.uninstall(server, installer.plan(server, wanted))
    assert "triaged-enrich" in {asset.name for asset in gone}
    assert [c.asset.kind for c in installer.plan(server, wanted) if c.state == "installed"] == ["index"]
    installer.uninstall(server, installer.plan(server, wanted), data=True)
    assert states(server) == {"missing"}


def test_what_somebody_changed_is_told_as_a_diff_and_put_right(server: ClusterServer, opensearch: OpenSearch) -> None:
    wanted = assets("opensearch", "table")
    installer.install(server, installer.plan(server, wanted))
    ask(opensearch, "PUT", "/_ingest/pipeline/triaged-enrich", {"processors": []})
    (change,) = (c for c in installer.plan(server, wanted) if c.state == "differs")
    assert change.asset.name == "triaged-enrich"
    assert '+   "pipeline": {' in change.diff()
    assert [c.asset.name for c in installer.install(server, [change])] == ["triaged-enrich"]
    assert states(server) == {"installed"}


def test_the_table_that_the_daemon_published_outlives_an_installation(
    server: ClusterServer, opensearch: OpenSearch
) -> None:
    installer.install(server, installer.plan(server, assets("opensearch", "table")))
    path = "/_ingest/pipeline/triaged-lookup"
    body = ask(opensearch, "GET", path)["triaged-lookup"]
    ends = datetime(2026, 3, 1, tzinfo=UTC)
    old = {"verdict": "benign", "expires_at": "2026-03-01T00:00:00Z"}
    table = {"v": {"f": {**old, "until": int(ends.timestamp()) * 1000}}}
    body["processors"][0]["script"]["params"].update(entries=table, model={"name": "m", "version": "1"})
    ask(opensearch, "PUT", path, body)
    assert states(server) == {"installed"}
    off = assets("opensearch", "table", enabled=False)
    done = installer.install(server, installer.plan(server, off))
    assert {change.asset.name for change in done} == {"triaged-fingerprint", "triaged-lookup"}
    params = ask(opensearch, "GET", path)["triaged-lookup"]["processors"][0]["script"]["params"]
    assert (params["enabled"], params["entries"], params["model"]["name"]) == (False, table, "m")
    body["processors"][0]["script"]["params"]["entries"] = {"v": {"f": old}}
    ask(opensearch, "PUT", path, body)
    installer.install(server, installer.plan(server, assets("opensearch", "table")))
    params = ask(opensearch, "GET", path)["triaged-lookup"]["processors"][0]["script"]["params"]
    assert params["entries"] == table


def test_a_dataset_is_attached_behind_what_its_own_hook_holds_and_detached_again(
    server: ClusterServer, opensearch: OpenSearch
) -> None:
    installer.install(server, installer.plan(server, assets("opensearch", "table")))
    mine = {"processors": [{"set": {"field": "site", "value": "here"}}]}
    ask(opensearch, "PUT", "/_ingest/pipeline/logs-own@custom", mine)
    assert attach.attach_dataset(server, "logs-own")
    assert attach.attach_dataset(server, "logs-new")
    assert not attach.attach_dataset(server, "logs-own")
    places = list(attach.attached(server))
    assert places == [attach.Place("dataset", "logs-new"), attach.Place("dataset", "logs-own")]
    rows = {"docs": [{"_index": "i", "_id": "1", "_source": START}]}
    answer = ask(opensearch, "POST", "/_ingest/pipeline/logs-own@custom/_simulate", rows)
    after = answer["docs"][0]["doc"]["_source"]
    assert (after["site"], after["triaged"]["status"]) == ("here", "pending")
    put(opensearch, "other", [START])
    ask(opensearch, "PUT", "/other/_settings", {"index.final_pipeline": "logs-own@custom"})
    with pytest.raises(ConfigError, match="has the final pipeline logs-own@custom"):
        attach.attach_index(server, "other")
    ask(opensearch, "DELETE", "/other")
    for place in places:
        attach.detach(server, place)
    found = ask(opensearch, "GET", "/_ingest/pipeline/logs-*")
    assert {name: body["processors"] for name, body in found.items()} == {"logs-own@custom": mine["processors"]}
    ask(opensearch, "DELETE", "/_ingest/pipeline/logs-own@custom")


def test_an_index_takes_the_pipeline_as_its_final_one(server: ClusterServer, opensearch: OpenSearch) -> None:
    installer.install(server, installer.plan(server, assets("opensearch", "table")))
    ask(opensearch, "PUT", "/hosts")
    assert attach.attach_index(server, "hosts")
    assert not attach.attach_index(server, "hosts")
    put(opensearch, "hosts", [START])
    (hit,) = held(opensearch, "hosts")
    assert hit["_source"]["triaged"]["status"] == "pending"
    attach.detach(server, attach.Place("index", "hosts"))
    installer.uninstall(server, installer.plan(server, assets("opensearch", "table")))
    put(opensearch, "hosts", [START, START])
    assert sum("triaged" in hit["_source"] for hit in held(opensearch, "hosts")) == 1
    ask(opensearch, "DELETE", "/hosts")
    with pytest.raises(ConfigError, match="no index"):
        attach.attach_index(server, "nowhere")


def test_the_command_installs_tells_and_removes(server: ClusterServer, opensearch: OpenSearch, tmp_path: Path) -> None:
    config = tmp_path / "triaged.toml"
    config.write_text(
        f'data_dir = "{tmp_path}"\n[targets.lab]\ntype = "elastic"\nflavour = "opensearch"\n'
        f'hosts = ["{opensearch.url}"]\nlookup = {{ mode = "table" }}\n'
    )
    dry = run("install", "--dry-run", config=config)
    assert "missing      pipeline triaged-enrich" in dry.output
    assert "+++ /_ingest/pipeline/triaged-enrich" in dry.output
    assert run("status", config=config, code=1).output.count("missing") > 10
    done = run("install", "--dataset", "logs-own", config=config)
    assert "installed pipeline triaged-enrich" in done.output
    assert "attached  logs-own@custom" in done.output
    told = run("status", config=config)
    assert re.search(r"^attached +dataset logs-own$", told.output, re.MULTILINE)
    assert "unavailable  lifecycle" in told.output
    assert "installed" not in run("install", config=config).output
    gone = run("uninstall", "--data", config=config).output
    assert "detached  dataset logs-own" in gone
    assert "removed   index triaged-lookup" in gone
    assert run("status", config=config, code=1).output.count("installed") == 0


def test_a_command_without_a_cluster_says_which_there_are(tmp_path: Path) -> None:
    config = tmp_path / "triaged.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n')
    with pytest.raises(ConfigError, match="none"):
        CliRunner().invoke(app, ["elastic", "status", "-c", str(config)], catch_exceptions=False)


def test_templates_install_on_elasticsearch_and_its_build_without_the_features_is_told(
    elasticsearch: Elasticsearch,
) -> None:
    """This build of Elasticsearch has neither ingest processors, nor enrich, nor lifecycle: those are left out here."""
    templates = tuple(asset for asset in assets("elasticsearch", "table") if asset.kind != "pipeline")
    with connected(elasticsearch) as server:
        changes = installer.plan(server, templates)
        assert [change.asset.kind for change in changes if change.state == "unavailable"] == ["lifecycle"]
        installer.install(server, changes)
        assert states(server, templates) == {"installed"}
        put(elasticsearch, "triaged-verdicts-2026.03", [{"event": {"risk_score": 5}, "unknown": {"field": 1}}])
        found = ask(elasticsearch, "GET", "/triaged-verdicts/_mapping")
        mapping = found["triaged-verdicts-2026.03"]["mappings"]["properties"]
        assert mapping["event"]["properties"]["risk_score"]["type"] == "float"
        assert "unknown" not in mapping
        ask(elasticsearch, "DELETE", "/triaged-verdicts-2026.03")
        installer.uninstall(server, installer.plan(server, templates), data=True)


def run(*arguments: str, config: Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["elastic", *arguments, "-c", str(config)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result
