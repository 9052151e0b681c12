"""WMI's activity log in ECS. Its data stand in UserData.

Source: https://learn.microsoft.com/windows/win32/wmisdk/tracing-wmi-activity
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import action_of, channel_log
from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

_USER: Final[Rules] = (rule("User", "user", "principal"),)
_PROVIDER: Final[Rules] = (
    rule("ProviderPath", "dll.path"),
    rule("HostProcess", "process.name"),
    rule("ProcessID", "process.pid", "number"),
)
_TYPES: Final[dict[str, tuple[str, str, Rules]]] = {
    "5857": ("library", "start", _PROVIDER),
    "5858": ("process", "info", _USER),
    "5859": ("configuration", "creation", _USER),
    "5860": ("configuration", "creation", _USER),
    "5861": ("configuration", "creation", _USER),
}

FAMILY: Final = Family(
    "wmi-activity",
    kinds={
        f"wmi-{code}": Meta(f"wmi-{action_of('wmi_activity.event', code)}", category, kind, rules, user_data=True)
        for code, (category, kind, rules) in _TYPES.items()
    },
    logs=(channel_log("wmi", "wmi_activity.event", {}, _USER, default=("process", "info"), user_data=True),),
)
