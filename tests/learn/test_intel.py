"""New threat intelligence → samples with provenance → rows of a dataset; TAXII from a real server on this machine."""

import base64
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from connector.cli import app
from connector.cli.learn import commands
from connector.errors import ConfigError, PermanentError, TransientError
from connector.learn import dataset
from connector.learn.corpora.source import Corpora, pinned
from connector.learn.evaluation import __main__ as evaluation
from connector.learn.intel import findings as found, misp, rules, stix, taxii
from connector.learn.intel.findings import Upstream
from connector.learn.training import __main__ as training
from tests.docs.test_commands_page import every_command

UPSTREAM = Upstream(kind="stix", name="feed.json", licence="CC0-1.0")


def pattern(number: int, technique: str, **more: object) -> dict[str, object]:
    references = [
        {"source_name": "capec", "external_id": "CAPEC-1"},
        {"source_name": "mitre-attack", "external_id": technique},
    ]
    return {"type": "attack-pattern", "id": f"attack-pattern--{number}", "external_references": references, **more}


def relationship(number: int, source: str, target: int, told: str = "", **more: object) -> dict[str, object]:
    return {
        "type": "relationship",
        "id": f"relationship--{number}",
        "relationship_type": "uses",
        "source_ref": source,
        "target_ref": f"attack-pattern--{target}",
        "description": told,
        "modified": "2026-05-01T00:00:00.000Z",
        **more,
    }


BUNDLE = [
    pattern(1, "T1059.001"),
    pattern(2, "T1685.001"),
    pattern(3, "T1003", revoked=True),
    {"type": "malware", "id": "malware--1"},
    relationship(
        1, "malware--1", 1, "[Tool](https://a.example) runs <code>powershell</code> scripts.(Citation: Someone)"
    ),
    relationship(2, "malware--1", 2, "Tool turns the event log off."),
    relationship(3, "malware--1", 3, "Tool dumps credentials."),
    relationship(4, "malware--1", 1, "Tool once ran scripts.", x_mitre_deprecated=True),
    {
        "type": "indicator",
        "id": "indicator--1",
        "pattern_type": "stix",
        "pattern": "[process:command_line = 'powershell -File c:\\\\temp\\\\it\\'s.ps1' AND process:pid = 1]",
        "modified": "2026-06-01T00:00:00.000Z",
    },
    relationship(5, "indicator--1", 1, relationship_type="indicates"),
]


def test_what_shows_a_technique_trains_and_what_is_revoked_or_deprecated_does_not() -> None:
    listed = list(stix.findings(BUNDLE, UPSTREAM))

    assert [(one.object, one.sample.techniques, one.sample.basis) for one in listed] == [
        ("relationship--1", ("T1059.001",), "procedure"),
        ("relationship--2", ("T1685.001",), "procedure"),
        ("indicator--1", ("T1059.001",), "rule-pattern"),
    ]
    assert listed[0].sample.data == {"message": "Tool runs powershell scripts."}
    assert "c:\\temp\\it's.ps1" in json.dumps(listed[2].sample.data).replace("\\\\", "\\")
    assert (listed[0].modified, listed[0].upstream) == ("2026-05-01T00:00:00.000Z", "feed.json")


def test_one_technique_gives_no_more_sentences_than_the_limit() -> None:
    many = [pattern(1, "T1059"), *(relationship(n, f"malware--{n}", 1, f"It runs script {n}.") for n in range(30))]

    assert len(list(stix.findings(many, UPSTREAM))) == stix.PER_TECHNIQUE


MISP = {
    "response": [
        {
            "Event": {
                "uuid": "event-1",
                "info": "Loader campaign that turns defences off",
                "timestamp": "1700000000",
                "Tag": [{"name": 'misp-galaxy:mitre-attack-pattern="Impair Defenses - T1562"'}, {"name": "tlp:clear"}],
                "Attribute": [
                    {"uuid": "a1", "type": "text", "value": "They cleared logs. They left.", "Tag": [{"name": 'misp-galaxy:mitre-attack-pattern="Clear - T1070.001"'}]},
                    {"uuid": "a2", "type": "ip-dst", "value": "192.0.2.1", "Tag": [{"name": 'misp-galaxy:mitre-attack-pattern="Proxy - T1090"'}]},
                    {"uuid": "a3", "type": "text", "value": "It said nothing of a technique."},
                ],
                "Object": [
                    {
                        "Attribute": [
                            {
                                "uuid": "a4",
                                "type": "text",
                                "object_relation": "command-line",
                                "value": "wevtutil cl Security",
                                "timestamp": "1700000100",
                                "Galaxy": [{"GalaxyCluster": [{"tag_name": 'misp-galaxy:mitre-attack-pattern="Clear - T1070.001"'}]}],
                            }
                        ]
                    }
                ],
            }
        }
    ]
}  # fmt: skip


