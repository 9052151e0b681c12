"""`triaged classify --text`: techniques a sentence and a document, from report text."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from connector.cli import app
from connector.errors import ConfigError
from connector.events import normalise, render
from connector.events.prose import plain, sentence_event, sentences
from connector.types import RawEvent, SourceRef
from tests.models.tiny import tiny_store

REPORT = """# APT99

The group, e.g. its operators, ran "Mimikatz." It was v. 2.1 of the tool (T1003.001).

- They called whoami on each host
- The weather was nice in Berlin
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_store(tmp_path_factory.mktemp("text") / "store")


@pytest.fixture
def run(store: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRIAGED_MODEL__STORE", str(store))
    return lambda *arguments, **more: CliRunner().invoke(app, ["classify", "--text", *map(str, arguments)], **more)


def rows(done: Result) -> list[dict[str, object]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_sentence_is_a_row_and_the_document_says_which_sentences_show_a_technique(run, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(REPORT)

    *each, whole = rows(run(tmp_path / "a.md"))

    assert [row["text"] for row in each] == [
        'The group, e.g. its operators, ran "Mimikatz."',
        "It was v. 2.1 of the tool (T1003.001).",
        "They called whoami on each host",
        "The weather was nice in Berlin",
    ]
    assert [[found["id"] for found in row["techniques"]] for row in each] == [["T1003", "T1003.001"], [], ["T1033"], []]
    assert whole["sentences"] == 4
    assert {found["id"]: found["sentences"] for found in whole["techniques"]} == {
        "T1003.001": [1, 2], "T1003": [1], "T1033": [3]
    }  # fmt: skip


def test_a_sentence_names_by_id_what_the_catalogue_calls_it_now(run) -> None:
    first, _ = rows(run("-", input="They turned logging off as T1562.002 says, once T1054 and never T9999."))

    assert [found["id"] for found in first["named"]] == ["T1562.002", "T1562.006"]


def test_a_page_is_read_as_its_reader_would(run, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html><script>var mimikatz;</script><p>They ran <b>whoami</b> &amp; left.</p>")

    first, _ = rows(run(tmp_path / "a.html"))

    assert first["text"] == "They ran whoami & left."


def test_what_is_no_text_is_said(run, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")

    done = run(tmp_path / "a.pdf")

    assert isinstance(done.exception, ConfigError)
    assert "is no text" in str(done.exception)


def test_a_table_has_a_line_a_sentence_and_a_line_a_technique(run) -> None:
    done = run("-", "--output", "table", input="They called whoami on each host.")

    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == ["1", "all"]


def test_a_sentence_is_an_event_of_the_generic_kind() -> None:
    ref = SourceRef(siem="t", index="t", id="1")
    event = normalise(RawEvent(deployment="t", native_id="1", ref=ref, data=sentence_event("They ran whoami.")))

    assert (event.kind, render(event.canonical)) == ("generic", "event | they ran whoami.")


@pytest.mark.parametrize("text", ["a. " * 40_000, ". A" * 40_000, "\n \n- " * 30_000, "." * 90_000, "x" * 90_000])
def test_sentences_of_hostile_text_are_short_and_take_no_time(text: str) -> None:
    assert all(len(sentence) <= 1_000 for sentence in sentences(text))


@pytest.mark.parametrize(
    "text", ["<a " * 40_000, "<!--" * 40_000, "<" * 90_000, "<script></script " * 9_000, "&#9" * 30_000]
)
def test_text_of_hostile_pages_takes_no_time(text: str) -> None:
    assert plain(text)[1] == ""
