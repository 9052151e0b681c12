"""The DNS server's own log and its audit channel in ECS.

Source: https://learn.microsoft.com/previous-versions/windows/it-pro/windows-server-2012-r2-and-2012/dn800669(v=ws.11)
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

_PLUGIN: Final[Rules] = (rule("param1", "dll.path"),)
_TRANSFER: Final[Rules] = (rule("param1", "source.ip", "address"), rule("param2", "dns.question.name"))
_SERVER: Final = {"6001": ("network", "access"), "6002 6524 6525": ("network", "denied")}
_AUDIT: Final = {
    "512 515 519 522 528 542 544 545 548 569 571 572 575 576 581": ("configuration", "creation"),
    "513 516 517 518 520 521 523 536 543 546 568 570 573 577 578 582": ("configuration", "deletion"),
    "534": ("configuration", "access"),
}

FAMILY: Final = Family(
    "dns-server",
    kinds={
        "dns-server-150": Meta("plug-in-load-failed", "library", "start", _PLUGIN),
        "dns-server-770": Meta("plug-in-loaded", "library", "start", _PLUGIN),
        "dns-server-6004": Meta("zone-transfer-refused", "network", "denied", _TRANSFER),
    },
    logs=(
        channel_log("dns-server", "dns_server.event", _SERVER, (), default=("host", "info")),
        channel_log("dns-audit", "dns_audit.event", _AUDIT, (), default=("configuration", "change")),
    ),
)
