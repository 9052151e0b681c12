"""Following files as ``tail -F`` does, over renames, copies, truncations, compression and restarts.

::

    paths ──► Finder ──► which content is it? ──► the file that holds each content now
                              │      ▲
                              ▼      │
                            Memory: how far each content was seen, and its last bytes there
"""

from __future__ import annotations

from connector.siem.tail.contents import Content
from connector.siem.tail.finder import Finder

__all__ = ["Content", "Finder"]
