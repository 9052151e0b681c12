"""An export's labels as rows of a dataset, to be trained on beside the public corpora."""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.learn.dataset import Row, agreed, split_of
from connector.learn.export.rows import Row as Label
from connector.learn.scrub import leaks

SOURCE: Final = "closed-alerts"


def rows(labels: Iterable[Label], seed: int = 1, *, excluded: Container[str] = ()) -> list[Row]:
    """The labels that stand, one a fingerprint; near-duplicates are one group, and so never cross a split.

    Where two events of one fingerprint were labelled otherwise, malice is left open. Texts that name a technique by its
    id are left out, as they are of corpora, and so are the labels (``row``) that are ``excluded``, before anything is
    settled between equal events.
    """
    found: dict[str, Row] = {}
    for label in labels:
        if not label.stands or label.row in excluded or leaks(label.text):
            continue
        row = Row(
            text=label.text,
            kind=label.kind,
            fingerprint=label.fingerprint,
            techniques=label.techniques,
            malicious=label.malicious,
            basis="analyst",
            source=SOURCE,
            group=label.group,
            record=label.row,
            licence="the site's own",
            split=split_of(SOURCE, label.group, seed),
            cluster=label.group,
            cause=label.cause,
        )
        earlier = found.get(row.fingerprint)
        found[row.fingerprint] = row if earlier is None else agreed(earlier, row)
    return list(found.values())


def excluded(path: Path) -> frozenset[str]:
    """The labels (``row``) that a list of `triaged labels check` says not to train on. Raises ``ConfigError``."""
    try:
        return frozenset(msgspec.json.decode(path.read_bytes(), type=list[str]))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} is no list of labels: {error}") from error
