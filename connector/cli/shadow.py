"""``triaged shadow``: how often a challenger in shadow says something else than the champion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from connector import wiring
from connector.cli import options
from connector.cli.tables import show
from connector.ledger.shadow import Compared, Disagreement, ShadowCount


def shadow(
    samples: Annotated[int, typer.Option(min=0, max=1000, help="So many of the newest disagreements too.")] = 0,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """What a challenger in shadow said of the events that the champion judged: by what both said, and where they differ."""
    settings = options.settings(config, secrets_dir)
    with wiring.opened_ledger(settings) as ledger:
        counts, kept = ledger.shadow_counts(), ledger.shadow_samples(samples) if samples else []
    show(("champion", "challenger", "said", "instead", "techniques", "events", "share of compared"), _rows(counts))
    if kept:
        show(
            (
                "event",
                "when",
                "champion",
                "challenger",
                "said",
                "instead",
                "confidence",
                "instead",
                "techniques",
                "instead",
            ),
            map(_sample, kept),
        )


def _rows(counts: Sequence[ShadowCount]) -> list[tuple[object, ...]]:
    """Days together; what was not compared has no share."""
    total: Counter[tuple[str, str, Compared]] = Counter()
    asked: Counter[tuple[str, str]] = Counter()
    for one in counts:
        total[one.champion, one.challenger, one.compared] += one.events
        asked[one.champion, one.challenger] += one.events if one.compared.instead else 0
    return [
        (
            champion,
            challenger,
            one.said,
            one.instead or "not compared",
            "same" if one.same_techniques else "other",
            events,
            f"{events / asked[champion, challenger]:.4%}" if one.instead else "-",
        )
        for (champion, challenger, one), events in sorted(
            total.items(), key=lambda item: (item[0][0], item[0][1], item[0][2].agree, -item[1])
        )
    ]


def _sample(one: Disagreement) -> tuple[object, ...]:
    return (
        one.event_id,
        f"{one.at:%Y-%m-%d %H:%M:%S}",
        one.champion,
        one.challenger,
        one.compared.said,
        one.compared.instead,
        one.confidence,
        one.instead_confidence,
        ", ".join(one.passed) or "-",
        ", ".join(one.instead_passed) or "-",
    )
