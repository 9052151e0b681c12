"""The print spooler's channels in ECS. Their data stand in UserData, mostly numbered.

Source: the events' templates in the provider's manifest.
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

_PLUGIN: Final[Rules] = (rule("PluginDllName", "dll.path"),)
_GROUPS: Final = {
    "215 300 848": ("configuration", "creation"),
    "301 302 317 849": ("configuration", "deletion"),
    "303 304 305 306 314 823": ("configuration", "change"),
    "216 350 351 352 353 372": ("driver", "info"),
}

FAMILY: Final = Family(
    "print-service",
    kinds={
        "print-307": Meta("document-printed", "host", "info", (rule("Param3", "user.name"),), user_data=True),
        "print-316": Meta("printer-driver-added", "driver", "change", (), user_data=True),
        "print-354": Meta(
            "printer-driver-load-failed", "driver", "info", (rule("Param2", "dll.path"),), user_data=True
        ),
        "print-808": Meta("plug-in-load-failed", "library", "start", _PLUGIN, user_data=True),
    },
    logs=(channel_log("print", "print.event", _GROUPS, (), prefix="", default=("host", "info"), user_data=True),),
)
