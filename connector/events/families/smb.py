"""SMB client and server channels in ECS.

Source: https://learn.microsoft.com/windows-server/storage/file-server/troubleshoot/smb-events
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Rules, rule

_SERVER: Final[Rules] = (rule("UserName", "user", "account"), rule("ClientName", "source.ip", "endpoint"))
_CLIENT: Final[Rules] = (rule("UserName", "user", "account"), rule("ServerName", "destination.ip", "endpoint"))
_SERVED: Final = {
    "551": ("authentication", "start"),
    "1006 1007 1008 1009 1022 1023 1029": ("network", "denied"),
    "1014 1025 1026": ("configuration", "change"),
    "3000 3010 4000": ("network", "access"),
}
_ASKED: Final = {
    "31001 31020": ("authentication", "start"),
    "31010": ("network", "access"),
    "31011 31012 31013 31014 31015 31016 31017": ("network", "denied"),
}

FAMILY: Final = Family(
    "smb",
    logs=(
        channel_log("smb-server", "smb_server.event", _SERVED, _SERVER, default=("network", "info"), user_data=True),
        channel_log("smb-client", "smb_client.event", _ASKED, _CLIENT, default=("network", "info"), user_data=True),
    ),
)
