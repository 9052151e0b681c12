"""Microsoft Defender Antivirus' operational log in ECS, as Elastic's Windows integration names it.

Source: https://www.elastic.co/docs/reference/integrations/windows
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

_RULES: Final[Rules] = (
    *(rule(name, "process.executable") for name in ("Process Name", "Process_Name", "ProcessName")),
    *(rule(name, "process.command_line") for name in ("Target Commandline", "Target_Commandline")),
    *(rule(name, "process.parent.command_line") for name in ("Parent Commandline", "Parent_Commandline")),
    *(rule(name, "rule.name") for name in ("Threat Name", "Threat_Name", "ThreatName")),
    *(rule(name, "user", "principal") for name in ("Detection User", "Detection_User", "User")),
    rule("Path", "file.path", "resource"),
    rule("Destination", "destination.domain"),
    rule("Sha256", "file.hash.sha256"),
    rule("FWLink", "event.reference"),
)
_GROUPS: Final = {
    "1006 1007 1008 1015 1116 1117 1118 1119 1160": ("malware", "info"),
    "1009 1010 1011 1012 1120 2020 2021 2050 2051": ("file", "info"),
    "1013 1014": ("file", "deletion"),
    "1121 1126 1131": ("intrusion_detection", "denied"),
    "1123 1127": ("intrusion_detection", "denied"),
    "1124 1128": ("file", "info"),
    "1122 1125 1129 1132 1133": ("intrusion_detection", "info"),
    "2000 2002 5000 5001 5004 5007 5009 5010 5011 5012 5013": ("configuration", "change"),
    "2001 2003 2004 2005 2006 3002 5008": ("host", "info"),
}

FAMILY: Final = Family(
    "defender",
    kinds={
        "defender-1116": Meta("malware-detected", "malware", "info", _RULES),
        "defender-1117": Meta("action-taken-against-malware", "malware", "info", _RULES),
    },
    logs=(channel_log("defender", "defender.event", _GROUPS, _RULES, prefix="", default=("host", "info")),),
    datasets=frozenset({"windows.windows_defender"}),
)
