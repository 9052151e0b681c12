"""The phishing member: a text member that has a view of mails alone, and reads nothing of them but their words.

It is fine-tuned by ``triaged train phishing``. That a mail is phishing is T1566; T1566.001 where something is attached,
T1566.002 where it holds a link: those two are facts of the mail, not the model's opinion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from connector.errors import ConfigError
from connector.models.calibration import scaled, sigmoid
from connector.models.text import Options, TextMember
from connector.ports import MemberPlugin, MemberSpec, State
from connector.types import Event, Pairs, Scores, StateChange

PHISHING, ATTACHMENT, LINK = "T1566", "T1566.001", "T1566.002"
LABELS: Final = (PHISHING, ATTACHMENT, LINK)

MOST_CHARACTERS: Final = 1_500
NO_MAIL: Final = "phishing: the event is no mail"

_SUBJECTS: Final = frozenset({"email.subject", "named.email.subject"})
_LINKS: Final = frozenset({"url.full", "named.url.full", "url.domain"})
_WEB = re.compile(r"\b(?:https?://|www\.)[^\s\"']{1,500}")
_ADDRESS = re.compile(r"[^\s@<>\"'(),;:]{1,64}@[^\s@<>\"'(),;:]{1,255}")
_LIST_TAG = re.compile(r"\A(?:\s{0,3}(?:(?:re|fwd?|aw|wg|sv)\s?:|\[[^\[\]]{1,40}\])){1,8}\s{0,3}")
_FOOTER = re.compile(r"_{20,}|-{20,}(?= ?(?:yahoo|~-->))|-----begin pgp|\bto unsubscribe from this (?:group|list)\b")
_RESIDUE = re.compile(r"&#?[a-z0-9]{1,8};|\ufffd")
"""What a collection's own reading of HTML and charsets left behind."""
_LONG = re.compile(r"(?<!\S)\S{41,}")
_PLACEHOLDER = re.compile(r"<([a-z][a-z-]{0,20})>")


def mail_text(pairs: Pairs) -> str | None:
    """The words of a mail's canonical form; None where the event is no mail.

    Addresses (the recipient's too, and so a honeypot's), list tags and footers and long tokens are gone,
    and a link is one word: they tell where a collection comes from, not what a mail wants.
    """
    fields = dict(pairs)
    subject = next((fields[name] for name in fields if name in _SUBJECTS), None)
    if subject is None and fields.get("event.category") != "email":
        return None
    subject = _LIST_TAG.sub("", subject or "")
    body = _FOOTER.split(fields.get("message", ""), maxsplit=1)[0]
    words = _ADDRESS.sub("address", _WEB.sub("link", _RESIDUE.sub(" ", f"{subject} | {body}")))
    return " ".join(_PLACEHOLDER.sub(r"\1", _LONG.sub("token", words)).split())[:MOST_CHARACTERS]


def has_link(pairs: Pairs) -> bool:
    """Whether a mail's canonical form holds an address of the web."""
    return any(name in _LINKS or (name == "message" and _WEB.search(value)) for name, value in pairs)


def has_attachment(event: Event) -> bool:
    """Whether the mail says that something is attached to it."""
    mail = event.ecs.get("email")
    return isinstance(mail, Mapping) and bool(mail.get("attachments"))


class MailMember:
    """Scores mails by their text; no view of any other event."""

    needs: tuple[str, ...] = ()

    def __init__(self, spec: MemberSpec, directory: Path, threads: int) -> None:
        if spec.labels != LABELS:
            raise ConfigError(f"member {spec.name!r}: its labels are {', '.join(LABELS)}, not {', '.join(spec.labels)}")
        self.name, self.labels = spec.name, spec.labels
        self._text = TextMember(msgspec.structs.replace(spec, labels=(PHISHING,)), directory, threads)
        self._calibration = msgspec.convert(spec.options, Options).calibration.malicious

    def settle(self) -> int:
        """As of a :class:`TextMember`."""
        return self._text.settle()

    def close(self) -> None:
        """Ends the threads."""
        self._text.close()

    def key(self, event: Event) -> str | None:
        """The fingerprint, and whether something is attached: the rest is a function of the canonical form."""
        return f"{event.fingerprint}{'+' if has_attachment(event) else ''}"

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        """None: each mail is scored by itself."""
        del events
        return frozenset()

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        """Calibrated probabilities of phishing; nan where the event is no mail or says nothing."""
        del views, state
        texts = [mail_text(event.canonical) for event in events]
        seen = [place for place, text in enumerate(texts) if text and text != "|"]
        votes = np.full(len(events), np.nan, np.float32)
        if seen:
            votes[seen] = sigmoid(
                scaled(self._text.logits([texts[place] or "" for place in seen])[1], self._calibration)
            )
        columns = np.repeat(votes[:, None], len(LABELS), axis=1)
        for place in seen:
            columns[place, 1] *= has_attachment(events[place])
            columns[place, 2] *= has_link(events[place].canonical)
        notes = tuple((NO_MAIL,) if text is None else () for text in texts)
        return Scores(techniques=columns, p_malicious=votes, notes=notes), StateChange()


plugin = MemberPlugin(member=MailMember, testbed="connector.models.mail_testbed:MailTestbed")
