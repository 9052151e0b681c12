"""What a record says that it is: a carrier's word for its log, beside the vendor's own fields.

Panther writes ``p_log_type`` into each row, Splunk ``sourcetype``, Elastic ``event.dataset`` or ``data_stream.dataset``.
"""

from __future__ import annotations

from typing import Final

from connector.events.masks import lower
from connector.types import Document, Json

_LONGEST: Final = 128
_NAMES: Final = ("p_log_type", "sourcetype", "event.dataset", "data_stream.dataset")
_FOLDERS: Final = ("event", "data_stream")


def declared(record: Document) -> str:
    """The type that a record declares, in lower case with ``:`` written ``.``; the empty string where it declares none.

    ``AWS.CloudTrail`` (Panther), ``aws:cloudtrail`` (Splunk) and ``aws.cloudtrail`` (Elastic) are all ``aws.cloudtrail``.
    A caller looks the result up in a table of its own: it is the sender's text.
    """
    for name in _NAMES:
        value = record.get(name)
        if value:
            return _normal(value)
    for folder in _FOLDERS:
        node = record.get(folder)
        if type(node) is dict and node.get("dataset"):
            return _normal(node["dataset"])
    return ""


def _normal(value: Json) -> str:
    if type(value) is list and len(value) == 1:
        value = value[0]
    return lower(value).replace(":", ".") if type(value) is str and len(value) <= _LONGEST else ""
