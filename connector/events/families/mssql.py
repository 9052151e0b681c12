"""SQL Server's events of the Application log in ECS. An instance logs as ``MSSQL$<instance>``.

Source: https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors
"""

from __future__ import annotations

from typing import Final

from connector.events.families.channel import channel_log
from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

_LOGIN: Final[Rules] = (rule("param1", "user.name"),)
_GROUPS: Final = {
    "8128 33205": ("database", "access"),
    "15457 18267": ("database", "change"),
    "17147 17148": ("process", "end"),
}
_LOGINS: Final = {code: Meta("logged-in", "authentication", "start", _LOGIN) for code in ("18453", "18454")}

_LOG: Final = channel_log("mssql", "mssql.event", _GROUPS, (), default=("database", "info"), prefix="")

FAMILY: Final = Family(
    "mssql",
    logs=(
        _LOG._replace(
            events={**_LOG.events, **_LOGINS, "18456": Meta("logon-failed", "authentication", "start", _LOGIN)}
        ),
    ),
)
