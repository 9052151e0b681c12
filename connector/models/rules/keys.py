"""Names what rules read of an event, so that events which no rule can tell apart are matched once.

Most Windows events have a form that was there before: the same log and the same names of data. Which fields rules ask of a form,
and where these stand, is found once; from then on an event costs a look at those fields, and one digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from connector.models.cache import Cache
from connector.models.rules.ruleset import RuleSet
from connector.models.rules.views import (
    COMPUTER,
    COMPUTER_PLACES,
    OF_LOG,
    UNNAMED,
    Asked,
    Places,
    moved,
    read,
    unnamed_of,
    view_of,
)
from connector.types import Event, Json

_FORMS: Final = 4096
"""Forms that are remembered at most: they are an attacker's text."""

_LONGEST: Final = 4096
"""Characters of a form that is remembered: those of Windows' own events have some hundreds."""

_MOST: Final = 64
"""Fields of an event's data that still make a form: an event that brings more is nothing that comes again."""

_Named: TypeAlias = tuple[str, ...]
"""Kind, code, channel, provider, and the names of the data."""

_REFUSED: Final = (OverflowError, RecursionError, TypeError, UnicodeEncodeError)
"""What the encoder says of numbers beyond 64 bits, of depths, and of halves of a surrogate pair."""

_NIL: Final = b"\xc0"
"""How MessagePack writes null, which no UTF-8 holds: where there is none of it, no value is null, which would stand elsewhere."""

_encoded: Final = msgspec.msgpack.Encoder().encode


class _Form(NamedTuple):
    """What is told of every event of a form (``begin``), and where the values stand that tell one from another.

    ``data`` takes the values out of an event's data; ``places`` are where others may stand in its ECS document.
    """

    begin: bytes
    data: Callable[[Mapping[str, Json]], Any]
    places: tuple[Places, ...]


class Keys:
    """The keys of events for one set of rules; ``digest`` tells it from others."""

    def __init__(self, rules: RuleSet, digest: str) -> None:
        self._rules = rules
        self._digest = digest
        self._forms: Cache[_Named, _Form] = Cache(_FORMS)

    def of(self, event: Event) -> str:
        """SHA-256 of the set, the event's log, and the values, unmasked, that decide which of the rules match."""
        try:
            whole = self._by_form(event)
        except _REFUSED:
            whole = None
        return hashlib.sha256(self._read(event) if whole is None else whole).hexdigest()

    def _by_form(self, event: Event) -> bytes | None:
        """What is told of an event by its form; None where it has none, or a value may stand elsewhere than the form says."""
        ecs = event.ecs
        winlog = ecs.get("winlog")
        data = winlog.get("event_data") if type(winlog) is dict else None
        if type(winlog) is not dict or type(data) is not dict or (named := _named(event, winlog, data)) is None:
            return None
        form = self._forms.get(named) or self._form(event, named, data)
        told = _encoded(form.data(data))
        if _NIL in told:
            return None
        if form.places:
            told += _encoded([read(ecs, places) for places in form.places])
        return form.begin + told

    def _form(self, event: Event, named: _Named, data: Mapping[str, Json]) -> _Form:
        view = view_of(event)
        log, asked, _ = self._rules.reads(view)
        others = [name for name in asked.elsewhere if name not in OF_LOG]
        common = view.told(Asked((), tuple(name for name in asked.elsewhere if name in OF_LOG)))
        unnamed = unnamed_of(data) if UNNAMED in others else ()
        places = {**moved(event.kind), COMPUTER: COMPUTER_PLACES}
        form = _Form(
            hashlib.sha256(_encoded((self._digest, log, asked, unnamed, common))).digest(),
            _taker((*asked.data, *unnamed)),
            tuple(places[name] for name in others if name != UNNAMED),
        )
        if sum(map(len, named)) <= _LONGEST:
            self._forms.put(named, form)
        return form

    def _read(self, event: Event) -> bytes:
        """What is told of any event, as rules see it."""
        told = (self._digest, *self._rules.reads(view_of(event)))
        try:
            return _encoded(told)
        except UnicodeEncodeError:  # half of a surrogate pair, which Python's own notation can say
            return repr(told).encode()


def _named(event: Event, winlog: Mapping[str, Json], data: Mapping[str, Json]) -> _Named | None:
    """What the event's form is remembered by; None where it is like no other's."""
    node = event.ecs.get("event")
    code = (node.get("code") if type(node) is dict else None) or winlog.get("event_id")
    channel, provider = winlog.get("channel"), winlog.get("provider_name")
    # of texts alone: True and 1 are one key of a dict, and not one code
    if type(code) is type(channel) is type(provider) is str and len(data) <= _MOST and not winlog.get("user_data"):
        return (event.kind, code, channel, provider, *data)
    return None


def _taker(names: tuple[str, ...]) -> Callable[[Mapping[str, Json]], Any]:
    """What takes these values out of an event's data, always as a tuple."""
    match names:
        case ():
            return lambda _: ()
        case (name,):
            return lambda data: (data[name],)
    return itemgetter(*names)
