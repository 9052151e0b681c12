"""omerbenamram's EVTX samples: logs of ordinary hosts, presumed benign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from connector.learn.corpora.evtx_file import records
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora

NAME = "evtx_samples"
PER_FILE_AND_CODE = 25


def samples(corpora: Corpora) -> Iterator[Sample]:
    """The first records of each event code of each file: these logs repeat a few codes thousands of times."""
    for path, content in corpora.files(NAME, ".evtx"):
        seen: Counter[str] = Counter()
        for number, data in records(content):
            code = str(msgspec.json.decode(data)["Event"]["System"].get("EventID"))
            seen[code] += 1
            if seen[code] <= PER_FILE_AND_CODE:
                yield Sample(data=data, group=path, record=str(number), basis="ordinary-log", malicious=False)
