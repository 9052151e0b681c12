"""A phishing member that knows two words, for the contract suite of members and for tests of whole bundles."""

from __future__ import annotations

from typing import Self

import msgspec

from connector.models.mail import LABELS
from connector.models.testbed import TextTestbed, Weights, lay_text_member, text_spec
from connector.ports import MemberSpec

WORDS: Weights = {"password": {"T1566": 8.0, "malicious": 8.0}, "meeting": {"T1566": -2.0, "malicious": -2.0}}


class MailTestbed(TextTestbed):
    """Lays a phishing member out."""

    def __enter__(self) -> Self:
        lay_text_member(self.directory(), WORDS)
        return self

    def spec(self) -> MemberSpec:
        """The member as a manifest would list it."""
        return msgspec.structs.replace(text_spec("phishing", WORDS), kind="phishing", labels=LABELS)
