"""Event data that a collector left in the rendered message only, brought back under their own names.

NXLog does not read UserData: a record of it is its message. The captions are those of the English message tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Node = dict[str, Any]
Captions = tuple[tuple[str, str, str], ...]
"""Name, what stands before the value, and what ends it: the empty string for the end of the message."""

_LINE: Final = "\n"
_SESSION: Final[Captions] = (
    ("User", "User: ", _LINE),
    ("SessionID", "Session ID: ", _LINE),
    ("Address", "Source Network Address: ", _LINE),
)
_CAPTIONS: Final[Mapping[str, Mapping[str, Captions]]] = {
    "Microsoft-Windows-WMI-Activity": {
        "5857": (
            ("ProviderName", "", " provider started"),
            ("Code", "result code ", ". "),
            ("HostProcess", "HostProcess = ", ";"),
            ("ProcessID", "ProcessID = ", ";"),
            ("ProviderPath", "ProviderPath = ", ""),
        ),
        "5858": (
            ("ClientMachine", "ClientMachine = ", ";"),
            ("User", "; User = ", ";"),
            ("ClientProcessId", "ClientProcessId = ", ";"),
            ("Component", "Component = ", ";"),
            ("Operation", "; Operation = ", "; ResultCode = "),
            ("ResultCode", "; ResultCode = ", ";"),
            ("PossibleCause", "; PossibleCause = ", ""),
        ),
        "5859": (
            ("NamespaceName", "Namespace = ", ";"),
            ("Query", "NotificationQuery = ", "; OwnerName = "),
            ("User", "; OwnerName = ", ";"),
            ("Provider", "Provider= ", ", queryID"),
            ("PossibleCause", "; PossibleCause = ", ""),
        ),
        "5860": (
            ("NamespaceName", "Namespace = ", ";"),
            ("Query", "NotificationQuery = ", "; UserName = "),
            ("User", "; UserName = ", ";"),
            ("ClientMachine", "ClientMachine = ", ";"),
            ("PossibleCause", "; PossibleCause = ", ""),
        ),
        "5861": (
            ("Namespace", "Namespace = ", ";"),
            ("ESS", "Eventfilter = ", " (refer"),
            ("CONSUMER", "; Consumer = ", "; PossibleCause = "),
            ("PossibleCause", "; PossibleCause = ", ""),
        ),
    },
    "Microsoft-Windows-TerminalServices-LocalSessionManager": {
        **dict.fromkeys(("21", "22", "23", "24", "25", "41", "42"), _SESSION),
        "40": (("Session", "Session ", " has been"), ("Reason", "reason code ", _LINE)),
    },
    "Microsoft-Windows-TerminalServices-RemoteConnectionManager": {
        "1149": (
            ("Param1", "User: ", _LINE),
            ("Param2", "Domain: ", _LINE),
            ("Param3", "Source Network Address: ", _LINE),
        ),
        "261": (("listenerName", "Listener ", " received"),),
    },
}


def restore_data(provider: object, code: str, message: str, data: Node) -> None:
    """Adds what the message says to the event data of a record that has none of it."""
    captions = _CAPTIONS.get(provider, {}).get(code) if type(provider) is str else None
    if captions is None or any(name in data for name, _, _ in captions):
        return
    for name, start, stop in captions:
        _, found, rest = message.partition(start) if start else ("", "found", message)
        value = (rest.partition(stop)[0] if stop else rest).strip() if found else ""
        if value:
            data[name] = value
