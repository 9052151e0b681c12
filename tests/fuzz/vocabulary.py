"""The words that readers look for: an input made of them gets past the first look-up, where a random one does not."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import connector.events
from connector.events.canonical import tables

EVENTS = Path(connector.events.__file__).parent
GOLDEN = Path(__file__).parents[1] / "events" / "golden"
_LONGEST = 80

PIECES = (
    *(
        "",
        "-",
        " ",
        "\t",
        "\r\n",
        "\0",
        "|",
        "=",
        ":",
        ",",
        ";",
        '"',
        "'",
        "\\",
        "/",
        "<",
        ">",
        "[",
        "]",
        "{",
        "}",
        "%",
    ),
    *("\ud800", "\udfff", "\ufeff", "\u2028", "😀", "é", "٣", "²", "İ", "ǅ", "\x1d", "\x1f", "\x7f", "\x85"),
    *(
        "0",
        "-1",
        "007",
        "1.5",
        "1e999",
        "0x",
        "0xffffffffffffffffffff",
        "9" * 30,
        "9" * 5000,
        "NaN",
        "-Infinity",
        "1_000",
    ),
    *("true", "null", "[]", "{}", '{"a":', "[" * 200, "{" * 200, "<Event>", "<Event", "]]>", "&#0;", "<!DOCTYPE a>"),
    *(
        "2024-02-30T25:61:61Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:60+99:99",
        "1700000000.123456",
        "Oct 11 22:14:15",
    ),
    *(
        "127.0.0.1",
        "999.1.1.1",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "[::1]:80",
        "host:99999",
        "CORP\\bob",
        "a@b@c",
    ),
    *("http://[", "https://a:b@c:99999/?q#f", "s-1-5-", "\\users\\", "AQIDBAU=", "H4sIAAAAAAAA", "eJw", "SQBFAFgA" * 5),
    *("<34>", "<999>1 - - - - - -", "type=SYSCALL msg=audit(1.2:3): ", "a0=", "key=value", "()", "%%1936", "../../x"),
)
"""Texts that end, break or overflow what is made of texts."""


def _constants(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
            yield from node.value.split()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


@cache
def golden(end: str) -> dict[str, Any]:
    """The golden files whose names end so, by name."""
    return {path.name: json.loads(path.read_text("utf-8")) for path in sorted(GOLDEN.glob(f"*.{end}.json"))}


@cache
def words() -> tuple[str, ...]:
    """String constants of the readers, names and paths of the tables, keys and short texts of the golden records."""
    found = {word for path in EVENTS.rglob("*.py") for word in _constants(path)}
    found |= set(_texts(tables()))
    found |= {word for raw in golden("raw").values() for word in _texts(raw)}
    return tuple(sorted(word for word in found if 0 < len(word) <= _LONGEST and "\n" not in word))


@cache
def paths() -> tuple[str, ...]:
    """The ECS paths that the table of canonical forms reads."""
    rows = tables()["fields"].values()
    return tuple(sorted({path.partition("|")[0] for row in rows for path in (*row["paths"], *row.get("other", ()))}))
