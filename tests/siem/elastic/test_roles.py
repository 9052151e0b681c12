"""The shipped roles: enough for what each is for, and refused what it does not need. On Elasticsearch with security."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.siem.elastic.history import ElasticHistory, ElasticHistoryConfig
from tests.daemon.site import process_start
from tests.servers.elasticsearch import SecuredElasticsearch
from tests.siem.elastic.asked import ask, held, put
from tests.siem.elastic.site import ElasticSite, source, target
from tests.siem.elastic.test_alert_history import MAPPINGS, alert

FOLDER = Path(__file__).parents[3] / "deploy" / "elastic" / "roles"
ROLES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
USERS = {
    "reader": ("triaged-reader",),
    "writer": ("triaged-writer",),
    "updater": ("triaged-writer", "triaged-writer-in-place"),
    "publisher": ("triaged-writer", "triaged-publisher"),
    "installer": ("triaged-installer",),
}
EVENTS = "logs-windows.sysmon_operational-default"
ALERTS = ".alerts-security.alerts-roles"
VERDICTS = f"triaged-verdicts-{datetime.now(UTC):%Y.%m}"


@pytest.fixture(scope="module")
def server(secured_elasticsearch: SecuredElasticsearch) -> SecuredElasticsearch:
    """With the shipped roles, an event, an alert and a verdict."""
    known = {f"triaged-{name}": {k: v for k, v in role.items() if k != "metadata"} for name, role in ROLES.items()}
    secured_elasticsearch.set_roles(known, USERS)
    _wait_for_users(secured_elasticsearch)
    now = datetime.now(UTC).isoformat()
    event = process_start("tool.exe")
    put(secured_elasticsearch, EVENTS, {"e1": {**event, "event": {**event["event"], "ingested": now}}})
    ask(secured_elasticsearch, "PUT", f"/{ALERTS}", {"mappings": MAPPINGS})
    put(secured_elasticsearch, ALERTS, {"a1": alert(1, 0)})
    put(secured_elasticsearch, "triaged-verdicts-2020.01", {"v1": {"triaged": {"verdict": "benign"}}})
    put(secured_elasticsearch, "triaged-lookup", {"f1": {"kind": "k"}})
    put(secured_elasticsearch, "secrets", {"s1": {"text": "nobody's business"}})
    return secured_elasticsearch


def _wait_for_users(server: SecuredElasticsearch) -> None:
    """The file realm looks at its files every five seconds."""
    until = time.monotonic() + 30
    while any("refused" in ask(server, "GET", "/_security/_authenticate", user=name) for name in USERS):
        assert time.monotonic() < until, "the users did not come"
        time.sleep(0.25)
    # the roles are read by the same watcher, a file after the other
    while "refused" in ask(server, "GET", f"/{EVENTS}*/_count", user="reader"):
        assert time.monotonic() < until, "the roles did not come"
        time.sleep(0.25)


def as_user(server: SecuredElasticsearch, name: str) -> dict[str, Any]:
    return {"username": name, "password": server.password, "ca_certs": str(server.certificates.ca)}


@pytest.mark.parametrize("in_place", [False, True])
def test_the_daemon_runs_with_exactly_these_roles(server: SecuredElasticsearch, tmp_path: Path, in_place: bool) -> None:
    more = {"update_source": True, "deployment": "site"} if in_place else {}
    tables = {
        "sources.elastic": source(server, "logs-*") | as_user(server, "reader"),
        "targets.elastic": target(server, "triaged", **more) | as_user(server, "updater" if in_place else "writer"),
    }
    with ElasticSite(tmp_path, tables) as site:
        assert site.until_quiet() >= 1
        assert site.app.ledger.dead_letters() == []
    verdicts = [hit["_source"]["triaged"] for hit in held(server, VERDICTS)]
    assert {verdict["source"]["id"] for verdict in verdicts} == {"e1"}
    stamped = held(server, EVENTS)[0]["_source"].get("triaged", {})
    assert ("verdict" in stamped) is in_place


def test_the_reader_reads_alerts(server: SecuredElasticsearch) -> None:
    table = {"hosts": [server.url], "deployment": "site", **as_user(server, "reader")}
    with closing(ElasticHistory("h", ElasticHistoryConfig.model_validate(table), lambda: datetime.now(UTC))) as history:
        assert [change.alert_id for change in history.dispositions(None, 10).items] == ["alert-00001"]


CREATED = [{"create": {"_id": "x"}}, {"text": "x"}]
INDEXED = [{"index": {"_id": "v1"}}, {"text": "x"}]
PIPELINE: dict[str, Any] = {"processors": []}
EVERYTHING: dict[str, Any] = {"query": {"match_all": {}}}

REFUSED = [
    ("reader", "POST", f"/{EVENTS}/_bulk", CREATED),
    ("reader", "POST", "/triaged-verdicts-2020.01/_bulk", CREATED),
    ("reader", "POST", "/triaged-verdicts-2020.01/_search", EVERYTHING),
    ("reader", "POST", "/secrets/_search", EVERYTHING),
    ("reader", "DELETE", f"/{EVENTS}", None),
    ("reader", "POST", f"/{ALERTS}/_update/a1", {"doc": {"x": 1}}),
    ("reader", "PUT", "/_ingest/pipeline/p", PIPELINE),
    ("writer", "POST", f"/{EVENTS}/_search", EVERYTHING),
    ("writer", "POST", f"/{EVENTS}/_bulk", CREATED),
    ("writer", "POST", "/triaged-verdicts-2020.01/_search", EVERYTHING),
    ("writer", "POST", "/triaged-verdicts-2020.01/_bulk", INDEXED),
    ("writer", "POST", "/triaged-verdicts-2020.01/_update/v1", {"doc": {"x": 1}}),
    ("writer", "DELETE", "/triaged-verdicts-2020.01/_doc/v1", None),
    ("writer", "DELETE", "/triaged-verdicts-2020.01", None),
    ("writer", "POST", "/triaged-lookup/_bulk", CREATED),
    ("writer", "PUT", "/_ingest/pipeline/p", PIPELINE),
    ("writer", "PUT", "/_index_template/t", {"index_patterns": ["x"]}),
    ("updater", "DELETE", f"/{EVENTS}/_doc/e1", None),
    ("updater", "DELETE", f"/{EVENTS}", None),
    ("updater", "POST", "/triaged-verdicts-2020.01/_update/v1", {"doc": {"x": 1}}),
    ("publisher", "POST", f"/{EVENTS}/_search", EVERYTHING),
    ("publisher", "DELETE", "/triaged-lookup", None),
    ("publisher", "POST", "/triaged-verdicts-2020.01/_bulk", INDEXED),
    ("publisher", "PUT", "/_index_template/t", {"index_patterns": ["x"]}),
    ("installer", "POST", f"/{EVENTS}/_search", EVERYTHING),
    ("installer", "POST", "/triaged-verdicts-2020.01/_search", EVERYTHING),
    ("installer", "POST", "/triaged-verdicts-2020.01/_bulk", CREATED),
    ("installer", "DELETE", "/triaged-verdicts-2020.01", None),
    ("installer", "POST", "/triaged-lookup/_bulk", CREATED),
    *(
        (name, "GET", path, None)
        for name in USERS
        for path in ("/_cluster/settings", "/_security/user", "/secrets/_count")
    ),
]


@pytest.mark.parametrize(("user", "method", "path", "body"), REFUSED)
def test_a_role_is_refused_what_it_does_not_need(
    server: SecuredElasticsearch, user: str, method: str, path: str, body: Any
) -> None:
    answer = ask(server, method, path, body, user=user)
    items = [row for item in answer.get("items", ()) for row in item.values()]
    assert answer.get("refused") == 403 or (items and all(row["status"] == 403 for row in items)), answer


ALLOWED = [
    ("publisher", "POST", "/triaged-lookup/_bulk", [{"index": {"_id": "f2"}}, {"kind": "k"}]),
    ("publisher", "POST", "/triaged-lookup/_mget", {"ids": ["f1"]}),
    ("publisher", "POST", "/triaged-verdicts-*/_search", EVERYTHING),
    ("installer", "PUT", "/_component_template/triaged-roles", {"template": {}}),
    ("installer", "PUT", "/_index_template/triaged-roles", {"index_patterns": ["triaged-roles-*"], "priority": 501}),
    ("installer", "GET", "/_ingest/pipeline/none", None),
    ("installer", "GET", "/triaged-lookup", None),
]


@pytest.mark.parametrize(("user", "method", "path", "body"), ALLOWED)
def test_a_role_may_do_what_it_is_for(
    server: SecuredElasticsearch, user: str, method: str, path: str, body: Any
) -> None:
    answer = ask(server, method, path, body, user=user)
    assert answer.get("refused") in {None, 404}, answer
    assert not answer.get("errors"), answer
