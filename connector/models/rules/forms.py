"""The form of a Windows event: what all events of one log with the same names of data have in common for the rules.

Most events have a form that was there before. Which fields rules ask of a form, and where these stand, is found once; from then
on an event costs a look at those fields. What is odd in any way has no form, and is read with all care (:mod:`.views`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from connector.models.rules.views import (
    COMPUTER,
    COMPUTER_PLACES,
    MAX_VALUE,
    OF_LOG,
    SEPARATOR,
    UNNAMED,
    Asked,
    Places,
    View,
    moved,
    read,
    unnamed_of,
)
from connector.types import Event, Json

LONGEST: Final = 2048
"""Characters of the name of a form: those of Windows' own events have some hundreds."""

_MOST: Final = 64
"""Fields of an event's data: an event that brings more is nothing that comes again."""

Name: TypeAlias = tuple[str, ...]
"""Kind, code, channel, provider, and the names of the data."""

REFUSED: Final = (OverflowError, RecursionError, TypeError, UnicodeEncodeError)
"""What the encoder says of numbers beyond 64 bits, of depths, and of halves of a surrogate pair."""

_NIL: Final = b"\xc0"
"""How MessagePack writes null, which no UTF-8 holds: where there is none of it, no value is null, which would stand elsewhere."""

Data: TypeAlias = Mapping[str, Json]
encoded: Final = msgspec.msgpack.Encoder().encode

Rules = TypeVar("Rules")


class Form(NamedTuple, Generic[Rules]):
    """``rules`` are those of the log. ``told`` is a digest of the log, the fields and the values that all events share.

    ``text`` are those values, case-folded. ``take`` takes the others out of an event's data; ``places`` are where more may stand
    in its ECS document.
    """

    rules: Rules
    told: bytes
    text: str
    take: Callable[[Data], tuple[Any, ...]]
    places: tuple[Places, ...]

    def tells(self, event: Event) -> bytes | None:
        """All that tells an event from others, as far as rules read it; None where a value may stand elsewhere than here."""
        try:
            told: bytes = encoded(self.take(event.ecs["winlog"]["event_data"]))
            if _NIL in told:
                return None
            return self.told + told + (encoded(self._moved(event)) if self.places else b"")
        except REFUSED:
            return None

    def folded(self, event: Event) -> str | None:
        """The same as one text without regard to case; None where it is not made of short texts alone."""
        values = self.take(event.ecs["winlog"]["event_data"])
        if self.places:
            values = (*values, *[value for value in self._moved(event) if value is not None])
        try:
            text = SEPARATOR.join(values)
        except TypeError:
            return None
        return f"{self.text}{SEPARATOR}{text.casefold()}" if len(text) <= MAX_VALUE else None

    def _moved(self, event: Event) -> list[Json]:
        return [read(event.ecs, places) for places in self.places]


def name_of(event: Event) -> Name | None:
    """What an event's form is remembered by; None where it is like no other's, or odd."""
    ecs = event.ecs
    winlog, node = ecs.get("winlog"), ecs.get("event")
    data = winlog.get("event_data") if type(winlog) is dict else None
    if type(winlog) is not dict or type(data) is not dict or len(data) > _MOST or winlog.get("user_data"):
        return None
    code = (node.get("code") if type(node) is dict else None) or winlog.get("event_id")
    channel, provider, computer = winlog.get("channel"), winlog.get("provider_name"), winlog.get("computer_name")
    # of texts alone: True and 1 are one key of a dict, and not one code
    if not (
        type(code) is type(channel) is type(provider) is str and code and (computer is None or type(computer) is str)
    ):
        return None
    return event.kind, code, channel, provider, *data


def form_of(event: Event, view: View, reads: tuple[Sequence[str], Asked], rules: Rules) -> Form[Rules]:
    """The form of an event that has a name, of whose log the rules read so much. Raises one of :data:`REFUSED`."""
    log, asked = reads
    others = [name for name in asked.elsewhere if name not in OF_LOG]
    common = Asked((), tuple(name for name in asked.elsewhere if name in OF_LOG))
    unnamed = unnamed_of(event.ecs["winlog"]["event_data"]) if UNNAMED in others else ()
    places = {**moved(event.kind), COMPUTER: COMPUTER_PLACES}
    return Form(
        rules,
        hashlib.sha256(encoded((log, asked, unnamed, view.told(common)))).digest(),
        view.text(common),
        _taker((*asked.data, *unnamed)),
        tuple(places[name] for name in others if name != UNNAMED),
    )


def _taker(names: tuple[str, ...]) -> Callable[[Data], tuple[Any, ...]]:
    """What takes these values out of an event's data, always as a tuple."""
    match names:
        case ():
            return lambda _: ()
        case (name,):
            return lambda data: (data[name],)
    return itemgetter(*names)
