"""`triaged coverage`: what it counts is what the daemon would do, and a sample is one of files."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connector.cli.app import app
from connector.cli.coverage import percent
from connector.learn.corpora import open_xp_rules
from connector.learn.corpora.source import pinned
from connector.learn.coverage import MOST_NAMES, OTHERS, Tally, measured
from connector.learn.event_files import Corpus, Share
from connector.types import RawEvent, SourceRef
from tests.daemon.site import process_start

STRANGE = {"shape": "of nobody", "n": 1}


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def raw(data: object, place: str = "here") -> RawEvent:
    return RawEvent(
        deployment="d", native_id=place, ref=SourceRef(siem="s", index="i", id=place), data=data, place=place
    )


def report(*arguments: str | Path) -> dict:
    done = CliRunner().invoke(app, ["coverage", *map(str, arguments), "--output", "json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Eight files: in a zip and in folders, some of them strange, one of them damaged."""
    folder = tmp_path / "corpus"
    (folder / "deep").mkdir(parents=True)
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"host{number}.jsonl", lines(*[process_start(f"{number}.exe")] * (number + 1)))
    (folder / "deep" / "known.jsonl").write_bytes(lines(process_start("a.exe"), process_start("b.exe")))
    (folder / "deep" / "strange.jsonl").write_bytes(lines(STRANGE, STRANGE, {"message": "a line"}))
    (folder / "deep" / "notice.log").write_bytes(b"a line\n")
    (folder / "damaged.jsonl").write_bytes(lines(STRANGE) + b'{"cut": 12345\n')
    (folder / "LICENSE-MIT").write_bytes(b"no event\n")
    return folder


def test_every_record_is_specific_generic_or_dead(corpus: Path) -> None:
    (row,) = report(corpus)["corpora"]
    assert (row["files"], row["events"]) == (8, 18)
    assert (row["specific"], row["generic"], row["dead"]) == (12, 5, 1)
    assert row["specific_share"] == round(12 / 18, 6)
    assert row["kinds"] == 3


def test_unknown_kinds_and_reasons_come_with_a_place(corpus: Path) -> None:
    (row,) = report(corpus)["corpora"]
    assert [(kind["kind"], kind["events"]) for kind in row["unknown_kinds"]] == [("keys n shape", 3), ("text", 2)]
    assert row["unknown_kinds"][0]["place"].startswith(str(corpus / "damaged.jsonl"))
    (dead,) = row["dead_reasons"]
    assert dead["places"] == [f"{corpus / 'damaged.jsonl'}:2"]
    assert "malformed JSON" in dead["reason"]
    assert not any(digit in dead["reason"] for digit in "123456789")


def test_a_family_is_told_with_what_its_events_give(corpus: Path) -> None:
    (row,) = report(corpus)["corpora"]
    (family,) = row["families"]
    assert (family["family"], family["events"], family["command_line"]) == ("sysmon", 12, 12)
    assert family["address"] == 0


def test_each_path_is_a_corpus_and_the_total_is_their_sum(corpus: Path) -> None:
    found = report(corpus / "deep", corpus / "all.zip", corpus / "damaged.jsonl")
    assert [row["events"] for row in found["corpora"]] == [6, 10, 2]
    whole = report(corpus)["total"]
    for key in ("files", "events", "kinds", "specific", "generic", "dead", "families"):
        assert found["total"][key] == whole[key], key
    assert [(kind["kind"], kind["events"]) for kind in found["total"]["unknown_kinds"]] == [
        (kind["kind"], kind["events"]) for kind in whole["unknown_kinds"]
    ]


def test_a_table_has_the_same_numbers(corpus: Path) -> None:
    done = CliRunner().invoke(app, ["coverage", str(corpus), str(corpus / "deep")])
    assert done.exit_code == 0, done.output
    assert f"{corpus}\t8\t18\t3\t66.66%\t27.77%\t5.55%" in done.stdout.splitlines()
    assert "total\t11\t24\t3\t58.33%\t37.5%\t4.16%" in done.stdout.splitlines()


