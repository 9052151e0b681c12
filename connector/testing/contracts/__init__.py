"""What every plug-in must keep, as functions that raise :class:`ContractError` naming the rule that was broken.

Each takes a plug-in and an empty directory, stands the plug-in's testbed up there, and puts the adapter through its
port. A plug-in without a testbed breaks its contract: nobody could tell whether it keeps it.
"""

from __future__ import annotations

from connector.testing.contracts.member import check_member
from connector.testing.contracts.rules import ContractError
from connector.testing.contracts.siem import check_history, check_writer
from connector.testing.contracts.soar import check_soar
from connector.testing.contracts.source import check_source

__all__ = ["ContractError", "check_history", "check_member", "check_soar", "check_source", "check_writer"]
