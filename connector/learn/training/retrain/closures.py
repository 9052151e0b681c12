"""An export's labels, split in time: the older ones are learnt from, the newest are left out to judge by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.events import canonical
from connector.learn import held_out
from connector.learn.dataset import Row, digest_of
from connector.learn.export import training
from connector.learn.export.folder import Folder
from connector.learn.export.rows import Row as Label
from connector.models.mail import mail_text
from connector.types import Json

NEWEST: Final = 0.2
"""The share of closures that is left out."""

_document = msgspec.json.Decoder(dict[str, Json]).decode


class Closures(msgspec.Struct, frozen=True, kw_only=True):
    """Labels by use, older groups first. ``since``: when the first of the newest was observed; None where none is left out.

    ``left_out`` counts by reason those of no use; ``export`` is the digest of the export's labels, ``digest`` that of the
    rows that are learnt from.
    """

    learnt: Sequence[Row]
    newest: Sequence[Row]
    since: datetime | None
    left_out: Mapping[str, int]
    export: str

    @property
    def digest(self) -> str:
        """SHA-256 over the rows that are learnt from."""
        return digest_of(self.learnt)


def read(folder: Path, *, share: float = NEWEST, excluded: Container[str] = (), mails: bool = False) -> Closures:
    """The closures of an export folder. Near-duplicates stay together, on the side of the first of them.

    Nothing is learnt from that was observed later than the first of the newest.

    ``excluded`` names labels (``row``) that are not to be used; ``mails``: texts are those of the phishing member, and
    what is no mail is left out. Raises ``ConfigError`` where the folder holds no labels, or ``share`` is not from 0 to below 1.
    """
    if not 0.0 <= share < 1.0:
        raise ConfigError(f"a share of {share:g} cannot be left out: it is at least 0 and below 1")
    exported = Folder(folder)
    labels = [label for label in exported.labels() if label.stands]
    words = {label.row: _mail(label) for label in labels} if mails else None
    unwanted = {label.row for label in labels if label.row in excluded}
    dropped: Counter[str] = Counter({"excluded": len(unwanted)} if unwanted else {})
    kept = list(_usable(training.rows(labels, excluded=unwanted), words, dropped))
    first: dict[str, datetime] = {}
    for label in labels:
        first[label.group] = min(label.observed_at, first.get(label.group, label.observed_at))
    kept.sort(key=lambda row: (first[row.group], row.group, row.fingerprint))
    old = _older(Counter(row.group for row in kept), 1.0 - share)
    newest = [msgspec.structs.replace(row, split="dev") for row in kept if row.group not in old]
    since = first[newest[0].group] if newest else None
    late = {label.row for label in labels if since is not None and label.observed_at >= since and label.group in old}
    if late:
        dropped["of an old group, observed later than the first of the newest"] = len(late)
        kept = list(_usable(training.rows(labels, excluded=unwanted | late), words, Counter()))
        kept.sort(key=lambda row: (first[row.group], row.group, row.fingerprint))
    return Closures(
        learnt=[msgspec.structs.replace(row, split="train") for row in kept if row.group in old],
        newest=newest,
        since=since,
        left_out=dict(sorted(dropped.items())),
        export=exported.manifest.labels.digest if exported.manifest.labels else "",
    )


def _older(groups: Mapping[str, int], share: float) -> frozenset[str]:
    """The first groups, as long as they hold no more than this share of the rows; at least one."""
    most = share * sum(groups.values())
    reached = zip(groups, accumulate(groups.values()), strict=True)
    fits = [group for group, rows in reached if rows <= most]
    return frozenset(fits or list(groups)[:1])


def _usable(rows: Sequence[Row], words: Mapping[str, str | None] | None, dropped: Counter[str]) -> Iterator[Row]:
    """Rows that say something and may be learnt from, with the text that the member reads."""
    shown = held_out.scenario()
    for row in rows:
        text = row.text if words is None else words.get(row.record)
        if row.malicious is None and not row.techniques:
            dropped["no label left"] += 1
        elif row.fingerprint in shown:
            dropped["an event of the demo's scenario"] += 1
        elif not text or text == "|":
            dropped["no mail"] += 1
        else:
            yield msgspec.structs.replace(row, text=text)


def _mail(label: Label) -> str | None:
    return mail_text(canonical(_document(label.event), label.kind))
