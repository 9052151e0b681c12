"""Carets, quotes, ticks and backslashes that a shell takes away before it runs a line.

The rules: ``cmd /?`` and https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments for Windows,
about_Special_Characters for PowerShell, IEEE 1003.1 Shell Command Language 2.2 for POSIX shells.
"""

from __future__ import annotations

from random import Random

from connector.learn.evasion.line import Line, Mutation, rewritten

_TICKABLE = frozenset("cdghijklmopqswxyz")
"""Letters that a tick before them does not change, in any version of PowerShell."""


def _between(word: str, mark: str, draw: Random, *, every: bool = False) -> str:
    places = [place for place in range(1, len(word)) if every or draw.random() < 0.4] or [draw.randrange(1, len(word))]
    return "".join(mark + letter if place in places else letter for place, letter in enumerate(word))


def carets(line: Line, draw: Random) -> Line:
    """``w^ho^ami``."""
    return rewritten(line, draw, lambda word, draw: _between(word, "^", draw))


def carets_everywhere(line: Line, draw: Random) -> Line:
    """``^w^h^o^a^m^i``."""
    return rewritten(line, draw, lambda word, draw: "^" + _between(word, "^", draw, every=True), share=1.0)


def empty_quotes(line: Line, draw: Random) -> Line:
    """``who""ami``, and ``who''ami`` for a POSIX shell."""
    mark = draw.choice(('""', "''")) if line.shell == "sh" else '""'
    return rewritten(line, draw, lambda word, draw: _inserted(word, mark, draw))


def _inserted(word: str, mark: str, draw: Random) -> str:
    place = draw.randrange(1, len(word))
    return word[:place] + mark + word[place:]


def split_quotes(line: Line, draw: Random) -> Line:
    """``w"hoa"mi``."""
    quote = draw.choice("\"'") if line.shell == "sh" else '"'

    def write(word: str, draw: Random) -> str:
        start = draw.randrange(len(word) - 1)
        stop = draw.randrange(start + 1, len(word) if start else len(word) - 1)
        return f"{word[:start]}{quote}{word[start:stop]}{quote}{word[stop:]}"

    return rewritten(line, draw, write)


def ticks(line: Line, draw: Random) -> Line:
    """``Ne`w-Obj`ect``."""

    def write(word: str, draw: Random) -> str:
        places = [place for place in range(1, len(word)) if word[place].lower() in _TICKABLE and draw.random() < 0.5]
        return "".join("`" + letter if place in places else letter for place, letter in enumerate(word))

    return rewritten(line, draw, write)


def backslashes(line: Line, draw: Random) -> Line:
    r"""``wh\oami``."""
    return rewritten(line, draw, lambda word, draw: _inserted(word, "\\", draw))


MUTATIONS = (
    Mutation("carets", "carets", frozenset({"cmd"}), carets),
    Mutation("carets-everywhere", "carets", frozenset({"cmd"}), carets_everywhere),
    Mutation("empty-quotes", "quotes", frozenset({"cmd", "native", "sh"}), empty_quotes),
    Mutation("split-quotes", "quotes", frozenset({"cmd", "native", "sh"}), split_quotes),
    Mutation("backslashes", "quotes", frozenset({"sh"}), backslashes),
    Mutation("ticks", "ticks", frozenset({"powershell"}), ticks),
)
