"""The real servers that these suites ask for."""

from __future__ import annotations

from tests.servers.fixtures import elasticsearch, opensearch, search_server, secured_elasticsearch

__all__ = ["elasticsearch", "opensearch", "search_server", "secured_elasticsearch"]
