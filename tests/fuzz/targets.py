"""What is fuzzed: one line a target. A target takes any bytes; what it raises is a finding."""

from __future__ import annotations

import atexit
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec

from connector.errors import ConfigError, PermanentError
from connector.events import decode
from connector.events.canonical import canonical, kind_of
from connector.events.decode import checked
from connector.events.families import FAMILIES
from connector.events.fingerprint import fingerprint
from connector.events.masks import LIMIT, scrub
from connector.events.normalise import to_ecs
from connector.events.payload import MAX_DECODED, reveal
from connector.events.plain import plain
from connector.events.render import MAX_TEXT, render
from connector.events.xml import event_from_xml
from connector.models import manifest
from connector.policy import Policy, decide
from connector.policy.cacao import Variable
from connector.policy.document import document
from connector.policy.playbooks import read_playbook
from connector.policy.reading import verdict_in
from connector.policy.render import render as render_playbook
from connector.policy.variables import SOURCES, TYPES, substitute, values
from connector.siem.files import FilesSource, FilesSourceConfig
from connector.siem.formats import Limits, records
from connector.siem.formats.streams import PIECE
from connector.siem.jsonl import FilesHistory, FilesHistoryConfig
from connector.testing import examples
from connector.types import Cursor, Span
from tests.events import reference
from tests.fuzz import shapes, vocabulary
from tests.fuzz.contract import allowed, judged
from tests.fuzz.shapes import Draw
from tests.policy import cases
from tests.siem.packing import FORMS

SHIPPED = Path(__file__).parents[2] / "model_store"
_JUDGED = 3
"""Records of a file that go the whole way; other targets do that faster."""

LIMITS = Limits(max_event=1 << 16, max_unpacked=1 << 20)
_NAMES = (
    *("a.json", "a.jsonl", "a.log", "a.csv", "a.tsv", "a.xml", "audit.log", "a.tar", "a.json.gz", "a", "a.csv.gz", "a.txt"),
)  # fmt: skip


