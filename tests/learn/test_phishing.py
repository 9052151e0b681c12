"""Labelled mail → rows by groups of near-copies → fine-tuning → a bundle that scores mail, on invented mail."""

import hashlib
import json
from pathlib import Path
from random import Random

import msgspec
import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.errors import ConfigError
from connector.learn.corpora.source import pinned
from connector.learn.phishing.groups import grouped
from connector.learn.phishing.mails import Mail, Mails, label_of, read
from connector.learn.training import phishing
from connector.models.store import Store
from tests.learn import encoder

BAD = "show the command into the parent steal account link user"
GOOD = "planner process start tool eraser user show meeting"


def mails(folder: Path, count: int = 100, seed: int = 1) -> Path:
    """Invented mails of two sorts, each in two near-copies, as JSON lines."""
    draw = Random(seed)
    lines = []
    for number in range(count):
        words = (BAD if number % 2 else GOOD).split()
        told = " ".join(draw.choices(words, k=14))
        for copy in ("a", "b"):
            label = "phish" if number % 2 else "ham"
            lines.append({"subject": "note", "text": f"{told} {copy}", "label": label, "dup_key": f"{seed}-{number}"})
    path = folder / f"mails{seed}.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def kept(path: Path, phishing_mail: bool | None = None) -> list[Mail]:
    into = Mails()
    read([path], phishing_mail, into)
    return list(into.kept.values())


def test_csv_jsonl_and_mailboxes_give_the_same_mail(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('Subject,Body,Label\nHello,"Send me, now",phishing\n')
    (tmp_path / "a.jsonl").write_text('{"subject": "Hello", "text": "Send me, now", "label": "phish"}\n')
    (tmp_path / "a.mbox").write_bytes(b"From a@b.c Thu Aug 22 12:36:23 2002\nSubject: Hello\n\nSend me, now\n")

    found = [*kept(tmp_path / "a.csv"), *kept(tmp_path / "a.jsonl"), *kept(tmp_path / "a.mbox", True)]

    assert {(mail.text, mail.phishing) for mail in found} == {("hello | send me, now", True)}
    assert len({mail.fingerprint for mail in found}) == 1


def test_what_cannot_be_used_is_counted_and_a_file_without_any_mail_is_an_error(tmp_path: Path) -> None:
    lines = [
        '{"subject": "a", "label": "ham"}',
        '{"subject": "b"}',
        "{",
        '{"x": 1, "label": "ham"}',
        '{"text": " ", "label": 1}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, lines[0], '{"subject": "a", "label": "spam"}']))
    into = Mails()

    read([tmp_path / "a.jsonl"], None, into)

    assert len(into.kept) == 1
    assert dict(into.dropped) == {
        "no label": 1, "unreadable": 2, "no words": 1, "a copy": 1, "a copy with another label": 1
    }  # fmt: skip
    (tmp_path / "b.jsonl").write_text('{"subject": "a"}\n')
    with pytest.raises(ConfigError, match="no labelled mail"):
        read([tmp_path / "b.jsonl"], None, Mails())


@pytest.mark.parametrize(("label", "said"), [("Phishing Email", True), ("spam", True), ("0", False), ("?", None)])
def test_a_label_says_phishing_harmless_or_nothing(label: str, said: bool | None) -> None:
    assert label_of({"Email Type": label}) is said


def test_near_copies_and_what_their_collection_calls_copies_share_a_group() -> None:
    draw = Random(2)
    text = " ".join(draw.choices("abcdefghijkl", k=80))
    texts = [text, f"{text} Ann", f"dear Bob {text}", " ".join(draw.choices("mnopqrstuvwx", k=80)), "short note"]
    made = [Mail(text=t, fingerprint=f"{n}" * 64, phishing=True, group="", place="") for n, t in enumerate(texts)]

    groups = grouped(made)
    keyed = grouped([msgspec.structs.replace(mail, group="k") for mail in made])

    assert len(set(groups[:3])) == 1
    assert len({groups[0], groups[3], groups[4]}) == 3
    assert len(set(keyed)) == 1


def test_no_group_is_on_two_sides_and_a_random_split_has_them_on_both(tmp_path: Path) -> None:
    found = kept(mails(tmp_path))
    rows = phishing.rows_of(found, grouped(found), None)

    honest, optimistic = phishing.split_by_group(rows, 1), phishing.split_at_random(rows, 1)

    sides = [{row.group for row in part} for part in honest]
    assert all(not one & other for n, one in enumerate(sides) for other in sides[n + 1 :])
    assert {row.group for row in optimistic.train} & {row.group for row in optimistic.test}
    fewer = phishing.rows_of(found, grouped(found), 99)
    assert len(fewer) <= 99
    assert not {row.group for row in fewer} & {row.group for row in rows[len(fewer) :]}


def test_test_mails_are_grouped_with_those_of_training_and_near_copies_are_left_out(tmp_path: Path) -> None:
    known, other = kept(mails(tmp_path)), kept(mails(tmp_path, seed=2))

    near = [
        msgspec.structs.replace(mail, text=f"{mail.text} more", fingerprint=f"{n}", group="")
        for n, mail in enumerate(known)
    ]

    assert phishing.strangers(known, known) == []
    assert len(phishing.strangers(near, known)) < len(near) / 20
    assert len(phishing.strangers([*near, *other], known)) > len(other) / 2


def test_mail_that_may_not_train_is_measured_and_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mails(tmp_path)
    closed = msgspec.structs.replace(pinned()["phishing_pot"], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(phishing, "pinned", lambda: {"phishing_pot": closed})

    assert phishing.restricted([tmp_path]) == ["phishing_pot"]
    assert phishing.main(["--mails", str(path), "--output", str(tmp_path / "store")]) == 2
    assert not (tmp_path / "store").exists()


@pytest.mark.full
def test_the_command_trains_reports_both_splits_and_writes_a_bundle_that_classifies_mail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder.write(tmp_path / "base")
    path, store = mails(tmp_path), tmp_path / "store"
    options = {
        "--mails": path, "--test": mails(tmp_path, 40, seed=2), "--base": tmp_path / "base", "--output": store, "--layers": "0",
        "--epochs": 1, "--max-length": 32, "--learning-rate": 0.003,
    }  # fmt: skip

    assert phishing.main([str(part) for pair in options.items() for part in pair]) == 0

    told = capsys.readouterr().out
    assert "split by group of near-copies: precision " in told
    assert "split at random (optimistic): precision " in told
    assert "other mails (--test; " in told
    manifest = Store(store).manifest("phishing/0.1.0")
    assert (manifest.members[0].kind, manifest.labels) == ("phishing", ("T1566", "T1566.001", "T1566.002"))
    assert "T1566" in (store / "phishing" / "0.1.0" / "README.md").read_text("utf-8")
    assert Store(store).verify("phishing/0.1.0") == ()
    (tmp_path / "in.mbox").write_bytes(
        b"From a@b.c Thu Aug 22 12:36:23 2002\nSubject: note\n\nsteal the account into link steal the account user\n\n"
        b"From a@b.c Thu Aug 22 12:36:23 2002\nSubject: note\n\nplanner meeting tool eraser planner meeting start\n"
    )
    monkeypatch.setenv("TRIAGED_MODEL__STORE", str(store))
    done = CliRunner().invoke(app, ["classify", str(tmp_path / "in.mbox")])
    bad, good = (json.loads(line)["triaged"] for line in done.stdout.splitlines())
    assert bad["confidence"] > 100 * good["confidence"]
    assert bad["techniques"][0]["id"] == "T1566"
