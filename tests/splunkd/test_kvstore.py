"""The KV store: documents, queries and limits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.splunkd import Splunkd
from tests.splunkd.asking import Client
from tests.splunkd.kvstore import matches

APP = "/servicesNS/nobody/triaged/storage/collections"
DATA = f"{APP}/data/things"


@pytest.fixture
def store(client: Client) -> Client:
    assert client.post(f"{APP}/config", name="things").status == 201
    return client


def test_a_document_is_put_in_read_replaced_and_removed(store: Client) -> None:
    key = store.send(DATA, {"a": 1, "b": 2}).json()["_key"]
    assert store.get(f"{DATA}/{key}").json() == {"_key": key, "_user": "nobody", "a": 1, "b": 2}
    assert store.send(f"{DATA}/{key}", {"a": 3}).json() == {"_key": key}
    assert store.get(f"{DATA}/{key}").json() == {"_key": key, "_user": "nobody", "a": 3}
    assert store.send(f"{DATA}/{key}", None, "DELETE").status == 200
    assert store.get(f"{DATA}/{key}").status == 404


def test_a_key_is_taken_once_by_insert_and_again_by_a_batch(store: Client) -> None:
    assert store.send(DATA, {"_key": "k", "a": 1}).status == 201
    assert store.send(DATA, {"_key": "k", "a": 2}).status == 409
    assert store.send(f"{DATA}/batch_save", [{"_key": "k", "a": 3}, {"a": 4}]).json()[0] == "k"
    assert sorted(one["a"] for one in store.get(DATA).json()) == [3, 4]


def test_a_batch_holds_a_thousand_documents_at_most_and_is_taken_whole_or_not_at_all(store: Client) -> None:
    assert store.send(f"{DATA}/batch_save", [{"a": number} for number in range(1001)]).status == 400
    assert store.send(f"{DATA}/batch_save", [{"a": 1}, "no document"]).status == 400
    assert store.get(DATA).json() == []
    assert len(store.send(f"{DATA}/batch_save", [{"a": number} for number in range(1000)]).json()) == 1000


def test_collections_of_two_apps_are_apart(store: Client) -> None:
    assert store.get("/servicesNS/nobody/search/storage/collections/data/things").status == 404
    assert store.get("/servicesNS/nobody/-/storage/collections/data/things").status == 200
    assert store.post(f"{APP}/config", name="things").status == 409


def test_a_list_is_asked_sorted_cut_and_projected(store: Client) -> None:
    store.send(f"{DATA}/batch_save", [{"_key": str(number), "a": number, "b": number % 2} for number in range(6)])
    found = store.get(DATA, query='{"b":1}', sort="a:-1", fields="a", limit=2).json()
    assert found == [{"a": 5}, {"a": 3}]
    assert store.get(DATA, sort="b,a:-1", skip=4, fields="_user:0").json()[0] == {"_key": "3", "a": 3, "b": 1}
    assert store.send(f"{DATA}?query=%7B%22b%22%3A1%7D", None, "DELETE").status == 200
    assert [one["a"] for one in store.get(DATA).json()] == [0, 2, 4]
    assert store.send(f"{DATA}/batch_find", [{"query": {"a": 2}}, {"query": {"a": {"$gt": 1}}, "limit": 1}]).json() == [
        [{"_key": "2", "_user": "nobody", "a": 2, "b": 0}],
        [{"_key": "2", "_user": "nobody", "a": 2, "b": 0}],
    ]


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({}, True),
        ({"a": 1}, True),
        ({"a": "1"}, False),
        ({"a": {"$gt": 0, "$lte": 1}}, True),
        ({"a": {"$gt": "0"}}, False),
        ({"missing": {"$ne": 1}}, True),
        ({"missing": {"$lt": 1}}, False),
        ({"$or": [{"a": 2}, {"deep.er": "x"}]}, True),
        ({"$and": [{"a": 1}, {"a": 2}]}, False),
        ({"$not": {"a": 2}}, True),
        ({"list": "y"}, True),
        ({"deep.er": {"$regex": "^x$"}}, True),
    ],
)
def test_a_query_fits_as_mongo_reads_it(query: dict[str, Any], fits: bool) -> None:
    assert matches({"a": 1, "deep": {"er": "x"}, "list": ["y", "z"]}, query) is fits


@pytest.mark.parametrize("query", ['{"$where":"1"}', '{"a":{"$in":[1]}}', "nonsense", "[1]"])
def test_a_query_that_is_not_known_is_refused(store: Client, query: str) -> None:
    store.send(DATA, {"a": 1})
    assert store.get(DATA, query=query).status == 400


@pytest.mark.parametrize("document", [[], "x", {"_key": 5}, {"_key": ""}])
def test_what_is_no_document_is_refused(store: Client, document: Any) -> None:
    assert store.send(DATA, document).status == 400


def test_secrets_are_kept_by_realm_and_name_in_their_app(client: Client, splunkd: Splunkd) -> None:
    path = "/servicesNS/nobody/triaged/storage/passwords"
    assert client.post(path, name="token", realm="triaged", password="s3cret").status == 201
    assert client.post(path, name="token", realm="triaged", password="other").status == 409
    content = client.get(f"{path}/triaged%3Atoken%3A", output_mode="json").json()["entry"][0]["content"]
    assert (content["clear_password"], content["realm"], content["username"]) == ("s3cret", "triaged", "token")
    assert client.get("/servicesNS/nobody/search/storage/passwords", output_mode="json").json()["entry"] == []
    assert client.post(f"{path}/triaged%3Atoken%3A", password="new").status == 200
    assert b"new" in client.get(path).body
    assert client.send(f"{path}/triaged%3Atoken%3A", None, "DELETE").status == 200
    assert client.get(f"{path}/triaged%3Atoken%3A").status == 404
