"""The servers themselves."""

from __future__ import annotations

from tests.servers.fixtures import elasticsearch, opensearch, search_server, secured_elasticsearch

__all__ = ["elasticsearch", "opensearch", "search_server", "secured_elasticsearch"]
