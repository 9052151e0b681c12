"""Who and what an event is about, read from its ECS document. Everything read here may be chosen by an attacker."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from connector.types import Document, Entity, Json, SourceRef

if TYPE_CHECKING:
    from connector.policy.model import Protected

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST = 256
"""Names longer than this are no names: they are left out, and so never resolve."""

MOST_ADDRESSES = 256
"""An event may list more of its host; no more are kept with its verdict, and what may have more is never contained."""


def entity_of(ecs: Document) -> Entity:
    """Host, user, source address, collector identity, and the host's other names. What is odd or too long is absent.

    A collector that names itself otherwise than the event's host has received the event from elsewhere (Windows Event
    Forwarding, a relay): its identity says nothing of that host, and counts as unresolved.
    """
    host, agent_id = collected(ecs)
    return Entity(
        host=host,
        user=name_in(ecs, "user", "name"),
        address=name_in(ecs, "source", "ip"),
        agent_id=agent_id,
        aliases=_aliases(ecs, host),
    )


def collected(ecs: Document) -> tuple[str | None, str | None]:
    """An event's host, and the identity of the collector that attests it, as :func:`entity_of` has them."""
    host = name_in(ecs, "host", "name") or name_in(ecs, "host", "hostname")
    agent_id = name_in(ecs, "agent", "id") if "agent" in ecs or "agent.id" in ecs else None
    if agent_id is not None:
        collector = name_in(ecs, "agent", "hostname") or name_in(ecs, "agent", "name")
        if collector is not None and _short(collector) != _short(host or ""):
            agent_id = None
    return host, agent_id


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


def may_be_cut(entity: Entity) -> bool:
    """Whether the event may list more addresses of its host than are kept."""
    return sum(as_address(name) is not None for name in (entity.host, *entity.aliases)) >= MOST_ADDRESSES


class Names(NamedTuple):
    """Every name that an entity goes by, in lower case, by what it may be a name of."""

    agents: frozenset[str]
    hosts: frozenset[str]
    users: frozenset[str]
    addresses: frozenset[IPAddress]
    tags: frozenset[str]

    @classmethod
    def of(cls, entity: Entity, aliases: frozenset[str], tags: frozenset[str]) -> Names:
        """What the event says, and what the site's tables add; an alias may be a name of any kind."""
        known = [name.lower() for name in (*aliases, *entity.aliases)]
        addresses = map(as_address, (entity.address, *known))
        return cls(
            agents=frozenset((_plain(entity.agent_id), *known)) - {""},
            hosts=frozenset(_undotted(name) for name in (_plain(entity.host), *known)) - {""},
            users=frozenset((_plain(entity.user), *known)) - {""},
            addresses=frozenset(address for address in addresses if address is not None),
            tags=tags,
        )

    def match(self, kind: str, pattern: str) -> bool:
        """Whether one of the names of a kind (``agent``, ``host``, ``user``, ``tag``) fits the pattern.

        A name without its domain and a pattern with one fit where they are the same but for it, and the other way round:
        the two may well mean the same, and nothing in an event proves that they do not.
        """
        if kind == "tag":
            return pattern in self.tags
        if kind == "agent":
            return any(fnmatchcase(name, pattern.lower()) for name in self.agents)
        bare = _BARE.get(kind)
        return bare is not None and any(
            _fits(name, pattern.lower(), bare) for name in (self.hosts if kind == "host" else self.users)
        )

    def within(self, network: IPNetwork) -> bool:
        """Whether one of the addresses lies in the network."""
        return any(address in network for address in self.addresses)


def protected_by(
    protected: Protected,
    entity: Entity,
    aliases: frozenset[str] = frozenset(),
    tags: frozenset[str] = frozenset(),
) -> str | None:
    """The protection that covers this entity, under any name that it is known by and by any of its tags, or None."""
    names = Names.of(entity, aliases, tags)
    for key, kind, patterns in (
        ("tags", "tag", protected.tags),
        ("agents", "agent", protected.agents),
        ("hosts", "host", protected.hosts),
        ("users", "user", protected.users),
    ):
        for pattern in patterns:
            if names.match(kind, pattern):
                return f"{key} {pattern!r}"
    for network in protected.addresses:
        if names.within(network):
            return f"addresses {str(network)!r}"
    return None


@lru_cache(4096)
def as_address(text: str | None) -> IPAddress | None:
    """The address that a text is, an IPv4 one inside IPv6 as itself; None where it is none."""
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _short(host: str) -> str:
    return host.partition(".")[0].lower()


def account(user: str) -> str:
    """A user's name without the domain before or behind it."""
    return user.rpartition("\\")[2].partition("@")[0]


_BARE: Final[Mapping[str, Callable[[str], str]]] = {"host": _short, "user": account}


def _fits(name: str, pattern: str, bare: Callable[[str], str]) -> bool:
    if fnmatchcase(name, pattern) or fnmatchcase(bare(name), pattern):
        return True
    return name == bare(name) and fnmatchcase(name, bare(pattern))


def _plain(name: str | None) -> str:
    return (name or "").lower()


def _undotted(host: str) -> str:
    """A full name as it is usually written, without the dot of the root."""
    return host.removesuffix(".")


def _aliases(ecs: Document, host: str | None) -> tuple[str, ...]:
    """What else the event calls its host: the other of its two names, and its own addresses."""
    node: Json = ecs.get("host")
    found: Json = node.get("ip") if isinstance(node, dict) else ecs.get("host.ip")
    listed = found if isinstance(found, (list, tuple)) else (found,)
    addresses = dict.fromkeys(text for text in listed if isinstance(text, str) and _is_address(text))
    names = (name_in(ecs, "host", "hostname"), *islice(addresses, MOST_ADDRESSES))
    return tuple(dict.fromkeys(name for name in names if name is not None and name != host))


def _is_address(text: str) -> bool:
    return len(text) <= LONGEST and as_address(text) is not None


def name_in(ecs: Document, group: str, field: str) -> str | None:
    """The name at ``group.field``; None where there is none, or what stands there is no name."""
    node: Json = ecs.get(group)
    value: Json = node.get(field) if isinstance(node, dict) else ecs.get(f"{group}.{field}")
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        return None
    return value
