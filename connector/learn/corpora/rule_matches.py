"""Which raw events Sigma's rules fire on: a weak label of single events, where recordings are labelled as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from connector.errors import PermanentError
from connector.events import normalise
from connector.learn.corpora.source import Corpora
from connector.models import rules
from connector.models.rules.ruleset import RuleSet
from connector.types import Event, RawEvent, SourceRef

SIGMA: Final = "sigma"
LEVELS: Final = frozenset({"medium", "high", "critical"})
"""A rule of a lower level fires on what is common, says its author."""
_BATCH: Final = 1_000
_NOWHERE: Final = SourceRef(siem="corpus", index="rules", id="")


@lru_cache(maxsize=1)
def rule_set(corpora: Corpora) -> RuleSet | None:
    """The rules of Sigma's own tree; None where Sigma is not among the sources."""
    if not corpora.holds(SIGMA):
        return None
    return rules.load(item for item in corpora.files(SIGMA, ".yml") if item[0].startswith("rules"))


def fired(found: RuleSet | None, events: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, tuple[str, ...]]:
    """Of (key, raw event), the techniques of the rules of level medium or higher that fire, by key; nothing for the rest."""
    matched: dict[str, tuple[str, ...]] = {}
    stream = iter(events)
    while found is not None and (batch := list(islice(stream, _BATCH))):
        read = [(key, event) for key, data in batch if (event := _normalised(data)) is not None]
        for (key, _), matches in zip(read, found.match([event for _, event in read]), strict=True):
            strong = [match for match in matches if match.level in LEVELS]
            if strong:
                matched[key] = tuple(sorted({name for match in strong for name in match.techniques}))
    return matched


def _normalised(data: Mapping[str, Any]) -> Event | None:
    try:
        return normalise(RawEvent(deployment="corpus", native_id="", ref=_NOWHERE, data=data))
    except PermanentError:
        return None
