"""The policy: an ordered list of rules, read from TOML. The first rule that matches an event decides.

::

    enabled = true                    # false: nothing runs, everything waits
    soar = "dryrun"                   # where playbooks run unless a rule says otherwise

    [protected]                       # never contained; agents, hosts and users take * and ? as wildcards
    hosts = ["dc*"]
    addresses = ["10.0.0.0/24"]

    [[rules]]
    name = "credential dumping"
    techniques = ["T1003"]            # a technique stands for its sub-techniques too
    tactics = ["credential-access"]   # either of the two lists is enough; both absent: any event
    min_confidence = "trigger"        # a number, or a threshold of the model: suspicious, malicious, trigger
    technique_probability = 0.5       # absent: the technique passed the model's own threshold for it
    thresholds = { "T1003.001" = 0.9 }  # for this technique; the minimum of p_malicious and its probability counts
    quorum = 2                        # so many members must be at or above min_confidence by themselves
    sources = ["elastic-prod"]        # deployments; absent: any
    min_severity = 47                 # of the event itself (event.severity); absent: any
    min_risk = 80                     # of the event's host, user or address, with the event; absent: any
    incident = true                   # only what is part of an incident, and one action for all of it; not for contain
    when = { days = ["sat", "sun"], from = "00:00", to = "24:00", zone = "Europe/Berlin" }  # or a list of such
    tags = ["crown-jewel"]            # absent: whatever the site's tables of assets say
    listed = true                     # an entry of a block list is enough, whatever the scores
    alert = { tags = ["triaged"], note = true, status = "acknowledged" }  # where the event is an alert of its SIEM
    tier = "ticket"                   # log < note < ticket < contain
    mode = "auto"                     # suggest: only named in the verdict; approve: waits for a person; auto: runs
    playbook = "collect-triage-package"
    cooldown = "1h"                   # for the same rule and entity; a cool-down refuses
    hysteresis = 0.05                 # a score this little below what the rule asks keeps a cool-down going
    group = "15m"                     # one action for all that this rule sees of an entity in such a stretch; not for contain
    rate = { runs = 20, per = "1h" }  # for the playbook; a full rate cap waits
    entity_rate = { runs = 3, per = "1d" }  # for the entity, whatever runs on it; absent: no cap
    max_age = "1h"                    # older than this, an action is refused for good
    approval_expiry = "1h"            # how long a person's approval holds unless they say otherwise
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from connector.attack import catalogue
from connector.errors import ConfigError, PermanentError
from connector.policy.cacao import Playbook
from connector.policy.hours import Hours, HoursTable
from connector.policy.playbooks import load_playbooks
from connector.settings import Section, explain
from connector.types import Mode, Tier

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SECOND_RUN = "a containment may run a second time"
"""What a user must write to allow automatic containment on a SOAR without unique keys."""

PRINTABLE = r"^[^\x00-\x1f\x7f]+$"

Threshold: TypeAlias = Literal["suspicious", "malicious", "trigger"]
Probability: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _duration(value: Any) -> Any:
    """``90s``, ``15m``, ``1h``, ``7d``; anything else is left to pydantic (ISO 8601, seconds)."""
    match = re.fullmatch(r"(\d{1,9})\s*([smhd])", value) if isinstance(value, str) else None
    return timedelta(**{UNITS[match[2]]: int(match[1])}) if match else value


Duration: TypeAlias = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0), le=timedelta(days=366))]


def _listed(value: Any) -> Any:
    """One table as a list of one."""
    return [value] if isinstance(value, Mapping) else value


def _found(texts: Iterable[str]) -> list[str]:
    """The ids of the techniques that people wrote. Raises ``ValueError`` that names each unknown one, and its nearest."""
    found, problems = [], []
    for text in texts:
        try:
            found.append(catalogue().find(text).id)
        except PermanentError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return found


class RateCap(Section):
    """At most ``runs`` admitted runs, of a playbook or on an entity, in any stretch of ``per``."""

    runs: int = Field(ge=1)
    per: Duration = timedelta(hours=1)


class AlertTable(Section):
    """What is changed on an event that is itself an alert of its SIEM."""

    tags: tuple[Annotated[str, Field(min_length=1, max_length=100, pattern=PRINTABLE)], ...] = ()
    note: bool = False
    status: str | None = Field(None, min_length=1, max_length=100, pattern=PRINTABLE)

    @model_validator(mode="after")
    def _changes_something(self) -> AlertTable:
        if not (self.tags or self.note or self.status):
            raise ValueError("it changes nothing: give tags, note or status")
        return self


class Protected(Section):
    """Assets that are never contained, matched against every name that an entity is known by."""

    agents: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    addresses: tuple[Network, ...] = ()
    tags: tuple[str, ...] = ()


class RuleTable(Section):
    """One ``[[rules]]`` table."""

    name: str = Field(min_length=1, max_length=100, pattern=PRINTABLE)
    techniques: tuple[str, ...] = ()
    tactics: tuple[str, ...] = ()
    min_confidence: Threshold | Probability = "trigger"
    technique_probability: Threshold | Probability | None = None
    thresholds: dict[str, Threshold | Probability] = Field({})
    quorum: int = Field(0, ge=0, le=100)
    sources: tuple[str, ...] = ()
    min_severity: int | None = Field(None, ge=0)
    min_risk: float | None = Field(None, ge=0, le=100_000)
    incident: bool = False
    when: Annotated[tuple[HoursTable, ...], BeforeValidator(_listed)] = ()
    tags: tuple[str, ...] = ()
    listed: bool = False
    alert: AlertTable | None = None
    tier: Tier
    mode: Mode = "suggest"
    playbook: str
    soar: str | None = None
    cooldown: Duration = timedelta(hours=1)
    hysteresis: Probability = 0.0
    group: Duration | None = None
    rate: RateCap = RateCap(runs=20)
    entity_rate: RateCap | None = None
    max_age: Duration = timedelta(hours=1)
    approval_expiry: Duration = timedelta(hours=1)

    @field_validator("techniques")
    @classmethod
    def _techniques_exist(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_found(texts))

    @field_validator("thresholds")
    @classmethod
    def _thresholds_exist(cls, thresholds: dict[str, str | float]) -> dict[str, str | float]:
        return dict(zip(_found(thresholds), thresholds.values(), strict=True))

    @field_validator("tactics")
    @classmethod
    def _tactics_exist(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        known = catalogue().tactics.values()
        tactics = [catalogue().tactic(text) for text in texts]
        for text, tactic in zip(texts, tactics, strict=True):
            if tactic is None:
                raise ValueError(f"no tactic {text!r}; tactics are: {', '.join(t.shortname for t in known)}")
        return tuple(tactic.id for tactic in tactics if tactic is not None)

    @model_validator(mode="after")
    def _thresholds_are_of_its_techniques(self) -> RuleTable:
        named = {"technique_probability": self.technique_probability is not None, "thresholds": bool(self.thresholds)}
        if not (self.techniques or self.tactics) and any(named.values()):
            key = next(name for name, given in named.items() if given)
            raise ValueError(f"{key} needs techniques or tactics: without them the rule is about any event")
        if strangers := sorted(self.thresholds.keys() - self.covered):
            raise ValueError(f"thresholds: {', '.join(strangers)} is not among the rule's techniques and tactics")
        return self

    @model_validator(mode="after")
    def _containment_is_not_grouped(self) -> RuleTable:
        if self.group is not None and self.incident:
            raise ValueError("group and incident exclude each other: an action stands for a window, or for an incident")
        if (self.group is not None or self.incident) and self.tier == "contain":
            raise ValueError(
                f"{'incident' if self.incident else 'group'} cannot stand in a rule of tier 'contain': the first event "
                f"{'of it' if self.incident else 'of a window'} would decide for all, and one that names a protected "
                "asset would keep the entity from being contained"
            )
        return self

    @property
    def covered(self) -> frozenset[str]:
        """Every id that its techniques and tactics stand for, sub-techniques too."""
        attack = catalogue()
        found = {t.id for t in attack.techniques.values() if not set(t.tactics).isdisjoint(self.tactics)}
        found |= set(self.techniques)
        return frozenset(found | {sub.id for parent in found for sub in attack.subtechniques(parent)})

    @property
    def floors(self) -> Mapping[str, str | float]:
        """What a technique must reach, by each id that has a threshold of the rule's own: the nearest one counts."""
        found: dict[str, str | float] = {}
        for technique in sorted(self.covered):
            for named in (technique, technique.partition(".")[0]):
                if named in self.thresholds:
                    found[technique] = self.thresholds[named]
                    break
            else:
                if self.technique_probability is not None:
                    found[technique] = self.technique_probability
        return found


