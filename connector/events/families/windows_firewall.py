"""Windows Firewall with Advanced Security in ECS.

Source: https://learn.microsoft.com/openspecs/windows_protocols/ms-fasp
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Rules, rule

_RULES: Final[Rules] = (
    rule("RuleName", "rule.name"),
    rule("RuleId", "rule.id"),
    rule("ModifyingApplication", "process.executable"),
    rule("ModifyingUser", "user.id"),
)
_GROUPS: Final = {
    "2004 2071 2097": ("configuration", "creation"),
    "2006 2033 2052 2059": ("configuration", "deletion"),
    "2002 2003 2005 2008 2010 2032 2060 2073 2082 2083 2099": ("configuration", "change"),
    "2011 2012": ("network", "denied"),
}

FAMILY: Final = Family(
    "windows-firewall",
    logs=(channel_log("firewall", "firewall.event", _GROUPS, _RULES, default=("configuration", "info")),),
)
