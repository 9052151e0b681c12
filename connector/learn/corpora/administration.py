"""Ordinary administration, generated: commands of many kinds, wrapped exactly as attack commands are.

Written for this project. A group is a kind of administration, so what is left out of training is left out as a kind.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

from connector.learn.corpora import wrap
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora

NAME: Final = "administration"
TABLE: Final = Path(__file__).with_name("administration.toml")
COPIES: Final = 3
_NOUN: Final = re.compile(r"\{\{|\}\}|\{(\w+)\}")


def samples(corpora: Corpora) -> Iterator[Sample]:
    """Three draws of each line of ``administration.toml``."""
    del corpora
    table = tomllib.loads(TABLE.read_text("utf-8"))
    for kind in table["kind"]:
        for number, line in enumerate(kind["lines"]):
            for copy in range(COPIES):
                draw = wrap.seeded(NAME, kind["name"], str(number), str(copy))
                command = wrap.Command(filled(line, table["nouns"], draw), kind["shell"])
                for index, data in enumerate(wrap.events(command, draw)):
                    yield Sample(
                        data=data,
                        group=kind["name"],
                        record=f"{number}.{copy}.{index}",
                        basis="generated-administration",
                        malicious=False,
                    )


def filled(line: str, nouns: Mapping[str, Sequence[str]], draw: Random) -> str:
    """The line with each ``{noun}`` drawn from its list; ``{{`` and ``}}`` are braces."""
    return _NOUN.sub(lambda match: draw.choice(nouns[match[1]]) if match[1] else match[0][0], line)
