"""Fixtures of the real servers; a ``conftest.py`` that needs them imports them."""

from __future__ import annotations

import pytest

from tests.servers.elasticsearch import Elasticsearch, SecuredElasticsearch
from tests.servers.opensearch import OpenSearch
from tests.servers.process import Server
from tests.servers.shared import shared

BOTH = {"elasticsearch": Elasticsearch, "opensearch": OpenSearch}


@pytest.fixture(scope="session")
def elasticsearch() -> Elasticsearch:
    """Elasticsearch without security."""
    return shared(Elasticsearch)


@pytest.fixture(scope="session")
def secured_elasticsearch() -> SecuredElasticsearch:
    """Elasticsearch with security and TLS."""
    return shared(SecuredElasticsearch)


@pytest.fixture(scope="session")
def opensearch() -> OpenSearch:
    """OpenSearch."""
    return shared(OpenSearch)


@pytest.fixture(scope="session", params=BOTH)
def search_server(request: pytest.FixtureRequest) -> Server:
    """Either server, one after the other."""
    return shared(BOTH[request.param])
