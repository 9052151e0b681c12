"""What a search says while it streams, and what that means for its rows.

Splunk answers with what it has. A search peer that is down, a limit of time or memory, a lookup that is missing: all of
them are only messages beside the rows. So a warning or an error counts as a loss unless the table knows it as harmless,
and what tells of a loss counts as one whatever its level is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from connector.siem.splunk.faults import LONGEST_REASON, Fault, by_text

Meaning: TypeAlias = Literal["harmless", "partial"]

LOSSES: Final = (
    r"\bpeers?\b.*\b(down|fail|timed? ?out|unreachable|skipp|not respond|prematurely|error|quarantine|incomplete|unable)",
    r"\b(unable to distribute|connection (failed|refused|to .* lost)|failed to (contact|connect|create a bundle)).*\bpeer",
    r"\b(timed out waiting|reading error while waiting|unknown error) (for|from) peer",
    r"results? (might|may|could|will) be (incomplete|partial|truncated|missing)|incomplete (search )?results?|partial results?",
    r"auto-?(finalized|canceled|cancelled|paused)|\bfinalized\b.*\b(limit|before)|search (was )?(cancell?ed|terminated|interrupted)",
    r"\btruncat(ed|ing)\b|(reached|exceeded|hit) .*\b(limit|maximum|quota|max_\w+)|limit .*(reached|exceeded)",
    r"search (process|job) .*(prematurely|terminated|crash|exited|fail)",
    r"bucket.*(missing|could not|cannot|failed|skipp)|(could not|failed to) (read|open|localize) .*bucket|rawdata .*(corrupt|missing)",
    r"time ?range .*(substituted|limited|reduced|restricted)|search window .*limited",
)
"""Messages that tell that rows are missing, whatever their level."""

HARMLESS: Final = (
    r"contains a wildcard in the middle of a word",
    r"field extractor name=.* is unusually slow",
    r"events might not be returned in sub-?second order",
    r"no matching (fields|indexes?) exist|no indexes? match|index .*does not exist",
    r"your maximum number of .* searches .*(will be|has been) queued",
    r"(search|command|python) .*is deprecated",
)
"""Warnings and errors that take no row away. A lookup or an event type that is missing may: a search may choose by them."""

_LOSSES: Final = tuple(re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in LOSSES)
_HARMLESS: Final = tuple(re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in HARMLESS)
_SENDER: Final = re.compile(r"^\s*(\[[^\]]*\]\s*)+")
"""What stands before a message of an indexer: its name."""
_QUIET: Final = frozenset({"INFO", "DEBUG"})


class Message(msgspec.Struct, frozen=True):
    """One message of a search."""

    type: str = "ERROR"
    text: str = ""


def meaning(message: Message, known: Iterable[str] = ()) -> Meaning | Fault:
    """What a message means: nothing; rows are missing; or the search has failed as a whole, and how to react to that.

    ``known`` are beginnings of messages that the site knows to be harmless, whichever indexer sends them.
    """
    if any(_SENDER.sub("", message.text).startswith(_SENDER.sub("", beginning)) for beginning in known):
        return "harmless"
    if any(pattern.search(message.text) for pattern in _LOSSES):
        return "partial"
    level = message.type.upper()
    if level in _QUIET or any(pattern.search(message.text) for pattern in _HARMLESS):
        return "harmless"
    if level in {"ERROR", "FATAL"} and (found := by_text(message.text)) is not None:
        return found
    return "partial"


def told(message: Message) -> str:
    """A message on one line, cut where it is long."""
    text = " ".join(f"{message.type}: {message.text}".split())
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "…"
