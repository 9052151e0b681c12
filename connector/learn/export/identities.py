"""Whose names an event tells: by the fields that hold users, hosts and addresses, and by how running text writes them.

What is found in one place of an event is taken out of all its places. Accounts, hosts and addresses that every machine has
are nobody's, and stay: they tell what happened, and not to whom.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from connector.events.masks import ACCOUNTS, LOCAL_ENDS, SERVICE_STARTS
from connector.learn.export.pseudonyms import Kind

LONGEST: Final = 256
"""Characters; what is longer is no name."""

_EVERYWHERE: Final = frozenset(
    {
        *ACCOUNTS,
        *("", "-", "n/a", "none", "null", "unknown", "root", "nobody", "daemon", "administrator", "administrators"),
        *("admin", "guests", "users", "everyone", "public", "default", "default user", "all users", "defaultuser0"),
        *(
            "nt authority",
            "authority",
            "nt service",
            "virtual machine",
            "builtin",
            "workgroup",
            "window manager",
            "font driver host",
            "iis apppool",
        ),
        *(
            "localhost",
            "localdomain",
            "localhost.localdomain",
            "local",
            "authenticated users",
            "interactive",
            "network",
        ),
        *("creator owner", "batch", "dialup", "self", "trustedinstaller", "any", "<user>", "<host>"),
    }
)
_HANDLE: Final = re.compile(r"0x[0-9a-f]{1,16}")
_SID: Final = re.compile(r"s-1-5-21-\d{1,10}-\d{1,10}-\d{1,10}(?:-\d{1,10})?", re.IGNORECASE)
_ANY_SID: Final = re.compile(r"s-1-[0-9-]{1,180}", re.IGNORECASE)

_USER: Final = re.compile(
    r"(?:.*(?:user|account|member|subject|target|caller|login|logon|sam|client)[ _]?"
    r"(?:name|id|sid|sam|principalname|accountname|user)|user|username|userid|account|member|actor|owner|login|principal"
    r"|author|upn|uid|suser|duser|useridentifier|src_user|dest_user|samaccountname|usersid|parentuser|.*e?mail"
    r"|.*email_?address)"
)
_HOST: Final = re.compile(
    r"(?:.*(?:host|computer|machine|device|workstation|server|node|netbios|dnshost|domain|site)[ _]?names?"
    r"|host|hosts|hostname|computer|computername|workstation|machine|dvc|dest|src|shost|dhost|targetserver|ntdomain"
    r"|.*domainname|dest_host|src_host|dest_nt_domain|src_nt_domain)"
)
_HOLDERS: Final = {
    "user": "user",
    "users": "user",
    "host": "host",
    "hosts": "host",
    "agent": "host",
    "observer": "host",
}
_HELD: Final = frozenset(
    {"name", "full_name", "hostname", "id", "hash", "domain", "ephemeral_id", "email", "identifier"}
)
_NET: Final = frozenset(
    {"url", "dns", "tls", "destination", "source", "server", "client", "question", "x509", "answers"}
)
_NO_NAME: Final = frozenset({"useragent", "user_agent", "eventsourcename", "provider_name", "servicename"})

_WINDOWS_HOME: Final = re.compile(
    r"[\\/](?:users|documents and settings)[\\/]+([^\\/:*?\"<>|\r\n]{1,64})", re.IGNORECASE
)
_UNIX_HOME: Final = re.compile(r"/home/([^/\s:\"']{1,64})")
_UNC: Final = re.compile(r"(?<!\\)\\\\([\w.-]{1,255})\\")
_USER_SWITCH: Final = re.compile(
    r"(?<!\w)(?:/|--?)(?:user(?:name)?|credential|login|ru|u)(?::|=|\s{1,4})[\"']?((?:[\w.-]{1,64}\\)?[\w.@$-]{1,128})",
    re.IGNORECASE,
)
_NET_USER: Final = re.compile(r"\bnet1?(?:\.exe)?[\"']?\s{1,4}user\s{1,4}([^\s/\"]{1,64})", re.IGNORECASE)
_ACCOUNT: Final = re.compile(r"(?<![\w\\:./-])([a-z][\w-]{1,14})\\([\w.$-]{1,64})(?![\w\\])", re.IGNORECASE)
_MAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_IPV4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f.]{0,16}", re.IGNORECASE)
_MAC: Final = re.compile(r"(?<![\w:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}(?![\w:-])", re.IGNORECASE)
_AT: Final = re.compile(r"(?<![\w.])@([a-z][\w.-]{1,63})", re.IGNORECASE)
_NUMBERED: Final = re.compile(
    r"(?<![\w-])(?![0-9a-f]{8}-[0-9a-f]{4}-)(?!cve-|ms\d|sha-|utf-|iso-|rfc-)(?=[a-z0-9-]{0,63}\d)(?=[a-z0-9-]{0,63}[a-z])[a-z0-9]{1,63}(?:-[a-z0-9]{1,63}){1,6}\b",
    re.IGNORECASE,
)

_WHOLE: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (("user", _SID), ("mail", _MAIL), ("host", _MAC))


class Name(NamedTuple):
    """A name as it stands; upper and lower case are one."""

    kind: Kind
    text: str


def is_common(text: str) -> bool:
    """Whether every machine has an account, a host or an address of this name."""
    lowered = text.strip().lower()
    if "\\" in lowered:
        return all(map(is_common, lowered.split("\\")))
    if lowered in _EVERYWHERE or lowered.startswith(SERVICE_STARTS) or _HANDLE.fullmatch(lowered):
        return True
    if _ANY_SID.fullmatch(lowered):
        return _SID.fullmatch(lowered) is None
    address = _address(lowered)
    return address is not None and (address.is_loopback or address.is_unspecified or address.is_multicast)


def kind_at(path: Sequence[str], value: str) -> Kind | None:
    """Which name a field holds, by the keys that lead to it; None for a field that holds none."""
    keys = [part.lower() for key in path for part in key.split(".")]
    leaf, holders = keys[-1], keys[:-1]
    if leaf in _NO_NAME or "os" in holders or len(leaf) > LONGEST:
        return None
    held = next((_HOLDERS[key] for key in reversed(holders) if key in _HOLDERS), None)
    if leaf in {"user", "users", "hosts"} and "related" in holders:
        return "user" if leaf != "hosts" else "host"
    if held is not None and leaf in _HELD:
        return "host" if held == "host" or leaf == "domain" else "user"
    if holders and _NET.intersection(holders) and leaf in {"domain", "name", "subdomain", "server_name"}:
        return "host" if _is_local(value) else None
    if _USER.fullmatch(leaf):
        return "user"
    return "host" if _HOST.fullmatch(leaf) else None


def names_of(kind: Kind, value: str) -> Iterator[Name]:
    r"""The names in the value of a field: ``DOMAIN\user``, ``user@domain``, ``host.domain``, an address."""
    text = value.strip()
    if not 0 < len(text) <= LONGEST or is_common(text):
        return
    if _address(text) is not None:
        yield Name("ip", text)
    elif _MAIL.fullmatch(text):
        yield Name("mail", text)
    elif "\\" in text:
        domain, _, name = text.strip("\\").rpartition("\\")
        yield from names_of("host", domain)
        yield from names_of("host" if name.endswith("$") else kind, name)
    elif kind == "host":
        short, _, domain = text.strip("$.").partition(".")
        parts = (short, domain) if "." in domain or not domain else (short, f"{short}.{domain}")
        yield from (Name("host", part) for part in parts if not is_common(part))
    else:
        yield Name(kind, text)


def names_in(text: str) -> Iterator[Name]:
    """The names that running text gives away by how they are written."""
    for pattern in (_WINDOWS_HOME, _UNIX_HOME, _USER_SWITCH, _NET_USER):
        for match in pattern.finditer(text):
            yield from names_of("user", match[1])
    yield from (name for match in _UNC.finditer(text) for name in names_of("host", match[1].strip(".")))
    yield from (
        name for match in _ACCOUNT.finditer(text) if _is_domain(match[1]) for name in names_of("user", match[0])
    )
    for kind, pattern in _WHOLE:
        yield from (Name(kind, match[0]) for match in pattern.finditer(text))
    for pattern in (_IPV4, _IPV6):
        found = (match[0] for match in pattern.finditer(text) if not _is_version(text, match.start()))
        yield from (name for it in found if _address(it) is not None for name in names_of("ip", it))


def names_in_prose(text: str) -> Iterator[Name]:
    """The same for what an analyst wrote, where ``@ana`` and ``WS-0147`` are names too."""
    yield from names_in(text)
    for match in _AT.finditer(text):
        yield from names_of("user", match[1].rstrip(".-"))
    for match in _NUMBERED.finditer(text):
        yield from names_of("host", match[0])


def _is_version(text: str, place: int) -> bool:
    """Four numbers with dots between them are a version where the text says so."""
    return "version" in text[max(0, place - 12) : place].lower()


def _is_local(name: str) -> bool:
    lowered = name.lower().rstrip(".")
    return "." not in lowered or lowered.endswith(LOCAL_ENDS)


def _is_domain(text: str) -> bool:
    r"""Whether ``text\name`` reads as a domain and an account and not as a relative path: NetBIOS names are upper case."""
    return text.upper() == text and text not in {"HKLM", "HKCU", "HKU", "HKCR", "HKCC"}


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None
