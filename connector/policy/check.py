"""What a sound policy still gets wrong: rules that nothing can reach, and names that this site does not know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from connector.policy.assets import AssetRow
from connector.policy.model import Policy, Protected, Rule
from connector.policy.networks import Network
from connector.policy.reach import unreachable
from connector.types import Noun


class Site(Noun, frozen=True, kw_only=True):
    """What a policy is checked against; None: not known, and so not checked.

    ``soars`` and ``sources`` are what the settings name (SOARs by name, deployments of sources and inlets); ``labels``,
    ``members`` (how many have an opinion of their own) and ``thresholds`` are those of the bundle in production;
    ``assets`` the rows of the site's tables, each with its networks.
    """

    soars: frozenset[str] | None = None
    sources: frozenset[str] | None = None
    labels: frozenset[str] | None = None
    members: int | None = None
    thresholds: Any = None
    assets: tuple[tuple[AssetRow, tuple[Network, ...]], ...] | None = None


def findings(policy: Policy, site: Site) -> list[str]:
    """What a person should look at, a sentence each; empty where nothing is."""
    found = [
        f"rule {rule.name!r} is never reached: what it matches is matched before by {_named(covering)}"
        for rule, covering in unreachable(policy.rules, site.thresholds)
    ]
    tags = None if site.assets is None else frozenset(tag for row, _ in site.assets for tag in row.tags)
    for rule in policy.rules:
        found += (f"rule {rule.name!r}: {problem}" for problem in _of_rule(rule, site, tags))
    found += _unprotected(policy.protected, site.assets or ())
    return found


def _of_rule(rule: Rule, site: Site, tags: frozenset[str] | None) -> Iterator[str]:
    if site.soars is not None and rule.mode != "suggest" and rule.soar not in site.soars:
        yield f"no SOAR {rule.soar!r} in the settings; there are: {_listed(site.soars)}"
    if site.sources is not None and (strangers := (rule.sources or frozenset()) - site.sources):
        yield f"no source has the deployment {_listed(strangers)}; there are: {_listed(site.sources)}"
    if tags is not None and (strangers := (rule.tags or frozenset()) - tags):
        yield f"no row of the tables of assets has the tag {_listed(strangers)}"
    if site.members is not None and rule.quorum > site.members:
        yield f"a quorum of {rule.quorum} cannot come together: the model in production has {site.members} member(s)"
    if site.labels is not None and rule.techniques is not None and rule.techniques.isdisjoint(site.labels):
        yield "the model in production tells none of its techniques"


def _unprotected(protected: Protected, assets: Iterable[tuple[AssetRow, tuple[Network, ...]]]) -> Iterator[str]:
    """Lists of ``[protected]`` of which no entry is anything that the tables of assets know."""
    rows = tuple(assets)
    if not rows:
        return
    names = {name.lower() for row, _ in rows for name in (*row.host, *row.agent, *row.user)}
    names |= {name.partition(".")[0] for name in names}
    patterns = {"agents": protected.agents, "hosts": protected.hosts, "users": protected.users}
    known = {
        kind: any(fnmatchcase(name, pattern.lower()) for pattern in entries for name in names)
        for kind, entries in patterns.items()
    }
    known["addresses"] = any(
        net.version == mine.version and net.overlaps(mine)
        for net in protected.addresses
        for _, networks in rows
        for mine in networks
    )
    known["tags"] = any(tag in row.tags for tag in protected.tags for row, _ in rows)
    for kind, is_known in known.items():
        if getattr(protected, kind) and not is_known:
            entries = _listed(map(str, getattr(protected, kind)))
            yield f"protected.{kind} protects nothing that the tables of assets know: {entries}"


def _named(rules: Iterable[Rule]) -> str:
    return ", ".join(repr(rule.name) for rule in rules)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
