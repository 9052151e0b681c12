"""What a closure says: which label, which techniques, and why it was a false positive."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple, Self, get_args

from connector.attack import migrate
from connector.learn.export.rows import CauseBasis, Fact, TechniqueBasis
from connector.ledger import REVIEW
from connector.settings import ExportSettings
from connector.types import Cause, Disposition

DISPOSITIONS: Final[Mapping[str, Disposition]] = {
    "true_positive": "true_positive",
    "true_positive_suspicious_activity": "true_positive",
    "malicious": "true_positive",
    "benign_positive": "benign_positive",
    "benign_true_positive": "benign_positive",
    "false_positive": "false_positive",
    "false_positive_logic": "false_positive_logic",
    "false_positive_incorrect_analytic_logic": "false_positive_logic",
    "incorrect_analytic_logic": "false_positive_logic",
    "disposition_3": "false_positive_logic",
    "false_positive_data": "false_positive_data",
    "false_positive_inaccurate_data": "false_positive_data",
    "inaccurate_data": "false_positive_data",
    "disposition_4": "false_positive_data",
    "duplicate": "duplicate",
    "other": "other",
}
"""By the words of the alert histories, as :func:`slug` writes them, and by the numbers that Splunk ships."""

MALICIOUS: Final[Mapping[Disposition, bool]] = {
    "true_positive": True,
    "benign_positive": False,
    "false_positive": False,
    "false_positive_logic": False,
    "false_positive_data": False,
}
"""A duplicate is labelled by what it duplicates, and ``other`` by nothing."""

CAUSES: Final[Mapping[str, Cause]] = {
    **{cause: cause for cause in get_args(Cause) if cause != "other"},
    "cause_other": "other",
    "benign_tool": "benign_software",
    "software": "benign_software",
    "admin": "administration",
    "maintenance": "administration",
    "misconfiguration": "misconfigured_source",
    "stale_ti": "stale_intelligence",
    "stale_ioc": "stale_intelligence",
    "pentest": "test",
    "red_team": "test",
}
COMMENTS: Final[Mapping[str, Cause]] = {
    "*scheduled maintenance*": "administration",
    "*change request*": "administration",
    "*misconfigur*": "misconfigured_source",
    "*outdated indicator*": "stale_intelligence",
    "*stale indicator*": "stale_intelligence",
    "*expired indicator*": "stale_intelligence",
    "*penetration test*": "test",
    "*pentest*": "test",
    "*red team*": "test",
}

_SHOWS: Final = frozenset({"true_positive", "benign_positive"})
"""Closures that grant the alert its techniques; whoami is T1033, whoever runs it."""

CAUSED: Final = frozenset(MALICIOUS) - {"true_positive"}
"""Closures that say why the alarm was a false one."""
_TAG: Final = re.compile(r"(?:(?:attack|mitre)[._: -]{0,2})?(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)
SAID: Final = re.compile(
    r"\btechniques?\s{0,4}[:=]\s{0,4}((?:none\b|t\d{4}(?:\.\d{3})?|[\s,;/&+]|and\b){1,64})", re.IGNORECASE
)
"""Techniques that an analyst names in a comment."""
_ID: Final = re.compile(r"t\d{4}(?:\.\d{3})?", re.IGNORECASE)
_CAUSE_MARK: Final = re.compile(r"(?:cause|fp|reason)[_:]*_?")


class Meaning(NamedTuple):
    """What one closure says."""

    disposition: Disposition | None
    malicious: bool | None
    techniques: tuple[str, ...] = ()
    technique_basis: TechniqueBasis | None = None
    cause: Cause | None = None
    cause_basis: CauseBasis | None = None


NOTHING: Final = Meaning(None, None)
"""What a re-open says."""


class LabelMap:
    """A site's own words over those that are known: dispositions and causes by word or tag, causes by pattern of the comment."""

    def __init__(
        self,
        dispositions: Mapping[str, Disposition] | None = None,
        causes: Mapping[str, Cause] | None = None,
        comments: Mapping[str, Cause] | None = None,
    ) -> None:
        self._dispositions = {**DISPOSITIONS, **{slug(word): kind for word, kind in (dispositions or {}).items()}}
        self._causes = {**CAUSES, **{slug(tag): cause for tag, cause in (causes or {}).items()}}
        self._comments = {**(comments or {}), **COMMENTS}

    @classmethod
    def of(cls, settings: ExportSettings) -> Self:
        """A site's own map."""
        return cls(settings.dispositions, settings.causes, settings.comments)

    @property
    def told(self) -> tuple[Mapping[str, str], ...]:
        """The whole map: labels follow from it."""
        return self._dispositions, self._causes, self._comments

    def meaning(self, fact: Fact) -> Meaning:
        """What a closure says; tags count where nothing else does, and where they tell more of the same."""
        disposition = self.disposition(fact)
        if disposition is None:
            return NOTHING
        techniques, basis = _techniques(fact, disposition)
        cause, cause_basis = self._cause(fact) if disposition in CAUSED else (None, None)
        return Meaning(disposition, MALICIOUS.get(disposition), techniques, basis, cause, cause_basis)

    def disposition(self, fact: Fact) -> Disposition | None:
        """None where nothing was decided; ``other`` for a word that nobody has mapped."""
        known = self._words(fact)
        tagged = [known[name] for name in map(slug, fact.tags) if name in known]
        if not fact.disposition:
            return tagged[0] if tagged else None
        decided = known.get(slug(fact.disposition), "other")
        closer = [kind for kind in tagged if kind.startswith(f"{decided}_")]
        return closer[0] if closer else decided

    def unmapped(self, fact: Fact) -> bool:
        """Whether its word is in nobody's map."""
        return bool(fact.disposition) and slug(fact.disposition or "") not in self._words(fact)

    def _words(self, fact: Fact) -> Mapping[str, Disposition]:
        """Answers to our questions are in our words, whatever a site means by them elsewhere."""
        return DISPOSITIONS if fact.history == REVIEW else self._dispositions

    def knows(self, word: str) -> bool:
        """Whether a disposition or tag is a word that labels follow from."""
        return (
            slug(word) in self._dispositions
            or _tagged(word, self._causes) is not None
            or _TAG.fullmatch(word) is not None
        )

    def _cause(self, fact: Fact) -> tuple[Cause | None, CauseBasis | None]:
        for tag in fact.tags:
            if (named := _tagged(tag, CAUSES if fact.history == REVIEW else self._causes)) is not None:
                return named, "review" if fact.history == REVIEW else "tag"
        comment = fact.comment.lower()
        found = next(
            (cause for pattern, cause in self._comments.items() if fnmatchcase(comment, pattern.lower())), None
        )
        return found, "comment" if found else None


def slug(word: str) -> str:
    """A word of people as one of ours: lower case, ``_`` for what is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_")


def _tagged(tag: str, causes: Mapping[str, Cause]) -> Cause | None:
    name = slug(tag)
    return causes.get(name) or causes.get(_CAUSE_MARK.sub("", name, count=1))


def _techniques(fact: Fact, disposition: Disposition) -> tuple[tuple[str, ...], TechniqueBasis | None]:
    """The analyst's word first, then tags, then the alert's own; of a false positive the analyst's word alone."""
    if said := SAID.search(fact.comment):
        return known_techniques(_ID.findall(said[1])), "analyst"
    tags = [match[1] for match in map(_TAG.fullmatch, fact.tags) if match]
    if disposition not in _SHOWS:
        return (), None
    if tagged := known_techniques(tags):
        return tagged, "tag"
    of_alert = known_techniques(fact.techniques)
    return of_alert, "alert" if of_alert else None


def known_techniques(ids: Iterable[str]) -> tuple[str, ...]:
    """Technique ids in the catalogue's version; what it does not know is left out."""
    return tuple(sorted({known for one in ids for known in migrate(one.upper()).ids}))
