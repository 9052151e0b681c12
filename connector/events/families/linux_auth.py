"""What sshd, sudo, su, cron, PAM and the account tools say in ``auth.log``, in ECS as Elastic's system integration has it.

Source: https://www.elastic.co/docs/reference/beats/filebeat/exported-fields-system
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from connector.events.family import Family
from connector.events.lift import is_address
from connector.events.paths import put

Node = dict[str, Any]
DATASET: Final = "system.auth"

_SSH_EVENTS: Final = {"Accepted": "success", "Failed": "failure", "Invalid": "failure"}
_ACCOUNTS: Final = {
    "new user: ": ("added-user-account", "user", "creation"),
    "new group: ": ("added-group-account", "group", "creation"),
    "group added to ": ("added-group-account", "group", "creation"),
    "delete user ": ("deleted-user-account", "user", "deletion"),
    "removed group ": ("deleted-group-account", "group", "deletion"),
    "change user ": ("modified-user-account", "user", "change"),
    "password changed for ": ("changed-password", "user", "change"),
    "changed password ": ("changed-password", "user", "change"),
}
_TOOLS: Final = frozenset(
    {"useradd", "userdel", "usermod", "groupadd", "groupdel", "groupmod", "gpasswd", "chage", "chfn", "chsh", "adduser"}
)


def read_message(program: str, message: str, document: Node) -> bool:
    """Adds what a program's message says to an ECS document; whether the message was one of theirs."""
    reader = _READERS.get(program.rpartition("/")[2])
    if message.startswith("pam_") and "(" in message[:32]:
        return _pam(message, document)
    if program in _TOOLS or program == "passwd":
        return _account(message, document)
    return reader is not None and reader(message, document)


def _after(text: str, mark: str, stop: str = " ") -> str:
    """What follows the last ``mark``, up to ``stop``."""
    _, found, rest = text.rpartition(mark)
    return rest.partition(stop)[0] if found else ""


def _says(document: Node, action: str, categories: list[str], type_: str, outcome: str = "") -> bool:
    put(document, "event.action", action)
    put(document, "event.category", categories)
    put(document, "event.type", [type_])
    put(document, "event.outcome", outcome or None)
    return True


def _source(told: str, document: Node) -> None:
    """An address, or the name that sshd and PAM write where they look names up: ``source.ip`` takes no name."""
    if is_address(told):
        put(document, "source.ip", told)
    elif told and told != "UNKNOWN":
        put(document, "source.domain", told)


def _from(message: str, document: Node) -> None:
    head, told, rest = message.rpartition(" port ")
    address = head.rpartition(" ")[2] if told else _after(message, " from ")
    _source(address, document)
    port = rest.partition(" ")[0].partition(":")[0]
    if port.isascii() and port.isdigit() and len(port) < 6:
        put(document, "source.port", int(port))


def _sshd(message: str, document: Node) -> bool:
    word, _, rest = message.partition(" ")
    if word in _SSH_EVENTS and " from " in message:
        put(document, "system.auth.ssh.event", word)
        if word != "Invalid":
            method, _, rest = rest.partition(" for ")
            put(document, "system.auth.ssh.method", method)
            rest = rest.removeprefix("invalid user ")
        name = rest.removeprefix("user ").rpartition(" from ")[0]
        put(document, "user.name", name or None)
        _from(message, document)
        outcome = _SSH_EVENTS[word]
        categories = ["authentication", "session"] if outcome == "success" else ["authentication"]
        return _says(document, "ssh_login", categories, "info", outcome)
    if message.startswith("Did not receive identification string from "):
        put(document, "system.auth.ssh.dropped_ip", _after(message, " from "))
        _from(message, document)
        return _says(document, "ssh_scan", ["network"], "connection", "failure")
    if message.startswith("User ") and " not allowed because " in message:
        name, _, told = message.removeprefix("User ").rpartition(" not allowed because ")[0].rpartition(" from ")
        put(document, "user.name", name or None)
        _source(told, document)
        return _says(document, "ssh_denied", ["authentication"], "info", "failure")
    for mark, action in _SSH_ENDS.items():
        if mark in message[:96]:
            _from(message, document)
            name = _after(message, "authenticating user ") or _after(message, "invalid user ")
            put(document, "user.name", name or None)
            return _says(document, action, ["session"], "end")
    return False


_SSH_ENDS: Final = {
    "maximum authentication attempts exceeded": "ssh_attempts_exceeded",
    "Received disconnect from": "ssh_disconnect",
    "Disconnected from": "ssh_disconnect",
    "Connection closed by": "ssh_disconnect",
    "Connection reset by": "ssh_disconnect",
    "Unable to negotiate with": "ssh_negotiation_failed",
    "Bad protocol version identification": "ssh_scan",
}


