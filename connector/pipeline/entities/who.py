"""Whose risk an event's verdict adds to: its host, its user, and the address that it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connector.events.masks import user as class_of
from connector.policy.entity import account, as_address
from connector.types import Entity

SHARED: Final = frozenset(
    {"administrator", "defaultaccount", "wdagutilityaccount", "root", "toor", "daemon", "bin", "sys", "nobody"}
)
"""Accounts, besides those that have a class, that every host has one of: what they do is the host's."""


def entities_of(entity: Entity, deployment: str) -> Iterator[tuple[str, Entity]]:
    """(key, entity) of each in its deployment; each names nothing but itself. No name has the tab that parts the two.

    Accounts that every host has, a machine's own account, the host's own addresses, and addresses that name no one
    machine (loopback, link-local, multicast) are nobody.
    """
    if entity.agent_id:
        yield f"agent:{entity.agent_id}\t{deployment}", Entity(host=entity.host, agent_id=entity.agent_id)
    elif entity.host:
        yield f"host:{entity.host.lower()}\t{deployment}", Entity(host=entity.host)
    if entity.user and class_of(entity.user) == "<user>" and account(entity.user).lower() not in SHARED:
        yield f"user:{entity.user.lower()}\t{deployment}", Entity(user=entity.user)
    if (address := _address(entity)) is not None:
        yield f"address:{address}\t{deployment}", Entity(address=address)


def _address(entity: Entity) -> str | None:
    address = as_address(entity.address)
    if address is None or address in {as_address(name) for name in entity.aliases}:
        return None
    nobody = address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local
    return None if nobody else str(address)
