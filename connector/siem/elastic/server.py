"""Any request to a cluster, with what it refused given back and not raised: what an installer asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from elastic_transport import ApiError

from connector.siem.elastic.client import Cluster
from connector.siem.elastic.installer import Reply
from connector.types import Json

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_RAISED = frozenset({401, 403, 408, 429})
"""What the error table knows better what to do about than whoever asked."""


class ClusterServer:
    """A :class:`connector.siem.elastic.installer.Server` over a connection. ``what`` says what is done, for messages."""

    def __init__(self, cluster: Cluster, what: str) -> None:
        self._cluster = cluster
        self._what = what

    def request(self, method: str, path: str, body: Json = None) -> Reply:
        """One request; a list is sent as lines of JSON. Raises one of our three errors where there is no answer."""
        sent = b"".join(msgspec.json.encode(row) + b"\n" for row in body) if isinstance(body, list) else body
        headers = {"accept": "application/json"} | ({} if body is None else {"content-type": "application/json"})

        def call(client: Elasticsearch) -> Reply:
            try:
                answer = client.perform_request(method, path, headers=headers, body=sent)
            except ApiError as error:
                if error.meta.status >= 500 or error.meta.status in _RAISED:
                    raise
                return Reply(error.meta.status, error.body)
            return Reply(answer.meta.status, answer.body)

        return self._cluster.ask(self._what, call)
