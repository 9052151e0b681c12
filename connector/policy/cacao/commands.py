"""What each type of command holds (section 5). Commands are kept as they are written; these types only check them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final, Literal

from connector.policy.cacao.objects import Reference, Some, Strict
from connector.types import Json

_START_LINE: Final = re.compile(r"[A-Z]+ [!-~]+ HTTP/[0-9](\.[0-9])?")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t -~]*")


class Command(Strict, frozen=True, kw_only=True):
    """What all commands have."""

    description: str = ""
    version: str | None = None
    playbook_activity: str | None = None
    external_references: Some[Reference] = ()


class Text(Command, frozen=True, kw_only=True):
    """A command as text, or as base64 where text cannot hold it: one of the two."""

    type: Literal["manual", "bash", "powershell", "ssh", "caldera-cmd"]
    command: str | None = None
    command_b64: str | None = None

    def __post_init__(self) -> None:
        """Refuses a command that says nothing, or two things."""
        if (self.command is None) == (self.command_b64 is None):
            raise ValueError(f"a command of type {self.type!r} needs either command or command_b64")
        decoded(self.command_b64)


class Encoded(Command, frozen=True, kw_only=True):
    """A command that is always base64: a query, a notebook, a rule."""

    type: Literal["elastic", "jupyter", "kestrel", "sigma", "yara"]
    command_b64: str

    def __post_init__(self) -> None:
        """Refuses what is no base64."""
        decoded(self.command_b64)


class HttpApi(Command, frozen=True, kw_only=True):
    """A request: its start line, its headers and its body."""

    type: Literal["http-api"]
    command: str
    headers: Mapping[str, tuple[str, ...]] = {}
    content: str | None = None
    content_b64: str | None = None

    def __post_init__(self) -> None:
        """Refuses a start line or a header that would break the request."""
        if not _START_LINE.fullmatch(self.command):
            raise ValueError(f"{self.command!r} is no start line of a request: `POST /path HTTP/1.1` is one")
        _check_headers(self.headers)
        if self.content is not None and self.content_b64 is not None:
            raise ValueError("a request has content or content_b64, not both")
        decoded(self.content_b64)


class OpenC2(Command, frozen=True, kw_only=True):
    """An OpenC2 command, posted."""

    type: Literal["openc2-http"]
    command: str
    content_b64: str
    headers: Mapping[str, tuple[str, ...]] = {}

    def __post_init__(self) -> None:
        """Refuses what is not posted."""
        if not _START_LINE.fullmatch(self.command) or not self.command.startswith("POST "):
            raise ValueError(f"{self.command!r} is no start line of a POST request")
        _check_headers(self.headers)
        decoded(self.content_b64)


COMMANDS: Final[Mapping[str, type[Command]]] = {
    **dict.fromkeys(("manual", "bash", "powershell", "ssh", "caldera-cmd"), Text),
    **dict.fromkeys(("elastic", "jupyter", "kestrel", "sigma", "yara"), Encoded),
    "http-api": HttpApi,
    "openc2-http": OpenC2,
}
"""command-type-ov, each with what it holds."""


def decoded(text: Json) -> str:
    """What base64 holds, as text; empty where there is none. Raises ``ValueError``."""
    try:
        return base64.b64decode(text or "", validate=True).decode("latin-1")
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error


def _check_headers(headers: Mapping[str, tuple[str, ...]]) -> None:
    for name, values in headers.items():
        if not _HEADER.fullmatch(name) or not all(map(_VALUE.fullmatch, values)):
            raise ValueError(f"header {name!r} has a character that no header may have")
