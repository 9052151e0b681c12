"""What a playbook defines beside its steps: who acts and on what, how to sign in, markings, extensions (sections 6 to 9).

As with commands, these types only check what is written.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta

from connector.policy.cacao.objects import Identifier, Objects, Reference, Some, Strict, Timestamp
from connector.policy.cacao.vocabularies import CATEGORIES, REGIONS, SECTORS

Kind: TypeAlias = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{0,250}$")]
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_NAME: Final = re.compile(r"(?!-)[0-9A-Za-z_-]{1,63}(?<!-)(\.(?!-)[0-9A-Za-z_-]{1,63}(?<!-))*\.?")


class Location(Strict, frozen=True, kw_only=True):
    """civic-location, section 10.4."""

    name: str | None = None
    description: str | None = None
    building_details: str | None = None
    network_details: str | None = None
    region: str | None = None
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] | None = None
    administrative_area: str | None = None
    city: str | None = None
    street_address: str | None = None
    postal_code: str | None = None
    latitude: str | None = None
    longitude: str | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        """Refuses half a position, and a region that is none."""
        if self.region is not None and self.region not in REGIONS:
            raise ValueError(f"{self.region!r} is no region; regions are: {', '.join(sorted(REGIONS))}")
        if (self.latitude is None) != (self.longitude is None) or (self.precision and self.latitude is None):
            raise ValueError("latitude and longitude stand together, and precision needs them")


class Contact(Strict, frozen=True, kw_only=True):
    """contact, section 10.5."""

    email: Mapping[Kind, str] = {}
    phone: Mapping[Kind, str] = {}
    contact_details: str = ""


class AgentTarget(Strict, frozen=True, kw_only=True):
    """What all agents and targets have (section 7.1)."""

    type: str
    name: Annotated[str, Meta(min_length=1)]
    description: str = ""
    location: Location | None = None
    agent_target_extensions: Objects | None = None


class People(AgentTarget, frozen=True, kw_only=True):
    """A person, or several."""

    contact: Contact | None = None


class Place(AgentTarget, frozen=True, kw_only=True):
    """A place."""

    logical: Some[str] = ()


class Sector(AgentTarget, frozen=True, kw_only=True):
    """An industry."""

    sector: str

    def __post_init__(self) -> None:
        """Refuses a sector of no vocabulary."""
        if self.sector not in SECTORS:
            raise ValueError(f"{self.sector!r} is no industry sector; sectors are: {', '.join(sorted(SECTORS))}")


class Categorised(AgentTarget, frozen=True, kw_only=True):
    """A kind of security infrastructure."""

    category: Some[str]

    def __post_init__(self) -> None:
        """Refuses a category of no vocabulary."""
        _check_categories(self.category)


class Network(AgentTarget, frozen=True, kw_only=True):
    """What has an address."""

    address: Annotated[Mapping[str, Some[str | int]], Meta(min_length=1)]
    authentication_info: Identifier | None = None
    category: Some[str] = ()

    def __post_init__(self) -> None:
        """Refuses an address that is none. A reference to a variable may stand for one; rules say where."""
        _check_categories(self.category)
        for kind, listed in self.address.items():
            if kind not in _ADDRESSES:
                raise ValueError(f"address: no kind {kind!r}; kinds are: {', '.join(_ADDRESSES)}")
            for value in listed:
                if not (_is_reference(value) or _ADDRESSES[kind](value)):
                    raise ValueError(f"address.{kind}: {value!r} is none")


class Port(Network, frozen=True, kw_only=True):
    """What has an address and a port."""

    port: Annotated[str, Meta(pattern="^[0-9]{1,5}$")] | None = None


AGENTS: Final[Mapping[str, type[AgentTarget]]] = {
    **dict.fromkeys(("group", "individual", "organization"), People),
    "location": Place,
    "sector": Sector,
    "security-category": Categorised,
    "net-address": Network,
    **dict.fromkeys(("http-api", "linux", "ssh"), Port),
}
"""agent-target-type-ov, each with what it holds."""


class Authentication(Strict, frozen=True, kw_only=True):
    """How to sign in (section 6): with what a key store holds, or with what stands here."""

    type: str
    name: str = ""
    description: str = ""
    password: str | None = None
    token: str | None = None
    kms: bool = False
    kms_key_identifier: str | None = None
    authentication_info_extensions: Objects | None = None

    def __post_init__(self) -> None:
        """Refuses a key that nothing names, and a secret beside it."""
        if self.kms != bool(self.kms_key_identifier):
            raise ValueError("kms and kms_key_identifier stand together")
        if self.kms and (self.password or self.token):
            raise ValueError("a secret in a key store must not stand here too")


class HttpBasic(Authentication, frozen=True, kw_only=True):
    """A user and a password, as a header."""

    user_id: str | None = None


class UserAuth(Authentication, frozen=True, kw_only=True):
    """A user and a password."""

    username: str | None = None


class OAuth2(Authentication, frozen=True, kw_only=True):
    """A bearer token."""

    oauth_header: str


AUTHENTICATIONS: Final[Mapping[str, type[Authentication]]] = {
    "http-basic": HttpBasic,
    "user-auth": UserAuth,
    "oauth2": OAuth2,
}
"""authentication-info-type-ov, each with what it holds."""


class Marking(Strict, frozen=True, kw_only=True):
    """What all data markings have (section 9.1)."""

    type: str
    id: Identifier
    created_by: Identifier
    created: Timestamp
    name: str = ""
    description: str = ""
    revoked: bool = False
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    labels: Some[str] = ()
    external_references: Some[Reference] = ()
    marking_extensions: Objects | None = None


class Statement(Marking, frozen=True, kw_only=True):
    """Terms in words."""

    statement: str


class Tlp(Marking, frozen=True, kw_only=True):
    """FIRST's Traffic Light Protocol, version 2."""

    tlpv2_level: Literal["TLP:RED", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:GREEN", "TLP:CLEAR"]


class Iep(Strict, frozen=True, kw_only=True):
    """FIRST's Information Exchange Policy, whose references are plain text."""

    type: str
    id: Identifier
    created_by: Identifier
    created: Timestamp
    name: str
    description: str
    tlp: str
    iep_version: int
    start_date: Timestamp
    end_date: Timestamp | None
    encrypt_in_transit: str
    permitted_actions: str
    affected_party_notifications: str
    attribution: str
    unmodified_resale: str
    external_references: tuple[str, ...]
    revoked: bool = False
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    labels: Some[str] = ()
    marking_extensions: Objects | None = None


MARKINGS: Final[Mapping[str, type[Strict]]] = {
    "marking-statement": Statement,
    "marking-tlp": Tlp,
    "marking-iep": Iep,
}
"""data-marking-type-enum, each with what it holds."""


class Extension(Strict, frozen=True, kw_only=True):
    """What an extension means (section 8)."""

    type: str
    name: str
    created_by: Identifier
    schema: str
    version: str
    description: str = ""
    external_references: Some[Reference] = ()


EXTENSIONS: Final[Mapping[str, type[Strict]]] = {"extension-definition": Extension}
"""The one type of its kind."""


def _is_ip(version: int, text: str | int) -> bool:
    try:
        return isinstance(text, str) and "%" not in text and ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _is_url(text: str | int) -> bool:
    if not isinstance(text, str) or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        return False


_ADDRESSES: Final[Mapping[str, Callable[[str | int], bool]]] = {
    "dname": lambda value: isinstance(value, str) and _NAME.fullmatch(value) is not None,
    "ipv4": lambda value: _is_ip(4, value),
    "ipv6": lambda value: _is_ip(6, value),
    "l2mac": lambda value: isinstance(value, str) and _MAC.fullmatch(value) is not None,
    "url": _is_url,
    "vlan": lambda value: isinstance(value, int) and 0 <= value <= 4095,
}
"""Kinds of network address, each with what one must look like."""


def _is_reference(value: str | int) -> bool:
    return isinstance(value, str) and value.startswith("__") and value.endswith("__:value")


def _check_categories(named: tuple[str, ...]) -> None:
    for category in named:
        if category not in CATEGORIES:
            known = ", ".join(sorted(CATEGORIES))
            raise ValueError(f"{category!r} is no category of security infrastructure; categories are: {known}")
