"""STIX objects of a TAXII 2.1 collection, by taxii2-client: page by page, TLS verified, every answer bounded in time and size.

Source: OASIS TAXII 2.1, sections 3.4 (pagination) and 5.4 (objects).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any, Final

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from taxii2client.exceptions import TAXIIServiceException
from taxii2client.v21 import Collection

from connector.errors import ConfigError, PermanentError, TransientError
from connector.learn.intel.stix import Stix
from connector.transport import is_safe

CONNECT_S: Final = 10.0
ANSWER_S: Final = 60.0
WHOLE_S: Final = 600.0
"""To connect, between two pieces of an answer, and for the whole of it."""
PAGE: Final = 1_000
MOST_PAGES: Final = 10_000
MOST_BYTES: Final = 64 << 20
"""Of one page; it is read into memory whole."""

RUN_S: Final = 3_600.0
MOST_OF_RUN: Final = 512 << 20
"""Of all pages together."""

TOO_MANY, SERVER_ERROR = 429, 500
_PIECE: Final = 1 << 16


class _Bounded(HTTPAdapter):
    """Requests with time-outs, which taxii2-client gives none, and answers that end, each and all together."""

    def __init__(self) -> None:
        super().__init__()
        self._left = MOST_OF_RUN
        self._until = monotonic() + RUN_S

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        options |= {"timeout": (CONNECT_S, ANSWER_S), "stream": True}
        if monotonic() > self._until:
            raise requests.Timeout(f"all answers take longer than {RUN_S:.0f} s", request=request)
        answer = super().send(request, **options)
        pieces, size, until = [], 0, min(monotonic() + WHOLE_S, self._until)
        for piece in answer.iter_content(_PIECE):
            size += len(piece)
            if size > MOST_BYTES:
                answer.close()
                raise PermanentError(f"{request.url}: an answer is longer than {MOST_BYTES} bytes")
            if size > self._left:
                answer.close()
                raise PermanentError(f"{request.url}: the answers are longer than {MOST_OF_RUN} bytes together")
            if monotonic() > until:
                answer.close()
                raise requests.Timeout(
                    f"an answer takes longer than {WHOLE_S:.0f} s, or all {RUN_S:.0f} s", request=request
                )
            pieces.append(piece)
        self._left -= size
        answer._content = b"".join(pieces)  # noqa: SLF001 - what Response.content would set, had it a bound
        return answer


def objects(url: str, user: str | None, password: SecretStr | None, since: str | None) -> Iterator[Stix]:
    """Every object of the collection at ``url``, those added after ``since`` (RFC 3339) alone where it is given.

    Raises ``ConfigError`` for an address without TLS and for refused credentials, ``TransientError`` where it may work
    later, and ``PermanentError`` for an answer that is no TAXII.
    """
    if not is_safe(url):
        raise ConfigError(f"{url} is neither https nor on this machine: credentials and content would be in the open")
    secret = None if password is None else password.get_secret_value()
    collection = Collection(url, user=user, password=secret, verify=True)
    session = collection._conn.session  # noqa: SLF001 - the client has no other place for a time-out
    bounded = _Bounded()
    for prefix in ("https://", "http://"):
        session.mount(prefix, bounded)
    session.max_redirects = 0  # whoever is sent elsewhere would take the credentials' trust along
    following: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = _page(collection, url, {**({"added_after": since} if since else {}), **following})
        listed = page.get("objects", [])
        if not isinstance(listed, list):
            raise PermanentError(f"{url}: the objects of an answer are no list")
        yield from (item for item in listed if isinstance(item, dict))
        if not page.get("more"):
            return
        if not isinstance(token := page.get("next"), str) or following.get("next") == token:
            raise PermanentError(f"{url}: an answer says that there is more, and not where")
        following = {"next": token}
    raise PermanentError(f"{url}: more than {MOST_PAGES} pages")


def _page(collection: Collection, url: str, asked: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        page = collection.get_objects(limit=PAGE, **asked)
    except requests.HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        if status in {401, 403}:
            raise ConfigError(f"{url} refuses these credentials ({status})") from error
        if status in {404, 406}:
            raise ConfigError(f"{url} is no collection of a TAXII 2.1 server ({status})") from error
        if status == TOO_MANY or status >= SERVER_ERROR:
            raise TransientError(f"{url} answers {status}") from error
        raise PermanentError(f"{url} answers {status}") from error
    except requests.TooManyRedirects as error:
        raise ConfigError(f"{url} sends elsewhere: name the address that it sends to") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise TransientError(f"{url} cannot be read: {error}") from error
    except (TAXIIServiceException, requests.RequestException, ValueError, KeyError, RecursionError) as error:
        raise PermanentError(f"{url} does not speak TAXII 2.1: {error}") from error
    if not isinstance(page, Mapping):
        raise PermanentError(f"{url}: an answer is no object")
    return page
