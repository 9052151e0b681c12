"""Remote Desktop Services in ECS: sessions, connections to the listener, and the protocol. Data stand in UserData or EventData.

Source: the events' templates in the providers' manifests.
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

_SESSION: Final[Rules] = (rule("User", "user", "account"), rule("Address", "source.ip", "address"))
_AUTHENTICATION: Final[Rules] = (
    rule("Param1", "user", "account"),
    rule("Param2", "user.domain"),
    rule("Param3", "source.ip", "address"),
)
_CORE: Final[Rules] = (rule("IPString", "source.ip", "address"), rule("ClientIP", "source.ip", "endpoint"))
_SESSIONS: Final = {
    "21 22 25": ("session", "start"),
    "23 24 39 40": ("session", "end"),
    "43": ("session", "info"),
}
_CONNECTIONS: Final = {"261 1158": ("network", "connection"), "1155": ("network", "denied")}
_PROTOCOL: Final = {
    "65 98 99 131": ("network", "start"),
    "100 102 103": ("network", "end"),
    "139": ("network", "denied"),
    "140": ("authentication", "start"),
}

FAMILY: Final = Family(
    "remote-desktop",
    kinds={
        "rdp-connection-1149": Meta(
            "rdp-connection-network-authentication-succeeded",
            "authentication",
            "start",
            _AUTHENTICATION,
            user_data=True,
        )
    },
    logs=(
        channel_log(
            "rdp-session", "rdp_session.event", _SESSIONS, _SESSION, default=("session", "info"), user_data=True
        ),
        channel_log(
            "rdp-connection", "rdp_connection.event", _CONNECTIONS, (), default=("network", "info"), user_data=True
        ),
        channel_log("rdp-core", "rdp_core.event", _PROTOCOL, _CORE, default=("network", "info"), user_data=True),
    ),
)
