"""What Windows logs on any ordinary day beside process starts, generated: logons, tickets, shares, services, tasks, accounts.

Written for this project. Without it, kinds of event that corpora record in attacks alone would look like attacks.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from connector.learn.corpora import wrap
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora

NAME = "routine"
TABLE = Path(__file__).with_name("routine.toml")
COPIES = 12
_PROVIDERS = {
    "Security": "Microsoft-Windows-Security-Auditing",
    "System": "Service Control Manager",
    "Microsoft-Windows-Sysmon/Operational": "Microsoft-Windows-Sysmon",
}


def samples(corpora: Corpora) -> Iterator[Sample]:
    """Events of each template of ``routine.toml``, every value drawn from the template's own list."""
    del corpora
    table = tomllib.loads(TABLE.read_text("utf-8"))
    for number, template in enumerate(table["event"]):
        for copy in range(COPIES):
            draw = wrap.seeded(NAME, str(number), str(copy))
            yield Sample(
                data=_event(template, table["shared"], draw),
                group=f"template {number}",
                record=str(copy),
                basis="generated-routine",
                malicious=False,
            )


def _event(template: Mapping[str, Any], shared: Mapping[str, Any], draw: Random) -> dict[str, Any]:
    data: dict[str, str] = {}
    for field, values in {**shared.get(template.get("like", ""), {}), **template["data"]}.items():
        data[field] = str(draw.choice(values) if isinstance(values, list) else values)
    user = draw.choice(("anna.berg", "jdoe", "mlopez", "k.tanaka", "s.muller"))
    filled = {
        field: value.replace("{user}", user).replace("{n}", str(draw.randrange(10, 99)))
        for field, value in data.items()
    }
    channel = str(template["channel"])
    return dict(wrap.windows_event(_PROVIDERS[channel], channel, int(template["code"]), filled, draw))