def test_a_misp_export_gives_what_carries_a_technique_and_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "misp.json").write_text(json.dumps(MISP))

    (event,) = misp.events(tmp_path / "misp.json")
    listed = list(misp.findings(event, UPSTREAM))

    assert [(one.object, one.sample.record, one.sample.techniques) for one in listed] == [
        ("event-1", "info", ("T1562",)),
        ("a1", "a1:0", ("T1070.001",)),
        ("a4", "a4", ("T1070.001",)),
    ]
    assert "wevtutil cl Security" in json.dumps(listed[2].sample.data)
    assert listed[2].modified == "2023-11-14T22:15:00+00:00"


@pytest.mark.parametrize("hostile", [{"a": 1}, ["text"], 10**18, None])
def test_a_misp_attribute_whose_fields_are_of_another_kind_is_passed_over(hostile: object) -> None:
    tag = {"name": 'misp-galaxy:mitre-attack-pattern="Clear - T1070.001"'}
    attribute = {
        "uuid": hostile,
        "type": hostile,
        "value": "It ran.",
        "timestamp": hostile,
        "Tag": [tag, {"name": hostile}],
    }

    assert list(misp.findings({"uuid": hostile, "info": hostile, "Attribute": [attribute]}, UPSTREAM)) == []


RULE = """title: A dumper
id: 11111111-2222-3333-4444-555555555555
date: 2026-01-01
modified: 2026-02-02
author: Ann Author
tags: [attack.t1003.001]
logsource: {category: process_creation, product: windows}
detection: {selection: {CommandLine|contains: 'sekurlsa::logon'}, condition: selection}
level: high
"""


def test_new_rules_come_from_a_folder_and_a_zip_alike_and_hostile_ones_are_counted(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yml").write_text(RULE)
    (tmp_path / "rules" / "b.yml").write_text("a: &a [1]\nb: [*a, *a]\n")
    (tmp_path / "rules" / "c.yml").write_text("a: [")
    with zipfile.ZipFile(tmp_path / "rules.zip", "w") as archive:
        for file in (tmp_path / "rules").iterdir():
            archive.write(file, f"../{file.name}")

    folder, zipped = rules.Rules(tmp_path / "rules", None), rules.Rules(tmp_path / "rules.zip", None)
    listed = list(rules.findings(folder, UPSTREAM))

    assert {(one.object, one.modified) for one in listed} == {("11111111-2222-3333-4444-555555555555", "2026-02-02")}
    assert {one.sample.techniques for one in listed} == {("T1003.001",)}
    assert len(list(rules.findings(zipped, UPSTREAM))) == len(listed)
    assert dict(folder.left_out) == dict(zipped.left_out) == {"has YAML aliases": 1, "is no YAML": 1}


def test_a_zip_of_rules_whose_content_is_broken_is_said(tmp_path: Path) -> None:
    path = tmp_path / "rules.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.yml", RULE)
    content = bytearray(path.read_bytes())
    start = 30 + len("a.yml")
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="neither a folder nor a zip"):
        list(rules.findings(rules.Rules(path, None), UPSTREAM))


@pytest.mark.parametrize("said", ["2026-01-01 | x\n# Owned", "2026-01-01T00:00:00Z\x7f", "9", "٢٠٢٦-01-01"])
def test_a_change_that_is_no_time_is_not_written_on(said: str, tmp_path: Path) -> None:
    told = {**BUNDLE[4], "modified": said}
    upstream = Upstream(kind="stix", name="a\x7f.json", licence="CC0-1.0")

    found.write(list(stix.findings([BUNDLE[0], told], upstream)), tmp_path)

    (mine,) = (source for name, source in pinned(tmp_path / found.SOURCES).items() if name.startswith("intel-"))
    assert (mine.commit, mine.upstream) == ("", "a\x7f.json")


