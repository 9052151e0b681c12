"""The adapter for Splunk."""

from __future__ import annotations

from connector.ports import SiemPlugin
from connector.siem.splunk.history import SplunkHistory
from connector.siem.splunk.source import SplunkSource

plugin = SiemPlugin(source=SplunkSource, history=SplunkHistory, testbed="tests.siem.splunk.beds:SplunkTestbed")
