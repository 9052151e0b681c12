"""What a site knows of its hosts and users: tags, an owner, and whatever else its tables say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from connector.errors import ConfigError
from connector.policy.entity import as_address
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
    keys: tuple[str, ...]
    """The names by which other rows about the same machine are found: hosts, agents and single addresses."""
    tags: frozenset[str]
    tells: frozenset[str]
    """The lists of ``[protected]`` that can be asked about it: a row that gives no address says nothing of those."""
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
        """The rows that an entity matches by any of its names, each once. A host is known by its short name too.

        Rows about the same machine in several tables belong together: one that is found leads to those that name its
        host, agent or address. A user does not lead on, since one user has many machines.
        """
        found: dict[int, Asset] = {}
        keys = dict.fromkeys(_keys(entity))
        while keys:
            added = [asset for key in keys for asset in self._at(key) if id(asset) not in found]
            found.update((id(asset), asset) for asset in added)
            keys = dict.fromkeys(key for asset in added for key in asset.keys)
        return tuple(found.values()) if found else _NONE

    def told(self, agent_id: str | None) -> frozenset[str]:
        """By which lists of ``[protected]`` the rows about this agent's machine can tell whether it is protected."""
        return frozenset().union(*(asset.tells for asset in self.of(Entity(agent_id=agent_id))))

    def _at(self, key: str) -> Sequence[Asset]:
        kind, _, name = key.partition(":")
        if kind == "network":
            return self._networks.find(name)
        if kind == "address":
            return [asset for asset in self._networks.find(name) if name in asset.names]
        return self._by_name.get(key, _NONE)


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
    keys = (
        *(key for name in row.host for key in _host_keys(name)),
        *(f"agent:{name.lower()}" for name in row.agent),
        *(f"address:{name}" for name in single),
    )
    tells = {"users": True, "hosts": row.host, "addresses": single, "tags": row.tags or row.host}
    return Asset(
        names=names,
        keys=keys,
        tags=frozenset(row.tags),
        tells=frozenset(kind for kind, known in tells.items() if known),
        about=f"known: {shown} ({', '.join(told) or 'no tags'})",
    )


def _keys(entity: Entity) -> Iterator[str]:
    if entity.agent_id:
        yield f"agent:{entity.agent_id.lower()}"
    if entity.host:
        yield from _host_keys(entity.host)
    if entity.user:
        yield f"user:{entity.user.lower()}"
    for name in (entity.address, *entity.aliases):
        if name:
            yield f"network:{name}" if as_address(name) else f"host:{name.lower()}"


def _host_keys(host: str) -> Iterator[str]:
    host = host.lower()
    yield f"host:{host}"
    if "." in host:
        yield f"host:{host.partition('.')[0]}"
