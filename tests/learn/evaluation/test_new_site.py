"""The study of a new site, fast: the shipped bundle on an invented site of three hosts, and the whole command."""

from __future__ import annotations

import io
import json
import math
import tarfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

from connector.learn import dataset, dataset_file
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.shipped import Bundle, opened
from connector.learn.evaluation.studies import new_site
from connector.learn.evaluation.studies.__main__ import main
from connector.learn.evaluation.studies.new_site import Rates, Round, halved, rates
from connector.learn.evaluation.studies.site import Host, of_streams
from connector.learn.site_study import ARCHIVE, Seen
from connector.models.store import Store
from connector.resources import shipped
from tests.learn import corpus
from tests.learn.sites import event


def stream(host: int) -> list[Seen]:
    """Hosts that share what they do, with a tool that looks like an attack; each with an attack of its own."""
    tool = [f"vssadmin delete shadows /for=volume{chr(97 + n)} /quiet" for n in range(8)]
    ordinary = [f"backup volume{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(40)]
    attack = [f"rundll32 comsvcs.dll MiniDump lsass{chr(97 + host)}{chr(97 + n)}.dmp full" for n in range(4)]
    lines = [*((line, False) for line in ordinary + tool), *((line, True) for line in attack)]
    return [Seen(event(line, host=f"ws{host}", image="powershell"), attack=bad) for line, bad in lines * 2]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The shipped bundle, with levels that the tool reaches."""
    found = opened(Store(shipped("model_store")), None)
    lower = msgspec.structs.replace(found.manifest.thresholds_alone, suspicious=0.001, malicious=0.5)
    return msgspec.structs.replace(found, manifest=msgspec.structs.replace(found.manifest, text_thresholds=lower))


@pytest.fixture(scope="module")
def rows(tiny: Corpora):
    return dataset.build(tiny)


def test_a_recordings_copies_are_one_distinct_event_and_parts_keep_the_order_of_time() -> None:
    site = of_streams({"b": stream(1), "a": stream(0)})
    host = site.hosts["a"]

    assert list(site.hosts) == ["a", "b"]
    assert len(site.texts) == len(set(site.fingerprints)) == 40 + 8 + 4 + 4
    assert len(host.places) == 2 * 52
    assert host.attack.sum() == 8
    assert np.concatenate([host.part(n, 5).places for n in range(5)]).tolist() == host.places.tolist()


def test_rates_are_of_events_and_not_of_distinct_ones() -> None:
    host = Host(np.array([0, 0, 0, 1, 2]), np.array([False, False, False, False, True]))

    found = rates(np.array([0.9, 0.1, 0.6]), host, [0.5, 0.7])

    assert found == Rates(alarms=(7500.0, 7500.0), found=(1.0, 0.0))
    assert math.isnan(rates(np.array([0.9]), Host(np.array([0]), np.array([False])), [0.5]).found[0])


def test_false_alarms_are_halved_from_where_they_stay_so() -> None:
    def after(labels: int, alarms: float) -> Round:
        said = Rates((alarms,), (0.0,))
        return Round(labels=labels, during=said, untaught=said, left_out=said)

    before = Rates((10.0,), (0.0,))

    assert halved([after(0, 4.0), after(10, 9.0), after(20, 5.0), after(30, 4.0)], before, 40) == 30
    assert halved([after(0, 4.0), after(10, 9.0)], before, 20) is None


def test_answers_about_two_hosts_lower_the_false_alarms_of_a_third_that_nobody_labelled(bundle, rows) -> None:
    site = of_streams({name: stream(number) for number, name in enumerate("abc")})
    plan = new_site.Plan(bundle=bundle, site=site, base=rows.of("train"), elsewhere=rows.of("dev"), seeds=1)

    found = new_site.study(plan)

    chosen = [run for run in found.runs if run.strategy == "sampler"]
    assert {run.host for run in chosen} == {"a", "b", "c"}
    for run in chosen:
        assert run.before.alarms[0] > 400
        assert run.after.alarms[0] <= run.before.alarms[0] / 2
        assert run.rounds[0].during.alarms == run.rounds[0].untaught.alarms
        assert run.rounds[-1].left_out == run.after
        assert run.labels <= new_site.BUDGET * new_site.PARTS * 2
    assert msgspec.json.encode(new_site.study(plan)) == msgspec.json.encode(found)


def test_the_whole_command_writes_tables_and_json(tiny: Corpora, rows, tmp_path: Path, capsys) -> None:
    with tarfile.open(tmp_path / ARCHIVE, "w") as tar:
        for number in (2, 3, 4):
            name = f"LSASS_campaign_0{number}"
            for suffix, body in ((".zip", corpus.recording(number)), (".yaml", corpus.metadata(number).encode())):
                member = tarfile.TarInfo(f"compound/{name}/{name}{suffix}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
    dataset_file.write(rows, tmp_path / "rows")
    out = tmp_path / "out"

    code = main(
        ["new-site", "--corpora", str(tmp_path), "--rows", str(tmp_path / "rows"), "--output", str(out), "--quick"]
    )

    assert code == 0
    said = capsys.readouterr().out
    assert "Level `suspicious`, false alarms per 10,000" in said
    found = json.loads((out / "new-site.json").read_bytes())
    assert {run["strategy"] for run in found["runs"]} == {"sampler", "random", "highest score"}
    assert found["hosts"].keys() == {"02", "03", "04"}


def test_a_folder_without_the_recordings_is_told_apart(tmp_path: Path, capsys) -> None:
    assert main(["new-site", "--corpora", str(tmp_path)]) == 2
    assert ARCHIVE in capsys.readouterr().err
