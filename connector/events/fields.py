"""Copies event data into ECS fields, by rules that are data. A field that is already there is never overwritten."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, TypeGuard

from connector.types import Document, Json

Node = dict[str, Any]


class Rule(NamedTuple):
    """``name`` of the event data, ECS ``folders`` and ``leaf``, and how the value is written."""

    name: str
    folders: tuple[str, ...]
    leaf: str
    write: Callable[[Node, str, Json], None]


Rules = tuple[Rule, ...]


class Meta(NamedTuple):
    """What ECS says of a kind: ``event.action``, ``event.category``, ``event.type``, and its field rules.

    ``user_data``: the rules also read ``winlog.user_data``, where some logs keep what others call event data.
    """

    action: str
    category: str
    type: str
    rules: Rules
    user_data: bool = False


def _as_is(node: Node, leaf: str, value: Json) -> None:
    node.setdefault(leaf, value)


def _is_decimal(value: Json) -> TypeGuard[str]:
    return (
        type(value) is str
        and len(value) < 20
        and value.isascii()
        and value.isdigit()
        and (value[0] != "0" or value == "0")
    )


def _decimal(node: Node, leaf: str, value: Json) -> None:
    """Decimal text as an integer, where the same text would come of it again."""
    if type(value) is int:
        node.setdefault(leaf, value)
    elif _is_decimal(value):
        node.setdefault(leaf, int(value))


def _number(node: Node, leaf: str, value: Json) -> None:
    """Decimal or hexadecimal text as an integer. Not for what the canonical form reads: hexadecimal comes out decimal."""
    if type(value) is str and value[:2] == "0x" and len(value) < 20:
        try:
            node.setdefault(leaf, int(value, 16))
        except ValueError:
            return
    else:
        _decimal(node, leaf, value)


def _address(node: Node, leaf: str, value: Json) -> None:
    """An address; Windows writes LOCAL and host names into address fields too."""
    if type(value) is str and ("." in value or ":" in value):
        node.setdefault(leaf, value)


def _endpoint(node: Node, leaf: str, value: Json) -> None:
    r"""The address of ``address:port``, ``[address]:port`` or ``\\address``; a host name gives none."""
    if type(value) is not str or len(value) > 64:
        return
    host = value.lstrip("\\")
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        ip_address(host)
    except ValueError:
        return
    node.setdefault(leaf, host)


def _resource(node: Node, leaf: str, value: Json) -> None:
    r"""Defender's ``file:_C:\a.exe`` without the kind of resource before it."""
    if type(value) is str:
        node.setdefault(leaf, value.rpartition(":_")[2])


def _account(node: Node, leaf: str, value: Json) -> None:
    r"""``DOMAIN\name`` as ``user.domain`` and ``user.name``."""
    user = node.setdefault(leaf, {})
    if type(value) is str and type(user) is dict and "name" not in user:
        domain, _, user["name"] = value.rpartition("\\")
        if domain:
            user.setdefault("domain", domain)


def _principal(node: Node, leaf: str, value: Json) -> None:
    r"""``DOMAIN\name`` as ``_account`` writes it, a SID as ``user.id``: some logs write either."""
    if type(value) is not str or value[:4] not in {"S-1-", "s-1-"}:
        return _account(node, leaf, value)
    user = node.setdefault(leaf, {})
    if type(user) is dict:
        user.setdefault("id", value)
    return None


def _hashes(node: Node, leaf: str, value: Json) -> None:
    """``SHA1=…,MD5=…,IMPHASH=…``, as Sysmon lists them."""
    if type(value) is not str or leaf in node or "=" not in value:
        return
    hashes = (part.partition("=") for part in value.split(",", 8)[:8])
    node[leaf] = {name.strip().lower(): digest for name, _, digest in hashes if digest}


_WRITERS: Final = {
    "as_is": _as_is,
    "number": _number,
    "decimal": _decimal,
    "address": _address,
    "account": _account,
    "principal": _principal,
    "endpoint": _endpoint,
    "resource": _resource,
    "hashes": _hashes,
}


def rule(name: str, path: str, write: str = "as_is") -> Rule:
    """A rule that copies the event data ``name`` to the ECS ``path``."""
    *folders, leaf = path.split(".")
    return Rule(name, tuple(folders), leaf, _WRITERS[write])


_SILENT: Final = ("", "-")


def copy(document: Node, data: Document, rules: Rules) -> None:
    """Applies the rules in order. Folders that are no objects are left alone."""
    for name, folders, leaf, write in rules:
        value = data.get(name)
        if value is None or value in _SILENT:
            continue
        node = document
        for folder in folders:
            inner = node.get(folder)
            if inner is None:
                inner = node[folder] = {}
            elif type(inner) is not dict:
                break
            node = inner
        else:
            write(node, leaf, value)
