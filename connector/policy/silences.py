"""Silences: which actions a scope covers.

::

    *                          every action
    rule:NAME                  those of a rule; likewise playbook:NAME and soar:NAME
    entity:agent:ID            those on an entity, by any name that it goes by; likewise entity:host:, entity:user: and
                               entity:address: (or a network), with * and ? as in the protected assets, and entity:tag:
    entity:source:SIEM/INDEX   those on what has no name at all

Names other than an agent's id may be chosen by whoever writes the event: what is silenced by them can be claimed.
"""

from __future__ import annotations

from typing import Final

from connector.policy.entity import Names
from connector.policy.networks import network
from connector.types import Action

EVERYTHING: Final = "*"
NAMED: Final = ("rule", "playbook", "soar")
ENTITY: Final = ("agent", "host", "user", "address", "tag", "source")


def is_silence(scope: str) -> bool:
    """Whether :func:`covers` could ever heed a scope like this."""
    kind, _, name = scope.partition(":")
    if kind == "entity":
        kind, _, name = name.partition(":")
        if kind == "address" and not _is_network(name):
            return False
        return kind in ENTITY and bool(name.strip())
    return scope == EVERYTHING or (kind in NAMED and bool(name.strip()))


def covers(scope: str, action: Action, aliases: frozenset[str], tags: frozenset[str]) -> bool:
    """Whether the action falls under the scope. ``aliases`` and ``tags``: what the site's tables say of its entity."""
    if scope in {EVERYTHING, f"entity:{action.entity_key}"}:
        return True
    kind, _, name = scope.partition(":")
    if kind in NAMED:
        return name == {"rule": action.rule, "playbook": action.playbook, "soar": action.soar}[kind]
    kind, _, name = name.partition(":")
    names = Names.of(action.entity, aliases, tags)
    if kind == "address":
        return _is_network(name) and names.within(network(name))
    return kind in ENTITY and names.match(kind, name)


def _is_network(text: str) -> bool:
    try:
        network(text)
    except ValueError:
        return False
    return True
