"""NSL-KDD's records by what they do, so that an attack is known by its like: the features, and the forest, of the benchmark.

Three things are done against attacks that the training file does not show. A service counts by what it is for: whoever guesses
passwords at telnet guesses them at a mailbox too. Sizes are coarse, and what was sent and received also counts together:
a file that is stolen one way is planted the other way. And neither a flood's copies nor a class's size decide: a row of n
copies weighs as much as the square root of n, and every class the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from connector.learn.corpora.nsl_kdd import CLASSES, FEATURES, SYMBOLS, Connections
from connector.learn.evaluation.studies.flow_tables import Numbers, Whole

PURPOSES: Final[Mapping[str, tuple[str, ...]]] = {
    "web": ("http", "http_443", "http_8001", "http_2784", "aol", "gopher"),
    "login": (
        *("telnet", "ftp", "pop_3", "pop_2", "imap4", "login", "ssh", "shell", "exec", "klogin", "kshell", "uucp"),
        *("nntp", "nnsp"),
    ),
    "data": ("ftp_data", "tftp_u"),
    "mail": ("smtp",),
    "names": ("domain", "domain_u"),
    "icmp": ("eco_i", "ecr_i", "urp_i", "urh_i", "tim_i", "red_i"),
    "private": ("private",),
    "talk": ("X11", "IRC"),
    "upkeep": ("finger", "auth", "whois", "time", "ntp_u"),
}
"""What a service is for; a login is where a name and a password are asked."""

FLAGS: Final = ("SF", "S0", "REJ", "RSTR", "RSTO", "SH", "S1", "S2", "S3", "RSTOS0", "OTH")
ESTABLISHED: Final = ("SF", "RSTR", "RSTO", "S1", "S2", "S3")
LEAST: Final = 10
"""Records of a leaf at least: an attack that nobody has seen yet falls among its like, not beside one record."""

_STEPS: Final = 2
_PLACES: Final = [place for place in range(FEATURES) if place not in SYMBOLS]
_DURATION, _SENT, _RECEIVED, _HOT, _FAILED, _LOGGED_IN = (_PLACES.index(place) for place in (0, 4, 5, 9, 10, 11))


def described(records: Connections) -> Numbers:
    """What the forest reads, (n, columns)."""
    numbers = np.log1p(records.numbers.astype(np.float64))
    sent, received = records.numbers[:, _SENT].astype(np.float64), records.numbers[:, _RECEIVED].astype(np.float64)
    numbers[:, [_SENT, _RECEIVED]] = np.round(numbers[:, [_SENT, _RECEIVED]] * _STEPS) / _STEPS
    transport, service, flag = records.symbols.T
    purposes = np.stack([np.isin(service, names) for names in PURPOSES.values()], 1)
    login = purposes[:, list(PURPOSES).index("login")]
    established = np.isin(flag, ESTABLISHED)
    failed, hot, logged_in = (records.numbers[:, place] for place in (_FAILED, _HOT, _LOGGED_IN))
    told = [
        np.log1p(sent + received),
        np.abs(np.log1p(sent) - np.log1p(received)),
        np.log1p(np.maximum(sent, received)),
        login & established & (logged_in == 0),
        failed > 0,
        hot > 0,
        hot * login,
        established & (sent + received == 0),
        np.log1p((sent + received) / (1.0 + records.numbers[:, _DURATION])),
    ]
    return np.hstack(
        [
            numbers,
            purposes,
            ~purposes.any(axis=1, keepdims=True),
            flag[:, None] == np.array(FLAGS),
            transport[:, None] == np.array(("tcp", "udp", "icmp")),
            np.stack(told, 1),
        ]
    ).astype(np.float32)


class Forest:
    """Extremely randomised trees (Geurts, Ernst, Wehenkel, 2006) over :func:`described`."""

    def __init__(self, records: Connections, *, trees: int, seed: int, least: int = LEAST) -> None:
        _, group, copies = np.unique(records.groups, return_inverse=True, return_counts=True)
        weight = 1.0 / np.sqrt(copies[group])
        total = np.bincount(records.classes, weight, len(CLASSES))
        model = ExtraTreesClassifier(trees, min_samples_leaf=least, random_state=seed)
        self._trees: Any = model.fit(described(records), records.classes, weight / total[records.classes])

    def classes(self, records: Connections) -> Whole:
        """The likeliest class of each record."""
        found: Whole = self._trees.predict(described(records)).astype(np.intp)
        return found
