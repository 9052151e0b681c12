"""LANL's files, generated as their documentation describes them: what is read, in which order, and what is told apart."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.learn.corpora.lanl import RedTeam, flows, logons, red_team, starts
from connector.learn.evaluation.studies import __main__ as command
from connector.learn.evaluation.studies.lanl import NAMES, described, study

MALFORMED = ["", "no,line", "x" * 9_000, "12,U1@D,U1@D,C1,C2,Kerberos,Network,LogOn", "-1,a,b,c,d,e,f,g,Success"]


def generated(folder: Path, *, seconds: int = 3_000, red: int = 12) -> Path:
    """Ten users at their own computers; and a red team that goes from C17 where its user never was, over NTLM."""
    draw = random.Random(3)
    auth, proc, flow, team = list(MALFORMED), [], [], []
    for second in range(1, seconds):
        user = draw.randrange(10)
        name, own, server = f"U{user}@DOM1", f"C{user}", f"C{100 + user % 3}"
        auth.append(
            f"{second},{name},{name},{own},{server},Kerberos,Network,LogOn,{draw.choice(['Success'] * 9 + ['Fail'])}"
        )
        flow.append(
            f"{second},3,{own},N{draw.randrange(9999)},{server},445,6,{draw.randrange(1, 90)},{draw.randrange(9_000)}"
        )
        if second % 7 == 0:
            proc.append(f"{second},{name},{own},P{draw.randrange(40)},{draw.choice(['Start', 'End'])}")
    for place in range(red):
        second = 200 + place * (seconds - 400) // red
        auth.append(f"{second},U3@DOM1,?,C17,C{200 + place},NTLM,Network,LogOn,Success")
        team.append(f"{second},U3@DOM1,C17,C{200 + place}")
    auth.sort(key=lambda line: int(line.split(",")[0]) if line.split(",")[0].isdigit() else -1)
    (folder / "auth.txt").write_text("\n".join(auth) + "\n")
    (folder / "proc.txt").write_text("\n".join(proc) + "\n")
    (folder / "flows.txt.gz").write_bytes(gzip.compress(("\n".join([*flow, "9,?,C1,N1,C2,80,6,1,1"]) + "\n").encode()))
    (folder / "redteam.txt").write_text("\n".join(team) + "\n")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated(tmp_path_factory.mktemp("lanl"))


def test_each_file_is_read_as_documented_and_malformed_lines_are_left_out(folder: Path) -> None:
    found = list(logons(folder))
    assert len(found) == 2_999 + 12
    assert found[0].time == 1
    assert {logon.kind for logon in found} == {"Kerberos", "NTLM"}
    assert len(list(flows(folder))) == 2_999
    assert all(start.process.startswith("P") for start in starts(folder))
    assert RedTeam(200, "U3@DOM1", "C17", "C200") in red_team(folder)


def test_counts_are_of_what_was_seen_before_and_of_the_last_minute(folder: Path) -> None:
    rows = list(described(folder))
    first = dict(zip(NAMES, rows[0][1], strict=True))
    last = dict(zip(NAMES, rows[-1][1], strict=True))

    assert (first["user to destination"], first["flows"]) == (0.0, 1.0)
    assert last["user to destination"] > 5.0
    assert last["flows"] <= 6.0


def test_the_red_team_is_found_among_later_logons(folder: Path) -> None:
    found = study(folder, every=2, trees=10)

    assert (found.logons, found.trained, found.tested, found.missing) == (3_011, 6, 6, 0)
    assert 1_300 < found.kept < 1_700
    assert found.rated[1].average_precision > 0.9
    assert found.rated[1].share < 0.01


def test_missing_files_and_a_red_team_too_rare_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["lanl", "--corpora", str(tmp_path), "--output", str(tmp_path)]) == command.EXIT_CONFIG
    assert "redteam.txt" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="too few"):
        study(generated(tmp_path, seconds=600, red=2))
