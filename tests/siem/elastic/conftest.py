"""The real servers that these suites ask for, and a word at the end of which ran."""

from __future__ import annotations

import pytest

from tests.servers import elasticsearch as es, opensearch as os_
from tests.servers.fixtures import elasticsearch, opensearch, search_server, secured_elasticsearch
from tests.servers.shared import started

__all__ = ["elasticsearch", "opensearch", "search_server", "secured_elasticsearch"]

RAN = {
    es.Elasticsearch: f"Elasticsearch {es.VERSION}: reading, records, alerts, templates",
    es.SecuredElasticsearch: f"Elasticsearch {es.VERSION} with security and TLS: connections, roles",
    os_.OpenSearch: f"OpenSearch {os_.VERSION}: reading, records, pipelines, scripts, table look-up",
}
NOWHERE = "enrich, inference, ILM, ISM, Kibana, OpenSearch Dashboards: held to documented shapes or stand-ins"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which of the Elastic suites' parts ran on which real server."""
    terminalreporter.section("Elastic and OpenSearch: what ran where")
    ran = started()
    for kind, parts in RAN.items():
        terminalreporter.line(f"{'real server' if kind in ran else 'did not run'}  {parts}")
    terminalreporter.line(f"no server    {NOWHERE}")
