"""Options under their other names and in another order, where the program's documentation says that neither matters."""

from __future__ import annotations

import re
from random import Random

from connector.learn.evasion.line import Line, Mutation

SPELLINGS: dict[str, tuple[str, ...]] = {
    "noprofile": ("-nop", "-NoP", "-noprof", "-NoProfile", "/nop"),
    "noninteractive": ("-noni", "-NonI", "-NonInteractive", "-nonint"),
    "windowstyle": ("-w", "-win", "-WindowStyle", "-window", "/w"),
    "executionpolicy": ("-ep", "-ex", "-exec", "-ExecutionPolicy", "-execution"),
    "encodedcommand": ("-e", "-ec", "-en", "-enc", "-EncodedCommand", "-encoded"),
    "command": ("-c", "-co", "-comm", "-Command", "/c"),
}
"""PowerShell's options, with spellings that it takes."""

_SPELLING = re.compile(r"(?i)(?<=\s)[-/]([a-z]+)(?=\s)")
_HIDDEN = re.compile(r"(?i)(?<=\s)(?:1|hidden|hid|h)(?=\s)")
_ORDERLESS = re.compile(
    r"(?i)^\W*(?:[a-z]:\\[\w\\]+\\)?(schtasks|reg(?:\.exe)?\s+add\s+\S+|sc(?:\.exe)?\s+create\s+\S+)"
)
_PAIR = re.compile(r'/[a-z]{1,12}(?:\s+(?:"[^"]*"|[^\s/"]\S*))?', re.IGNORECASE)
_NAMED = re.compile(r"(?<= )-[A-Z][A-Za-z]{2,20} (?:'[^']*'|\"[^\"]*\"|[\w.:\\$]+)(?= -[A-Z]| ?$)")


def spellings(line: Line, draw: Random) -> Line:
    """``-NoProfile`` as ``-nop`` and so on, in the call of PowerShell."""

    def write(match: re.Match[str]) -> str:
        written = match[1].lower()
        for full, known in SPELLINGS.items():
            if full.startswith(written) and any(one[1:].lower() == written for one in known):
                return draw.choice(known)
        return match[0]

    head = _SPELLING.sub(write, line.head)
    return Line(line.shell, _HIDDEN.sub(lambda _: draw.choice(("hidden", "Hidden", "1", "hid")), head), line.body)


def order(line: Line, draw: Random) -> Line:
    """``/tr x /tn y`` for ``/tn y /tr x``: programs that find their options by name."""
    match = _ORDERLESS.match(line.body)
    if match is None or re.search(r"[&|<>]", line.body):
        return line
    start = match.end()
    pairs = list(_PAIR.finditer(line.body, start))
    if len(pairs) < 2 or line.body[start:].strip() != " ".join(pair[0].strip() for pair in pairs).strip():
        return line
    shuffled = draw.sample([pair[0].strip() for pair in pairs], len(pairs))
    first = [pair for pair in shuffled if pair.lower() in {"/create", "/delete", "/run", "/query", "/change", "/end"}]
    return line.with_body(f"{line.body[:start]} " + " ".join(first + [pair for pair in shuffled if pair not in first]))


def parameters(line: Line, draw: Random) -> Line:
    """A cmdlet's named parameters in another order."""
    if "\n" in line.body or ";" in line.body or "|" in line.body:
        return line
    pairs = list(_NAMED.finditer(line.body))
    shuffled = draw.sample([pair[0] for pair in pairs], len(pairs))
    parts, done = [], 0
    for pair, other in zip(pairs, shuffled, strict=True):
        parts += [line.body[done : pair.start()], other]
        done = pair.end()
    return line.with_body("".join([*parts, line.body[done:]]))


MUTATIONS = (
    Mutation("spellings", "options", frozenset({"powershell"}), spellings),
    Mutation("order", "options", frozenset({"cmd", "native"}), order),
    Mutation("order-of-parameters", "options", frozenset({"powershell"}), parameters),
)