def test_samples_come_back_from_disk_with_a_table_of_sources_that_may_train(tmp_path: Path) -> None:
    listed = list(stix.findings(BUNDLE, UPSTREAM))
    found.write(listed, tmp_path)

    pins = pinned(tmp_path / found.SOURCES)
    source = pins[listed[0].source]

    assert found.read(tmp_path) == tuple(listed)
    assert pins.keys() - pinned().keys() == {listed[0].source}
    assert (source.upstream, source.commit, source.licence) == ("feed.json", "2026-06-01T00:00:00.000Z", "CC0-1.0")
    assert source.may_train


def test_a_dataset_takes_the_samples_beside_the_pinned_sources_and_migrates_their_techniques(
    tiny: Corpora, tmp_path: Path
) -> None:
    found.write(list(stix.findings(BUNDLE, UPSTREAM)), tmp_path)
    read, recipes = found.added(tiny, tmp_path)
    mine = next(name for name in recipes if name.startswith("intel-"))

    rows = dataset.build(read, only=["tldr", mine], recipes=recipes).rows

    techniques = {row.techniques for row in rows if row.source == mine}
    assert techniques == {("T1059.001",), ("T1562.002",)}
    assert {row.upstream for row in rows if row.source == mine} == {"feed.json"}
    assert {row.source for row in rows} == {"tldr", mine}


def test_ids_are_counted_by_how_the_catalogue_reads_them() -> None:
    listed = list(stix.findings([pattern(1, "T9999"), relationship(1, "x", 1, "It does so."), *BUNDLE[1:6]], UPSTREAM))

    assert {kind: set(ids) for kind, ids in found.known(listed).items()} == {
        "unknown": {"T9999"}, "exact": {"T1685.001"},
    }  # fmt: skip


