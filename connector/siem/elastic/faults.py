"""The error table: everything that the client raises, and every status and error type, to one of our three errors.

A call is meant as a whole here (a search, a bulk, a template); what became of one item of a bulk is the writer's table.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import elastic_transport
import urllib3
from elastic_transport import ApiError, ConnectionTimeout, SerializationError, TlsError, TransportError

from connector.errors import ConfigError, PermanentError, TransientError, TriagedError

LONGEST_REASON: Final = 600
"""Characters of a server's reason that are kept: it may quote a whole document."""


_DEEPEST_CAUSE: Final = 5


class GoneError(TransientError):
    """The server has given up what an earlier call opened: a point in time that expired, or that a restart ended."""


class MissingError(ConfigError):
    """An index that was named is not there."""


class UnreadableError(TransientError):
    """The answer came whole, and is not what it should be: nothing decodes a document in it."""


class UnsendableError(SerializationError):
    """What was to be sent cannot be written as JSON."""


class Fault(NamedTuple):
    """The reaction to one kind of answer, and what a person can do."""

    kind: type[TriagedError]
    advice: str = ""


TYPES: Final[Mapping[str, Fault]] = {
    "search_context_missing_exception": Fault(GoneError),
    "security_exception": Fault(ConfigError, "Check the credentials, and the privileges of their role"),
    "index_not_found_exception": Fault(MissingError, "Check the name; a pattern (`name-*`) may match nothing yet"),
    "index_closed_exception": Fault(ConfigError, "Open the index, or name others"),
    "cluster_block_exception": Fault(TransientError),
    "circuit_breaking_exception": Fault(TransientError),
    "es_rejected_execution_exception": Fault(TransientError),
    "rejected_execution_exception": Fault(TransientError),
    "no_shard_available_action_exception": Fault(TransientError),
    "unavailable_shards_exception": Fault(TransientError),
    "node_closed_exception": Fault(TransientError),
    "node_disconnected_exception": Fault(TransientError),
    "node_not_connected_exception": Fault(TransientError),
    "task_cancelled_exception": Fault(TransientError),
    "timeout_exception": Fault(TransientError),
    "process_cluster_event_timeout_exception": Fault(TransientError),
    "master_not_discovered_exception": Fault(TransientError),
    "cluster_manager_not_discovered_exception": Fault(TransientError),
}
"""By ``error.type``, or the type of a cause: it says more than the status does, and so it is looked at first."""

STATUSES: Final[Mapping[int, Fault]] = {
    200: Fault(ConfigError, "The server answers as another product: `flavour` says which one it is"),
    400: Fault(ConfigError, "The server does not accept what was asked: check the query and the fields it names"),
    401: Fault(ConfigError, "Check the credentials"),
    403: Fault(ConfigError, "Check the privileges of the role"),
    404: Fault(ConfigError, "Check the address and the names"),
    405: Fault(ConfigError, "Check that the address is the one of a supported server (`flavour`)"),
    406: Fault(ConfigError, "Check `flavour` and the version of the server"),
    408: Fault(TransientError),
    409: Fault(PermanentError),
    410: Fault(ConfigError, "Check the version of the server"),
    413: Fault(PermanentError),
    415: Fault(ConfigError, "Check `flavour` and the version of the server"),
    429: Fault(TransientError),
    500: Fault(TransientError),
    501: Fault(ConfigError, "Check the version of the server"),
    502: Fault(TransientError),
    503: Fault(TransientError),
    504: Fault(TransientError),
    507: Fault(TransientError),
}


class Break(NamedTuple):
    """The reaction to a broken exchange: by the client's exception and, where not None, by what caused it."""

    error: type[Exception]
    cause: type[BaseException] | None
    kind: type[TriagedError]
    sent: bool = True
    advice: str = ""


_TRUST: Final = "Check `ca_certs` or `fingerprint`, and that the address stands in the server's certificate"

BREAKS: Final[tuple[Break, ...]] = (
    Break(UnsendableError, None, PermanentError),
    Break(SerializationError, None, UnreadableError),
    Break(TlsError, ssl.SSLCertVerificationError, ConfigError, advice=_TRUST),
    Break(TlsError, ssl.SSLEOFError, TransientError),
    Break(TlsError, ssl.SSLZeroReturnError, TransientError),
    Break(TlsError, None, ConfigError, advice=_TRUST + ", and that both sides speak TLS and know the client's"),
    Break(ConnectionTimeout, urllib3.exceptions.ConnectTimeoutError, TransientError, sent=False),
    Break(ConnectionTimeout, None, TransientError),
    Break(elastic_transport.ConnectionError, urllib3.exceptions.NewConnectionError, TransientError, sent=False),
    Break(elastic_transport.ConnectionError, None, TransientError),
    Break(TransportError, None, TransientError),
)
"""The first line that fits counts. ``sent``: whether any byte of the request may have left."""


def fault(error: ApiError | TransportError, what: str) -> TriagedError:
    """Ours for the client's; ``what`` says what was tried, and on what. Neither names a secret."""
    if isinstance(error, ApiError):
        return _answered(error, what)
    causes = set(map(type, _causes(error)))
    for line in BREAKS:
        if isinstance(error, line.error) and (
            line.cause is None or any(issubclass(cause, line.cause) for cause in causes)
        ):
            return _made(Fault(line.kind, line.advice), f"{what}: {_cut(_detail(error))}", sent=line.sent)
    raise AssertionError(f"no line fits {error!r}")


def _detail(error: Exception) -> str:
    """What broke; of a connection its cause says more than the client does."""
    network = isinstance(error, elastic_transport.ConnectionError | ConnectionTimeout)
    return str(error.__cause__ if network and error.__cause__ else error)


def _answered(error: ApiError, what: str) -> TriagedError:
    status = error.meta.status
    told = list(_told(error.body))
    found = next((TYPES[kind] for kind, _ in told if kind in TYPES), None)
    found = (
        found
        or STATUSES.get(200 if status < 300 else status)
        or Fault(TransientError if status >= 500 else ConfigError)
    )
    reason = "; ".join(
        dict.fromkeys(f"{kind}: {' '.join(reason.split())}" if reason else kind for kind, reason in told)
    )
    return _made(found, f"{what}: HTTP {status}{' ' if reason else ''}{_cut(reason)}", sent=True)


def _made(found: Fault, message: str, *, sent: bool) -> TriagedError:
    if found.advice:
        message = f"{message}. {found.advice}"
    return found.kind(message, sent=sent) if issubclass(found.kind, TransientError) else found.kind(message)


def _told(body: Any) -> Iterator[tuple[str, str]]:
    """(type, reason) of an error's body, outermost first, and of each of its root causes."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):
        yield error, ""
    if not isinstance(error, dict):
        return
    roots = error.get("root_cause")
    failed = [shard.get("reason") for shard in error.get("failed_shards") or () if isinstance(shard, dict)]
    for first in (error, *(roots if isinstance(roots, list) else ()), *failed[:1]):
        node = first
        for _ in range(_DEEPEST_CAUSE):
            if isinstance(node, dict):
                yield str(node.get("type")), str(node.get("reason") or "")
                node = node.get("caused_by")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What led to an error: what it was raised from, and what that one carries as its arguments."""
    waiting: list[BaseException] = [error]
    for _ in range(16):
        if not waiting:
            return
        cause = waiting.pop(0)
        yield cause
        waiting += [one for one in (cause.__cause__, *cause.args) if isinstance(one, BaseException)]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "…"
