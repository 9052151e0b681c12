"""An invented NSL-KDD: floods of near copies, a few rare intrusions, in the data set's own format."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from pathlib import Path

from connector.learn.corpora.nsl_kdd import NAME, TEST, TRAIN
from connector.learn.corpora.source import Source

ROOT = "defcom17/NSL_KDD"
ARCHIVE = "nsl.tar"


def line(
    attack: str, *, service: str = "http", sent: int = 0, count: int = 0, root: int = 0, difficulty: int = 20
) -> str:
    """One record: ``sent`` bytes are the connection's own, ``count`` is of its neighbours."""
    own = [0, "tcp", service, "SF", sent, *[0] * 8, root, *[0] * 8]
    return ",".join(map(str, [*own, count, *[0.0] * 18, attack, difficulty]))


def lines(seed: int, *, rare: int) -> list[str]:
    """Two floods, ordinary traffic, scans, and ``rare`` records of either kind of intrusion."""
    draw = random.Random(seed)
    made = [line("neptune", service="private", count=draw.randrange(100, 500)) for _ in range(80)]
    made += [line("smurf", service="ecr_i", sent=1032, count=draw.randrange(100, 500)) for _ in range(40)]
    made += [line("normal", sent=draw.randrange(100, 9000), count=draw.randrange(9)) for _ in range(240)]
    made += [line("ipsweep", service="eco_i", sent=draw.randrange(30), count=draw.randrange(9)) for _ in range(40)]
    made += [line("guess_passwd", service="telnet", sent=draw.randrange(100, 900)) for _ in range(rare)]
    made += [line("rootkit", service="telnet", sent=draw.randrange(900, 9000), root=1) for _ in range(rare)]
    draw.shuffle(made)
    return made


def build(folder: Path, train: list[str], test: list[str] | None) -> dict[str, Source]:
    """Writes the archive, and returns its pin. ``test`` None: the archive has no Test+."""
    with tarfile.open(folder / ARCHIVE, "w") as tar:
        for name, rows in ((TRAIN, train), (TEST, test)):
            if rows is not None:
                body = "\n".join(rows).encode()
                member = tarfile.TarInfo(f"{ROOT}/{name}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
    digest = hashlib.sha256((folder / ARCHIVE).read_bytes()).hexdigest()
    told = {"upstream": "https://example.org/nsl", "commit": "abc", "licence": "own", "credit": "nobody"}
    return {NAME: Source(name=NAME, archive=ARCHIVE, sha256=digest, root=ROOT, may_train=False, **told)}
