"""NSL-KDD: connection records of a simulated network with four classes of attack.

Source: Tavallaee, Bagheri, Lu, Ghorbani, A detailed analysis of the KDD CUP 99 data set, 2009. Of the 43 columns 41 are
features, then come the attack's name and how many of 21 learners got the record right: that last one tells of the answer
and is not read.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.learn.corpora.source import Corpora

NAME: Final = "nsl_kdd"
TRAIN: Final = "KDDTrain+_20Percent.txt"
TEST: Final = "KDDTest+.txt"

CLASSES: Final = ("Normal", "DoS", "Probe", "R2L", "U2R")

ATTACKS: Final[Mapping[str, tuple[str, ...]]] = {
    "Normal": ("normal",),
    "DoS": ("apache2", "back", "land", "mailbomb", "neptune", "pod", "processtable", "smurf", "teardrop", "udpstorm"),
    "Probe": ("ipsweep", "mscan", "nmap", "portsweep", "saint", "satan"),
    "R2L": (
        *("ftp_write", "guess_passwd", "imap", "multihop", "named", "phf", "sendmail", "snmpgetattack", "snmpguess"),
        *("spy", "warezclient", "warezmaster", "worm", "xlock", "xsnoop"),
    ),
    "U2R": ("buffer_overflow", "httptunnel", "loadmodule", "perl", "ps", "rootkit", "sqlattack", "xterm"),
}
"""The division under which the literature counts 7,458, 2,421, 2,754 and 200 attacks in ``KDDTest+``."""

SYMBOLS: Final = (1, 2, 3)
"""Protocol, service and flag: the columns that are words."""

FEATURES: Final = 41
OWN: Final = 22
"""The first columns tell of the connection itself; those after them are statistics over its neighbours."""

_COLUMNS: Final = 43
_CLASS: Final = {attack: CLASSES.index(name) for name, attacks in ATTACKS.items() for attack in attacks}


class Connections(msgspec.Struct, frozen=True, eq=False):
    """Records of one file: ``numbers`` (n, 38), ``symbols`` (n, 3) of words, ``classes`` (n,) as places in :data:`CLASSES`.

    ``groups`` (n,): records that agree in all that is the connection's own share one, whatever happened around them. A
    flood's packets are such copies. ``attacks`` (n,) are the names under which the data set lists them.
    """

    numbers: NDArray[np.float32]
    symbols: NDArray[np.str_]
    classes: NDArray[np.intp]
    groups: NDArray[np.str_]
    attacks: NDArray[np.str_]


def read(corpora: Corpora, name: str) -> Connections:
    """One file of the data set. Raises ``ConfigError`` where it is missing or no such table."""
    bodies = dict(corpora.files(NAME, name))
    if name not in bodies:
        raise ConfigError(f"{NAME}: there is no {name}")
    rows = list(csv.reader(bodies[name].decode("ascii", "replace").splitlines()))
    try:
        return _connections(rows)
    except (ValueError, KeyError, IndexError) as error:
        raise ConfigError(f"{NAME}: {name} is no table of connections: {error!r}") from error


def _connections(rows: Sequence[Sequence[str]]) -> Connections:
    if widths := {len(row) for row in rows} - {_COLUMNS}:
        raise ValueError(f"rows of {sorted(widths)} columns, not {_COLUMNS}")
    numbers = [place for place in range(FEATURES) if place not in SYMBOLS]
    return Connections(
        numbers=np.array([[float(row[place]) for place in numbers] for row in rows], np.float32),
        symbols=np.array([[row[place] for place in SYMBOLS] for row in rows], np.str_),
        classes=np.array([_CLASS[row[FEATURES]] for row in rows], np.intp),
        groups=np.array([",".join(row[:OWN]) for row in rows], np.str_),
        attacks=np.array([row[FEATURES] for row in rows], np.str_),
    )
