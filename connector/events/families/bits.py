"""The BITS client's log in ECS.

Source: the events' templates in the provider's manifest.
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Rules, rule

_RULES: Final[Rules] = (
    *(rule(name, "user", "principal") for name in ("jobOwner", "User", "string2")),
    *(rule(name, "process.executable") for name in ("processPath", "string3")),
    rule("processId", "process.pid", "number"),
    *(rule(name, "url.full") for name in ("url", "RemoteName")),
    rule("LocalName", "file.path"),
)
_GROUPS: Final = {
    "3 59 62": ("network", "start"),
    "4 5 60": ("network", "end"),
    "16403": ("file", "creation"),
}

FAMILY: Final = Family("bits", logs=(channel_log("bits", "bits.event", _GROUPS, _RULES, default=("network", "info")),))