def test_a_sample_takes_whole_files_and_the_same_ones_in_any_order(corpus: Path) -> None:
    sampled = {event.place.partition(".jsonl")[0] for event in Corpus(str(corpus), Share(0.25)).events()}
    assert len(sampled) == 2
    everything = list(Corpus(str(corpus)).events())
    part = list(Corpus(str(corpus), Share(0.25)).events())
    assert [event for event in everything if event.place.partition(".jsonl")[0] in sampled] == part
    names = [f"file{n}" for n in range(100)]
    mixed = random.Random(1).sample(names, len(names))
    assert Share(0.02).of(names) == Share(0.02).of(mixed)
    assert len(Share(0.02).of(names)) == 2
    assert Share(0.02, seed=1).of(names) != Share(0.02).of(names)


def test_a_sample_is_never_empty_and_does_not_hang_on_where_the_corpus_lies(corpus: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    names = [event.place.rpartition("/")[2] for event in Corpus(str(corpus), Share(0.01)).events()]
    assert names
    corpus.rename(moved)
    assert [event.place.rpartition("/")[2] for event in Corpus(str(moved), Share(0.01)).events()] == names


@pytest.mark.parametrize("wrong", ["0", "0%", "101%", "1.5", "-1%", "nan", "much"])
def test_a_share_that_is_none_is_refused(corpus: Path, wrong: str) -> None:
    assert CliRunner().invoke(app, ["coverage", str(corpus), "--sample", wrong]).exit_code == 2


def test_a_path_that_names_nothing_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["coverage", str(tmp_path / "nothing")]).exit_code != 0


def test_a_pinned_corpus_is_read_as_its_recipe_says(tmp_path: Path) -> None:
    source = pinned()[open_xp_rules.NAME]
    rule = tmp_path / source.root / "packages" / "rule"
    (rule / "tests").mkdir(parents=True)
    event = {
        "System": {"EventID": 4688, "Channel": "Security"},
        "EventData": {"Data": [{"Name": "CommandLine", "text": "x"}]},
    }
    carried = [{"body": json.dumps({"Event": event})}, {"body": "a line of text"}]
    (rule / "tests" / "raw_events_1.json").write_bytes(lines(*carried))
    (rule / "tests" / "other.json").write_bytes(lines({"no": "event"}))
    (rule / "metainfo.yaml").write_text("no: event")
    (row,) = report(tmp_path / source.root)["corpora"]
    assert (row["events"], row["specific"], row["generic"]) == (2, 1, 1)
    assert row["families"][0]["command_line"] == 1


def test_a_tar_that_breaks_off_gives_what_was_whole_and_says_so(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for number in range(2):
            content = lines(*[process_start(f"{n}.exe") for n in range(50)])
            info = tarfile.TarInfo(f"{number}.jsonl")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    whole = packed.getvalue()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 3])
    (row,) = report(tmp_path / "cut.tar")["corpora"]
    assert 0 < row["specific"] < 50
    assert row["dead"] >= 1


def test_a_tally_does_not_grow_with_the_names_that_a_corpus_chooses() -> None:
    tally = measured(raw({f"k{n}": 1}) for n in range(MOST_NAMES + 50))
    row = tally.coverage("c", 1, 1)
    assert row.kinds == MOST_NAMES + 1
    assert (row.unknown_kinds[0].kind, row.unknown_kinds[0].events) == (OTHERS, 50)
    both = Tally()
    both.add(tally)
    both.add(measured(raw({f"j{n}": 1}) for n in range(50)))
    assert both.coverage("c", 1, 1).unknown_kinds[0].events == 100


def test_a_share_just_below_the_whole_is_not_shown_as_the_whole() -> None:
    assert (percent(0.99999), percent(1.0), percent(0.5)) == ("99.99%", "100%", "50%")
