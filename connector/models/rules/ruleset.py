"""Many rules as one: only those of an event's log whose texts stand in the event are tested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import ahocorasick

from connector.models.cache import Cache
from connector.models.rules.conditions import all_read, rarity
from connector.models.rules.forms import LONGEST, REFUSED, Data, Form, Name, Reads, encoded, form_of, name_of
from connector.models.rules.nouns import LeftOut, Match
from connector.models.rules.reading import Rule, Variant
from connector.models.rules.sources import Source
from connector.models.rules.values import KEYWORDS, Clause, Test
from connector.models.rules.views import Asked, View, view_of
from connector.types import Event

_DEPTH: Final = 3
"""Clauses of a rule that are looked up; the rest are left to its test."""

_LOGS: Final = 4096
"""Channels and codes are an attacker's text: what was found for one is not kept for ever."""

_LONGEST_LOG: Final = 512
"""Characters of a channel and a code that are kept; Windows' own channels have at most 255."""

_FORMS: Final = 4096
"""Forms of events that are remembered at most: they are an attacker's text too."""

_SHAPES: Final = 256
"""Shapes of the events of one kind of log, which are an attacker's text too."""

_LONGEST_SHAPE: Final = 4096
"""Characters of the names of a shape that is kept: those of Windows' own events have some hundreds."""


class RuleSet:
    """Compiled rules. Threads may share it: what it keeps between two events are caches."""

    def __init__(self, rules: Sequence[Rule], left_out: Sequence[LeftOut]) -> None:
        self.rules = tuple(rules)
        self.left_out = tuple(left_out)
        variants = [(place, variant) for place, rule in enumerate(rules) for variant in rule.variants]
        self._windows = tuple(each for each in variants if each[1].gate.source is None)
        self._of_log: Cache[tuple[str, str], Index] = Cache(_LOGS)
        self._of_windows: dict[tuple[int, ...], Index] = {}
        self._of_source = tuple(_by_source(variants))
        self._forms: Cache[Name, Form[Index]] = Cache(_FORMS)

    def match(self, events: Sequence[Event]) -> list[tuple[Match, ...]]:
        """The rules that match each event, in the order of the set."""
        return [tuple(self.rules[place].match for place in self.heard(event) or ()) for event in events]

    def heard(self, event: Event) -> list[int] | None:
        """The places of the rules that match an event; None where no rule speaks of its log."""
        form, data = self._form(event)
        text = None if form is None else form.folded(event.ecs, data)
        if form is None or text is None:
            view = view_of(event)
            return self.matching(view) if self.covers(view) else None
        if not form.rules.size:
            return None
        tests = list(form.rules.among(text))
        return _passed(tests, view_of(event)) if tests else []

    def matching(self, view: View) -> list[int]:
        """The places of the rules that match an event, as rules read it."""
        return _passed(self.candidates(view), view)

    def candidates(self, view: View) -> Iterator[tuple[int, Test]]:
        """The places of the rules that are worth testing on an event, with their tests."""
        for index in self._indexes(view):
            yield from index.candidates(view)

    def covers(self, view: View) -> bool:
        """Whether any rule speaks of the event's log."""
        return any(index.size for index in self._indexes(view))

    def tells(self, event: Event) -> bytes:
        """All that decides which rules match: events that differ in it may be matched otherwise."""
        form, data = self._form(event)
        told = None if form is None else form.tells(event.ecs, data)
        if form is not None and told is not None:
            return form.told + told
        read = self.reads(view_of(event))
        try:
            return encoded(read)
        except UnicodeEncodeError:  # half of a surrogate pair, which Python's own notation can say
            return repr(read).encode()

    def reads(self, view: View) -> Reads:
        """All that decides which rules match, as rules read it."""
        indexes = self._indexes(view)
        each = [index.asked(view) for index in indexes]
        asked = each[0] if len(each) == 1 else view.asked(dict.fromkeys(name for one in each for name in one.elsewhere))
        log = (view.channel or "", view.code, *[index.source for index in indexes])
        return Reads(log, asked, view.told(asked))

    def _form(self, event: Event) -> tuple[Form[Index] | None, Data]:
        """The form of an event, remembered, and the event's data; None where it has none."""
        named = name_of(event)
        if named is None:
            return None, {}
        name, data = named
        form = self._forms.get(name)
        if form is None:
            view = view_of(event)
            try:
                form = form_of(event, data, self.reads(view), self._indexes(view)[0])
            except REFUSED:
                return None, data
            if sum(map(len, name)) <= LONGEST:
                self._forms.put(name, form)
        return form, data

    def _indexes(self, view: View) -> Sequence[Index]:
        """Those of the event's log: one of a Windows event, one a source of any other.

        An event may name any number of datasets: an index for each combination would be an attacker's to have made.
        """
        if view.channel is None:
            return [index for source, index in self._of_source if source.holds(view)]
        key = (view.channel, view.code)
        index = self._of_log.get(key)
        if index is None:
            index = self._of(self._by_log(*key))
            if len(view.channel) + len(view.code) <= _LONGEST_LOG:
                self._of_log.put(key, index)
        return (index,)

    def _of(self, places: tuple[int, ...]) -> Index:
        """One index for equal sets of variants: there are only so many, however many logs events claim to be of."""
        index = self._of_windows.get(places)
        if index is None:
            index = self._of_windows[places] = Index([self._windows[place] for place in places])
        return index

    def _by_log(self, channel: str, code: str) -> tuple[int, ...]:
        return tuple(
            place
            for place, (_, variant) in enumerate(self._windows)
            if (variant.gate.channels is None or channel in variant.gate.channels)
            and (variant.gate.codes is None or code in variant.gate.codes)
        )


