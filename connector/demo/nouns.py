"""What the scenario is made of: programs, users, processes, and the entries of a Windows event log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from connector.types import Noun


class Program(Noun, frozen=True):
    """An executable with the version resource that Sysmon reads from it."""

    path: str
    description: str
    product: str
    company: str
    original: str
    version: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rsplit("\\", 1)[-1]


class User(Noun, frozen=True):
    """An account with its session on one machine.

    The Security log calls the system by the machine's account, Sysmon by its own name: hence the ``audit`` fields.
    """

    name: str
    domain: str
    sid: str
    logon_id: str
    session: int = 0
    integrity: str = "Medium"
    audit_name: str = ""
    audit_domain: str = ""

    @property
    def account(self) -> str:
        """Domain and name, as Sysmon writes them."""
        return f"{self.domain}\\{self.name}"


class Process(Noun, frozen=True):
    """A running process."""

    program: Program
    command: str
    directory: str
    user: User
    pid: int
    guid: str


class Entry(Noun, frozen=True):
    """One record of an event log, before it is written in anybody's format.

    ``section`` is the XML element below which the data stand: ``EventData``, or the name of the element in
    ``UserData``. ``shows`` lists the technique ids of a planted event and ``step`` says what the intruder did.
    """

    at: datetime
    log: str
    code: int
    data: Mapping[str, str]
    pid: int
    thread: int
    sid: str | None = None
    activity: str | None = None
    section: str = "EventData"
    shows: tuple[str, ...] = ()
    step: str = ""
