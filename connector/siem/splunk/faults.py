"""The error table: everything that splunklib and the wire raise, and every status and message, to one of our three errors.

What a search says while it streams is :mod:`connector.siem.splunk.messages`' table.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from xml.etree.ElementTree import ParseError

import msgspec
from splunklib.binding import AuthenticationError, HTTPError

from connector.errors import ConfigError, PermanentError, TransientError, TriagedError
from connector.transport import UnsentError

LONGEST_REASON: Final = 600
"""Characters of a server's reason that are kept: it may quote a whole event."""

_DEEPEST_CAUSE: Final = 8


class GoneError(TransientError):
    """What was asked for is not there (any more): a search that expired, a record that somebody deleted."""


class CutError(TransientError):
    """An answer that ended before its end: what came of it may be used, and proves nothing."""


class Fault(NamedTuple):
    """The reaction to one kind of answer, and what a person can do."""

    kind: type[TriagedError]
    advice: str = ""


_LIMITS: Final = "Raise the role's search quotas, or poll less often"
_ROLE: Final = "Check the capabilities and indexes of the role"

TEXTS: Final[tuple[tuple[str, Fault], ...]] = (
    (r"maximum number of .*(searches|jobs)|concurrent .*(search|limit)", Fault(TransientError, _LIMITS)),
    (r"disk usage quota|usage=\d+\w*, quota=", Fault(TransientError, _LIMITS)),
    (r"minimum free disk space|not enough disk space", Fault(TransientError)),
    (r"search (was )?not executed|could not be dispatched|search process .*(fail|terminat|crash)", Fault(TransientError)),
    (r"unknown sid|sid .*(not found|expired)|no matching job", Fault(GoneError)),
    (r"kv ?store .*(initializ|not ready|unavailable|not available|starting|disabled|down)", Fault(TransientError)),
    (r"splunkd? is (starting|restarting|shutting down)|server is busy|in detention", Fault(TransientError)),
    (r"license (violation|expired)|exceeded .*license", Fault(ConfigError, "Splunk's license refuses searches")),
    (r"not properly authenticated|session is not logged in|token .*(expired|disabled|invalid)", Fault(ConfigError)),
    (r"insufficient permission|not allowed|lacks? .*capabilit|requires? capabilit", Fault(ConfigError, _ROLE)),
    (r"error in '[^']*' command|unknown search command|unable to parse|comparator|unbalanced|mismatched", Fault(
        ConfigError, "Splunk does not accept the search: check `search`")),
)  # fmt: skip
"""By what the server says, since it says more than the status does; the first line that fits counts. In any case."""

STATUSES: Final[Mapping[int, Fault]] = {
    400: Fault(ConfigError, "Splunk does not accept what was asked: check the search and the names in it"),
    401: Fault(ConfigError, "Check the credentials; a session or token may have expired"),
    402: Fault(ConfigError, "Splunk's license refuses searches"),
    403: Fault(ConfigError, _ROLE),
    404: Fault(ConfigError, "Check the address, `app` and `api`, and that what is asked for is installed"),
    405: Fault(ConfigError, "Check that the address is a search head's management port"),
    408: Fault(TransientError),
    409: Fault(PermanentError),
    410: Fault(ConfigError, "Check `api`: this version of Splunk has given the endpoint up"),
    411: Fault(ConfigError, "Check that the address is a search head's management port"),
    413: Fault(PermanentError),
    415: Fault(ConfigError, "Check that the address is a search head's management port"),
    429: Fault(TransientError),
    500: Fault(TransientError),
    501: Fault(ConfigError, "Check the version of Splunk"),
    502: Fault(TransientError),
    503: Fault(TransientError),
    504: Fault(TransientError),
    507: Fault(TransientError),
}


class Break(NamedTuple):
    """The reaction to a broken exchange: by the exception and, where not None, by what caused it."""

    error: type[Exception]
    cause: type[BaseException] | None
    kind: type[TriagedError]
    sent: bool = True
    advice: str = ""


_TRUST: Final = "Check `ca_certs`, and that the address stands in the server's certificate"
_OTHER: Final = "Check that the address is a search head's management port"

