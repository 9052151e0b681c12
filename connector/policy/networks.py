"""Networks by address: as many dict look-ups as there are distinct prefix lengths, however many networks there are."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Generic, TypeAlias, TypeVar

from connector.policy.entity import as_address

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")

_LONGEST = 64
"""A longer text is no address; what is read here may be megabytes of anything."""

_REMEMBERED = 1 << 14
"""Addresses whose networks are remembered: events repeat theirs, and reading one costs more than looking it up."""


class Networks(Generic[T]):
    """What is known of each network. An IPv4 address inside an IPv6 one counts as itself."""

    def __init__(self, rows: Iterable[tuple[Network, T]]) -> None:
        found: dict[tuple[int, int], dict[int, list[T]]] = {}
        for network, value in rows:
            by_prefix = found.setdefault((network.version, network.max_prefixlen - network.prefixlen), {})
            by_prefix.setdefault(
                int(network.network_address) >> (network.max_prefixlen - network.prefixlen), []
            ).append(value)
        self._tables = sorted(found.items())
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._look_up)

    def __bool__(self) -> bool:
        return bool(self._tables)

    def find(self, text: str) -> tuple[T, ...]:
        """What is known of the networks that an address lies in, the narrowest first; nothing for any other text."""
        return self._remembered(text) if self._tables and len(text) <= _LONGEST else ()

    def _look_up(self, text: str) -> tuple[T, ...]:
        address = as_address(text)
        if address is None:
            return ()
        number = int(address)
        tables = (
            table
            for (version, bits), by_prefix in self._tables
            if version == address.version
            if (table := by_prefix.get(number >> bits))
        )
        return tuple(value for values in tables for value in values)


def network(text: str) -> Network:
    """An address or a network, host bits ignored; an IPv4 address inside an IPv6 one is itself. Raises ``ValueError``."""
    found = ipaddress.ip_network(text, strict=False)
    if isinstance(found, ipaddress.IPv6Network) and found.prefixlen >= 96:
        inside = found.network_address.ipv4_mapped
        return ipaddress.IPv4Network((int(inside), found.prefixlen - 96)) if inside else found
    return found
