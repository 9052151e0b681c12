"""HttpParamsDataset: values of HTTP parameters, ordinary ones and attacks by kind. Upstream: Morzeux/HttpParamsDataset."""

from __future__ import annotations

import csv
import io
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.learn.corpora.source import Corpora

NAME: Final = "http_params"
NORMAL: Final = "norm"
TRAIN, TEST = "payload_train.csv", "payload_test.csv"
"""The upstream's own two parts. Its payload_full.csv holds both again."""

SHOWS: Final = {
    "sqli": ("T1190",),
    "xss": ("T1189", "T1190"),
    "cmdi": ("T1059", "T1190"),
    "path-traversal": ("T1190",),
}
"""What each kind of attack shows, by the techniques' own texts in ATT&CK 18.1.

T1190 is the exploit of a weakness in an application that is reached from outside, and points to OWASP's and CWE's lists of web
weaknesses, which have all four. T1189 names cross-site scripting among the ways by which a web application is made to serve
scripts to its visitors. T1059 is to have an interpreter run commands: that is what an injected command does. A traversal
reads a file, which says no more of what is done with it.
"""


class Parameter(msgspec.Struct, frozen=True):
    """A value with its kind: ``norm`` or an attack's. ``part`` is the upstream's file."""

    value: str
    kind: str
    part: str


def parameters(corpora: Corpora) -> list[Parameter]:
    """All distinct values, in file order. Raises ``ConfigError`` for a file that is not as documented."""
    found: dict[str, Parameter] = {}
    for path, content in sorted(corpora.files(NAME, TRAIN, TEST), key=lambda file: file[0] != TRAIN):
        rows = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
        for number, row in enumerate(rows, 2):
            value, kind = row.get("payload"), row.get("attack_type")
            if value is None or (kind != NORMAL and kind not in SHOWS):
                raise ConfigError(f"{NAME}: {path}, line {number} is no payload with a known attack_type: {kind!r}")
            found.setdefault(value, Parameter(value, kind, path))
    return list(found.values())