class PolicyTable(Section):
    """The whole policy file."""

    name: str = "policy"
    enabled: bool = True
    soar: str = "dryrun"
    accept: Literal["a containment may run a second time"] | None = None
    protected: Protected = Protected()
    rules: tuple[RuleTable, ...] = ()

    @field_validator("rules")
    @classmethod
    def _names_are_unique(cls, rules: tuple[RuleTable, ...]) -> tuple[RuleTable, ...]:
        names = [rule.name for rule in rules]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"rule names must be unique; given twice: {', '.join(sorted(twice))}")
        return rules


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, ready to be matched. ``techniques``: every id that it covers, sub-techniques too; None: any event.

    ``floors``: what the probability of a technique, and p_malicious, must reach, by id; other ids must have passed the
    model's own threshold. ``split``: sub-techniques with a threshold of their own, which decide for their parents too.
    ``tags``, ``sources``: what the entity must be tagged with, where the event must come from, one of them; None: any.
    ``when``: one of them must hold; empty: always. ``listed``: an entry of a block list is enough. ``incident``: only what
    is part of an incident, with one action for all of it.
    """

    name: str
    techniques: frozenset[str] | None
    min_confidence: str | float
    tier: Tier
    mode: Mode
    playbook: str
    soar: str
    cooldown: timedelta
    rate: RateCap
    max_age: timedelta
    approval_expiry: timedelta
    hysteresis: float = 0.0
    group: timedelta | None = None
    entity_rate: RateCap | None = None
    floors: Mapping[str, str | float] = {}
    split: frozenset[str] = frozenset()
    quorum: int = 0
    sources: frozenset[str] | None = None
    min_severity: int | None = None
    min_risk: float | None = None
    incident: bool = False
    when: tuple[Hours, ...] = ()
    tags: frozenset[str] | None = None
    listed: bool = False
    alert: AlertTable | None = None

    @property
    def memory(self) -> timedelta:
        """How far back admission looks for what this rule did: the ledger must remember as long."""
        of_entity = self.entity_rate.per if self.entity_rate else timedelta(0)
        return max(self.cooldown, self.rate.per, of_entity, self.group or timedelta(0), self.max_age)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The policy in force."""

    name: str
    enabled: bool
    accepts_second_run: bool
    rules: tuple[Rule, ...]
    protected: Protected
    playbooks: Mapping[str, Playbook]

    @classmethod
    def load(cls, path: Path, playbooks: Path) -> Policy:
        """Reads the policy and the playbooks that it names. Raises ``ConfigError`` that says where and what."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"policy {path} cannot be read: {error.strerror}") from error
        except (RecursionError, ValueError) as error:
            raise ConfigError(f"policy {path} is not TOML: {error}") from error
        return cls.build(table, load_playbooks(playbooks), path)

    @classmethod
    def build(cls, table: Mapping[str, Any], playbooks: Mapping[str, Playbook], path: Path | None = None) -> Policy:
        """The policy of a decoded TOML table. Raises ``ConfigError``."""
        try:
            parsed = PolicyTable.model_validate(table)
        except ValidationError as error:
            raise ConfigError(explain(error, PolicyTable, path or Path("policy"))) from error
        if problems := [problem for rule in parsed.rules for problem in _of_playbook(rule, playbooks)]:
            raise ConfigError("\n".join((f"{path or 'policy'} has {len(problems)} problem(s):", *problems)))
        return cls(
            name=parsed.name,
            enabled=parsed.enabled,
            accepts_second_run=parsed.accept == SECOND_RUN,
            rules=tuple(_compiled(rule, parsed.soar) for rule in parsed.rules),
            protected=parsed.protected,
            playbooks=playbooks,
        )

    def rule(self, name: str) -> Rule | None:
        """The rule of that name in force today."""
        return next((rule for rule in self.rules if rule.name == name), None)

    @property
    def soars(self) -> frozenset[str]:
        """The SOARs that rules send to: each must be configured."""
        return frozenset(rule.soar for rule in self.rules if rule.mode != "suggest")


def _of_playbook(rule: RuleTable, playbooks: Mapping[str, Playbook]) -> Iterator[str]:
    """What is wrong with the playbook that a rule names."""
    where = f"  rule {rule.name!r}"
    playbook = playbooks.get(rule.playbook)
    if playbook is None:
        yield f"{where}: no playbook {rule.playbook!r}; playbooks are: {', '.join(playbooks) or 'none'}"
    elif playbook.contains and rule.tier != "contain":
        yield (
            f"{where}: playbook {rule.playbook!r} contains ({', '.join(sorted(playbook.containing))}), so its tier must "
            f"be 'contain', not {rule.tier!r}: only that tier is guarded"
        )


def _compiled(table: RuleTable, soar: str) -> Rule:
    return Rule(
        name=table.name,
        techniques=table.covered if table.techniques or table.tactics else None,
        min_confidence=table.min_confidence,
        tier=table.tier,
        mode=table.mode,
        playbook=table.playbook,
        soar=table.soar or soar,
        cooldown=table.cooldown,
        rate=table.rate,
        max_age=table.max_age,
        approval_expiry=table.approval_expiry,
        hysteresis=table.hysteresis,
        group=table.group,
        entity_rate=table.entity_rate,
        floors=table.floors,
        split=frozenset(technique for technique in table.thresholds if "." in technique),
        quorum=table.quorum,
        sources=frozenset(table.sources) or None,
        min_severity=table.min_severity,
        min_risk=table.min_risk,
        incident=table.incident,
        when=tuple(map(Hours.of, table.when)),
        tags=frozenset(table.tags) or None,
        listed=table.listed,
        alert=table.alert,
    )
