"""Code integrity and application control in ECS.

Source: https://learn.microsoft.com/windows/security/application-security/application-control/app-control-for-business/operations/event-id-explanations
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Rules, rule

_RULES: Final[Rules] = (
    *(rule(name, "file.path") for name in ("FileNameBuffer", "File Name", "File_Name", "FileName")),
    *(
        rule(name, "process.executable")
        for name in ("ProcessNameBuffer", "Process Name", "Process_Name", "ProcessName")
    ),
)
_GROUPS: Final = {
    "3004 3023 3033 3036 3058 3063 3077 3081 3092 3104 3111 3112 3114": ("intrusion_detection", "denied"),
    "3001 3021 3022 3032 3035 3037 3065 3066 3082 3083": ("driver", "start"),
    "3084 3085 3096 3099": ("configuration", "change"),
}

FAMILY: Final = Family(
    "code-integrity",
    logs=(
        channel_log("codeintegrity", "code_integrity.event", _GROUPS, _RULES, prefix="", default=("driver", "info")),
    ),
)
