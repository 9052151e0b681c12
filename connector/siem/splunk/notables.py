"""Notables of Enterprise Security, which version 8 calls findings, as events of their own.

Both lie in the index ``notable``. What names one everywhere else (``rule_id`` in its history, ``ruleUIDs`` of an update) is
computed from the event as Enterprise Security's macros compute it: the GUID in the bucket's name, the index, and the MD5 of
time and text. A field ``event_id`` in the event itself is what the original event said, and anybody may have written that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connector.siem.splunk.spl import quoted

SEARCH: Final = "index=notable"

EVENT_ID: Final = 'eval event_id=replace(_bkt, "^.*~", "")."@@".replace(_bkt, "~.*$", "")."@@".md5(_time._raw)'
"""The command that adds a notable's own name as ``event_id``."""


TECHNIQUES: Final = "annotations.mitre_attack"
"""The field in which a notable has the techniques of the search that raised it."""


def named(names: Sequence[str]) -> str:
    """The search for notables with these names.

    Enterprise Security's own macro names them, whatever its version and its digest are, and those that a person made.
    """
    wanted = ", ".join(map(quoted, names))
    kept = "fields _time, _indextime, _bkt, _cd, _raw, index, host, source, sourcetype, event_id, triaged_event_id"
    return " | ".join(("search `notable`", f"where in(event_id, {wanted})", f'{kept}, "{TECHNIQUES}"'))
