"""Who and what an event is about, read from its ECS document. Everything read here may be chosen by an attacker."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from connector.types import Document, Entity, Json, SourceRef

if TYPE_CHECKING:
    from connector.policy.model import Protected

LONGEST = 256
"""Names longer than this are no names: they are left out, and so never resolve."""


def entity_of(ecs: Document) -> Entity:
    """Host, user, source address and collector identity. What is absent, odd or too long is None.

    A collector that names itself otherwise than the event's host has received the event from elsewhere (Windows Event
    Forwarding, a relay): its identity says nothing of that host, and counts as unresolved.
    """
    host = name_in(ecs, "host", "name") or name_in(ecs, "host", "hostname")
    agent_id = name_in(ecs, "agent", "id")
    if agent_id is not None:
        collector = name_in(ecs, "agent", "hostname") or name_in(ecs, "agent", "name")
        if collector is not None and _short(collector) != _short(host or ""):
            agent_id = None
    return Entity(host=host, user=name_in(ecs, "user", "name"), address=name_in(ecs, "source", "ip"), agent_id=agent_id)


def entity_key(entity: Entity, source: SourceRef) -> str:
    """What cool-downs count by: the attested agent where there is one, else the best name, else the index."""
    if entity.agent_id:
        return f"agent:{entity.agent_id}"
    if entity.host:
        return f"host:{entity.host.lower()}"
    if entity.user:
        return f"user:{entity.user.lower()}"
    if entity.address:
        return f"address:{entity.address}"
    return f"source:{source.siem}/{source.index}"


def protected_by(
    protected: Protected,
    entity: Entity,
    aliases: frozenset[str] = frozenset(),
    tags: frozenset[str] = frozenset(),
) -> str | None:
    """The protection that covers this entity, under any name that it is known by and by any of its tags, or None."""
    for tag in protected.tags:
        if tag in tags:
            return f"tags {tag!r}"
    hosts = {name for host in (entity.host, *aliases) if host for name in (host.lower(), _short(host))}
    agents = {name.lower() for name in (entity.agent_id, *aliases) if name}
    users = {name.lower() for name in (entity.user, *aliases) if name}
    for kind, names, patterns in (
        ("agents", agents, protected.agents),
        ("hosts", hosts, protected.hosts),
        ("users", users, protected.users),
    ):
        for pattern in patterns:
            if any(fnmatchcase(name, pattern.lower()) for name in names):
                return f"{kind} {pattern!r}"
    for text in (entity.address, *aliases):
        address = as_address(text)
        for network in protected.addresses if address else ():
            if address in network:
                return f"addresses {str(network)!r}"
    return None


@lru_cache(4096)
def as_address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text is, an IPv4 one inside IPv6 as itself; None where it is none."""
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _short(host: str) -> str:
    return host.partition(".")[0].lower()


def name_in(ecs: Document, group: str, field: str) -> str | None:
    """The name at ``group.field``; None where there is none, or what stands there is no name."""
    node: Json = ecs.get(group)
    value: Json = node.get(field) if isinstance(node, dict) else ecs.get(f"{group}.{field}")
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        return None
    return value
