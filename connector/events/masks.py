"""Masks: what is left of a value once it may no longer tell who, where or when.

Each verb is a pure function of one string. Their rules are ASCII-only and read a value once, from left to right, by
classes of characters, so that Painless can follow them; the regular expressions here are only a fast way to say the same
(tests hold them against a plain scanner). ``CANONICAL.md`` states the rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

Mask = Callable[[str], str]

LIMIT: Final = 16384
"""Longer values are cut here, in UTF-16 units, before anything else looks at them."""

_CACHED_LENGTH: Final = 512
_CACHE_ENTRIES: Final = 16384
_LONG_LENGTH: Final = 4096
_LONG_ENTRIES: Final = 1024

_SURROGATE = re.compile("[\ud800-\udfff]")
_UPPER = {code: code + 32 for code in range(0x41, 0x5B)}


def lower(text: str) -> str:
    """The text with A–Z folded to a–z, and nothing else changed."""
    return text.lower() if text.isascii() else text.translate(_UPPER)


def units(text: str) -> int:
    """The length in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) >> 1


def scrub(text: str) -> str:
    """The text with lone surrogates as U+FFFD; JSON escapes can bring them, and halves of a pair as two characters."""
    if text.isascii() or _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def cut(text: str, limit: int) -> str:
    """At most ``limit`` UTF-16 units; a pair that the limit would split is dropped whole."""
    if len(text) * 2 <= limit or text.isascii():
        return text[:limit]
    data = text.encode("utf-16-le")
    return text if len(data) <= 2 * limit else data[: 2 * limit].decode("utf-16-le", "ignore")


def fold_spaces(text: str) -> str:
    """Runs of space, tab, CR and LF become one space; one at either end is dropped."""
    for space in "\t\r\n":
        if space in text:
            text = text.replace(space, " ")
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip(" ")


def _ipv4_class(first: int, second: int) -> str:
    if first == 127:
        return "<loopback>"
    if first == 10 or (first == 172 and 16 <= second <= 31) or (first == 192 and second == 168):
        return "<private>"
    if first == 169 and second == 254:
        return "<link-local>"
    if first >= 224:
        return "<multicast>"
    return "<any>" if first == 0 else "<public>"


def _ipv4(text: str) -> str | None:
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts):
        return None
    numbers = [int(part) for part in parts]
    return _ipv4_class(numbers[0], numbers[1]) if max(numbers) <= 255 else None


def _ipv6(text: str) -> str:
    bare = text.lstrip("0:")
    if bare in {"", "1"}:
        return "<loopback>" if bare else "<any>"
    if text.startswith("fe80"):
        return "<link-local>"
    if text.startswith("ff"):
        return "<multicast>"
    return "<private>" if text.startswith(("fc", "fd")) else "<public>"


_HEX_COLON = frozenset("0123456789abcdef:")


def address(text: str) -> str:
    """The class of an IP address; ``<name>`` for what is none."""
    text = lower(text)
    mapped = text.removeprefix("::ffff:")
    found = _ipv4(mapped)
    if found:
        return found
    bare = text.partition("%")[0]
    return _ipv6(bare) if ":" in bare and _HEX_COLON.issuperset(bare) else "<name>"


_SYSTEM = ("system", "localsystem", "local system", "s-1-5-18")
_SERVICE = (
    *("local service", "localservice", "network service", "networkservice"),
    *("defaultapppool", "s-1-5-19", "s-1-5-20"),
)
_ANONYMOUS = ("anonymous logon", "s-1-5-7", "s-1-0-0", "guest", "s-1-1-0")

ACCOUNTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_SYSTEM, "<system>"),
    **dict.fromkeys(_SERVICE, "<service>"),
    **dict.fromkeys(_ANONYMOUS, "<anonymous>"),
    "krbtgt": "<krbtgt>",
}
"""The accounts that every Windows has, with their class."""

SERVICE_STARTS: Final = ("s-1-5-80-", "s-1-5-82-", "s-1-5-83-", "s-1-5-90-", "s-1-5-96-", "dwm-", "umfd-")
"""What the names and SIDs of service accounts begin with."""


def user(text: str) -> str:
    r"""The class of an account, given as ``DOMAIN\name``, ``name``, ``name@domain`` or a SID."""
    text = lower(text)
    name = text.rpartition("\\")[2].partition("@")[0]
    known = ACCOUNTS.get(name)
    if known is not None:
        return known
    if name.startswith(SERVICE_STARTS):
        return "<service>"
    return "<machine>" if name.endswith("$") else "<user>"