def _sudo(message: str, document: Node) -> bool:
    name, colon, rest = message.lstrip().partition(" : ")
    if not colon or " " in name:
        return False
    errors: list[str] = []
    head, command_mark, command = rest.partition("COMMAND=")
    for part in head.split(" ; ", 12):
        key, equals, value = part.strip(" ;").partition("=")
        if equals and key in _SUDO:
            put(document, f"system.auth.sudo.{_SUDO[key]}", value)
        elif part.strip(" ;") and not equals:
            errors.append(part.strip(" ;"))
    put(document, "user.name", name)
    if errors:
        put(document, "system.auth.sudo.error", "; ".join(errors))
    if command_mark:
        put(document, "system.auth.sudo.command", command)
    return _says(document, "sudo", ["process"], "start", "failure" if errors else "success")


_SUDO: Final = {"TTY": "tty", "PWD": "pwd", "USER": "user", "GROUP": "group"}


def _su(message: str, document: Node) -> bool:
    failed = message.startswith(("FAILED", "- ", "BAD"))
    target = _after(message, "(to ", ")") or _after(message, "su for ")
    if not target:
        return False
    put(document, "user.effective.name", target)
    put(document, "user.name", _after(message, ") ") if "(to " in message else _after(message, " by "))
    return _says(document, "su", ["authentication"], "info", "failure" if failed else "success")


def _cron(message: str, document: Node) -> bool:
    name, mark, command = message.partition(") CMD (")
    if not mark:
        return False
    put(document, "user.name", name.removeprefix("("))
    put(document, "process.command_line", command.removesuffix(")").strip())
    return _says(document, "cron", ["process"], "start")


def _logind(message: str, document: Node) -> bool:
    """What systemd-logind says of ``New session 12 of user alice``."""
    if not message.startswith("New session ") or " of user " not in message:
        return False
    put(document, "user.name", _after(message, " of user ").rstrip("."))
    return _says(document, "session_opened", ["session"], "start", "success")


def _pam(message: str, document: Node) -> bool:
    """``pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)``."""
    where, _, rest = message.partition("): ")
    put(document, "system.auth.pam.service", where.partition("(")[2] or None)
    name = _after(rest, "for user ") or _after(rest, " user=")
    put(document, "user.name", name.partition("(")[0] or None)
    _source(_after(rest, "rhost="), document)
    if rest.startswith("session opened"):
        return _says(document, "session_opened", ["session"], "start", "success")
    if rest.startswith("session closed"):
        return _says(document, "session_closed", ["session"], "end")
    failed = "failure" in rest or "failed" in rest or "unknown" in rest
    return _says(document, "pam", ["authentication"], "info", "failure" if failed else "")


def _account(message: str, document: Node) -> bool:
    """useradd, groupadd, usermod, gpasswd and passwd."""
    if "to group " in message and (message.startswith("add ") or " added by " in message):
        return _membership(message, document)
    for mark, (action, subject, type_) in _ACCOUNTS.items():
        if mark in message[:64]:
            rest = message.partition(mark)[2]
            name = _after(rest, "name=", ",") or rest.partition(" ")[0].strip("'\",")
            put(document, f"{subject}.name", name or None)
            for key in ("home", "shell"):
                put(document, f"system.auth.useradd.{key}", _after(rest, f"{key}=", ",") or None)
            put(document, f"{subject}.id", _after(rest, "UID=" if subject == "user" else "GID=", ",") or None)
            put(document, "event.type", [subject, type_])
            return _says(document, action, ["iam"], type_, "success")
    return False


def _membership(message: str, document: Node) -> bool:
    """``add 'bob' to group 'sudo'`` (usermod), ``user bob added by root to group sudo`` (gpasswd)."""
    group = _after(message, "group ").strip("'\"")
    name = message.removeprefix("add ").removeprefix("user ").partition(" ")[0].strip("'\"")
    put(document, "user.name", name)
    put(document, "group.name", group)
    return _says(document, "added-user-account-to-group", ["iam"], "group", "success")


_READERS: Final[Mapping[str, Callable[[str, Node], bool]]] = {
    "sshd": _sshd,
    "sshd-session": _sshd,
    "sudo": _sudo,
    "su": _su,
    "cron": _cron,
    "CRON": _cron,
    "CROND": _cron,
    "crond": _cron,
    "systemd-logind": _logind,
}

FAMILY: Final = Family("linux_auth", datasets=frozenset({DATASET}))
