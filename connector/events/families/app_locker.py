"""AppLocker's channels in ECS. Their data stand in UserData.

Source: https://www.elastic.co/docs/reference/integrations/windows
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Rules, rule

_RULES: Final[Rules] = (
    *(rule(name, "file.path") for name in ("FullFilePath", "FullFilePathBuffer", "FilePath", "FilePathBuffer")),
    rule("FileHash", "file.hash.sha256"),
    *(rule(name, "rule.name") for name in ("RuleName", "RuleNameBuffer")),
    rule("RuleId", "rule.id"),
    rule("TargetUser", "user.id"),
    rule("TargetProcessId", "process.pid", "number"),
)
_GROUPS: Final = {
    "8002 8003 8005 8006 8020 8021 8028 8037 8039": ("process", "start"),
    "8004 8007 8022 8029 8036 8040": ("intrusion_detection", "denied"),
    "8023 8024": ("package", "installation"),
    "8025 8026": ("intrusion_detection", "denied"),
    "8001": ("configuration", "change"),
}
_STREAMS: Final = ("exe_and_dll", "msi_and_script", "packaged_app_deployment", "packaged_app_execution")

FAMILY: Final = Family(
    "app-locker",
    logs=(channel_log("applocker", "applocker.event", _GROUPS, _RULES, default=("process", "info"), user_data=True),),
    datasets=frozenset(f"windows.applocker_{stream}" for stream in _STREAMS),
)
