"""A bundle of a text bundle and trained members: what stays, what is refused, and that it serves."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError
from connector.learn.corpora.source import Corpora, Source as Pin
from connector.learn.evaluation import points
from connector.learn.streams import trains
from connector.learn.training.ensemble.assemble import Bundled, assemble, text_alone
from connector.learn.training.ensemble.combiners import SUM
from connector.learn.training.ensemble.material import Material
from connector.learn.training.ensemble.operate import BUNDLE
from connector.learn.training.ensemble.recorded import ATTACK
from connector.learn.training.ensemble.train import Base, Output, bundle_of
from connector.learn.training.members import RECORDINGS, Report, TrainedMember, write_member
from connector.models import Store, commons
from connector.models.commons import table
from connector.models.manifest import Source
from connector.models.meta_testbed import lay_meta_member, meta_spec
from connector.models.rules.testbed import LABELS as RULE_LABELS, lay_rules_member, rules_spec
from connector.models.sequence.testbed import lay_sequence_member, sequence_spec
from connector.models.testbed import lay_bundle
from tests.learn.ensemble import made as recordings
from tests.models.events import process_start

PIN = {
    "name": "otrf",
    "upstream": "u",
    "commit": "c",
    "archive": "",
    "sha256": "",
    "root": "",
    "licence": "MIT",
    "credit": "R",
}
PINS = {"otrf": Pin(**PIN, may_train=True), "closed": Pin(**{**PIN, "name": "closed"}, may_train=False)}


def report(source: str) -> Report:
    sources = (Source(name=source, upstream="u", commit="c", licence="MIT", rows=3, sha256="", authors="R"),)
    return Report(recipe={}, dataset="d" * 64, sources=sources, rows={"train": 3}, metrics={"f1": 0.5})


def members(folder: Path, text: tuple[str, ...], source: str = "otrf") -> list[TrainedMember]:
    lay_rules_member(folder / "rules")
    lay_meta_member(folder / "meta", ("text", "rules"))
    columns = {"text": text, "rules": RULE_LABELS}
    return [
        write_member(folder / "rules", rules_spec(), report(source)),
        write_member(folder / "meta", meta_spec(columns), report(source)),
    ]


@pytest.fixture
def base(tmp_path: Path) -> Store:
    lay_bundle(tmp_path / "store")
    return Store(tmp_path / "store")


def made(base: Store, tmp_path: Path, given: list[TrainedMember], *, of: str = "tiny/1", version: str = "2") -> Path:
    limits = msgspec.structs.replace(base.manifest("tiny/1").thresholds, trigger=0.95)
    bundled = Bundled(name="tiny", version=version, calibration=BUNDLE, thresholds=limits, metrics={"chosen": "made"})
    return assemble(tmp_path / "store", of, given, bundled, output=tmp_path / "store", pins=PINS)


def test_the_text_member_stays_byte_for_byte_and_all_members_serve(base: Store, tmp_path: Path) -> None:
    before = base.manifest("tiny/1")
    folder = made(base, tmp_path, members(tmp_path / "members", before.members[0].labels))
    after = base.manifest("tiny/2")
    assert {name: digest for name, digest in after.files.items() if name.startswith("text/")} == {
        name: digest for name, digest in before.files.items() if name.startswith("text/")
    }
    assert not list(folder.rglob("report.json"))
    assert (after.thresholds.trigger, after.thresholds_alone.trigger) == (0.95, before.thresholds.trigger)
    assert after.metrics["members"]["rules"]["f1"] == 0.5
    assert [source.name for source in after.dataset.sources] == ["otrf"]
    assert "| rules | rules |" in (folder / "README.md").read_text()
    bundle = base.open("tiny/2", threads=1)
    try:
        (prediction,) = bundle.predict([process_start("powershell -enc aaaa")], {})[0]
    finally:
        bundle.close()
    assert list(prediction.members) == ["text", "rules", "meta"]
    assert None not in prediction.members.values()


def test_of_a_base_of_several_members_the_text_member_alone_is_taken(base: Store, tmp_path: Path) -> None:
    before = base.manifest("tiny/1")
    given = members(tmp_path / "members", before.members[0].labels)
    made(base, tmp_path, given)
    made(base, tmp_path, given[:1], of="tiny/2", version="3")
    after = base.manifest("tiny/3")
    assert [spec.name for spec in after.members] == ["text", "rules"]
    assert not [name for name in after.files if name.startswith("meta/")]
    assert after.thresholds_alone == before.thresholds
    assert (tmp_path / "store" / "tiny" / "3" / "README.md").read_text().count("## Members") == 1
    assert text_alone(after).labels == text_alone(before).labels == before.labels
    assert text_alone(after).dataset == before.dataset, "sources of others are credited in their bundle alone"


def test_a_source_that_may_not_train_never_ships(base: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="closed, which may not train"):
        made(base, tmp_path, members(tmp_path / "members", base.manifest("tiny/1").members[0].labels, "closed"))
    assert base.list() == ["tiny/1"]


def test_a_sequence_member_that_was_trained_with_other_labels_of_the_text_member_is_refused(
    base: Store, tmp_path: Path
) -> None:
    text = base.manifest("tiny/1").members[0].labels
    lay_sequence_member(tmp_path / "sequence", tuple(reversed(text)))
    other = write_member(tmp_path / "sequence", sequence_spec(labels=text), report("otrf"))

    with pytest.raises(ConfigError, match="of other labels, or another order"):
        made(base, tmp_path, [other])


def test_a_member_given_twice_and_a_base_without_a_text_member_are_refused(base: Store, tmp_path: Path) -> None:
    given = members(tmp_path / "members", base.manifest("tiny/1").members[0].labels)
    with pytest.raises(ConfigError, match="given twice: rules"):
        made(base, tmp_path, [*given, given[0]])
    with pytest.raises(ConfigError, match="has no text member"):
        text_alone(msgspec.structs.replace(base.manifest("tiny/1"), members=(rules_spec(),)))


def test_nothing_that_ships_is_fitted_on_a_recording_that_the_gate_judges_by(base: Store, tmp_path: Path) -> None:
    found, before = recordings.recorded(), base.manifest("tiny/1")
    aside = [part for part in found.parts if not trains(part.name, part.set, before.dataset.seed)]
    turned = found.label.copy()
    for part in aside:
        turned[part.start : part.stop] = ATTACK - turned[part.start : part.stop]
    told = []
    for version, label in (("2", found.label), ("3", turned)):
        one = msgspec.structs.replace(found, label=label)
        material = Material(one, recordings.folds(found, text=0.0, rules=1.0), ("text", "rules"), before)
        output = Output(store=tmp_path / "store", name="tiny", version=version)
        bundle_of(material, Corpora(tmp_path), [], Base(tmp_path / "store", "tiny/1"), output)
        told.append(base.manifest(f"tiny/{version}"))
    assert aside, "a recording must be left out for this to say something"
    first, second = told
    assert "meta" in [spec.name for spec in first.members]
    learnt = [
        {name: digest for name, digest in one.files.items() if name.endswith((".onnx", ".json", ".bin"))}
        for one in told
    ]
    assert learnt[0] == learnt[1]
    assert (first.thresholds, first.calibration, first.members) == (
        second.thresholds,
        second.calibration,
        second.members,
    )
    taught = [one for name, one in first.metrics["members"].items() if name != "text"]
    for one in (*taught, first.metrics["ensemble"]):
        assert set(one[RECORDINGS]) == {part.name for part in found.parts} - {part.name for part in aside}
    known = table(found.groups_of([number for number, part in enumerate(found.parts) if part not in aside]))
    shipped = commons.read(tmp_path / "store" / "tiny" / "2" / "meta" / commons.FILE)
    for mark in found.marks:
        assert shipped.groups(mark.fingerprint) == known.groups(mark.fingerprint)


@pytest.mark.parametrize("text", [1.0, 0.0])
def test_the_best_way_of_combining_ships_and_serves(base: Store, tmp_path: Path, text: float) -> None:
    """Where the text member says nothing, the mean is the worst way, and a meta-classifier ships."""
    found = recordings.recorded()
    material = Material(
        found, recordings.folds(found, text=text, rules=1.0), ("text", "rules"), base.manifest("tiny/1")
    )
    output = Output(store=tmp_path / "store", name="tiny", version="2")
    bundle_of(material, Corpora(tmp_path), [], Base(tmp_path / "store", "tiny/1"), output)
    manifest = base.manifest("tiny/2")
    told = manifest.metrics["ensemble"]
    assert points.of(manifest, None)
    assert told["chosen"] == max(told["combiners"], key=told["combiners"].get)
    assert ("meta" in [spec.name for spec in manifest.members]) == (told["chosen"] != SUM)
    assert (told["chosen"] != SUM) or text > 0
    bundle = base.open("tiny/2", threads=1)
    try:
        (prediction,) = bundle.predict([process_start("mimikatz")], {})[0]
    finally:
        bundle.close()
    assert prediction.members["rules"] is None, "a bundle ships what rules are worth, and no rules"
    assert prediction.p_malicious > 0
