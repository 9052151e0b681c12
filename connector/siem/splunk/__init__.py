"""The adapter for Splunk."""

from __future__ import annotations

from connector.ports import SiemPlugin
from connector.siem.splunk.history import SplunkHistory
from connector.siem.splunk.source import SplunkSource
from connector.siem.splunk.writer import SplunkWriter

plugin = SiemPlugin(
    source=SplunkSource, writer=SplunkWriter, history=SplunkHistory, testbed="tests.siem.splunk.beds:SplunkTestbed"
)