def _passed(tests: Iterable[tuple[int, Test]], view: View) -> list[int]:
    return sorted({place for place, test in tests if test(view)})


def _by_source(variants: Sequence[tuple[int, Variant]]) -> Iterator[tuple[Source, Index]]:
    groups: dict[str, tuple[Source, list[tuple[int, Variant]]]] = {}
    for place, variant in variants:
        if source := variant.gate.source:
            groups.setdefault(source.name, (source, []))[1].append((place, variant))
    for name, (source, group) in groups.items():
        yield source, Index(group, name)


class Index:
    """The variants of one kind of log, by the texts that they need.

    Variants are bits of an integer. For each text there is one integer a depth, of the variants whose clause at that
    depth it meets; a variant is a candidate where it is met at all depths, or has no clause there.
    ``source`` names the log source; it is empty where Windows' channel and code tell the log.
    Source: Aho, Corasick, Efficient string matching, 1975.
    """

    def __init__(self, variants: Sequence[tuple[int, Variant]], source: str = "") -> None:
        self.source = source
        self._tests: tuple[tuple[int, Test], ...] = tuple((rule, variant.condition.test) for rule, variant in variants)
        read = all_read(variant.condition for _, variant in variants)
        self._named = tuple(sorted(read - {KEYWORDS}))
        self._keywords = KEYWORDS in read
        self._shapes: Cache[tuple[str, ...], Asked] = Cache(_SHAPES)
        self._free = [0] * _DEPTH
        masks: dict[str, list[int]] = {}
        for bit, (_, variant) in enumerate(variants):
            clauses = _rarest(variant.condition.clauses)
            for depth in range(_DEPTH):
                if depth >= len(clauses):
                    self._free[depth] |= 1 << bit
                    continue
                for text in clauses[depth]:
                    masks.setdefault(text, [0] * _DEPTH)[depth] |= 1 << bit
        self._masks = tuple(tuple(each) for each in masks.values())
        self._automaton = ahocorasick.Automaton()
        for number, text in enumerate(masks):
            self._automaton.add_word(text, number)
        if masks:
            self._automaton.make_automaton()

    @property
    def size(self) -> int:
        """How many variants it holds."""
        return len(self._tests)

    def asked(self, view: View) -> Asked:
        """The fields of an event that its rules read. They are looked for once for all events of a shape."""
        shape = view.shape()
        found = None if shape is None else self._shapes.get(shape)
        if found is None:
            # keywords pass over ports, ids and times: a rule that names one reads it all the same
            found = view.asked(dict.fromkeys((*view.names(), *self._named)) if self._keywords else self._named)
            if shape is not None and sum(map(len, shape)) <= _LONGEST_SHAPE:
                self._shapes.put(shape, found)
        return found

    def candidates(self, view: View) -> Iterator[tuple[int, Test]]:
        """The rules (their place in the set) that may match, with their tests."""
        return self.among(view.text(self.asked(view)) if self._masks else "")

    def among(self, text: str) -> Iterator[tuple[int, Test]]:
        """The same by all that the rules read of an event, case-folded."""
        met = list(self._free)
        found = {number for _, number in self._automaton.iter(text)} if self._masks else ()
        for number in found:
            for depth, mask in enumerate(self._masks[number]):
                met[depth] |= mask
        left = met[0] & met[1] & met[2]
        while left:
            lowest = left & -left
            yield self._tests[lowest.bit_length() - 1]
            left ^= lowest


def _rarest(clauses: Sequence[Clause]) -> list[Clause]:
    return sorted(clauses, key=rarity, reverse=True)[:_DEPTH]
