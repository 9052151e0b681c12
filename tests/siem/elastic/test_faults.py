"""The error table: each line of it, and each thing that the client can raise."""

from __future__ import annotations

import ssl
from typing import Any

import elasticsearch
import pytest
import urllib3
from elastic_transport import ApiError, ApiResponseMeta, HttpHeaders, NodeConfig, TransportError

from connector.errors import ConfigError, PermanentError, TransientError
from connector.siem.elastic.client import Cluster, Connection
from connector.siem.elastic.faults import BREAKS, STATUSES, TYPES, GoneError, fault
from tests.servers.proxy import CUT, GARBAGE, SLOW, Proxy

THREE = (TransientError, PermanentError, ConfigError)
NODE = NodeConfig("http", "127.0.0.1", 1)


def answered(status: int, body: Any, kind: type[ApiError] = ApiError) -> ApiError:
    meta = ApiResponseMeta(status=status, http_version="1.1", headers=HttpHeaders(), duration=0.0, node=NODE)
    return kind("m", meta=meta, body=body)


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_the_reaction_that_the_table_gives_it(status: int) -> None:
    error = fault(answered(status, {"error": "x"}), "searching")
    assert type(error) is STATUSES[status].kind
    assert STATUSES[status].advice in str(error)
    assert "searching" in str(error)
    assert str(status) in str(error)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("depth", ["type", "root_cause", "caused_by", "failed_shards"])
def test_an_error_type_says_more_than_its_status_wherever_it_stands(kind: str, depth: str) -> None:
    inner = {"type": kind, "reason": "why"}
    bodies: dict[str, Any] = {
        "type": inner,
        "root_cause": {"type": "outer", "root_cause": [inner]},
        "caused_by": {"type": "outer", "caused_by": inner},
        "failed_shards": {"type": "outer", "failed_shards": [{"reason": inner}]},
    }
    error = fault(answered(418, {"error": bodies[depth]}), "searching")
    assert type(error) is TYPES[kind].kind
    assert "why" in str(error)


@pytest.mark.parametrize("line", BREAKS, ids=lambda line: f"{line.error.__name__}-{line.cause and line.cause.__name__}")
def test_each_broken_exchange_has_the_reaction_that_the_table_gives_it(line: Any) -> None:
    error = line.error("m")
    if line.cause is not None:
        cause = line.cause.__new__(line.cause)
        cause.args = ("c",)
        error.__cause__ = urllib3.exceptions.SSLError(cause) if issubclass(line.cause, ssl.SSLError) else cause
    ours = fault(error, "searching")
    assert type(ours) is line.kind
    if isinstance(ours, TransientError):
        assert ours.sent is line.sent


def subclasses(kind: type) -> set[type]:
    return {kind, *(deeper for one in kind.__subclasses__() for deeper in subclasses(one))}


def test_whatever_the_client_raises_is_one_of_the_three() -> None:
    assert elasticsearch.UnsupportedProductError in subclasses(ApiError)
    for kind in subclasses(ApiError):
        for status in (200, *range(300, 600)):
            assert isinstance(fault(answered(status, None, kind), "x"), THREE)
    for kind in subclasses(TransportError):
        assert isinstance(fault(kind("m"), "x"), THREE)


@pytest.mark.parametrize(
    "body", [None, [], "text", {"error": None}, {"error": {"root_cause": 7, "failed_shards": [1]}}]
)
def test_a_body_of_any_shape_is_told(body: Any) -> None:
    assert isinstance(fault(answered(503, body), "x"), TransientError)


def test_a_long_reason_is_cut() -> None:
    assert len(str(fault(answered(400, {"error": {"type": "t", "reason": "x" * 10**6}}), "x"))) < 2000


@pytest.mark.parametrize(("how", "kind"), [(429, TransientError), (503, TransientError), (CUT, TransientError)])
def test_what_went_out_is_not_sent_again_within_the_call(how: int, kind: type[Exception]) -> None:
    with Proxy() as proxy:
        proxy.faults.extend([how] * 5)
        cluster = Cluster(Connection(hosts=(proxy.url,)))
        with pytest.raises(kind) as caught:
            cluster.request("asking", "GET", "/_x")
        assert caught.value.sent
        assert len(proxy.seen) == 1
        cluster.close()


@pytest.mark.parametrize("how", [SLOW, GARBAGE])
def test_a_timeout_and_an_answer_that_is_no_json_may_have_had_effect(how: int) -> None:
    with Proxy() as proxy:
        proxy.faults.append(how)
        cluster = Cluster(Connection.model_validate({"hosts": [proxy.url], "timeout": 0.2}))
        with pytest.raises(TransientError) as caught:
            cluster.request("asking", "GET", "/_x")
        assert caught.value.sent
        cluster.close()


def test_a_node_that_is_down_is_passed_over(elasticsearch: Any) -> None:
    cluster = Cluster(Connection(hosts=("http://127.0.0.1:9", elasticsearch.url)))
    for _ in range(4):
        assert cluster.request("asking", "GET", "/_cluster/health")["status"]
    cluster.close()


def test_what_cannot_be_written_as_json_is_a_fault_of_the_item() -> None:
    cluster = Cluster(Connection(hosts=("http://127.0.0.1:9",)))
    with pytest.raises(PermanentError, match="JSON"):
        cluster.request("sending", "POST", "/_x", {"a": object()})
    cluster.close()


def test_a_server_of_the_other_product_is_told_as_such(opensearch: Any) -> None:
    cluster = Cluster(Connection(hosts=(opensearch.url,)))
    with pytest.raises(ConfigError, match="flavour"):
        cluster.request("asking", "GET", "/_cluster/health")
    cluster.close()


def test_a_point_in_time_that_is_gone_is_no_outage() -> None:
    assert issubclass(GoneError, TransientError)
