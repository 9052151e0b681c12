"""tldr pages: ordinary commands with their placeholders filled in, wrapped exactly as attack commands are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from connector.learn.corpora import wrap
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora

NAME = "tldr"
PER_PAGE, PER_WINDOWS_PAGE = 1, 6
LINUX_LEFT_OUT = 0.5
_EXAMPLE = re.compile(r"^`(.+)`$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{(.+?)\}\}")
_VALUES = {
    "user": ("anna", "jdoe", "backup", "mlopez"),
    "host": ("fileserver01", "10.0.4.12", "db.corp.local", "192.168.1.20"),
    "ip": ("10.0.4.12", "192.168.1.20", "172.16.8.4"),
    "url": (
        "https://intranet.corp.local/index.html",
        "https://downloads.example.org/setup.zip",
        "http://10.0.4.12:8080/api",
    ),
    "port": ("8080", "443", "22", "5432"),
    "password": ("Winter2024!", "changeme"),
    "service": ("Spooler", "wuauserv", "nginx", "postgresql"),
    "command": ("ls -la", "hostname", "date"),
    "package": ("git", "nodejs", "7zip"),
    "process": ("notepad.exe", "node", "java"),
    "name": ("app", "report", "web01", "nightly"),
    "number": ("2", "10", "100"),
}
_WINDOWS_ROOTS = (
    "C:\\Users\\anna.berg\\Documents\\",
    "C:\\Temp\\",
    "D:\\data\\",
    "C:\\ProgramData\\",
    ".\\",
    "C:\\Users\\Public\\",
)
_UNIX_ROOTS = ("/home/ubuntu/", "/var/log/", "/tmp/", "./", "/opt/app/", "/etc/")  # noqa: S108


def samples(corpora: Corpora) -> Iterator[Sample]:
    """One example of each page, six of a Windows page; a page's programs run on Windows, or on Linux for the common pages' other half."""
    for path, content in corpora.files(NAME, ".md"):
        if not path.startswith("pages/"):
            continue
        draw = wrap.seeded(NAME, path)
        windows = "/windows/" in path or ("/common/" in path and draw.random() < 0.5)
        if not windows and draw.random() < LINUX_LEFT_OUT:
            continue
        lines = _EXAMPLE.findall(content.decode("utf-8", "replace"))
        limit = PER_WINDOWS_PAGE if "/windows/" in path else PER_PAGE
        for number, line in enumerate(lines if len(lines) <= limit else sorted(draw.sample(lines, limit))):
            command = wrap.Command(filled(line, windows=windows, draw=draw), _shell(line, windows=windows))
            for index, data in enumerate(wrap.events(command, draw)):
                yield Sample(data=data, group=path, record=f"{number}.{index}", basis="manual-page", malicious=False)


def _shell(line: str, *, windows: bool) -> str:
    if not windows:
        return "sh"
    return "powershell" if re.match(r"[A-Z][a-z]+-[A-Z]\w+", line) or "$" in line else "cmd"


def filled(line: str, *, windows: bool, draw: Random) -> str:
    """The example with each placeholder replaced by a plausible value, ``[-s|--long]`` by one of the two."""
    return _PLACEHOLDER.sub(lambda match: _value(match.group(1), windows=windows, draw=draw), line)


def _value(hint: str, *, windows: bool, draw: Random) -> str:
    if hint.startswith("[") and hint.endswith("]"):
        return draw.choice(hint[1:-1].split("|"))
    if "|" in hint:
        hint = draw.choice(hint.split("|"))
    lower = hint.lower()
    if lower.startswith(("path/to", "path\\to")):
        tail = re.sub(r"^path[/\\]to[/\\]", "", hint).split("/")[-1].split("\\")[-1] or "file"
        return draw.choice(_WINDOWS_ROOTS if windows else _UNIX_ROOTS) + tail
    for key, values in _VALUES.items():
        if key in lower.split("_") or lower in {key, f"{key}name"}:
            return draw.choice(values)
    return hint.strip()
