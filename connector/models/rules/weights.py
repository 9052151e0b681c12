"""What a rule's match is worth, learnt from labels: ``weights.json`` of a rules member.

A rule's precision is its share of right matches with a Beta prior: ``(right + a) / (matched + a + b)``. The prior's mean
is the precision of all rules of the same level together, its weight that of :data:`STRENGTH` witnesses. A witness is a
group (file, recording), not an event: a recording of a thousand alike events is one. Labels that come of Sigma's rules
teach nothing here.
Source: Gelman et al., Bayesian Data Analysis, chapter 2 (Beta-binomial).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.models.rules.nouns import Match

FILE = "weights.json"

STRENGTH: Final = 2.0
"""Witnesses that a level's precision counts for, beside a rule's own."""


class Count(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """``right`` of ``seen`` groups; both may be fractions, where a group is right in part."""

    right: float = 0.0
    seen: float = 0.0


class Prior(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prior Beta(a, b) of a share."""

    a: float
    b: float

    def mean(self, count: Count) -> float:
        """The expected share after so many witnesses."""
        return (count.right + self.a) / (count.seen + self.a + self.b)


IGNORANT: Final = Prior(a=1.0, b=1.0)


class Weights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Counts by rule id, and priors by level.

    ``malicious`` counts matches in events that were malicious, ``techniques`` matches in events that showed one of the
    rule's techniques. ``silent`` counts events that rules speak of and none matched; ``prevalence`` is the share of
    malicious rows among all that were counted. ``labels`` are the bases of the labels.
    """

    malicious: Mapping[str, Count] = {}
    techniques: Mapping[str, Count] = {}
    malicious_prior: Mapping[str, Prior] = {}
    technique_prior: Mapping[str, Prior] = {}
    silent: Count = Count()
    prevalence: float = 0.5
    labels: tuple[str, ...] = ()

    def p_technique(self, match: Match) -> float:
        """The probability that an event which the rule matches shows one of the rule's techniques."""
        return self.technique_prior.get(match.level, IGNORANT).mean(self.techniques.get(match.id, Count()))

    def p_malicious(self, match: Match) -> float:
        """The probability that an event which the rule matches is malicious; even where nothing was learnt."""
        return self.malicious_prior.get(match.level, IGNORANT).mean(self.malicious.get(match.id, Count()))

    def p_silent(self) -> float:
        """The probability that an event which rules speak of, and none matches, is malicious."""
        return IGNORANT.mean(self.silent)

    def malice(self, found: Iterable[Match], prevalence: float | None = None) -> float:
        """``p_malicious`` of an event by the rules that match it: that of the most telling, or of silence.

        It is stated for the prevalence of the rows that taught it, or brought to another one.
        """
        told = max(map(self.p_malicious, found), default=self.p_silent())
        shift = 0.0 if prevalence is None else odds(prevalence) - odds(self.prevalence)
        return 1.0 / (1.0 + math.exp(-odds(told) - shift))

    def shown(self, found: Iterable[Match]) -> dict[str, float]:
        """The techniques of an event, and their parents: the most that a rule which names one is worth."""
        shown: dict[str, float] = {}
        for match in found:
            worth = self.p_technique(match)
            for technique in match.techniques:
                for label in {technique, technique.partition(".")[0]}:
                    shown[label] = max(shown.get(label, 0.0), worth)
        return shown


def odds(probability: float) -> float:
    """The log-odds of a probability."""
    return math.log(probability) - math.log1p(-probability)


def read(path: Path) -> Weights:
    """A file of weights. Raises ``ConfigError``."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Weights)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} holds no rule weights: {error}") from error
