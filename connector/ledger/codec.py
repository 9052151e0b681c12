"""Documents as bytes: msgspec JSON of the nouns in :mod:`connector.types`."""

from __future__ import annotations

from typing import Any

import msgspec

from connector.types import Action, Record, Verdict

encode = msgspec.json.Encoder().encode
"""Any noun as JSON; a Record carries its ``type`` tag."""

decode_verdict = msgspec.json.Decoder(Verdict).decode
decode_action = msgspec.json.Decoder(Action).decode
_decode_record: Any = msgspec.json.Decoder(Record)


def decode_record(document: bytes) -> Record:
    """A Record by its tag. Raises ``msgspec.MsgspecError``."""
    record: Record = _decode_record.decode(document)
    return record
