"""The command as a process on Splunk's Pythons: one reply a chunk, whatever comes; no daemon is there."""

from __future__ import annotations

import gzip
import signal
import subprocess
import time

import pytest

from tests.conftest import ROOT
from tests.splunk_app.pythons import VERSIONS, python
from tests.splunk_app.search import chunk, conversation, replies, table

RECORDING = ROOT.parent / "shared" / "recordings" / "splunk" / "multibyte_input.gz"
ADDED = (
    "attack_technique",
    "attack_technique_name",
    "attack_tactic",
    "triage_confidence",
    "triage_verdict",
    "triage_explanation",
    "triage_model",
    "triage_error",
)

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def test_a_recording_of_a_real_search_gets_one_reply_a_chunk_with_every_row_as_it_was(version, app):
    if not RECORDING.is_file():
        pytest.skip(f"no recording at {RECORDING}")
    sent = gzip.decompress(RECORDING.read_bytes())
    asked = replies(sent)
    done = app.run(stdin=sent, python=python(version))
    assert done.status == 0, done.stderr
    assert len(done.replies) == len(asked) == 10
    assert done.replies[0].metadata == {"type": "stateful", "required_fields": ["*"]}
    events = 0
    for before, after in zip(asked[1:], done.replies[1:], strict=True):
        assert after.metadata["finished"] is before.metadata["finished"]
        (names, *sent_rows), (header, *found) = before.table, after.table
        assert header[: len(names)] == names
        assert [row[: len(names)] for row in found] == sent_rows
        events += len(found)
    assert events > 30_000
    first = done.replies[1].rows[0]
    assert first["teststring"] == "\u0e17t"
    assert first["triage_error"].startswith("the app is not set up")
    assert len(done.warnings) == 1


def test_every_field_that_can_be_added_is_a_column_with_its_multivalue_twin(version, app):
    done = app.run(bodies=[table([{"n": "1"}])], python=python(version))
    header = done.replies[1].table[0]
    assert header[:2] == ["n", "__mv_n"]
    assert header[2:] == [name for field in ADDED for name in (field, f"__mv_{field}")]


def test_a_chunk_of_fifty_thousand_rows_keeps_their_order(version, app):
    rows = [{"n": str(n), "_raw": f'event, "{n}"\nline 2'} for n in range(50_000)]
    done = app.run(bodies=[table(rows), table(rows[:1])], python=python(version))
    assert done.status == 0, done.stderr
    assert len(done.replies) == 3
    header, *found = done.replies[1].table
    places = [header.index(name) for name in ("n", "_raw")]
    assert [[row[place] for place in places] for row in found] == [list(row.values()) for row in rows]
    assert len(done.warnings) == 1


def test_an_empty_chunk_is_answered_by_an_empty_chunk(version, app):
    header_alone = b"n,__mv_n\n"
    done = app.run(bodies=[b"", header_alone, table([{"n": "1"}]), b""], python=python(version))
    assert done.status == 0, done.stderr
    assert [len(reply.rows) if reply.body else 0 for reply in done.replies[1:]] == [0, 0, 1, 0]
    assert [reply.metadata["finished"] for reply in done.replies[1:]] == [False, False, False, True]


def test_several_values_quotes_and_broken_text_come_back_byte_by_byte(version, app):
    rows = [
        {"n": "a\nb", "__mv_n": "$a$;$b$", "x": 'say "hi", now'},
        {"n": "cost $5", "__mv_n": "", "x": "tab\tline\r\nnext"},
        {"n": "$", "__mv_n": "$$$$;$$", "x": "bad \udc80\udcff byte, nul \0 end"},
        {"n": "", "__mv_n": "", "x": "\U0001f600" * 50_000},
    ]
    done = app.run(bodies=[table(rows, ["n", "x"])], python=python(version))
    assert done.status == 0, done.stderr
    assert [{name: row[name] for name in ("n", "__mv_n", "x")} for row in done.rows] == rows


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["mode=guess"], "mode must be score or lookup, not 'guess'"),
        (["threshold=high"], "threshold must be a number from 0 to 1, not 'high'"),
        (["threshold=1.5"], "threshold must be a number from 0 to 1, not '1.5'"),
        (["threshold=nan"], "threshold must be a number from 0 to 1, not 'nan'"),
        (["top=0"], "top must be a whole number from 1 on, not '0'"),
        (["top=1.5"], "top must be a whole number from 1 on, not '1.5'"),
        (["tresh=1"], "there is no option 'tresh'; options are: mode, threshold, top"),
        (["top=1", "top=2"], "option top is given twice"),
        (["_raw", "mode=lookup"], "mode=lookup reads no fields of the event: leave out _raw"),
    ],
)
def test_a_wrong_option_ends_the_search_with_a_message_that_helps(version, app, arguments, told):
    done = app.run(*arguments, bodies=[table([{"n": "1"}])], python=python(version))
    assert done.status == 1
    (reply,) = done.replies
    assert reply.messages == [["ERROR", told]]
    assert reply.metadata["finished"] is True
    assert not done.stderr


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ([], ["*"]),
        (["mode=lookup"], ["_bkt", "_cd"]),
        (["_raw", "host,source", "threshold=0.5"], ["_raw", "host", "source"]),
        (["_raw", "_raw", "top=2", "mode=score"], ["_raw"]),
    ],
)
def test_splunk_is_asked_for_the_fields_that_are_needed_and_no_others(version, app, arguments, fields):
    done = app.run(*arguments, bodies=[b""], python=python(version))
    assert done.status == 0, done.stderr
    assert done.replies[0].metadata["required_fields"] == fields


@pytest.mark.parametrize("cut", ["header", "metadata", "body"])
def test_a_search_that_is_aborted_in_mid_chunk_ends_quietly_with_what_was_answered(version, app, cut):
    whole = conversation(app.info(), [table([{"n": "1"}])])
    more = chunk({"action": "execute", "finished": True}, table([{"n": "2"}] * 100))
    keep = {"header": 9, "metadata": more.index(b"\n") + 5, "body": len(more) - 20}[cut]
    done = app.run(stdin=whole + more[:keep], python=python(version))
    assert done.status == 0
    assert [len(reply.rows) for reply in done.replies[1:]] == [1]
    assert not done.stderr


@pytest.mark.parametrize(
    "junk", [b"hello\n", b"chunked 2.0,1,1\n{}", chunk({"action": "execute"}), b"chunked 1.0,2,0\n]["]
)
def test_what_is_not_the_protocol_ends_the_command_with_an_error(version, app, junk):
    done = app.run(stdin=junk, python=python(version))
    assert done.status == 1
    assert done.stderr.startswith("ERROR ")
    assert "Traceback" not in done.stderr
    assert done.replies == []


def test_a_search_that_nobody_reads_any_more_ends_quietly(version, app):
    sent = conversation(app.info(), [table([{"n": str(n), "x": "y" * 100} for n in range(20_000)])] * 3)
    process = subprocess.Popen(
        app.command(python=python(version)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=app.environment(),
    )  # fmt: skip
    with process:
        process.stdout.close()
        try:
            process.stdin.write(sent)
            process.stdin.close()
        except BrokenPipeError:
            pass
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == b""


def test_a_search_that_is_killed_while_it_waits_for_input_is_gone_at_once(version, app):
    process = subprocess.Popen(
        app.command(python=python(version)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=app.environment(),
    )  # fmt: skip
    with process:
        process.stdin.write(conversation(app.info(), []))
        process.stdin.flush()
        process.stdout.readline()
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == -signal.SIGTERM
        assert time.monotonic() - begun < 2
