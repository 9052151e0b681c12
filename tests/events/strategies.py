"""Hypothesis strategies: JSON as an attacker may send it, and event documents that look like ours."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.events import reference

PIECES = (
    *(
        "\\users\\",
        ":\\users\\",
        "s-1-5-",
        "S-1-5-21-1-2",
        "0x",
        "\\device\\harddiskvolume",
        "::",
        "127.0.0.1",
        "2020-01-02",
    ),
    *(
        "/home/",
        "\\\\",
        "A" * 20 + "b1",
        ":\\Documents and Settings\\",
        "36EC8CA6-D7AD-4861-BE7A-1DA9059A75EC",
        "\ud800",
        "😀",
    ),
    *(
        "\udc00",
        "é",
        "SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQ",
        "==",
        "\r\n",
        "\t",
        "  ",
        "HostApplication=",
        "-",
        "$",
        "@",
        "|",
    ),
    *(
        "UNKNOWN(",
        "+",
        "public",
        "fe80",
        "%%1936",
        "true",
        "CORP\\bob",
        "ws.corp.local",
        "www.example.org",
        "\u00a0",
        "\u2028",
    ),
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES) | st.text("abc019fzS-.:\\/ $<>=+\"'ZXx_", max_size=4), max_size=12).map("".join),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)

_PATHS = sorted({path.split("|")[0] for row in reference.TABLE["fields"].values() for path in row["paths"]})
_LOGS = st.sampled_from(
    [
        *(("Security", code) for code in (4624, 4688, "4698", 4769, 1102, 5156, 9999)),
        *(("Microsoft-Windows-Sysmon/Operational", code) for code in (1, "3", 7, 8, 10, 13, 22, 255, True)),
        *(("Windows PowerShell", code) for code in (400, 600, 800)),
        ("Microsoft-Windows-PowerShell/Operational", 4103),
        ("Microsoft-Windows-PowerShell/Operational", 4104),
        ("System", 7045),
        (None, None),
    ]
)


def _build(log: tuple[Any, Any], fields: dict[str, Any], dotted: set[str]) -> dict[str, Any]:
    channel, code = log
    document: dict[str, Any] = {"ecs": {"version": "8.0.0"}}
    if channel:
        document["winlog"] = {"channel": channel, "event_id": code}
    for path, value in fields.items():
        if path in dotted:
            document[path] = value
            continue
        *folders, leaf = (
            path.split(".") if not path.startswith("winlog.event_data.") else ["winlog", "event_data", path[18:]]
        )
        node = document
        for folder in folders:
            if not isinstance(node.get(folder), dict):
                node[folder] = {}
            node = node[folder]
        node[leaf] = value
    return document


DOCUMENTS = st.builds(
    _build,
    _LOGS,
    st.dictionaries(st.sampled_from(_PATHS), VALUES, max_size=10),
    st.sets(st.sampled_from(_PATHS), max_size=30),
)
