"""Invented corpora in the upstreams' layouts: parameters, pages with addresses, captures with their metadata."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from random import Random

from connector.learn.corpora.captures import ACK, SYN
from tests.learn.captures.frames import ethernet, ipv4, pcap, tcp

WORDS = (
    "mesa",
    "libro",
    "casa",
    "verde",
    "norte",
    "campo",
    "lago",
    "piedra",
    "nube",
    "tren",
    "silla",
    "puente",
    "monte",
)
ATTACKS = {
    "sqli": "{n}' or {n}={n}{w}--;1 union select {w},null#;{n}') and sleep({n}) {w}",
    "xss": "<script>{w}({n})</script>;<img src={w} onerror=alert({n})>;<a href=javascript:{w}>",
    "cmdi": "{w}|id {n};`cat /etc/{w}`;& ping {n} &{w}",
    "path-traversal": "/../../{w}{n};/./../../{w}/etc;..\\..\\{w}{n}.ini",
}
METADATA = "attack_mappings:\n- technique: {technique}{below}\nfiles:\n- type: Network\n  link: https://x.example/windows/network/{name}.zip\n"


def lay(folder: Path, seed: int = 1) -> Path:
    """Writes the corpora below ``folder``, as unpacked trees; returns it."""
    draw = Random(seed)
    for name, count in (("payload_train.csv", 30), ("payload_test.csv", 6)):
        _write(folder / "Morzeux/HttpParamsDataset" / name, _parameters(draw, count))
    for number in range(12):
        page = f"# {draw.choice(WORDS)}\n\n> Shows the {' '.join(draw.sample(WORDS, 4))} of it.\n"
        page += f"> More information: <https://{draw.choice(WORDS)}.example/{draw.choice(WORDS)}?p={number}>.\n"
        _write(folder / f"tldr-pages/tldr/pages/common/{number}.md", page.encode())
    for place in ("chocolatey-community/chocolatey-packages/a.ps1", "actions/runner-images/a.sh"):
        _write(folder / place, b'$u = "https://files.example/download/tool-1.2.exe?mirror=eu"\n')
    log = b"Tests:\n- ExpectedResult: false\n  Log:\n    uri: /api/v1/items?page=2\n- ExpectedResult: true\n  Log: {uri: /bad?x=1}\n"
    _write(folder / "panther-labs/panther-analysis/rules/a.yml", log)
    _write(folder / "center-for-threat-informed-defense/tram/data.json", b'[{"text": "The group reads mail."}]')
    for technique, tool in (
        ("T1047", "covenant"),
        ("T1047", "empire"),
        ("T1021.002", "covenant"),
        ("T1021.002", "empire"),
    ):
        _capture(folder / "OTRF/Security-Datasets/datasets/atomic", technique, tool)
    return folder


def _parameters(draw: Random, count: int) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["payload", "length", "attack_type", "label"])
    for _ in range(count):
        for kind, forms in ATTACKS.items():
            value = draw.choice(forms.split(";") if kind != "cmdi" else forms.split(";", 2))
            value = value.format(n=draw.randrange(1000, 9999), w=draw.choice(WORDS))
            writer.writerow([value, len(value), kind, "anom"])
        for _ in range(3):
            value = " ".join(draw.sample(WORDS, draw.randint(1, 3))) + str(draw.randrange(10**6))
            writer.writerow([value, len(value), "norm", "norm"])
    return out.getvalue().encode()


def _capture(folder: Path, technique: str, tool: str) -> None:
    name = f"{tool}_{technique.replace('.', '_')}"
    parent, _, below = technique.partition(".")
    told = METADATA.format(technique=parent, below=below and f"\n  sub-technique: '{below}'", name=name)
    _write(folder / f"_metadata/{name}.yaml", told.encode())
    letters = b"wmi execute method " if technique == "T1047" else b"smb service control "
    frames = [ethernet(ipv4("tcp", tcp(50_000, 445, SYN, 0)))]
    sequence = 1
    for number in range(12):
        data = b"\xfeSMB\x00\x01" + letters * 2 + bytes([97 + number, 97 + len(tool)]) * 4
        frames.append(ethernet(ipv4("tcp", tcp(50_000, 445, ACK, sequence, data))))
        sequence += len(data)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{name}.cap", pcap((float(place), frame) for place, frame in enumerate(frames)))
    _write(folder / f"windows/execution/network/{name}.zip", packed.getvalue())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
