"""For tests, and for authors of plug-ins: a clock, a SIEM and a SOAR in memory, testbeds, and the contract suites.

A plug-in's tests need three lines::

    from connector.testing import check_source

    def test_contract(tmp_path):
        check_source(plugin, tmp_path)
"""

from __future__ import annotations

from connector.testing.beds import FilesTestbed, MemorySiemTestbed, MemorySoarTestbed
from connector.testing.clock import ManualClock, micros
from connector.testing.contracts import (
    ContractError,
    check_history,
    check_member,
    check_soar,
    check_source,
    check_writer,
)
from connector.testing.faults import Faults
from connector.testing.siem import MemorySiem, memory_siem_plugin
from connector.testing.soar import MemorySoar, memory_soar_plugin

__all__ = [
    "ContractError",
    "Faults",
    "FilesTestbed",
    "ManualClock",
    "MemorySiem",
    "MemorySiemTestbed",
    "MemorySoar",
    "MemorySoarTestbed",
    "check_history",
    "check_member",
    "check_soar",
    "check_source",
    "check_writer",
    "memory_siem_plugin",
    "memory_soar_plugin",
    "micros",
]
