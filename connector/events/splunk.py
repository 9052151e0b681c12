"""Splunk's classic ``WinEventLog`` rows: fields taken out of the rendered message, named by its captions.

``XmlWinEventLog`` carries the event itself; these rows only what Splunk extracted. Their captions are brought back to the
event's own names, so that the event is of its kind and has what can be had of its canonical form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connector.types import Document, Json

_NAMES: Final[Mapping[str, str]] = {
    "Access_Mask": "AccessMask",
    "Application_Name": "Application",
    "Authentication_Package": "AuthenticationPackageName",
    "Creator_Process_Name": "ParentProcessName",
    "Destination_Address": "DestAddress",
    "Destination_Port": "DestPort",
    "Key_Length": "KeyLength",
    "Logon_Process": "LogonProcessName",
    "Logon_Type": "LogonType",
    "Mandatory_Label": "MandatoryLabel",
    "New_Process_Name": "NewProcessName",
    "Object_Name": "ObjectName",
    "Object_Server": "ObjectServer",
    "Object_Type": "ObjectType",
    "Privileges": "PrivilegeList",
    "Process_Command_Line": "CommandLine",
    "Process_Name": "ProcessName",
    "Relative_Target_Name": "RelativeTargetName",
    "Service_File_Name": "ServiceFileName",
    "Service_Name": "ServiceName",
    "Service_Start_Type": "StartType",
    "Service_Type": "ServiceType",
    "Share_Name": "ShareName",
    "Source_Address": "SourceAddress",
    "Source_Network_Address": "IpAddress",
    "Source_Port": "IpPort",
    "Sub_Status": "SubStatus",
    "Task_Name": "TaskName",
    "Ticket_Encryption_Type": "TicketEncryptionType",
    "Ticket_Options": "TicketOptions",
}
_ACCOUNTS: Final = (("Account_Name", "UserName"), ("Account_Domain", "DomainName"), ("Security_ID", "UserSid"))


def is_classic(row: Document) -> bool:
    """Whether a row is of sourcetype ``WinEventLog`` in its classic form."""
    return "LogName" in row and "EventCode" in row


def own_names(row: Document) -> dict[str, Any]:
    """The row under the event's own names. An account that occurs twice is subject, then target."""
    named: dict[str, Json] = {_NAMES.get(key, key): value for key, value in row.items()}
    for caption, name in _ACCOUNTS:
        value = named.pop(caption, None)
        subject, target = (*value, None, None)[:2] if isinstance(value, list) else (value, None)
        named |= {f"Subject{name}": subject, f"Target{name}": target}
    return named
