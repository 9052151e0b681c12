"""Task Scheduler's operational log in ECS.

Source: https://learn.microsoft.com/previous-versions/windows/it-pro/windows-server-2008-R2-and-2008/dd363729(v=ws.10)
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

_RULES: Final[Rules] = (
    *(rule(name, "user", "principal") for name in ("UserContext", "UserName", "User")),
    rule("Path", "process.executable"),
    rule("ProcessID", "process.pid", "number"),
)
_GROUPS: Final = {
    "106": ("configuration", "creation"),
    "140 142": ("configuration", "change"),
    "141": ("configuration", "deletion"),
    "100 107 108 109 110 114 117 118 119 120 121 122 123 124 125 127 129 200": ("process", "start"),
    "102 111 201 327 328 329 330": ("process", "end"),
}

FAMILY: Final = Family(
    "task-scheduler",
    kinds={
        "task-106": Meta("scheduled-task-created", "configuration", "creation", _RULES),
        "task-140": Meta("scheduled-task-updated", "configuration", "change", _RULES),
        "task-141": Meta("scheduled-task-deleted", "configuration", "deletion", _RULES),
        "task-200": Meta("scheduled-task-action-started", "process", "start", _RULES),
    },
    logs=(channel_log("task", "task.event", _GROUPS, _RULES, prefix="scheduled-task-", default=("process", "info")),),
)
