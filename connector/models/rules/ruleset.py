"""Many rules as one: only those of an event's log whose texts stand in the event are tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import ahocorasick

from connector.models.cache import Cache
from connector.models.rules.conditions import all_read, rarity
from connector.models.rules.forms import LONGEST, REFUSED, Form, Name, encoded, form_of, name_of
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

_FORMS: Final = 1024
"""Forms of events that are remembered at most: they are an attacker's text too, and take some 17 KB each at worst."""


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
        tests = self.candidates(event)
        if not tests:
            return None if tests is None else []
        view = view_of(event)
        return sorted({place for place, test in tests if test(view)})

    def candidates(self, event: Event) -> list[tuple[int, Test]] | None:
        """The places of the rules that are worth testing on an event, with their tests; None where no rule speaks of its log."""
        form = self._form(event)
        text = None if form is None else form.folded(event)
        if form is not None and text is not None:
            return list(form.rules.among(text)) if form.rules.size else None
        view = view_of(event)
        indexes = [index for index in self._indexes(view) if index.size]
        return [each for index in indexes for each in index.candidates(view)] if indexes else None

    def tells(self, event: Event) -> bytes:
        """All that decides which rules match: only events that differ in it may be matched otherwise."""
        form = self._form(event)
        told = None if form is None else form.tells(event)
        if told is not None:
            return told
        view = view_of(event)
        log, asked = self._reads(view)
        read = (log, asked, view.told(asked))
        try:
            return encoded(read)
        except UnicodeEncodeError:  # half of a surrogate pair, which Python's own notation can say
            return repr(read).encode()

    def _reads(self, view: View) -> tuple[Sequence[str], Asked]:
        """The event's log, and the fields that a rule of it reads."""
        indexes = self._indexes(view)
        each = [index.asked(view) for index in indexes]
        asked = each[0] if len(each) == 1 else view.asked(dict.fromkeys(name for one in each for name in one.elsewhere))
        return (view.channel or "", view.code, *[index.source for index in indexes]), asked

    def _form(self, event: Event) -> Form[Index] | None:
        """The form of an event, remembered; None where it has none."""
        name = name_of(event)
        form = None if name is None else self._forms.get(name)
        if name is None or form is not None or sum(map(len, name)) > LONGEST:
            return form
        view = view_of(event)
        try:
            form = form_of(event, view, self._reads(view), self._indexes(view)[0])
        except REFUSED:
            return None
        self._forms.put(name, form)
        return form

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
        """The fields of an event that its rules read."""
        # keywords pass over ports, ids and times: a rule that names one reads it all the same
        return view.asked(dict.fromkeys((*view.names(), *self._named)) if self._keywords else self._named)

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