class Target(NamedTuple):
    """``run`` takes any bytes; ``seeds`` are inputs to start from; ``longest`` is how many bytes an input has at most."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 4096


def _nothing() -> Iterable[bytes]:
    return ()


def _golden_bytes() -> Iterator[bytes]:
    for raw in vocabulary.golden("raw").values():
        yield raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else json.dumps(raw).encode()


def _golden_xml() -> Iterator[bytes]:
    yield from (data for data in _golden_bytes() if data.startswith(b"<"))
    yield from (
        (
            b"<Event xmlns='u'><System><Provider Name='P'/><EventID Qualifiers='0'>1</EventID><Channel>C</Channel></System>"
            b"<EventData><Data Name='a'>x</Data><Data>y</Data><Binary/></EventData></Event>"
        ),
        b"<?xml version='1.0' encoding='utf-8'?><Event><UserData><x:A xmlns:x='u'><b>1</b></x:A></UserData></Event>",
    )


def _decode(data: bytes) -> None:
    with allowed():
        msgspec.json.encode(decode(data))


def _normalise_bytes(data: bytes) -> None:
    judged(data)


def _normalise_json(data: bytes) -> None:
    record = shapes.record(Draw(data))
    before = repr(record)
    judged(record)
    assert repr(record) == before, "the record was changed"


def _normalise_line(data: bytes) -> None:
    judged(shapes.line(Draw(data)))


def _families(data: bytes) -> None:
    draw = Draw(data)
    family = draw.one(_READING)
    if family.read is not None:
        try:
            record = dict(checked(shapes.record(draw)))
        except PermanentError:
            return  # too deep or with too long a number: no family is asked
        before = repr(record)
        found = family.read(record)
        assert found is None or type(found) is dict
        assert repr(record) == before, "the record was changed"
    if family.read_text is not None:
        found = family.read_text(scrub(shapes.line(draw)))
        assert found is None or type(found) is dict


_READING = tuple(family for family in FAMILIES if family.read or family.read_text) or FAMILIES
"""Families with readers of their own; the others only have tables."""


def _xml(data: bytes) -> None:
    with allowed():
        event_from_xml(data.decode("utf-8", "surrogateescape"), 100)


def _canonical(data: bytes) -> None:
    """Held against the plain reading of CANONICAL.md, and its own result read again."""
    try:
        kind, ecs = to_ecs(shapes.document(Draw(data)))
    except PermanentError:
        return
    assert kind == kind_of(ecs) == reference.kind_of(ecs)
    pairs = canonical(ecs, kind)
    assert [list(pair) for pair in pairs] == reference.canonical(ecs, kind)
    fingerprint(pairs)
    assert len(render(pairs)) <= MAX_TEXT


def _masks(data: bytes) -> None:
    draw = Draw(data)
    row = draw.one(sorted(reference.TABLE["masks"]))
    text = "".join(shapes.text(draw) for _ in range(draw.below(5) + 1))[:LIMIT]
    pairs = canonical({"x": text}, "generic")
    assert pairs[0] == ("kind", "generic")
    assert _MASKS[row](text) == reference.mask(row, text)


def _payload(data: bytes) -> None:
    draw = Draw(data)
    text = draw.rest().decode("latin-1") if draw.below(2) else shapes.text(draw)
    assert len(reveal(text)) <= max(len(text) * 4, 16 * MAX_DECODED)


def _plain(data: bytes) -> None:
    draw = Draw(data)
    text = draw.rest().decode("utf-8", "ignore") if draw.below(2) else shapes.text(draw)
    assert len(plain(text, unix=bool(draw.below(2)))) <= 64 * len(text) + 64


def _read(data: bytes, name: str) -> None:
    """Reads a file, and takes the first of its records the whole way."""
    total = judging = 0
    for content, place, error in records(io.BufferedReader(io.BytesIO(data), PIECE), name, LIMITS):
        assert place.startswith(name)
        assert content or error
        total += len(content) if isinstance(content, bytes) else sum(map(len, map(str, content.values())))
        assert total <= 8 * LIMITS.max_unpacked, "more came out than the budget allows"
        if judging < _JUDGED:
            judging += 1
            judged(content, error)


def _files(data: bytes) -> None:
    draw = Draw(data)
    name = draw.one(_NAMES)
    _read(draw.rest(), name)


def _file_seeds() -> Iterator[bytes]:
    """The known forms under a name that fits, behind the byte that chooses it."""
    for form, content in FORMS.items():
        suffix = PurePosixPath(form).suffix
        which = next((n for n, name in enumerate(_NAMES) if name.endswith(suffix)), 0)
        if len(content) <= 1 << 15:
            yield bytes([which]) + content
    for n, name in enumerate(_NAMES):
        yield bytes([n]) + b'_time,_raw,host\n"2024-01-01","{""a"":1}",h\n1,"x\ny",\n'
        yield (
            bytes([n])
            + b'type=SYSCALL msg=audit(1.2:3): a0=1 exe="/bin/sh"\ntype=EOE msg=audit(1.2:3):\n'
            + name.encode()
        )


def _policy(data: bytes) -> None:
    """A hostile event and a prediction, decided and filled into each shipped playbook."""
    draw = Draw(data)
    event = judged(shapes.edited(draw, _ENTITY))
    if event is None:
        return
    slug = draw.one(sorted(cases.LOADED))
    table = cases.contain(playbook=slug) if cases.LOADED[slug].contains else cases.rule(playbook=slug)
    passed = draw.one((("T1003",), ("T1003", "T1003.001", "T1027"), ("T9999",)))
    decision = decide(event, cases.prediction(0.95, *passed), cases.context(), cases.policy(table))
    read = verdict_in(msgspec.json.decode(msgspec.json.encode(document(decision.verdict))))
    for action in decision.actions:
        again = msgspec.structs.replace(action, verdict=read, entity=read.entity)
        told = SOURCES.keys() - {"__techniques__"}  # a document names those of the catalogue, and their parents
        assert all(SOURCES[name](again) == SOURCES[name](action) for name in told), (read, decision.verdict)
        with allowed():
            msgspec.json.encode(render_playbook(cases.LOADED[slug], action))
            variable = Variable(type=draw.one(sorted(TYPES)), external=True)
            name = draw.one(sorted(SOURCES))
            book = msgspec.structs.replace(cases.LOADED[slug], playbook_variables={name: variable})
            filled = values(book, action)
            msgspec.json.encode(substitute({"a": f"{name}:value"}, filled, book.playbook_variables))


_ENTITY: dict[str, Any] = {
    "host": {"name": "ws-7", "hostname": "ws-7"},
    "agent": {"id": "agent-7", "name": "ws-7"},
    "user": {"name": "anna"},
    "source": {"ip": "10.0.0.1"},
    "event": {"id": "1"},
    "triaged": {"origin": "x"},
}


def _policy_toml(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with allowed(ConfigError):
            Policy.load(Path(file.name), cases.PLAYBOOKS)


def _policy_seeds() -> Iterator[bytes]:
    yield from (
        path.read_bytes() for path in Path(__file__).parents[2].rglob("policy*.toml") if ".venv" not in path.parts
    )
    yield (
        b'enabled = true\nsoar = "dryrun"\n[protected]\nhosts = ["dc*"]\naddresses = ["10.0.0.0/24"]\n[[rules]]\n'
        b'name = "r"\ntechniques = ["T1003"]\ntactics = ["credential-access"]\nmin_confidence = "trigger"\n'
        b'technique_probability = 0.5\ntier = "ticket"\nmode = "auto"\nplaybook = "collect-triage-package"\n'
        b'cooldown = "1h"\nrate = { runs = 20, per = "1h" }\nmax_age = "1h"\n'
    )


def _playbook(data: bytes) -> None:
    with allowed(ConfigError), allowed():
        msgspec.json.encode(render_playbook(read_playbook(data, "fuzz"), examples.action(1)))


def _playbook_json(data: bytes) -> None:
    """A shipped playbook with a few edits, which leave it JSON."""
    draw = Draw(data)
    table = json.loads((cases.PLAYBOOKS / f"{draw.one(sorted(cases.LOADED))}.json").read_bytes())
    _playbook(json.dumps(shapes.edited(draw, table)).encode())


def _playbook_seeds() -> Iterator[bytes]:
    yield from (path.read_bytes() for path in sorted(cases.PLAYBOOKS.glob("*.json")))


def _manifest(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / manifest.MANIFEST).write_bytes(data)
        with allowed(ConfigError):
            manifest.read(Path(folder))


def _manifest_seeds() -> Iterator[bytes]:
    yield from (path.read_bytes()[: 1 << 16] for path in sorted(SHIPPED.rglob(manifest.MANIFEST)))


def _cursor(data: bytes) -> None:
    """A token that nobody of ours wrote, at a file of lines, a container and a file of dispositions."""
    draw = Draw(data)
    cursor = Cursor(token=shapes.text(draw))
    for source in _sources():
        for head in source.heads():
            start = draw.below(3)
            token = Cursor(token=draw.one((cursor.token, f"{draw.below(99)}:{cursor.token}")))
            source.read(Span(partition=head.partition, start=start, stop=head.offset), token, draw.below(4) + 1)
    history = _history()
    identity = (history.dispositions(None, 1).cursor or cursor).token.partition(":")[0]
    history.dispositions(Cursor(token=draw.one((cursor.token, f"{identity}:{cursor.token}"))), 2)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "a.jsonl").write_bytes(b'{"a": 1}\n' * 5)
    (folder / "a.json").write_bytes(b'[{"a": 1}, {"a": 2}]')
    (folder / "a.csv").write_bytes(b"_time,_raw\n1,2\n3,4\n")
    line = b'{"alert_id": "1", "status": "open", "changed_at": "2026-01-01T00:00:00Z"}\n'
    (folder / "history").write_bytes(line * 3)
    return folder


@cache
def _sources() -> tuple[FilesSource, ...]:
    config = FilesSourceConfig(deployment="d", paths=(str(_folder() / "a.*"),), settle=timedelta(0))
    return (FilesSource("files", config, _clock),)


@cache
def _history() -> FilesHistory:
    return FilesHistory("history", FilesHistoryConfig(path=_folder() / "history"), _clock)


def _clock() -> datetime:
    return cases.NOW


@cache
def _compiled() -> dict[str, Callable[[str], str]]:
    from connector.events.masks import compile_mask

    rows = reference.TABLE["masks"]
    return {name: compile_mask(row["verb"], row["cut"], row.get("map")) for name, row in rows.items()}


_MASKS = _compiled()

TARGETS: dict[str, Target] = {
    "decode": Target(_decode, _golden_bytes),
    "normalise-bytes": Target(_normalise_bytes, _golden_bytes),
    "normalise-json": Target(_normalise_json, _nothing, 512),
    "normalise-line": Target(_normalise_line, _nothing, 512),
    "families": Target(_families, _nothing, 512),
    "xml": Target(_xml, _golden_xml),
    "canonical": Target(_canonical, _nothing, 512),
    "masks": Target(_masks, _nothing, 256),
    "payload": Target(_payload, _golden_bytes),
    "plain": Target(_plain, _golden_bytes),
    "files": Target(_files, _file_seeds, 1 << 15),
    "cursor": Target(_cursor, _nothing, 128),
    "policy": Target(_policy, _nothing, 256),
    "policy-toml": Target(_policy_toml, _policy_seeds),
    "playbook": Target(_playbook, _playbook_seeds, 1 << 13),
    "playbook-json": Target(_playbook_json, _nothing, 256),
    "manifest": Target(_manifest, _manifest_seeds, 1 << 16),
}
"""By name, in the order in which they run."""
