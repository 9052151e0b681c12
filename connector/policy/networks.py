"""Networks by address: as many dict look-ups as there are distinct prefix lengths, however many networks there are."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar

from connector.policy.entity import as_address

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")

_LONGEST = 64
"""A longer text is no address; what is read here may be megabytes of anything."""


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

    def __bool__(self) -> bool:
        return bool(self._tables)

    def find(self, text: str) -> Iterator[T]:
        """What is known of the networks that an address lies in, the narrowest first; nothing for any other text."""
        address = as_address(text) if len(text) <= _LONGEST else None
        if address is None:
            return
        number = int(address)
        for (version, bits), by_prefix in self._tables:
            if version == address.version:
                yield from by_prefix.get(number >> bits, ())


def network(text: str) -> Network:
    """An address or a network, host bits ignored. Raises ``ValueError``."""
    return ipaddress.ip_network(text, strict=False)
