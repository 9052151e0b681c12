"""What a site knows of its hosts and users: tags, an owner, and whatever else its tables say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from connector.errors import ConfigError
from connector.policy.networks import Network, Networks, network
from connector.policy.tables import checked, rows
from connector.types import Entity, Noun

_NONE: Final[tuple[Any, ...]] = ()


def _several(value: Any) -> Any:
    """``a; b`` in a cell of a CSV file is two values."""
    return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value


Several = Annotated[tuple[str, ...], BeforeValidator(_several)]


class AssetRow(BaseModel):
    """One row: the names that an asset or an identity goes by, and what is known of it. Other columns are kept as text."""

    model_config = ConfigDict(extra="allow", frozen=True)

    host: Several = ()
    agent: Several = ()
    address: Several = ()
    user: Several = ()
    tags: Several = Field(default=())
    owner: str | None = None

    @model_validator(mode="after")
    def _has_a_name(self) -> AssetRow:
        if not (self.host or self.agent or self.address or self.user):
            raise ValueError("one of host, agent, address and user is needed")
        return self


class Asset(Noun, frozen=True, kw_only=True):
    """A row, ready to be found. ``names``: every single name that it goes by, as it was written."""

    names: tuple[str, ...]
    tags: frozenset[str]
    about: str
    """One line for people: name, tags, owner, attributes."""


class Assets:
    """Assets and identities by each of their names. Finding costs a dict look-up a name."""

    def __init__(self, found: Iterable[tuple[AssetRow, tuple[Network, ...]]] = ()) -> None:
        self._by_name: dict[str, list[Asset]] = {}
        networks: list[tuple[Network, Asset]] = []
        self.size = 0
        for row, own_networks in found:
            self.size += 1
            asset = _asset(row, own_networks)
            for kind, names in (("host", row.host), ("agent", row.agent), ("user", row.user)):
                for name in names:
                    self._by_name.setdefault(f"{kind}:{name.lower()}", []).append(asset)
            networks += [(net, asset) for net in own_networks]
        self._networks = Networks(networks)

    def of(self, entity: Entity) -> tuple[Asset, ...]:
        """The rows that an entity matches by any of its names, each once. A host is known by its short name too."""
        found: list[Asset] = []
        if self._by_name:
            for key in _keys(entity):
                found += self._by_name.get(key, _NONE)
        if self._networks and entity.address:
            found += self._networks.find(entity.address)
        return tuple({id(asset): asset for asset in found}.values()) if found else _NONE


def read_assets(paths: Iterable[Path]) -> Iterator[tuple[AssetRow, tuple[Network, ...]]]:
    """The rows of CSV and TOML (``[[assets]]``) files. Raises ``ConfigError`` with the place."""
    for path in paths:
        for place, row in rows(path, "assets"):
            parsed = checked(AssetRow, row, place)
            try:
                yield parsed, tuple(map(network, parsed.address))
            except ValueError as error:
                raise ConfigError(f"{place}: {error}") from error


def _asset(row: AssetRow, networks: Iterable[Network]) -> Asset:
    single = tuple(str(net.network_address) for net in networks if net.num_addresses == 1)
    names = (*row.host, *row.agent, *row.user, *single)
    more: Mapping[str, Any] = {**({"owner": row.owner} if row.owner else {}), **(row.model_extra or {})}
    told = [*sorted(set(row.tags)), *(f"{key}: {value}" for key, value in more.items())]
    shown = next(iter((*row.host, *row.user, *row.agent, *row.address)))
    return Asset(names=names, tags=frozenset(row.tags), about=f"known: {shown} ({', '.join(told) or 'no tags'})")


def _keys(entity: Entity) -> Iterator[str]:
    if entity.agent_id:
        yield f"agent:{entity.agent_id.lower()}"
    if entity.host:
        host = entity.host.lower()
        yield f"host:{host}"
        if "." in host:
            yield f"host:{host.partition('.')[0]}"
    if entity.user:
        yield f"user:{entity.user.lower()}"
