"""Triaged: a daemon that triages security events into MITRE ATT&CK verdicts."""

from importlib.metadata import version

__version__ = version("triaged")
