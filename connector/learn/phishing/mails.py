"""Labelled mails out of CSV, JSONL, mailboxes and messages, in the form in which a mail event is scored.

Every file goes through the readers of event files: a hostile one costs a bounded time, and a mail that cannot be read
is counted. Mails without a label of their own take that of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError, PermanentError
from connector.events import normalise
from connector.models.mail import mail_text
from connector.siem.files import open_paths
from connector.types import Document, Json, RawEvent

TEXTS: Final = ("text", "body", "message", "content", "text_combined")
SUBJECTS: Final = ("subject", "title")
LABELS: Final = ("label", "class", "type", "email type")
GROUPS: Final = ("dup_key", "group")
"""Names of columns and keys, told apart without regard to case; the first that is there counts."""

BAD: Final = frozenset({"phish", "phishing", "spam", "malicious", "phishing email", "1", "true", "yes"})
GOOD: Final = frozenset({"ham", "harmless", "benign", "legit", "legitimate", "safe", "safe email", "0", "false", "no"})


MOST_CHARACTERS: Final = 4_000
"""Of a text; the canonical form keeps half of it."""


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail: the words that a model reads, and what is known of it. ``group`` is its collection's own key of near-copies."""

    text: str
    fingerprint: str
    phishing: bool
    group: str
    place: str


class Mails(msgspec.Struct):
    """What was read, one mail a fingerprint, and what was left out, by reason."""

    kept: dict[str, Mail] = msgspec.field(default_factory=dict)
    dropped: Counter[str] = msgspec.field(default_factory=Counter)


def read(paths: Sequence[Path], phishing: bool | None, into: Mails) -> None:
    """Reads files and folders. ``phishing`` None: each mail says by its label which it is.

    Of two copies with different labels the first counts.
    Raises ``ConfigError`` where a path is missing, or where nothing in it is a labelled mail.
    """
    before = len(into.kept) + into.dropped["a copy"]
    for raw in open_paths(paths):
        mail = _mail(raw, phishing, into.dropped)
        if mail is None:
            continue
        earlier = into.kept.setdefault(mail.fingerprint, mail)
        if earlier is not mail:
            into.dropped["a copy" if earlier.phishing == mail.phishing else "a copy with another label"] += 1
    if len(into.kept) + into.dropped["a copy"] == before:
        raise ConfigError(f"{', '.join(map(str, paths))}: no labelled mail; left out: {dict(into.dropped)}")


def _mail(raw: RawEvent, phishing: bool | None, dropped: Counter[str]) -> Mail | None:
    try:
        data = _object(raw)
        said = phishing if phishing is not None else label_of(data)
        if said is None:
            dropped["no label"] += 1
            return None
        event = normalise(msgspec.structs.replace(raw, data=document(data)))
    except PermanentError:
        dropped["unreadable"] += 1
        return None
    text = mail_text(event.canonical)
    if not text or text == "|":
        dropped["no words"] += 1
        return None
    return Mail(
        text=text,
        fingerprint=event.fingerprint,
        phishing=said,
        group=str(_first(data, GROUPS) or ""),
        place=raw.place,
    )


def _object(raw: RawEvent) -> Document:
    if raw.error is not None:
        raise PermanentError(raw.error)
    data: Json = raw.data
    if not isinstance(data, Mapping):
        try:
            data = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PermanentError(f"{raw.place} is no JSON object: {error}") from error
    if not isinstance(data, Mapping):
        raise PermanentError(f"{raw.place} is no JSON object")
    return data


def document(data: Document) -> Document:
    """A row of a collection as the event document of a mail; what is one already stays as it is."""
    if isinstance(data.get("email"), Mapping):
        return data
    subject, text = _first(data, SUBJECTS), _first(data, TEXTS)
    if subject is None and text is None:
        raise PermanentError(f"there is none of the fields {', '.join((*SUBJECTS, *TEXTS))}")
    return {
        "event": {"kind": "event", "category": ["email"]},
        "email": {"subject": str(subject or "")},
        "message": str(text or "")[:MOST_CHARACTERS],
    }


def label_of(data: Document) -> bool | None:
    """Whether the label says phishing; spam counts as such. None where it says neither."""
    said = str(_first(data, LABELS)).strip().lower()
    return True if said in BAD else False if said in GOOD else None


def _first(data: Document, names: Sequence[str]) -> Json:
    told = {str(key).strip().lower(): value for key, value in data.items()}
    return next((told[name] for name in names if told.get(name) is not None), None)
