"""Apps: knowledge objects from their files, and search commands that run as processes of their own."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from tests.splunkd import Splunkd
from tests.splunkd.asking import Client
from tests.splunkd.chunked import Chunked

_HEAD = """
import csv, io, json, sys

def frame():
    head = sys.stdin.buffer.readline()
    if not head:
        sys.exit(0)
    _, meta, body = head.decode().strip().split(",")
    return json.loads(sys.stdin.buffer.read(int(meta))), sys.stdin.buffer.read(int(body)).decode()

def reply(meta, body=""):
    meta, body = json.dumps(meta).encode(), body.encode()
    sys.stdout.buffer.write(b"chunked 1.0,%d,%d\\n" % (len(meta), len(body)) + meta + body)
    sys.stdout.buffer.flush()

info, _ = frame()
"""
_SHOUT = """
reply({"type": "streaming", "inspector": {"messages": [["WARN", " ".join(info["searchinfo"]["args"])]]}})
while True:
    meta, body = frame()
    rows = list(csv.DictReader(io.StringIO(body)))
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, [*rows[0], "loud", "__mv_loud"])
        writer.writeheader()
        for row in rows:
            several = row.get("__mv_tags{}")
            writer.writerow({**row, "loud": row["user"].upper(), "__mv_loud": several})
    reply({"finished": meta["finished"]}, out.getvalue())
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "anapp"
    files = {
        "default/macros.conf": "[mine]\ndefinition = index=main \\\n  `of(bob)`\n\n[of(1)]\nargs = name\ndefinition = user=$name$\n",
        "default/collections.conf": "[kept]\nfield.a = string\n",
        "default/transforms.conf": "[kept_lookup]\nexternal_type = kvstore\ncollection = kept\n\n[teams]\nfilename = teams.csv\n",
        "lookups/teams.csv": "user,team\nbob,red\n",
        "default/commands.conf": "[shout]\nchunked = true\nfilename = shout.py\n",
        "bin/shout.py": _HEAD + _SHOUT,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def house(splunkd: Splunkd, app: Path) -> Client:
    splunkd.install(app)
    splunkd.put({"user": "bob", "tags": ["a$", "b;"]}, {"user": "alice"}, time=1)
    return Client(splunkd)


def test_macros_lookups_and_collections_of_an_app_are_known(house: Client, splunkd: Splunkd) -> None:
    assert house.rows("`mine` | lookup teams user OUTPUT team | table user team") == [{"user": "bob", "team": "red"}]
    assert house.send("/servicesNS/nobody/anapp/storage/collections/data/kept", {"a": "1"}).status == 201
    assert house.rows("| inputlookup kept_lookup") == [{"a": "1"}]


def test_a_command_gets_every_row_and_gives_them_back(house: Client) -> None:
    search = "search index=main | sort user | shout deep=1 word | table user loud"
    assert house.rows(search) == [{"user": "alice", "loud": "ALICE"}, {"user": "bob", "loud": ["a$", "b;"]}]
    assert house.told(search) == [("WARN", "deep=1 word")]


def test_rows_go_in_chunks_and_come_back_in_their_order(house: Client, splunkd: Splunkd) -> None:
    splunkd.site.commands["shout"].chunk = 7  # type: ignore[attr-defined]
    for number in range(50):
        splunkd.put({"user": f"u{number:02}"}, index="win", time=2)
    rows = house.rows("search index=win | sort 0 user | shout")
    assert [row["loud"] for row in rows] == [f"U{number:02}" for number in range(50)]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("sys.exit(1)", "ended without an answer"),
        ("print('hello')", "no frame begins"),
        ("reply({'error': 'bad option'})", "bad option"),
        ("reply({'type': 'nonsense'})", "unknown type"),
        ("reply({'type': 'streaming', 'generating': True})", "first command"),
        ("sys.stdout.write('chunked 1.0,500,0\\n{}')", "shorter than it says"),
        ("raise RuntimeError('told on stderr')", "told on stderr"),
        ("reply({'type': 'streaming'}); frame()", "ended without an answer"),
    ],
)
def test_a_command_that_breaks_the_protocol_fails_its_search(
    house: Client, splunkd: Splunkd, tmp_path: Path, program: str, said: str
) -> None:
    script = tmp_path / "broken.py"
    script.write_text(_HEAD + textwrap.dedent(program))
    splunkd.site.commands["broken"] = Chunked("broken", [sys.executable, str(script)])
    assert said in house.refused("search index=main | broken")


def test_a_generating_command_begins_a_search(house: Client, splunkd: Splunkd, tmp_path: Path) -> None:
    script = tmp_path / "made.py"
    script.write_text(
        _HEAD + "reply({'type': 'stateful', 'generating': True})\nframe()\nreply({'finished': True}, 'a\\n1\\n')\n"
    )
    splunkd.site.commands["made"] = Chunked("made", [sys.executable, str(script)])
    assert house.rows("| made | eval b=a+1") == [{"a": "1", "b": "2"}]
    assert "first command" in house.refused("search index=main | shout | made")


def test_a_command_that_hangs_is_ended(house: Client, splunkd: Splunkd, tmp_path: Path) -> None:
    script = tmp_path / "hangs.py"
    script.write_text("import time\ntime.sleep(60)\n")
    splunkd.site.commands["hangs"] = Chunked("hangs", [sys.executable, str(script)], timeout_s=0.3)
    assert "ended without an answer" in house.refused("search index=main | hangs")
