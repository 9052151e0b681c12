"""Copies event data into ECS fields, by rules that are data. A field that is already there is never overwritten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

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


def _number(node: Node, leaf: str, value: Json) -> None:
    """Decimal or hexadecimal text as an integer, where the same decimal text would come of it again."""
    if type(value) is int:
        node.setdefault(leaf, value)
    elif type(value) is str and len(value) < 20:
        if value.isascii() and value.isdigit() and (value[0] != "0" or value == "0"):
            node.setdefault(leaf, int(value))
        elif value[:2] == "0x":
            try:
                node.setdefault(leaf, int(value, 16))
            except ValueError:
                return


def _address(node: Node, leaf: str, value: Json) -> None:
    """An address; Windows writes LOCAL and host names into address fields too."""
    if type(value) is str and ("." in value or ":" in value):
        node.setdefault(leaf, value)


def _account(node: Node, leaf: str, value: Json) -> None:
    r"""``DOMAIN\name`` as ``user.domain`` and ``user.name``."""
    user = node.setdefault(leaf, {})
    if type(value) is str and type(user) is dict and "name" not in user:
        domain, _, user["name"] = value.rpartition("\\")
        if domain:
            user.setdefault("domain", domain)


def _hashes(node: Node, leaf: str, value: Json) -> None:
    """``SHA1=…,MD5=…,IMPHASH=…``, as Sysmon lists them."""
    if type(value) is not str or leaf in node or "=" not in value:
        return
    hashes = (part.partition("=") for part in value.split(",", 8)[:8])
    node[leaf] = {name.strip().lower(): digest for name, _, digest in hashes if digest}


_WRITERS: Final = {
    "as_is": _as_is,
    "number": _number,
    "address": _address,
    "account": _account,
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