@contextmanager
def server(pages: list[list[dict[str, object]]], **answers: object) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A collection of a TAXII 2.1 server: paged by ``next``, filtered by ``added_after``, behind basic authentication."""
    asked: list[dict[str, list[str]]] = []
    wanted = "Basic " + base64.b64encode(b"ann:secret").decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            if "location" in answers:
                self.send_response(302)
                self.send_header("Location", str(answers["location"]))
                self.end_headers()
            elif self.headers["Authorization"] != wanted:
                self._answer(401, {"title": "no"})
            elif self.headers["Accept"] != "application/taxii+json;version=2.1":
                self._answer(406, {"title": "no"})
            elif parts.path == "/root/collections/c1/":
                self._answer(200, {"id": "c1", "title": "one", "can_read": True, "can_write": False})
            else:
                asked.append(query)
                place = int(query.get("next", ["0"])[0])
                more = place + 1 < len(pages)
                after = query.get("added_after", [""])[0]
                listed = [item for item in pages[place] if str(item.get("modified", "9")) > after]
                if "raw" in answers:
                    self._send(200, str(answers["raw"]).encode(), int(str(answers.get("length", 0))))
                    return
                self._answer(
                    200, {"objects": listed, "more": more, **({"next": str(place + 1)} if more else {}), **answers}
                )

        def _answer(self, status: int, body: dict[str, object]) -> None:
            self._send(status, json.dumps(body).encode())

        def _send(self, status: int, content: bytes, length: int = 0) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/taxii+json;version=2.1")
            self.send_header("Content-Length", str(length or len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Tells nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/root/collections/c1/", asked
        running.shutdown()
        thread.join()


def objects(url: str, password: str = "secret", since: str | None = None) -> list[stix.Stix]:
    return list(taxii.objects(url, "ann", SecretStr(password), since))


def test_a_taxii_collection_is_read_page_by_page_and_from_a_time_on() -> None:
    with server([BUNDLE[:4], BUNDLE[4:]]) as (url, asked):
        assert objects(url) == BUNDLE
        assert [page.get("next") for page in asked] == [None, ["1"]]

        late = objects(url, since="2026-05-15T00:00:00Z")

    assert [item["id"] for item in late if "modified" in item] == ["indicator--1"]


def test_refused_credentials_and_addresses_without_tls_are_a_matter_of_settings() -> None:
    with server([[]]) as (url, _), pytest.raises(ConfigError, match=r"refuses these credentials \(401\)"):
        objects(url, password="wrong")
    with pytest.raises(ConfigError, match="neither https nor on this machine"):
        objects("http://taxii.example/root/collections/c1/")


def test_a_server_that_sends_elsewhere_or_on_and_on_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    with server([[]], location="http://127.0.0.1:9/") as (url, _), pytest.raises(ConfigError, match="sends elsewhere"):
        objects(url)
    with server([[], []], more=True, next="1") as (url, _), pytest.raises(PermanentError, match="and not where"):
        objects(url)
    monkeypatch.setattr(taxii, "MOST_BYTES", 10)
    with server([BUNDLE]) as (url, _), pytest.raises(PermanentError, match="longer than 10 bytes"):
        objects(url)


def test_all_answers_together_are_bounded_in_size_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taxii, "MOST_OF_RUN", len(json.dumps(BUNDLE)))
    with server([BUNDLE, BUNDLE]) as (url, asked), pytest.raises(PermanentError, match="bytes together"):
        objects(url)
    monkeypatch.setattr(taxii, "RUN_S", -1.0)
    with server([BUNDLE]) as (url, asked), pytest.raises(TransientError, match="take longer than"):
        objects(url)
    assert asked == []


def test_an_answer_that_nests_without_end_is_no_taxii_and_one_that_breaks_off_may_work_later() -> None:
    with server([[]], raw="[" * 100_000) as (url, _), pytest.raises(PermanentError, match="does not speak TAXII"):
        objects(url)
    with server([[]], raw="{}", length=100) as (url, _), pytest.raises(TransientError, match="cannot be read"):
        objects(url)


def test_retraining_asks_for_a_version_before_anything_is_read(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["learn", "intel", "--output", str(tmp_path), "--retrain", str(tmp_path), "--corpora", str(tmp_path)]
    )

    assert isinstance(done.exception, ConfigError)
    assert "--version" in str(done.exception)


def test_a_word_that_no_option_takes_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["learn", "intel", "--output", str(tmp_path / "new"), "typo"])

    assert isinstance(done.exception, ConfigError)
    assert "'typo' is no option" in str(done.exception)
    assert not (tmp_path / "new").exists()


def test_the_command_writes_samples_and_says_what_retrains_and_evaluates(tmp_path: Path) -> None:
    (tmp_path / "attack.json").write_text(json.dumps({"type": "bundle", "objects": BUNDLE}))
    (tmp_path / "misp.json").write_text(json.dumps(MISP))
    (tmp_path / "rule.yml").write_text(RULE)
    with server([BUNDLE]) as (url, _):
        done = CliRunner().invoke(
            app,
            [
                "learn", "intel", "--output", str(tmp_path / "new"), "--attack", str(tmp_path / "attack.json"),
                "--misp", str(tmp_path / "misp.json"), "--sigma", str(tmp_path), "--taxii", url,
            ],
            env={"TRIAGED_TAXII__USER": "ann", "TRIAGED_TAXII__PASSWORD": "secret"},
        )  # fmt: skip

    assert done.exit_code == 0, done.output
    kinds = [one.source.split("-")[1] for one in found.read(tmp_path / "new")]
    assert {kind: kinds.count(kind) for kind in kinds} == {"attack": 3, "taxii": 3, "sigma": 2, "misp": 3}
    assert "secret" not in done.output
    assert [line.split()[1:3] for line in done.output.splitlines() if line.startswith("triaged ")] == [
        ["dataset", "build"], ["train", "text"], ["evaluate", "--corpora"],
    ]  # fmt: skip


def test_what_holds_no_intelligence_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")

    with pytest.raises(ConfigError, match="is no STIX bundle"):
        stix.objects(tmp_path / "a.json")
    with pytest.raises(ConfigError, match="is no MISP export"):
        misp.events(tmp_path / "a.json")
    with pytest.raises(ConfigError, match="neither a folder nor a zip"):
        list(rules.findings(rules.Rules(tmp_path / "a.json", None), UPSTREAM))
    with pytest.raises(ConfigError, match="nothing was found to train on"):
        found.write([], tmp_path)


def test_two_upstreams_of_one_kind_are_two_sources() -> None:
    other = Upstream(kind="stix", name="other.json", licence="CC0-1.0")
    first, second = (next(iter(stix.findings(BUNDLE, one))) for one in (UPSTREAM, other))

    assert first.source != second.source


def test_the_commands_that_retrain_are_ones_that_exist() -> None:
    build, train, evaluate = commands(Path("new"), Path("corpora"), Path("store"), "1.0.0")
    known = {opt for param in every_command()["triaged dataset build"].params for opt in param.opts}

    assert set(build[2::2]) <= known
    assert training._parser().parse_args(train[1:]).pins == Path("new/sources.toml")
    assert evaluation._parser().parse_args(evaluate[1:]).bundle == "triaged/1.0.0"
