"""The quick path on the shipped bundle: what closures say is learnt, and the rest stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from connector import events
from connector.errors import ConfigError
from connector.learn.dataset import Row
from connector.learn.export.snapshot import group_of
from connector.learn.export.training import SOURCE
from connector.learn.training.retrain import frozen, quick, replay
from connector.learn.training.retrain.frozen import Frozen
from connector.learn.training.retrain.graft import Correction, graft, grafted
from connector.learn.training.retrain.order import carried, next_version
from connector.learn.training.retrain.renewed import workplace
from connector.models import fingerprints
from connector.models.manifest import seal
from connector.models.rules.testbed import lay_rules_member, rules_spec
from connector.models.store import Store
from connector.models.text import TextMember
from connector.resources import shipped
from connector.siem.files import open_paths
from tests.demo import assistance
from tests.models.tiny import tiny_store


class Made(NamedTuple):
    """The store, the incumbent, what it was retrained to, and the rows."""

    store: Store
    incumbent: str
    ref: str
    rows: list[Row]
    newest: list[Row]
    cache: Path


def closures(folder: Path) -> list[Row]:
    """Distinct closures of the tool of the demo."""
    assistance.write_day(folder / "day.jsonl", seed=1, calls=30)
    found = {event.fingerprint: event for event in map(events.normalise, open_paths([folder / "day.jsonl"]))}
    return [
        Row(
            text=text, kind=event.kind, fingerprint=event.fingerprint, techniques=("T1112",), malicious=False, basis="analyst",
            source=SOURCE, group=group_of(event.kind, text), record=event.id, licence="the site's own", split="train",
            cause="benign_software",
        )
        for event in found.values()
        for text in [events.render(event.canonical)]
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("quick")
    shutil.copytree(shipped("model_store"), folder / "store")
    store = Store(folder / "store")
    incumbent = str(store.production())
    found = closures(folder)
    base = carried(store, incumbent)[::6]
    rows, newest = [*found[:30], *base], found[30:]
    ref = quick.refit(incumbent, store, rows, replay.weights(rows), "1", cache=folder / "cache", newest=newest)
    return Made(store, incumbent, ref, rows, newest, folder / "cache")


def logits(made: Made, ref: str, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    spec = made.store.manifest(ref).members[0]
    member = TextMember(spec, made.store.directory(ref) / spec.directory, 1)
    try:
        return member.logits([row.text for row in rows])
    finally:
        member.close()


def test_what_was_shown_and_what_is_like_it_is_judged_rightly_now(made: Made) -> None:
    newest = made.store.manifest(made.ref).metrics["retrained"]["newest"]

    before, after = newest["rightly judged at suspicious"]
    assert before < 0.6
    assert after > 0.9


def test_base_rows_keep_their_scores(made: Made) -> None:
    base = [row for row in made.rows if row.source != SOURCE and row.malicious]

    before, after = (logits(made, ref, base)[1] for ref in (made.incumbent, made.ref))
    slope = made.store.manifest(made.ref).members[0].options["calibration"]["malicious"]["a"]

    assert slope * np.sqrt(np.mean((after - before) ** 2)) < 0.15


def test_only_techniques_that_closures_are_about_change(made: Made) -> None:
    manifest = made.store.manifest(made.ref)
    concerned = set(manifest.metrics["retrained"]["techniques_corrected"])

    before, after = (logits(made, ref, made.rows[:40])[0] for ref in (made.incumbent, made.ref))
    text = manifest.members[0].labels
    changed = {label for label, moved in zip(text, (before != after).any(axis=0), strict=True) if moved}

    assert "T1112" in concerned
    assert changed == concerned


def test_the_bundle_verifies_has_all_parts_and_is_not_put_in_use(made: Made) -> None:
    old, new = (made.store.directory(ref) for ref in (made.incumbent, made.ref))

    assert made.store.verify(made.ref) == ()
    assert made.store.production() == made.incumbent
    assert {file.name for file in old.iterdir()} <= {file.name for file in new.iterdir()}
    assert not (old.parents[1] / ".work" / "triaged-1").exists()


def test_it_says_that_it_was_trained_on_the_closures_it_was_shown_and_on_no_other(made: Made) -> None:
    manifest = made.store.manifest(made.ref)
    known = fingerprints.read(made.store.directory(made.ref) / str(manifest.train_fingerprints))

    assert all(row.fingerprint in known for row in made.rows[:30])
    assert not any(row.fingerprint in known for row in made.newest)
    assert next(source.rows for source in manifest.dataset.sources if source.name == SOURCE) == 30


def test_the_card_tells_the_difference_and_keeps_the_card_of_the_training(made: Made) -> None:
    card = (made.store.directory(made.ref) / "README.md").read_text("utf-8")

    assert f"Retrained from `{made.incumbent}`" in card
    assert "| newest closures | rightly judged at suspicious |" in card
    assert (made.store.directory(made.incumbent) / "README.md").read_text("utf-8") in card


def test_retraining_a_retrained_bundle_starts_from_the_frozen_heads(made: Made) -> None:
    fewer = [row for row in made.rows if row.source != SOURCE or row.techniques][5:]
    refs = [
        quick.refit(ref, made.store, fewer, replay.weights(fewer), version, cache=made.cache)
        for ref, version in ((made.incumbent, "2"), (made.ref, "3"))
    ]

    one, other = (logits(made, ref, made.rows[:60]) for ref in refs)

    assert np.allclose(one[1], other[1], atol=1e-3)
    assert np.allclose(one[0], other[0], atol=1e-3)
    assert (made.store.directory(refs[1]) / "README.md").read_text("utf-8").count(
        f"# {made.incumbent.replace('/', ' ')}\n"
    ) == 1


def test_a_version_is_written_once_and_what_a_killed_run_left_is_no_hindrance(made: Made) -> None:
    with pytest.raises(ConfigError, match="written once"):
        quick.refit(made.incumbent, made.store, made.rows, replay.weights(made.rows), "1")
    left = made.store.directory("triaged/4").parents[1] / ".work" / "triaged-4" / "triaged" / "4"
    left.mkdir(parents=True)
    (left / "half.txt").write_text("")

    ref = quick.refit(made.incumbent, made.store, made.rows, replay.weights(made.rows), "4", cache=made.cache)

    assert made.store.verify(ref) == ()


def test_two_retrainings_of_one_version_do_not_destroy_each_other(made: Made) -> None:
    with workplace(made.store, "triaged", "5") as first:
        (first / "triaged" / "5").mkdir(parents=True)
        (first / "triaged" / "5" / "whole.txt").touch()
        with pytest.raises(ConfigError, match="another process makes triaged/5"), workplace(made.store, "triaged", "5"):
            pass
    assert (made.store.directory("triaged/5") / "whole.txt").exists()


def test_a_place_that_was_taken_meanwhile_is_said(made: Made) -> None:
    with pytest.raises(ConfigError, match="cannot be written"), workplace(made.store, "triaged", "6") as work:  # noqa: PT012 (it is raised at the end)
        (work / "triaged" / "6").mkdir(parents=True)
        taken = made.store.directory("triaged/6")
        taken.mkdir()
        (taken / "theirs.txt").touch()


def test_kept_features_are_those_of_the_network_and_a_damaged_file_is_made_anew(made: Made) -> None:
    manifest = made.store.manifest(made.incumbent)
    spec = manifest.members[0]
    path = frozen.cached(made.cache, frozen.digest(manifest, spec))
    texts = [row.text for row in made.rows[30:60]]
    network = Frozen(made.store.directory(made.incumbent) / spec.directory, spec, 1)
    try:
        kept = network.remembered(texts, path)
        path.write_bytes(path.read_bytes()[:5000])
        fresh = network.remembered(texts, path)
    finally:
        network.close()

    assert (kept[0] == fresh[0]).all()
    assert (kept[1] == fresh[1]).all()
    assert path.stat().st_mode & 0o077 == 0


def test_a_retrained_bundle_names_the_network_that_it_shares(made: Made) -> None:
    digests = [
        frozen.digest(manifest, manifest.members[0])
        for manifest in map(made.store.manifest, (made.incumbent, made.ref))
    ]

    assert digests[0] == digests[1]


def test_a_correction_of_nothing_changes_no_score_and_a_second_one_takes_the_firsts_place(
    made: Made, tmp_path: Path
) -> None:
    spec = made.store.manifest(made.incumbent).members[0]
    source = made.store.directory(made.incumbent) / spec.directory
    shutil.copytree(source, tmp_path / "text")
    path, old = tmp_path / "text" / "model.onnx", TextMember(spec, source, 1)
    texts = [row.text for row in made.rows[:20]]
    width, size = old.embed(texts).shape[1] + 1, len(spec.labels)
    graft(path, Correction(np.ones((width, size)), np.ones(width)))
    read = grafted(path)
    graft(path, Correction(np.zeros((width, size)), np.zeros(width)))

    assert read is not None
    assert (read.malicious == 1).all()
    member = TextMember(spec, tmp_path / "text", 1)
    assert all((new == before).all() for new, before in zip(member.logits(texts), old.logits(texts), strict=True))


def test_nothing_to_learn_from_and_nothing_to_hold_are_errors(made: Made) -> None:
    base = made.rows[30:]
    with pytest.raises(ConfigError, match="no closure"):
        quick.refit(made.incumbent, made.store, base, replay.weights(base), "9")
    with pytest.raises(ConfigError, match="no base row"):
        quick.refit(made.incumbent, made.store, made.rows[:30], replay.weights(made.rows[:30]), "9")


def test_a_bundle_without_features_asks_for_the_full_path(tmp_path: Path, made: Made) -> None:
    store = Store(tiny_store(tmp_path))
    ref = store.list()[0]

    with pytest.raises(ConfigError, match="no embedding"):
        quick.refit(ref, store, made.rows, replay.weights(made.rows), "9")


def test_the_next_version_counts_on_from_what_there_is(made: Made) -> None:
    assert next_version(made.store, "triaged", "0.2.0") == "0.2.0-r1"
    assert next_version(made.store, "triaged", "0.2.0-r7") == "0.2.0-r1"


def test_what_stands_beside_the_text_member_stays_with_its_levels_and_measures(made: Made, tmp_path: Path) -> None:
    before = made.store.manifest(made.incumbent)
    several = shutil.copytree(made.store.directory(made.incumbent), tmp_path / "several" / "9")
    lay_rules_member(several / "beside")
    told = {**before.metrics, "members": {**before.metrics["members"], "beside": {}}}
    rules = msgspec.structs.replace(rules_spec(), name="beside", directory="beside")
    limits = msgspec.structs.replace(before.thresholds, suspicious=1e-9)
    seal(
        several,
        msgspec.structs.replace(
            before,
            name="several",
            version="9",
            members=(*before.members, rules),
            labels=tuple(dict.fromkeys((*before.labels, *rules.labels))),
            metrics=told,
            thresholds=limits,
        ),
    )
    store = Store(tmp_path)

    ref = quick.refit(
        "several/9", store, made.rows, replay.weights(made.rows), "10", cache=made.cache, newest=made.newest
    )

    after = store.manifest(ref)
    assert store.verify(ref) == ()
    assert [member.name for member in after.members] == [*(member.name for member in before.members), "beside"]
    assert after.thresholds == limits
    assert after.thresholds_alone == before.thresholds_alone
    assert after.metrics["retrained"]["newest"] == made.store.manifest(made.ref).metrics["retrained"]["newest"]
