"""Reading event files of any supported format as a stream of records, in constant memory.

::

    file ──► sniff ──► lines     JSON lines, XML lines, plain text           (lines.py)
                   ──► elements  JSON arrays, concatenated JSON, XML exports (elements.py)
                   ──► evtx      Windows event logs                          (winevt.py)
                   ──► archives  zip, tar: each member is sniffed again      (archives.py)
                   ──► gzip, xz, bzip2, UTF-16: unpacked, then sniffed again (streams.py)

Nothing is ever extracted under a name that an archive chose. What a container cannot give is one record with an error.
"""

from __future__ import annotations

from connector.siem.formats.reader import Limits, records
from connector.siem.formats.sniff import Format, sniff

__all__ = ["Format", "Limits", "records", "sniff"]
