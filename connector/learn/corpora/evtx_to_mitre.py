"""EVTX-to-MITRE-Attack: EVTX files of single attacks, the technique in the folder's or file's name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from connector.learn.corpora.evtx_file import records
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora

NAME = "evtx_to_mitre"
_TECHNIQUE = re.compile(r"T\d{4}(?:\.\d{3})?")


def samples(corpora: Corpora) -> Iterator[Sample]:
    """Every record of every file; label by file, so a file's incidental events carry it too."""
    for path, content in corpora.files(NAME, ".evtx"):
        found = _TECHNIQUE.findall(path)
        if not found:
            continue
        for number, data in records(content):
            yield Sample(
                data=data, group=path, record=str(number), basis="file-name", techniques=(found[-1],), malicious=True
            )
