"""How a cluster is reached: who it is, who we are, and what never travels or is told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from connector.errors import ConfigError, TransientError, TriagedError
from connector.siem.elastic.client import Cluster, Connection
from connector.siem.elastic.source import ElasticSource, ElasticSourceConfig
from connector.types import Batch, RawEvent, Span
from tests.servers.elasticsearch import SecuredElasticsearch
from tests.servers.process import Server
from tests.servers.proxy import CUT, GARBAGE, SLOW, Proxy
from tests.siem.elastic.asked import ask
from tests.siem.elastic.beds import TIMES, index

SECRET = "no-one-may-read-this"
LOCAL = "https://127.0.0.1:9200"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "exactly one of hosts and cloud_id"),
        ({"hosts": [LOCAL], "cloud_id": "a:b"}, "exactly one"),
        ({"hosts": ["127.0.0.1:9200"]}, "no address"),
        ({"hosts": [f"https://user:{SECRET}@name"]}, "do not belong"),
        ({"hosts": [LOCAL], "username": "u"}, "belong together"),
        ({"hosts": [LOCAL], "api_key": SECRET, "service_token": SECRET}, "one way of authentication"),
        ({"hosts": [LOCAL], "fingerprint": "ab"}, "SHA-256"),
        ({"hosts": [LOCAL], "fingerprint": "ab" * 32, "ca_certs": "/x"}, "not by both"),
        ({"hosts": [LOCAL], "client_key": "/x"}, "needs client_cert"),
        ({"hosts": ["http://siem.example:9200"], "api_key": SECRET}, "in the open"),
        ({"cloud_id": "a:b", "flavour": "opensearch"}, "Elastic Cloud"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_telling_a_secret(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        Connection.model_validate(table)
    assert SECRET not in "".join(str(problem["msg"]) for problem in caught.value.errors())


def test_a_file_that_is_not_there_is_told_by_its_setting() -> None:
    with pytest.raises(ConfigError, match="ca_certs: no file"):
        Cluster(Connection.model_validate({"hosts": [LOCAL], "ca_certs": "/no/such/file"}))


def test_a_cloud_id_names_the_hosts() -> None:
    encoded = "bmFtZS5leGFtcGxlJGFiY2QkZWZnaA=="  # name.example$abcd$efgh
    with closing(Cluster(Connection(cloud_id=f"deployment:{encoded}"))) as cluster:
        assert [node.host for node in cluster._client.transport.node_pool.all()] == ["abcd.name.example"]


@pytest.mark.parametrize(
    ("table", "header"),
    [
        ({"api_key": SECRET}, f"ApiKey {SECRET}"),
        ({"service_token": SECRET}, f"Bearer {SECRET}"),
        ({"username": "u", "password": "p"}, "Basic dTpw"),
    ],
)
def test_each_way_of_authentication_is_sent_as_the_vendor_documents_it_and_never_logged(
    table: dict[str, Any], header: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Proxy() as proxy:
        proxy.faults.append(401)
        with closing(Cluster(Connection.model_validate({"hosts": [proxy.url], **table}))) as cluster:
            with pytest.raises(ConfigError) as caught:
                cluster.request("asking", "GET", "/_x")
            assert {name.lower(): value for name, value in proxy.seen[0].items()}["authorization"] == header
    assert header.split()[1] not in caplog.text + str(caught.value) + repr(caught.value)


@contextmanager
def secured(server: SecuredElasticsearch, **more: Any) -> Iterator[Cluster]:
    table = {"hosts": [server.url], "username": "admin", "password": server.password, **more}
    with closing(Cluster(Connection.model_validate(table))) as cluster:
        yield cluster


def health(cluster: Cluster) -> str:
    return str(cluster.request("asking for health", "GET", "/_cluster/health")["status"])


def test_a_server_is_known_by_its_authority_or_its_fingerprint(secured_elasticsearch: SecuredElasticsearch) -> None:
    certificates = secured_elasticsearch.certificates
    colons = ":".join(certificates.fingerprint[at : at + 2].upper() for at in range(0, 64, 2))
    for known in ({"ca_certs": certificates.ca}, {"fingerprint": certificates.fingerprint}, {"fingerprint": colons}):
        with secured(secured_elasticsearch, **known) as cluster:
            assert health(cluster)


@pytest.mark.parametrize("known", [{}, {"ca_certs": "stranger.crt"}, {"fingerprint": "00" * 32}])
def test_a_server_that_is_not_known_is_told_nothing(
    secured_elasticsearch: SecuredElasticsearch, known: dict[str, str]
) -> None:
    if "ca_certs" in known:
        known = {"ca_certs": str(secured_elasticsearch.certificates.folder / known["ca_certs"])}
    with secured(secured_elasticsearch, **known) as cluster, pytest.raises(ConfigError, match="fingerprint"):
        health(cluster)


def test_a_client_shows_its_certificate_and_one_of_a_stranger_is_refused(
    secured_elasticsearch: SecuredElasticsearch,
) -> None:
    folder = secured_elasticsearch.certificates.folder
    ours = {"ca_certs": folder / "ca.crt", "client_cert": folder / "client.crt", "client_key": folder / "client.key"}
    with secured(secured_elasticsearch, **ours) as cluster:
        assert health(cluster)
    strange = {**ours, "client_cert": folder / "stranger.crt", "client_key": folder / "stranger.key"}
    with secured(secured_elasticsearch, **strange) as cluster, pytest.raises(TriagedError):
        health(cluster)


def test_wrong_credentials_are_for_a_person(secured_elasticsearch: SecuredElasticsearch) -> None:
    known = {"ca_certs": secured_elasticsearch.certificates.ca}
    with (
        secured(secured_elasticsearch, password=SECRET, **known) as cluster,
        pytest.raises(ConfigError, match="credentials") as caught,
    ):
        health(cluster)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("how", [429, 503, 504, CUT, GARBAGE, SLOW])
def test_a_burst_of_failures_costs_no_event(elasticsearch: Server, how: int) -> None:
    name = f"burst-{abs(how)}-{how < 0}".lower()
    ask(elasticsearch, "DELETE", f"/{name}")
    ask(elasticsearch, "PUT", f"/{name}", TIMES)
    index(elasticsearch, name, [{"event": {"ingested": number}} for number in range(40)])
    span = Span(partition="", start=0, stop=10**6)
    with Proxy(elasticsearch) as proxy:
        table = {"type": "elastic", "deployment": "d", "hosts": [proxy.url], "index": [name], "timeout": 0.5}
        with closing(ElasticSource("s", ElasticSourceConfig.model_validate(table), None)) as source:
            batch: Batch[RawEvent] | None = None
            found: list[str] = []
            failed = 0
            while batch is None or not batch.done:
                if failed < 6:
                    proxy.faults.append(how)
                    failed += 1
                try:
                    batch = source.read(span, batch.cursor if batch else None, 7)
                except TransientError:
                    continue
                assert batch.complete
                found += [raw.ref.id for raw in batch.items]
            assert sorted(set(found)) == [f"{number:06d}" for number in range(40)]
            assert len(found) == 40
    ask(elasticsearch, "DELETE", f"/{name}")
