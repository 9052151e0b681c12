"""A daemon's first reads come from several threads at once."""

from __future__ import annotations

import subprocess
import sys

FIRST_READS = """
import sys, threading
from connector.siem.elastic.hits import decoded
from connector.siem.elastic.source import _place
from connector.types import Cursor
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
reply = b'{"_shards":{"total":1},"hits":{"total":{"value":1},"hits":[{"_index":"i","_id":"1","_source":{},"sort":[1]}]}}'
def read():
    together.wait()
    for _ in range(50):
        assert decoded(reply).hits.hits[0].id == "1"
        assert _place(Cursor(token='["p","",[1],[1,2]]')).pit == "p"
threads = [threading.Thread(target=read) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_the_first_answers_may_come_to_several_threads_at_once() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", FIRST_READS], capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
