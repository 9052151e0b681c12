"""What differs between the two products that this adapter speaks to; everything else is the same for both.

The client is Elastic's own. It asks for media types and a product header that OpenSearch does not know, so a node
class translates both; points in time have other paths and another name for their id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
from elastic_transport import ApiResponseMeta, HttpHeaders, Urllib3HttpNode
from elastic_transport.client_utils import DEFAULT, DefaultType

HITS: Final = "application/vnd.triaged.hits+json"
"""Asked for as media type, this is a search reply whose documents stay undecoded; no server ever sees the name."""

_JSON: Final = "application/vnd.elasticsearch+json; compatible-with=9"

FlavourName: TypeAlias = Literal["elasticsearch", "opensearch"]


class Node(Urllib3HttpNode):
    """Elasticsearch. Its warnings of what is deprecated are dropped: one would come with every poll."""

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> Any:
        """One request, with the media types that the server knows; the answer, with those that the client knows."""
        asked = HttpHeaders(headers or {})
        undecoded = asked.get("accept") == HITS
        if undecoded:
            asked["accept"] = _JSON
        answer = super().perform_request(method, target, body, self.sent(asked), request_timeout)
        meta = answer.meta
        told = self.received({name: value for name, value in meta.headers.items() if name.lower() != "warning"})
        if undecoded and meta.status == 200:
            told = {**told, "content-type": HITS}
        return answer._replace(meta=_with_headers(meta, told))

    def sent(self, headers: HttpHeaders) -> HttpHeaders:
        """A request's headers as this server wants them."""
        return headers

    def received(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """An answer's headers as the client wants them."""
        return {name.lower(): value for name, value in headers.items()}


class OpenSearchNode(Node):
    """OpenSearch: plain media types, and no product header."""

    def sent(self, headers: HttpHeaders) -> HttpHeaders:
        """With ``application/json`` for ``application/vnd.elasticsearch+json``, and so on."""
        for name in ("accept", "content-type"):
            if value := headers.get(name):
                headers[name] = value.replace("vnd.elasticsearch+", "").partition(";")[0]
        return headers

    def received(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """With the header by which the client knows whom it talks to."""
        return {**super().received(headers), "x-elastic-product": "Elasticsearch"}


def _with_headers(meta: ApiResponseMeta, headers: Mapping[str, str]) -> ApiResponseMeta:
    return ApiResponseMeta(
        status=meta.status,
        http_version=meta.http_version,
        headers=HttpHeaders(headers),
        duration=meta.duration,
        node=meta.node,
    )


class Flavour(msgspec.Struct, frozen=True):
    """One product: how it is spoken to, what its points in time are called, and what it has."""

    name: FlavourName
    product: str
    node_class: type[Node]
    pit_path: str
    pit_id: str
    pit_options: Mapping[str, str]
    """So that a point in time is made of the shards that are there: one that is not there stops no other."""

    close_path: str
    ties: tuple[str, ...]
    """What tells documents of one time apart in a point in time. OpenSearch counts shards by index: `_shard_doc` alone is
    the same for documents of two indices, and a page that ends between them would lose one."""

    has_enrich: bool
    lifecycle: str
    """The first part of the path of lifecycle policies: index lifecycle, or index state management."""

    def close_body(self, pit: str) -> Mapping[str, Any]:
        """The request body that gives a point in time up."""
        return {self.pit_id: pit if self.pit_id == "id" else [pit]}


FLAVOURS: Final[Mapping[FlavourName, Flavour]] = {
    "elasticsearch": Flavour(
        name="elasticsearch",
        product="Elasticsearch",
        node_class=Node,
        pit_path="_pit",
        pit_id="id",
        pit_options={"allow_partial_search_results": "true"},
        close_path="/_pit",
        ties=("_shard_doc",),
        has_enrich=True,
        lifecycle="_ilm/policy",
    ),
    "opensearch": Flavour(
        name="opensearch",
        product="OpenSearch",
        node_class=OpenSearchNode,
        pit_path="_search/point_in_time",
        pit_id="pit_id",
        pit_options={"allow_partial_pit_creation": "true"},
        close_path="/_search/point_in_time",
        ties=("_index", "_shard_doc"),
        has_enrich=False,
        lifecycle="_plugins/_ism/policies",
    ),
}