BREAKS: Final[tuple[Break, ...]] = (
    Break(UnsentError, ssl.SSLCertVerificationError, ConfigError, advice=_TRUST),
    Break(UnsentError, ssl.SSLEOFError, TransientError, sent=False),
    Break(UnsentError, ssl.SSLZeroReturnError, TransientError, sent=False),
    Break(
        UnsentError, ssl.SSLError, ConfigError, advice=_TRUST + ", and that both sides speak TLS and know the client's"
    ),
    Break(UnsentError, None, TransientError, sent=False),
    Break(http.client.IncompleteRead, None, CutError),
    Break(http.client.RemoteDisconnected, None, TransientError),
    Break(http.client.InvalidURL, None, ConfigError, advice=_OTHER),
    Break(http.client.BadStatusLine, None, ConfigError, advice=_OTHER),
    Break(http.client.HTTPException, None, TransientError),
    Break(TimeoutError, None, CutError),
    Break(OSError, None, TransientError),
    Break(ParseError, None, TransientError),
    Break(msgspec.DecodeError, None, TransientError),
)
"""The first line that fits counts. ``sent``: whether any byte of the request may have left."""

RAISED: Final = (HTTPError, *dict.fromkeys(line.error for line in BREAKS))
"""All that a call may raise and :func:`fault` knows."""


def fault(error: Exception, what: str) -> TriagedError:
    """Ours for theirs; ``what`` says what was tried, and on what. Neither names a secret."""
    if isinstance(error, HTTPError):
        return answered(error.status, told(error.body), what, login=isinstance(error, AuthenticationError))
    causes = list(_causes(error))
    for line in BREAKS:
        if isinstance(error, line.error) and (line.cause is None or any(isinstance(one, line.cause) for one in causes)):
            return _made(Fault(line.kind, line.advice), f"{what}: {_cut(_detail(error))}", sent=line.sent)
    raise AssertionError(f"no line fits {error!r}")


def answered(status: int, texts: tuple[str, ...], what: str, *, login: bool = False) -> TriagedError:
    """For an answer by its status and what it says. A refused login is a person's to mend, whatever it says."""
    found = None if login else by_text(" ".join(texts))
    found = found or STATUSES.get(status) or Fault(TransientError if status >= 500 or status < 400 else ConfigError)
    reason = "; ".join(dict.fromkeys(" ".join(text.split()) for text in texts))
    return _made(found, f"{what}: HTTP {status}{' ' if reason else ''}{_cut(reason)}", sent=True)


def failed(found: Fault, what: str) -> TriagedError:
    """For a search that says of itself that it failed."""
    return _made(found, what, sent=True)


def by_text(text: str) -> Fault | None:
    """The reaction to what the server says; None for what no line knows."""
    return next((fault for pattern, fault in _TEXTS if pattern.search(text)), None)


_TEXTS: Final = tuple((re.compile(pattern, re.IGNORECASE), fault) for pattern, fault in TEXTS)
_MESSAGE: Final = re.compile(r"<msg\b[^>]*>(.*?)</msg>", re.DOTALL)
_ENTITIES: Final = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))


def told(body: Any) -> tuple[str, ...]:
    """The messages of an error's body: of splunkd's XML or JSON, of HEC's ``text``, or the beginning of anything else."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    if found := _MESSAGE.findall(text):
        return tuple(_plain(message) for message in found)
    try:
        decoded = msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return (text[:LONGEST_REASON],) if text.strip() else ()
    if not isinstance(decoded, dict):
        return ()
    messages = decoded.get("messages")
    rows = messages if isinstance(messages, list) else [decoded]
    texts = (row.get("text") or row.get("message") for row in rows if isinstance(row, dict))
    return tuple(text for text in texts if isinstance(text, str))


def _plain(message: str) -> str:
    for entity, letter in _ENTITIES:
        message = message.replace(entity, letter)
    return message


def _detail(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, UnsentError) and error.__cause__ else error
    return str(cause) or type(cause).__name__


def _made(found: Fault, message: str, *, sent: bool) -> TriagedError:
    if found.advice:
        message = f"{message}. {found.advice}"
    return found.kind(message, sent=sent) if issubclass(found.kind, TransientError) else found.kind(message)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_DEEPEST_CAUSE):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "…"
