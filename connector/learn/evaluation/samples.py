"""Samples of a recipe as rows and as events, outside any dataset: what is evaluated on but was never a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connector.attack import migrate
from connector.errors import PermanentError
from connector.events import normalise, render
from connector.learn.corpora.sample import Sample
from connector.learn.dataset import Row
from connector.learn.scrub import leaks, scrub
from connector.types import Event, RawEvent, SourceRef


def read(samples: Iterable[Sample], source: str, licence: str) -> Iterator[tuple[Row, Event]]:
    """Each readable sample through the same steps as a dataset's row, one a fingerprint, with its event."""
    seen: set[str] = set()
    for sample in samples:
        native = f"{source}:{sample.group}:{sample.record}"
        ref = SourceRef(siem="corpus", index=source, id=native)
        try:
            event = normalise(RawEvent(deployment="corpus", native_id=native, ref=ref, data=scrub(sample.data)))
        except PermanentError:
            continue
        text = render(event.canonical)
        if event.fingerprint not in seen and not leaks(text):
            seen.add(event.fingerprint)
            yield _row(sample, source, licence, event, text), event


def _row(sample: Sample, source: str, licence: str, event: Event, text: str) -> Row:
    found = {name for technique in sample.techniques for name in migrate(technique).ids}
    return Row(
        text=text,
        kind=event.kind,
        fingerprint=event.fingerprint,
        techniques=tuple(sorted(found)),
        malicious=sample.malicious,
        basis=sample.basis,
        source=source,
        group=sample.group,
        record=sample.record,
        licence=licence,
        split="calibration",
    )
