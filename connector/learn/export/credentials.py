"""Secrets in running text, found by how people and tools write them. Every pattern is linear, and each is tried on all text.

Group ``secret`` of a pattern is what is taken out. The forms of tokens are those that their issuers document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_WORDS: Final = (
    r"pass(?:word|wd|phrase|code)?|passwort|secret(?:[_-]?(?:access)?[_-]?key)?|(?:api|access|account|private|auth)[_-]?key"
    r"|shared[_-]?access[_-]?key|client[_-]?secret|(?<!publickey)token|sas[_-]?key"
)
_TOOLS: Final = (
    r"psexec\w*|paexec|plink|pscp|psftp|sshpass|mysql\w*|sqlcmd|osql|isql|bcp|crackmapexec|netexec|nxc|cme|smbmap|evil-winrm"
    r"|7z[a-z]?|rar|winrs|xfreerdp|wmiexec\w*"
)
"""Programs whose switch ``-p`` is a password; elsewhere it is a port, a process or a path."""

_VALUE: Final = r"(?:\"(?P<quoted>[^\"]{1,4096})\"|'(?P<single>[^']{1,4096})'|(?P<secret>[^\s\"'&;,|<>]{1,4096}))"

PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<secret>-----begin [a-z0-9 ]{0,40}private key-----(?:[^-]|-(?!----end)){0,20000}(?:-----end [a-z0-9 ]{0,40}private key-----)?)",
        # looked for from where a run of its letters begins: from each dash in it, a long run would be read again and again
        r"(?<![a-z0-9_-])(?:[a-z0-9_]{0,64}-++){0,8}?(?P<secret>ey[a-z0-9_-]{8,}+\.ey[a-z0-9_-]{4,}+\.[a-z0-9_-]*)",
        r"(?P<secret>\b(?:akia|asia|aroa|aida)[a-z0-9]{16}\b)",
        (
            r"(?P<secret>\b(?:gh[pousr]_[a-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{10,}"
            r"|aiza[\w-]{35}|ya29\.[\w-]{20,}|sk_(?:live|test)_[a-z0-9]{16,}|sk-[\w-]{20,}|npm_[a-z0-9]{36}|pypi-[\w-]{20,}"
            r"|hv[sb]\.[\w-]{20,}|dop_v1_[0-9a-f]{64}|sg\.[\w-]{16,}\.[\w-]{16,}))"
        ),
        r"(?P<secret>\$krb5(?:tgs|asrep|pa)\$[^\s\"']{16,})",
        r"(?P<secret>\b[0-9a-f]{32}:[0-9a-f]{32}\b)",
        r"\bauthorization\W{1,6}(?:bearer|basic|digest|ntlm|negotiate)\s{1,4}(?P<secret>[^\s\"']{4,4096})",
        r"\bbearer\s{1,4}(?P<secret>(?=[^\s]{0,64}\d)[a-z0-9+/=._~-]{16,4096})",
        r"://[^\s/:@\"']{1,256}:(?P<secret>[^\s/@\"']{1,256})@",
        rf"(?:{_WORDS})[\"']?\s{{0,4}}(?:=>|:=|[:=])\s{{0,4}}{_VALUE}",
        rf"(?<![a-z])pwd[\"']?\s{{0,4}}[:=]\s{{0,4}}(?!/){_VALUE}",
        r"[?&]sig=(?P<secret>[^\s&\"']{1,1024})",
        rf"(?<!\w)(?:--?|/)(?:{_WORDS}|pwd|pw|rp)\s{{1,4}}(?![-/]){_VALUE}",
        rf"(?<!\w)(?:-pw?|/p):{_VALUE}",
        rf"\b(?:{_TOOLS})(?:\.exe)?\b[^|;]{{0,400}}?\s[-/]p\s{{0,4}}(?!\s){_VALUE}",
        rf"\bconvertto-securestring\s+(?:-string\s+)?(?!-){_VALUE}",
        r"\bcurl\s[^|;]{0,400}?(?<=\s)(?:-u|--user)\s{0,4}[\"']?[^\s:\"']{1,256}:(?P<secret>[^\s\"']{1,256})",
        r"\bnet1?(?:\.exe)?[\"']?\s+user\s+(?:\"[^\"]{1,256}\"|[^\s\"/]{1,256})\s+(?P<secret>[^\s/*][^\s]{0,256})",
        r"\bnet1?(?:\.exe)?[\"']?\s+use\s+(?:[a-z*]:?\s+)?\\\\[^\s]{1,512}\s+(?P<secret>[^\s/*][^\s]{0,256})",
        r"\bnet1?(?:\.exe)?[\"']?\s+use\s[^|;]{0,600}?/user:[^\s]{1,256}\s+(?P<secret>[^\s/*][^\s]{0,256})",
        r"\b(?:password|passwort|passphrase) (?:is|was|ist|war|to) (?P<secret>[^\s]{1,256})",
    )
)
_MASKED: Final = re.compile(r"<[a-z-]*>|\*+|<secret>")
REMOVED: Final = "<secret>"


def secrets_in(text: str) -> Iterator[str]:
    """Every secret of a text, as it stands there."""
    for pattern in PATTERNS:
        for match in pattern.finditer(text):
            if (found := _value(match)) and not _MASKED.fullmatch(found):
                yield found


def without_secrets(text: str) -> str:
    """The text with ``<secret>`` where one stood."""
    for pattern in PATTERNS:
        text = pattern.sub(_taken_out, text)
    return text


def _value(match: re.Match[str]) -> str:
    return next((value for value in match.groupdict().values() if value), "")


def _taken_out(match: re.Match[str]) -> str:
    value = _value(match)
    if not value or _MASKED.fullmatch(value):
        return match[0]
    name = next(name for name, found in match.groupdict().items() if found)
    start, stop = (place - match.start() for place in match.span(name))
    return match[0][:start] + REMOVED + match[0][stop:]