LOCAL_ENDS: Final = (".local", ".lan", ".internal", ".corp", ".home", ".localdomain", ".intranet", ".private", ".test")
"""Private suffixes: what stands under one is a host."""


def domain(text: str) -> str:
    """A public domain name stays; a name without a dot, and one under a private suffix, is a host."""
    text = lower(text).rstrip(".")
    return "<host>" if "." not in text or text.endswith(LOCAL_ENDS) else text_mask(text)


PAYLOAD_LENGTH: Final = 32
"""From this length on, a token of base64 letters may be a payload that stays as it is."""

_PAYLOAD = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{32,}+={0,2}")
_HEX_ONLY = re.compile(r"[0-9A-Fa-f]+\Z")
_HAS_UPPER = re.compile(r"[A-Z]")
_HAS_LOWER = re.compile(r"[a-z]")
_HAS_DIGIT = re.compile(r"[0-9+]")


def is_payload(token: str) -> bool:
    """Whether a token of base64 letters carries data: hex of more than 64 digits, or mixed letters with few slashes."""
    bare = token.rstrip("=")
    if _HEX_ONLY.match(bare):
        return len(bare) > 64
    return bool(
        token.count("/") * 16 <= len(bare)
        and _HAS_UPPER.search(bare)
        and _HAS_LOWER.search(bare)
        and _HAS_DIGIT.search(bare)
    )


_NAME = r"""(?:[^\\"/:*?<>|,;'()]{1,64}(?=[\\/])|[^\\"/:*?<>|,;'()\ ]++)"""
_TOKENS = rf"""
    (?<![0-9a-z])(?:
        (?P<guid>[0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{12}})(?![0-9a-z])
      | s-1-(?P<sid>[0-9][0-9-]*+)
      | (?P<date>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?![0-9])
      | (?P<dotted>[0-9]++(?:\.[0-9]++){{2,}}+)(?![0-9a-z])
      | (?P<groups>(?:[0-9]++\.){{2,}}+)
      | (?<!:)(?=[0-9a-f]*:[0-9a-f]*:)(?P<colons>[0-9a-f:]++)(?![0-9a-z])
      | (?P<word>[a-z]*+[0-9][0-9a-z]*+)
      | \\(?<![:.\\]\\)\\(?P<host>[0-9a-z_.-]+)(?![0-9a-z_.:$-])
    )
    | (?P<volume>\\device\\harddiskvolume[0-9]++)(?:\\users\\(?P<volume_profile>{_NAME}))?
    | (?P<users>[:$](?:\\users\\|\\\\users\\\\|/users/|\\documents\ and\ settings\\)|/home/)(?P<profile>{_NAME})
    """
_TOKEN = re.compile(_TOKENS, re.VERBOSE)
_LOCAL = r"""[^\ "'()/:;,<=>@\[\\\]{|}&%?#*]"""
_PERSON = re.compile(
    rf"""
    (?<!{_LOCAL}){_LOCAL}++(?:@|%40)(?P<mail>[0-9a-z.\u0080-\U0010ffff-]++)
    | (?<![0-9a-z])(?:
        (?P<folder>(?:users|home)(?:\\\\|[\\/]))(?P<owner>{_NAME})
      | (?P<technique>ta?[0-9]{{4}}(?![0-9a-z])(?:[./][0-9]{{3}}(?![0-9a-z]))?)
    )
    """,
    re.VERBOSE,
)
_VERSION = re.compile(r"v?[0-9]|sha256\Z")
_DIGITS = re.compile(r"[0-9]*\Z")
_PUBLIC_PROFILES = frozenset({"public", "default", "default user", "all users", "defaultaccount", "defaultapppool"})
_NO_HOSTS = frozenset({".", "localhost", "127.0.0.1"})
_HEX_WORD = re.compile(r"[0-9a-f]{8,}\Z")
_LONG_DIGITS = re.compile(r"[0-9]{5,}")
_SWITCHES = re.compile(r"(?<=[0-9])[a-z]|(?<=[a-z])[0-9]")


def _word(word: str) -> str:
    """A word of ASCII letters and digits that holds at least one digit."""
    if word.startswith("0x") and len(word) > 6 and _HEX_ONLY.match(word, 2):
        return "<hex>"
    if word.isdigit():
        return "<n>" if len(word) > 4 else word
    if _HEX_WORD.match(word):
        return "<hex>"
    if len(word) > 5 and len(_SWITCHES.findall(word)) > 2:
        return "<rand>"
    return _LONG_DIGITS.sub("<n>", word) if len(word) > 5 else word


