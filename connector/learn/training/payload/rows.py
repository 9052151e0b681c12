"""Labelled pieces of payloads, each with a group of near-copies that stays on one side of a split."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from connector.learn.corpora import http_params, ordinary_values
from connector.learn.corpora.http_params import NORMAL, Parameter
from connector.learn.corpora.source import Corpora
from connector.learn.near_duplicates import clusters
from connector.models.payload.decode import plain
from connector.models.payload.parts import pieces

Split: TypeAlias = str
"""``train``, ``calibration`` or ``test``."""

FOLDS: Final = 5
SEEN: Final = 2
"""The first folds: how many networks, their linear part and what is drawn were chosen on these."""
CALIBRATION: Final = 0.15
MOST_ORDINARY: Final = 6_000
"""Ordinary values of each form that one source gives to training."""

_TOKEN: Final = re.compile(r"0x[0-9a-f]+|[0-9]+|[^\W\d_]+|[^\s]")
_RARE: Final = 12
"""A word in fewer values is a name that its generator drew, such as a table's."""


class Row(msgspec.Struct, frozen=True):
    """A piece. ``kind`` is :data:`~connector.learn.corpora.http_params.NORMAL`, an attack's kind, or None where no label is known.

    ``techniques`` are those of the capture that raw bytes come from; ``tool`` is what made it. ``part`` is the upstream's
    own part of its data, where it has several.
    """

    data: bytes
    kind: str | None
    source: str
    group: str
    raw: bool = False
    techniques: tuple[str, ...] = ()
    tool: str = ""
    part: str = ""
    malicious: bool | None = None


def parameter_rows(corpora: Corpora) -> list[Row]:
    """HttpParamsDataset, near-copies in one group."""
    found = http_params.parameters(corpora)
    return [
        Row(
            data=parameter.value.encode("utf-8", "replace"),
            kind=parameter.kind,
            source=http_params.NAME,
            group=f"{http_params.NAME}:{group}",
            part=parameter.part,
            malicious=parameter.kind != NORMAL,
        )
        for parameter, group in zip(found, near_copies(found), strict=True)
    ]


def near_copies(found: Sequence[Parameter]) -> list[int]:
    """The group of each value: equal but for numbers, drawn names and how often something is repeated.

    Tokens, signs among them, are compared in runs of three. A value of ordinary words is a group by itself.
    """
    tokens = [
        _TOKEN.findall(plain(parameter.value.encode("utf-8", "replace")).decode("utf-8", "replace"))
        for parameter in found
    ]
    common = Counter(token for each in tokens for token in set(each))
    masked = [_masked(each, common) for each in tokens]
    bare = [f"{number} {' '.join(map(_word, each))}" for number, each in enumerate(tokens)]
    told = [
        " ".join(map(_word, each)) if _says_something(each) else own for each, own in zip(masked, bare, strict=True)
    ]
    return clusters(told)


def _masked(tokens: Sequence[str], common: Mapping[str, int]) -> list[str]:
    return [
        "HEX" if token.startswith("0x") else "NUMBER" if token.isdigit() else token if _kept(token, common) else "NAME"
        for token in tokens
    ]


def _kept(token: str, common: Mapping[str, int]) -> bool:
    return not token[0].isalpha() or len(token) == 1 or common[token] >= _RARE


def _says_something(masked: Sequence[str]) -> bool:
    return any(token not in {"HEX", "NUMBER", "NAME"} for token in masked)


def _word(token: str) -> str:
    """A token as a word: a sign by its number, so that it is compared too."""
    return token if token[0].isalnum() else "s" + "s".join(str(ord(sign)) for sign in token)


def ordinary_rows(corpora: Corpora, source: str, most: int | None = None) -> list[Row]:
    """Ordinary values of another corpus, as serving takes them apart; ``most`` of each form, drawn by their texts."""
    found = list(ordinary_values.ordinary(corpora, source))
    if most is not None:
        found.sort(key=lambda each: hashlib.sha256(each.text.encode("utf-8", "replace")).digest())
        taken: Counter[str] = Counter()
        kept = []
        for each in found:
            taken[each.form] += 1
            if taken[each.form] <= most:
                kept.append(each)
        found = kept
    rows: dict[bytes, Row] = {}
    for each in found:
        document = (
            {"url": {"original": each.text}}
            if each.form == "target"
            else {"http": {"request": {"body": {"content": each.text}}}}
        )
        for piece in pieces(document):
            row = Row(data=piece.data, kind=NORMAL, source=source, group=f"{source}:{each.group}", malicious=False)
            rows.setdefault(piece.data, row)
    return list(rows.values())


def drawn(seed: int, name: str) -> float:
    """A number in [0, 1) that a name always draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0payload\0{name}".encode()).digest()[:8], "big") / 2**64


def fold_of(row: Row, seed: int) -> int:
    """The fold whose test part holds a row's group."""
    return int(drawn(seed, row.group) * FOLDS)


def split(rows: Sequence[Row], fold: int | None, seed: int) -> dict[Split, list[Row]]:
    """Rows by use: ``test`` are the groups of a fold (None: nothing is left out), a share of the others calibrates."""
    parts: dict[Split, list[Row]] = {"train": [], "calibration": [], "test": []}
    for row in rows:
        if fold is not None and fold_of(row, seed) == fold:
            parts["test"].append(row)
        else:
            parts["calibration" if drawn(seed, f"calibration {row.group}") < CALIBRATION else "train"].append(row)
    return parts
