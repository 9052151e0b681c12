"""The benchmarks of flows, fast: what is kept apart, what is read last, and what the tables say."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from connector.cli.app import app
from connector.learn.corpora.nsl_kdd import CLASSES, TRAIN, read
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.studies import told_flows as told
from connector.learn.evaluation.studies.behaviour import described
from connector.learn.evaluation.studies.flow_tables import cicids, plain, unsw
from connector.learn.evaluation.studies.flows import BEHAVIOUR, Plan, Study, left_out, models, study
from tests.learn import flow_corpora


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    folder = tmp_path_factory.mktemp("flows")
    return Corpora(folder, flow_corpora.build(folder))


@pytest.fixture(scope="module")
def found(corpora: Corpora) -> Study:
    return study(Plan(corpora=corpora, trees=2))


def test_an_attack_that_is_left_out_trains_nothing_and_each_is_left_out_once(corpora: Corpora) -> None:
    records = read(corpora, TRAIN)
    seen: list[str] = []
    for rest, held in left_out(records, 1):
        unknown = set(records.attacks[held]) - {"normal"}
        assert not unknown & set(records.attacks[rest])
        assert not set(rest) & set(held)
        quiet = records.classes == CLASSES.index("Normal")
        assert not set(records.groups[rest][quiet[rest]]) & set(records.groups[held][quiet[held]])
        seen += unknown
    assert sorted(seen) == sorted(set(flow_corpora.KINDS) - {"normal"})


def test_near_copies_are_one_group_and_other_flows_are_not(corpora: Corpora) -> None:
    for table in (cicids(corpora), unsw(corpora)):
        assert len(table.truth) == len(table.groups) == len(table.features)
        assert 1 < len(set(table.groups)) <= len(table.groups)
        assert np.isfinite(table.features).all()


def test_what_a_record_is_told_by_keeps_no_service_by_name_and_no_byte_exactly(corpora: Corpora) -> None:
    records = read(corpora, TRAIN)
    renamed, moved = records.symbols.copy(), records.numbers.copy()
    renamed[renamed == "telnet"] = "ssh"
    moved[:, 1] += moved[:, 1] >= 1_000

    assert (described(msgspec.structs.replace(records, symbols=renamed)) == described(records)).all()
    sizes = described(msgspec.structs.replace(records, numbers=moved))[:, 1]
    assert (sizes == described(records)[:, 1]).mean() > 0.99
    assert (
        plain(records, records)[:, 1] != plain(msgspec.structs.replace(records, numbers=moved), records)[:, 1]
    ).any()


def test_every_model_is_measured_beside_the_baselines_and_one_testbed_is_called_optimistic(found: Study) -> None:
    names = set(models(Plan(corpora=Corpora(Path(), {}))))
    by_split = {
        row.split: {other.model for other in found.measured if other.split == row.split} for row in found.measured
    }

    assert by_split["KDDTest+"] == by_split["KDDTest+, new groups"] == names | {BEHAVIOUR}
    assert by_split["training file, attacks left out"] == {"gradient boosting", BEHAVIOUR}
    assert by_split["near copies apart"] == names
    assert all(row.optimistic == (row.data != "NSL-KDD") for row in found.measured)
    assert [row.split for row in found.measured][-1] == "KDDTest+, new groups"
    assert all(0.0 <= row.low <= row.high <= 1.0 for row in found.measured)


def test_the_tables_say_whether_the_target_was_met(found: Study) -> None:
    said = list(told.lines(found))

    assert said[-1].startswith(("met", "MISSED"))
    assert sum("optimistic" in line for line in said) == 4


@pytest.mark.full
def test_the_command_writes_what_it_prints(corpora: Corpora, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pins = tmp_path / "pins.toml"
    pins.write_text(
        "".join(
            f"[{name}]\n"
            + "".join(
                f"{key} = {json.dumps(getattr(source, key))}\n" for key in source.__struct_fields__ if key != "name"
            )
            for name, source in corpora.sources.items()
        )
    )
    order = ["learn", "study", "flows", "--corpora", str(corpora.folder), "--pins", str(pins), "--quick"]
    done = CliRunner().invoke(app, [*order, "--data", "cicids", "--output", str(tmp_path)])

    assert done.exit_code == 0
    written = json.loads((tmp_path / "flows.json").read_text())
    assert {row["data"] for row in written["measured"]} == {"CICIDS2017 sample"}
    assert "near copies apart" in capfd.readouterr().out