def _colons(run: str) -> str:
    if not run.strip(":"):
        return run
    return _ipv6(run) if "::" in run or run.count(":") > 2 else "<time>"


def _sid(tail: str) -> str:
    """Well-known SIDs are short and tell what, not who."""
    return f"s-1-{tail}" if len(tail) <= 8 else "<sid>"


def _groups(run: str) -> str:
    """Dotted digits that are no version are words each; taken at once, lest every one of them is looked at anew."""
    return "".join(f"{_word(group)}." for group in run[:-1].split("."))


_ON_TOKEN: Mapping[str, Mask] = {
    "word": _word,
    "guid": lambda _: "<guid>",
    "sid": _sid,
    "date": lambda _: "<date>",
    "dotted": lambda run: _ipv4(run) or "<version>",
    "groups": _groups,
    "colons": _colons,
    "host": lambda name: "\\\\" + (name if name in _NO_HOSTS else "<host>"),
}


def _profile(name: str) -> str:
    return name if name in _PUBLIC_PROFILES else "<user>"


def _replace(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    if kind == "profile":
        return match["users"] + _profile(match[kind])
    if kind == "volume":
        return "<volume>"
    if kind == "volume_profile":
        return "<volume>\\users\\" + _profile(match[kind])
    return _ON_TOKEN[kind](match[kind])


def _running(stretch: str) -> str:
    return _TOKEN.sub(_replace, lower(stretch))


def text_mask(text: str, stretch_mask: Mask = _running) -> str:
    """Masks running text: case, profiles, GUIDs, SIDs, hosts, addresses, long numbers; payload tokens stay verbatim."""
    if len(text) < PAYLOAD_LENGTH:
        return stretch_mask(text)
    parts = []
    done = 0
    for match in _PAYLOAD.finditer(text):
        if is_payload(match[0]):
            parts.append(stretch_mask(text[done : match.start()]))
            parts.append(match[0])
            done = match.end()
    parts.append(stretch_mask(text[done:]))
    return "".join(parts)


def _mail(host: str, whole: str) -> str:
    """What stands for ``local@host``: nothing is left of a mail address; an address keeps its class; versions stay."""
    labels = host.rstrip(".-").split(".")
    if len(labels) > 1 and not _DIGITS.match(labels[-1]):
        return "<user>"
    if _ipv4(".".join(labels)):
        return f"<user>@{host}"
    return whole if _VERSION.match(host) else "<user>@<host>"


def _person(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == "mail":
        return _mail(match[kind], match[0])
    if kind == "owner":
        return match["folder"] + (match[kind] if match[kind] == "shared" else _profile(match[kind]))
    return "<technique>"


def _named_stretch(stretch: str) -> str:
    return _TOKEN.sub(_replace, _PERSON.sub(_person, lower(stretch)))


def named_mask(text: str) -> str:
    """Running text of systems that name people otherwise than Windows; ids of techniques, which are labels, go too."""
    return text_mask(text, _named_stretch)


def stack(text: str) -> str:
    """A call trace: each frame's module without folder and offset, equal neighbours once."""
    names: list[str] = []
    for frame in lower(text).split("|"):
        name = "unknown" if frame.startswith("unknown") else frame.rpartition("\\")[2].partition("+")[0]
        if not names or names[-1] != name:
            names.append(name)
    return "|".join(names[:24])


def verbatim(text: str) -> str:
    """The value itself."""
    return text


VERBS: Mapping[str, Mask] = {
    "keep": verbatim,
    "fold": lower,
    "text": text_mask,
    "named": named_mask,
    "user": user,
    "address": address,
    "domain": domain,
    "stack": stack,
    "same": verbatim,
}
"""The verbs that a row of ``[masks]`` may name, beside ``map``, which brings a table of its own."""


def compile_mask(verb: str, limit: int, table: Mapping[str, str] | None = None) -> Mask:
    """A mask: fold spaces, cut, apply the verb. The empty string means absent. Short values are remembered."""
    if verb == "map":
        known = dict(table or {})
        apply: Mask = lambda text: known.get(lower(text), "")  # noqa: E731
    else:
        apply = VERBS[verb]

    def mask(value: str) -> str:
        text = fold_spaces(cut(scrub(value), LIMIT))
        return "" if text in {"", "-"} else apply(cut(text, limit))

    cached = lru_cache(maxsize=_CACHE_ENTRIES)(mask)

    long = lru_cache(maxsize=_LONG_ENTRIES)(mask)

    def remembered(value: str) -> str:
        size = len(value)
        return cached(value) if size <= _CACHED_LENGTH else long(value) if size <= _LONG_LENGTH else mask(value)

    return remembered
