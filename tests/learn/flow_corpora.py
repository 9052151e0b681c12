"""Invented data sets in the formats of NSL-KDD, CICIDS2017's sample and UNSW-NB15, small enough to train on in a test."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
import zipfile
from pathlib import Path

from connector.learn.corpora.labelled_flows import CICIDS, UNSW
from connector.learn.corpora.nsl_kdd import NAME, TEST, TRAIN
from connector.learn.corpora.source import Source

KINDS = {
    "normal": ("tcp", "http", "SF"),
    "neptune": ("tcp", "private", "S0"),
    "teardrop": ("udp", "private", "SF"),
    "smurf": ("icmp", "ecr_i", "SF"),
    "udpstorm": ("udp", "echo", "SF"),
    "portsweep": ("tcp", "private", "RSTR"),
    "satan": ("tcp", "other", "REJ"),
    "ipsweep": ("icmp", "eco_i", "SF"),
    "guess_passwd": ("tcp", "telnet", "RSTO"),
    "snmpguess": ("udp", "snmp", "SF"),
    "warezclient": ("tcp", "ftp_data", "SF"),
    "rootkit": ("tcp", "telnet", "SF"),
}
SENT = {"S0": 0, "REJ": 0}


def nsl(seed: int, rows: int = 30) -> str:
    draw = random.Random(seed)
    found = []
    for attack, (transport, service, flag) in KINDS.items():
        for _ in range(rows * (4 if attack == "normal" else 1)):
            sizes = (draw.randrange(10, 5_000), draw.randrange(0, 50_000)) if flag == "SF" else (0, 0)
            own = [draw.choice((0, 0, 1, 30)), transport, service, flag, *sizes, *[0] * 16]
            found.append(",".join(map(str, [*own, *[0.0] * 19, attack, 20])))
    draw.shuffle(found)
    return "\n".join(found)


CIC_COLUMNS = ("Flow Duration", "Total Length of Fwd Packets", "Fwd Packets/s", "Bwd Packets/s", "Labelb")


def cicids(rows: int = 80) -> str:
    draw = random.Random(5)
    lines = [",".join(CIC_COLUMNS)]
    for place in range(rows):
        micros = draw.randrange(1, 9_000_000)
        packets = draw.randrange(1, 40)
        rate = packets / (micros / 1e6)
        lines.append(f"{micros},{draw.randrange(0, 9_000)},{rate},{rate / 2},{place % 4 == 0:d}")
    lines.append("-1,3,-5,-5,0")
    return "\n".join(lines)


UNSW_COLUMNS = (
    *("id", "dur", "proto", "service", "state", "spkts", "dpkts", "sbytes", "dbytes", "rate"),
    *("attack_cat", "label"),
)


def unsw(rows: int = 60) -> str:
    draw = random.Random(6)
    lines = ["\ufeff" + ",".join(UNSW_COLUMNS)]
    for place in range(rows):
        category = ("Normal", "DoS", "Normal", "Reconnaissance", "Normal")[place % 5]
        state = "FIN" if category == "Normal" else "REQ"
        sizes = (
            f"{draw.randrange(2, 40)},{draw.randrange(0, 40)},{draw.randrange(200, 90_000)},{draw.randrange(0, 900)}"
        )
        lines.append(
            f"{place},{draw.random():.6f},{'arp' if place == 7 else 'tcp'},http,{state},{sizes},1.5,{category},0"
        )
    return "\n".join(lines)


def build(folder: Path) -> dict[str, Source]:
    """Writes the three archives, and returns their pins."""
    kdd = _tar(folder / "kdd.tar", {f"kdd/{TRAIN}": nsl(1).encode(), f"kdd/{TEST}": nsl(2, 10).encode()})
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("UNSW_NB15_training-set.csv", unsw())
    caid = _tar(folder / "caid.tar", {"caid/UNSW_NB15_training-set.zip": zipped.getvalue()})
    sample = folder / "any__cic_0.01km.csv.gz"
    sample.write_bytes(gzip.compress(cicids().encode()))
    return {
        name: Source(
            name=name,
            upstream=f"https://example.org/{name}",
            commit="abc",
            archive=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            root=path.stem,
            licence="own",
            credit="nobody",
            may_train=name != UNSW,
        )
        for name, path in ((NAME, kdd), (UNSW, caid), (CICIDS, sample))
    }


def _tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
