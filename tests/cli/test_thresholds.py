"""`triaged thresholds` tells what a threshold costs, and changes nothing but what starts playbooks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.errors import ConfigError
from connector.learn.evaluation.points import ENSEMBLE, METRIC, Point, reaching, rising
from connector.models.rules.testbed import lay_rules_member, rules_spec
from connector.models.store import Store
from connector.models.testbed import TEXT_THRESHOLDS, lay_bundle

POINTS = (
    Point(0.1, 0.9, 100.0, counted=True),
    Point(0.7, 0.8, 10.0, counted=True),
    Point(0.95, 0.5, 0.1, counted=False),
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    lay_bundle(tmp_path / "store", metrics={METRIC: msgspec.to_builtins(POINTS)})
    Store(tmp_path / "store").promote("tiny/1")
    (tmp_path / "triaged.toml").write_text(f'[model]\nstore = "{tmp_path / "store"}"\n')
    return tmp_path


def triaged(site: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["thresholds", *arguments, "--config", str(site / "triaged.toml")])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_precision_is_stated_for_the_share_of_attacks_that_is_asked_for(site: Path) -> None:
    lines = triaged(site, "--prevalence", "0.01").splitlines()

    assert lines[1].split("\t") == ["0.1", "0.90", "100", "", f"{0.009 / (0.009 + 0.0099):.3g}", ""]
    assert lines[3].split("\t")[3] == "e"
    assert "suspicious" in lines[2]


def test_the_lowest_threshold_of_that_precision_becomes_the_trigger_of_a_new_version_in_production(site: Path) -> None:
    said = triaged(site, "--prevalence", "0.01", "--precision", "0.85", "--set", "2")
    store = Store(site / "store")
    old, new = store.manifest("tiny/1"), store.manifest("tiny/2")

    assert "precision 0.85 from 0.7 on, recall 0.80" in said
    assert store.production() == "tiny/2"
    assert (new.thresholds.trigger, new.thresholds.false_alarms["trigger"]) == (0.7, 10.0)
    assert new.thresholds.malicious == old.thresholds.malicious
    assert store.verify("tiny/2") == ()


def test_a_threshold_that_keeps_to_several_rates_costs_the_lowest_and_none_is_continued_below_another() -> None:
    first, second, third = POINTS
    same = msgspec.structs.replace(second, alarms=2.0)
    below = msgspec.structs.replace(third, cut=0.3)
    assert rising([first, second, same, third]) == (first, same, third)
    assert rising([first, second, below]) == (first, second)
    assert reaching(rising([first, second, same]), 0.95, 0.01) == same


def test_a_trigger_is_never_below_what_is_called_malicious(site: Path) -> None:
    triaged(site, "--prevalence", "0.5", "--precision", "0.5", "--set", "2")

    manifest = Store(site / "store").manifest("tiny/2")
    assert manifest.thresholds.trigger == manifest.thresholds.malicious == 0.6


def test_a_precision_that_nothing_reaches_is_refused_and_nothing_is_written(site: Path) -> None:
    with pytest.raises(ConfigError, match=r"no threshold is 0\.9 precise at prevalence 0\.0001"):
        triaged(site, "--precision", "0.9", "--prevalence", "0.0001", "--set", "2")
    assert Store(site / "store").list() == ["tiny/1"]


def test_an_evaluation_of_another_bundle_is_refused(site: Path) -> None:
    (site / "evaluation.json").write_text('{"bundle": "other/1"}')
    with pytest.raises(ConfigError, match="is of bundle other/1"):
        triaged(site, "--evaluation", str(site / "evaluation.json"))


def test_a_bundle_without_points_says_where_to_get_them(tmp_path: Path) -> None:
    lay_bundle(tmp_path / "store")
    Store(tmp_path / "store").promote("tiny/1")
    (tmp_path / "triaged.toml").write_text(f'[model]\nstore = "{tmp_path / "store"}"\n')
    with pytest.raises(ConfigError, match="--evaluation"):
        triaged(tmp_path)


def test_of_several_members_the_points_are_of_what_they_say_together_and_the_text_members_levels_stay(
    site: Path,
) -> None:
    points = msgspec.to_builtins(POINTS)
    lay_rules_member(site / "store" / "tiny" / "3" / "rules")
    texts = [{**points[0], "recall": 1.0}]
    metrics = {METRIC: texts, ENSEMBLE: {METRIC: points}}
    lay_bundle(site / "store", version="3", members=[rules_spec()], metrics=metrics)
    triaged(site, "tiny/3", "--prevalence", "0.01", "--precision", "0.85", "--set", "4")

    made = Store(site / "store").manifest("tiny/4")
    assert (made.thresholds.trigger, made.thresholds_alone) == (0.7, TEXT_THRESHOLDS)
    (site / "evaluation.json").write_text('{"bundle": "tiny/3"}')
    with pytest.raises(ConfigError, match="measures the text member alone"):
        triaged(site, "tiny/3", "--evaluation", str(site / "evaluation.json"))
    lay_bundle(site / "store", version="3", members=[rules_spec()], metrics={METRIC: texts})
    with pytest.raises(ConfigError, match="no operating points of what its members say together"):
        triaged(site, "tiny/3")
