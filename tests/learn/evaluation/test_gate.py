"""The gate lets pass what is no worse anywhere, and refuses what is worse in any one thing that matters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.errors import ConfigError
from connector.learn import dataset_file
from connector.learn.corpora.recipes import RECIPES
from connector.learn.dataset import SPLIT_RULE, Dataset, Facts, Row, digest_of
from connector.learn.evaluation.gate import __main__ as gate, checks, report as reports
from connector.learn.evaluation.gate.judge import Material, judge
from connector.learn.evaluation.gate.recordings import Heard, Recording, Recordings, checked, heard, left_out, unjudged
from connector.learn.evaluation.gate.report import Report
from connector.learn.streams import Labelled, streams, trains
from connector.learn.training.members import RECORDINGS
from connector.learn.training.retrain import closures
from connector.models import Store
from connector.models.manifest import Dataset as TrainedOn, Platt, Source
from connector.models.rules.testbed import lay_rules_member, rules_spec
from connector.models.testbed import WEIGHTS, Weights, lay_bundle
from tests.learn import campaigns, corpus
from tests.learn.export.make import House, process, scored
from tests.models.rules.made import sysmon

GROUPS = 40
"""Groups of each side."""

QUIET: Weights = {**WEIGHTS, "mimikatz": {"T1003": 8.0, "T1003.001": 7.0, "malicious": 2.0}}
"""As sure of techniques as before, and not sure any more of malice."""
EVADED: Weights = {**WEIGHTS, **{name: {"malicious": -40.0} for name in ("conhost", "pcalua")}}
"""Finds every attack as it is, and none that is started through another program."""
LOUD: Weights = {**WEIGHTS, "robocopy": {"malicious": 15.0}}
FORGETFUL: Weights = {**WEIGHTS, "mimikatz": {"T1059": 8.0, "T1003": 0.0, "T1003.001": 7.0, "malicious": 12.0}}


def row(number: int, malicious: bool | None, words: str, *, source: str = "made", split: str = "dev") -> Row:
    return Row(
        text=f"process start | {words.split(maxsplit=1)[0]} | command {words} host{number} | parent cmd.exe",
        kind="sysmon-1",
        fingerprint=f"{number:016x}".ljust(64, "0"),
        techniques=("T1003",) if malicious else (),
        malicious=malicious,
        basis="executed-test" if malicious else "ordinary-log",
        source=source,
        group=f"{source}-{number}",
        record="1",
        licence="CC0-1.0",
        split=split,
    )


LEFT_OUT = [
    *(row(number, malicious=True, words="mimikatz.exe sekurlsa::logonpasswords") for number in range(GROUPS)),
    *(row(number + 500, malicious=False, words="robocopy.exe /mir data") for number in range(GROUPS)),
]
SHOWN = [row(number + 1000, malicious=False, words="powershell.exe", source="closed-alerts") for number in range(10)]
NEWEST = [
    row(
        number + 2000,
        malicious=number < 3,
        words="mimikatz.exe" if number < 3 else "robocopy.exe",
        source="closed-alerts",
    )
    for number in range(6)
]
WHOLE = Material(left_out=LEFT_OUT, newest=NEWEST, shown=SHOWN)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    known = [row.fingerprint for row in SHOWN]
    for version, weights in {
        "1": WEIGHTS, "same": WEIGHTS, "quiet": QUIET, "loud": LOUD, "forgetful": FORGETFUL,
        "evaded": EVADED, "curious": {**WEIGHTS, "whoami": {"T1033": 8.0, "malicious": 12.0}},
        "fewer": {name: WEIGHTS[name] for name in ("mimikatz", "whoami")},
    }.items():  # fmt: skip
        lay_bundle(folder, version=version, weights=weights, trained_on=[] if version == "1" else known)
    return Store(folder)


def judged(store: Store, version: str, material: Material = WHOLE) -> Report:
    return judge(store, f"tiny/{version}", "tiny/1", material)


def failed(report: Report) -> set[str]:
    assert report.passed is not report.failed
    return {check.name for check in report.failed}


def test_a_challenger_that_says_the_same_passes_every_check(store: Store) -> None:
    report = judged(store, "same")
    assert report.passed
    assert failed(report) == set()
    assert {check.harm for check in report.checks if check.harm is not None} == {0.0}
    for said in ("technique, top-1", "AUC of malice", "recall at trigger", "false alarms per 10,000 at malicious"):
        assert said in {check.name for check in report.checks}


@pytest.mark.parametrize(
    ("version", "first"),
    [
        ("quiet", "recall at malicious"),
        ("loud", "false alarms per 10,000 at suspicious"),
        ("loud", "AUC of malice"),
        ("loud", "newest closures judged rightly at malicious"),
        ("quiet", "Brier score of malice"),
        ("forgetful", "technique, top-1"),
        ("fewer", "techniques that are no longer known"),
    ],
)
def test_what_is_worse_in_one_thing_is_refused_by_its_name(store: Store, version: str, first: str) -> None:
    report = judged(store, version)
    assert not report.passed
    assert first in failed(report)


def test_what_is_better_passes(store: Store) -> None:
    assert judge(store, "tiny/same", "tiny/loud", WHOLE).passed


def test_one_group_in_forty_is_too_few_to_prove_that_no_more_than_two_points_were_lost(store: Store) -> None:
    rare = [row(number, malicious=True, words="mimikatz.exe" if number else "whoami.exe") for number in range(GROUPS)]
    report = judge(store, "tiny/same", "tiny/curious", Material(left_out=[*rare, *LEFT_OUT[GROUPS:]]))
    assert {check.name: (check.harm, check.low) for check in report.failed}["recall at trigger"] == (1 / GROUPS, 0.0)


def test_commands_that_are_written_otherwise_are_judged_by_themselves(store: Store) -> None:
    named = {"attack commands written otherwise, found", "attack commands found, substitution"}
    assert failed(judged(store, "evaded")) == named


def test_too_few_labels_are_refused_and_none_at_all_are_not_asked_for(store: Store) -> None:
    few = judged(store, "same", msgspec.structs.replace(WHOLE, shown=SHOWN[:9], newest=NEWEST[:4]))
    assert failed(few) == {"groups of labelled closures shown", "groups of labelled closures left out, the newest"}
    one = [[msgspec.structs.replace(row, group="one") for row in rows] for rows in (SHOWN, NEWEST)]
    assert [(check.challenger, check.passed) for check in checks.closures(*one)] == [(1, False), (1, False)]
    assert judged(store, "same", Material(left_out=LEFT_OUT)).passed


def test_a_handful_of_files_proves_nothing_however_equal_two_bundles_are(store: Store) -> None:
    few = judged(store, "same", msgspec.structs.replace(WHOLE, left_out=[*LEFT_OUT[:19], *LEFT_OUT[GROUPS:]]))
    assert failed(few) == {"groups of left-out attacks"}


def test_a_report_holds_for_exactly_the_two_bundles_that_it_compared(store: Store, tmp_path: Path) -> None:
    reports.write(store, judged(store, "same"))
    found = reports.standing(store, "tiny/same", "tiny/1")
    assert found is not None
    assert found[0].passed
    assert reports.standing(store, "tiny/same", "tiny/loud") is None
    place = reports.place(store, "tiny/same")
    told = msgspec.json.decode(place.read_bytes(), type=Report)
    place.write_bytes(msgspec.json.encode(msgspec.structs.replace(told, incumbent_digest="0" * 64)))
    assert reports.standing(store, "tiny/same", "tiny/1") is None


def triaged(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(part) for part in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Path:
    rows = (*LEFT_OUT, *(row(number + 9000, malicious=True, words="loud.exe", split="train") for number in range(3)))
    facts = Facts(digest=digest_of(rows), seed=0, split="", attack_version="18.1", canonical_versions={}, rows={},
                  sources={}, bases={}, dropped={}, authors={})  # fmt: skip
    dataset_file.write(Dataset(rows, facts), tmp_path / "rows")
    for version, weights in {"1": WEIGHTS, "2": WEIGHTS, "3": LOUD}.items():
        lay_bundle(tmp_path / "store", version=version, weights=weights)
    Store(tmp_path / "store").promote("tiny/1")
    return tmp_path


def order(site: Path, challenger: str, *more: object) -> list[str]:
    named = ("--store", site / "store", "--rows", site / "rows", "--challenger", challenger, "--incumbent", "tiny/1")
    return [str(part) for part in (*named, *more)]


def gated(site: Path, challenger: str, *more: object) -> int:
    return gate.main(order(site, challenger, *more))


def material(site: Path, challenger: str, *more: object) -> Material:
    return gate.gathered(Store(site / "store"), gate.parser().parse_args(order(site, challenger, *more)))


def test_only_what_the_gate_passed_or_has_a_reason_goes_into_production(site: Path) -> None:
    folder, store = site / "store", Store(site / "store")
    code, said = triaged("promote", "tiny/3", "--store", folder)
    assert (code, "name --rows to run it" in said) == (1, True)
    assert (gated(site, "tiny/2"), gated(site, "tiny/3")) == (0, 0)
    code, said = triaged("promote", "tiny/3", "--store", folder)
    assert (code, "false alarms per 10,000 at suspicious" in said, store.production()) == (1, True, "tiny/1")
    code, said = triaged("promote", "tiny/3", "--store", folder, "--override", "the pilot asked for it", "--who", "ann")
    assert (code, store.production()) == (0, "tiny/3")
    assert triaged("rollback", "--store", folder, "--why", "too loud") == (0, "tiny/1 is in production again\n")
    assert triaged("promote", "tiny/2", "--store", folder, "--who", "bob", "--why", "newer")[0] == 0
    newest, standing = store.history()[-1], reports.standing(store, "tiny/2", "tiny/1")
    assert standing is not None
    assert (newest.who, newest.why, newest.override, newest.gate) == ("bob", "newer", False, standing[1])
    lines = [line.split("\t") for line in triaged("history", "--store", folder)[1].splitlines()]
    assert [line[2:4] for line in lines] == [
        ["promote", "tiny/1"], ["promote", "tiny/3"], ["rollback", "tiny/1"], ["promote", "tiny/2"],
    ]  # fmt: skip
    assert lines[1][5:] == ["ann", "overridden", "the pilot asked for it"]


@pytest.mark.full
def test_promotion_runs_the_gate_itself_where_it_is_given_rows(site: Path) -> None:
    assert triaged("promote", "tiny/3", "--store", site / "store", "--rows", site / "rows")[0] == 1
    assert triaged("promote", "tiny/2", "--store", site / "store", "--rows", site / "rows")[0] == 0
    assert Store(site / "store").production() == "tiny/2"


def test_an_override_needs_words(site: Path) -> None:
    with pytest.raises(ConfigError, match="reason in words"):
        triaged("promote", "tiny/3", "--store", site / "store", "--override", " ")
    assert Store(site / "store").production() == "tiny/1"


def test_a_dataset_that_was_split_otherwise_judges_nothing(site: Path) -> None:
    read = dataset_file.read(site / "rows")
    other = msgspec.structs.replace(read.facts, seed=7)
    dataset_file.write(Dataset(read.rows, other), site / "rows")
    assert gated(site, "tiny/2") == 2
    assert not reports.place(Store(site / "store"), "tiny/2").exists()


COMMANDS = ("whoami", "ipconfig", "netstat", "tasklist", "hostname", "systeminfo", "quser", "gpresult", "nltest", "arp")


@pytest.fixture
def retrained(site: Path) -> Path:
    """``tiny/4`` learnt from the older eight closures of an export of ten."""
    house = House(site)
    events = [scored(f"e{number}", process(1, f"{command} /v")) for number, command in enumerate(COMMANDS)]
    house.score(*events)
    for number, event in enumerate(events):
        house.clock.advance(3600)
        house.said(f"A-{number}", [event.id], disposition="false_positive", changed_at=house.clock())
    house.export().run()
    house.close()
    found = closures.read(house.folder)
    told = {"export": found.export, "closures_digest": found.digest, "newest_share": closures.NEWEST}
    known = [row.fingerprint for row in found.learnt]
    lay_bundle(site / "store", version="4", trained_on=known, metrics={"retrained": told})
    return house.folder


def test_a_challenger_is_judged_by_no_row_that_it_knows(site: Path) -> None:
    lay_bundle(site / "store", version="4", trained_on=[row.fingerprint for row in LEFT_OUT[:7]])
    assert material(site, "tiny/4").left_out == LEFT_OUT[7:]


def trained_on(site: Path, sources: tuple[str, ...], *, base: tuple[str, ...], **facts: Any) -> int:
    """How many rows judge a bundle that learnt from these sources and knows seven of the base dataset's rows."""
    read = dataset_file.read(site / "rows")
    split = msgspec.structs.replace(read.facts, split=SPLIT_RULE, sources=dict.fromkeys(base, len(read.rows)))
    dataset_file.write(Dataset(read.rows, split), site / "rows")
    made = tuple(Source(name=name, upstream="", commit="", licence="", rows=1, sha256="") for name in sources)
    metrics = facts.pop("metrics", {})
    told = TrainedOn(**{"digest": "", "sources": made, "split": SPLIT_RULE, "rows": {}, "seed": 0, **facts})
    known = [row.fingerprint for row in LEFT_OUT[:7]]
    lay_bundle(site / "store", version="4", trained_on=known, dataset=told, metrics=metrics)
    return len(material(site, "tiny/4").left_out)


@pytest.mark.parametrize(
    ("named", "rule", "judged_by"), [("made", SPLIT_RULE, 80), ("other", SPLIT_RULE, 73), ("made", "by row", 73)]
)
def test_rows_that_a_bundles_own_split_left_out_judge_it_although_it_knows_them(
    site: Path, named: str, rule: str, judged_by: int
) -> None:
    assert trained_on(site, (named,), base=("made",), split=rule) == judged_by


def test_sources_of_other_members_are_not_looked_for_in_the_text_members_dataset(site: Path) -> None:
    metrics = {"members": {"text": {"sources": ["made"]}, "flow": {}}}
    assert trained_on(site, ("made", "flows"), base=("made",), metrics=metrics) == 80
    digest = dataset_file.read(site / "rows").facts.digest
    assert trained_on(site, ("made", "flows"), base=("made",), digest=digest) == 80


@pytest.mark.parametrize(("own", "judged_by"), [("open_xp_rules", 80), ("sigma", 73)])
def test_a_source_that_is_read_before_the_bundles_may_have_moved_its_rows_to_another_split(
    site: Path, own: str, judged_by: int
) -> None:
    assert list(RECIPES).index("open_xp_rules") < list(RECIPES).index("sigma")
    assert trained_on(site, (own,), base=("open_xp_rules", "sigma")) == judged_by


def test_what_nearly_repeats_a_closure_that_was_learnt_judges_nothing(site: Path, retrained: Path) -> None:
    found = closures.read(retrained)
    copy = msgspec.structs.replace(found.learnt[0], source="made", fingerprint="f" * 64, split="dev")
    read = dataset_file.read(site / "rows")
    rows = (*read.rows, copy)
    dataset_file.write(Dataset(rows, msgspec.structs.replace(read.facts, digest=digest_of(rows))), site / "rows")
    by = material(site, "tiny/4", "--export", retrained)
    assert by.left_out == LEFT_OUT
    assert (by.shown, by.newest) == (found.learnt, found.newest)


def test_what_a_challenger_learnt_from_must_be_there_to_count_and_to_judge_by(
    site: Path, retrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gated(site, "tiny/4") == 2
    assert "name it with --export" in capsys.readouterr().err
    unwanted = site / "excluded.json"
    unwanted.write_bytes(msgspec.json.encode([closures.read(retrained).learnt[0].record]))
    assert gated(site, "tiny/4", "--export", retrained, "--excluded", unwanted) == 2
    assert "does not hold what tiny/4 learnt from" in capsys.readouterr().err
    assert gated(site, "tiny/4", "--export", retrained) == 0


def test_a_report_is_made_anew_where_the_material_is_another(site: Path) -> None:
    def judged_by() -> tuple[str, int]:
        found = reports.standing(Store(site / "store"), "tiny/2", "tiny/1")
        assert found is not None
        return found[0].material, reports.place(Store(site / "store"), "tiny/2").stat().st_ino

    assert gated(site, "tiny/2") == 0
    first = judged_by()
    assert (gated(site, "tiny/2"), judged_by()) == (0, first)
    read = dataset_file.read(site / "rows")
    rows = read.rows[1:]
    dataset_file.write(Dataset(rows, msgspec.structs.replace(read.facts, digest=digest_of(rows))), site / "rows")
    assert gated(site, "tiny/2") == 0
    assert judged_by()[0] != first[0]


def test_a_report_that_cannot_be_read_is_none_and_a_number_that_could_not_be_computed_can(store: Store) -> None:
    report = judged(store, "curious")
    nan = msgspec.structs.replace(report.checks[0], challenger=float("nan"), passed=False)
    reports.write(store, msgspec.structs.replace(report, checks=(nan,)))
    found = reports.standing(store, "tiny/curious", "tiny/1")
    assert found is not None
    assert found[0].checks[0].challenger is None
    reports.place(store, "tiny/curious").write_text("{")
    assert reports.standing(store, "tiny/curious", "tiny/1") is None


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A bundle with rules, the same once more, one whose rules are worth something else, and one without rules."""
    folder = tmp_path_factory.mktemp("several")
    for version, level in (("1", "low"), ("same", "low"), ("deaf", "critical")):
        lay_rules_member(folder / "tiny" / version / "rules")
        lay_bundle(folder, version=version, members=[rules_spec(level=level)])
    lay_bundle(folder, version="alone")
    return Store(folder)


def played(count: int = 24) -> Recordings:
    """Recordings of two commands that only a rule tells apart; the second is the attack's."""

    def read() -> Iterator[Recording]:
        for number in range(count):
            yield (
                f"recording-{number}",
                [
                    Labelled(sysmon(CommandLine="tool.exe"), "background", "h"),
                    Labelled(sysmon(CommandLine="tool.exe -enc aaaa powershell"), "attack", "h"),
                ],
            )

    return Recordings("made", read)


def test_without_recordings_members_that_texts_cannot_judge_must_be_the_incumbents(several: Store) -> None:
    manifests = {name: several.manifest(f"tiny/{name}") for name in ("1", "same", "deaf", "alone")}
    assert unjudged(manifests["same"], manifests["1"]).passed
    deaf = unjudged(manifests["deaf"], manifests["1"])
    assert (deaf.passed, deaf.name) == (
        False,
        "parts that texts cannot judge (rules): name recordings with --corpora",
    )
    assert not unjudged(manifests["1"], manifests["alone"]).passed
    assert "(rules)" in unjudged(manifests["alone"], manifests["1"]).name
    cut = msgspec.structs.replace(manifests["1"].thresholds, suspicious=1e-6)
    wild = msgspec.structs.replace(manifests["1"].calibration, malicious=Platt(a=2.0))
    moved = msgspec.structs.replace(manifests["1"], thresholds=cut, calibration=wild)
    assert "(calibration, thresholds)" in unjudged(moved, manifests["1"]).name
    assert not unjudged(moved, manifests["1"]).passed
    lone = msgspec.structs.replace(manifests["alone"], thresholds=cut)
    assert unjudged(lone, manifests["alone"]).passed, "texts judge a reader at its own levels"
    gone = checks.labels(manifests["alone"], manifests["1"])
    assert [check.passed for check in gone if check.name == "members that are gone"] == [False]


def test_on_recordings_each_member_and_the_whole_must_be_no_worse(several: Store) -> None:
    said = {name: _heard(several, name) for name in ("1", "same", "deaf")}
    assert all(check.passed for check in checked(said["same"], said["1"]))
    failed = {check.name for check in checked(said["deaf"], said["1"]) if not check.passed}
    assert {"average precision on recordings, rules", "recall on recordings at suspicious"} == failed
    assert said["1"].groups[:2] == ["recording-0", "recording-0"]


def test_no_recording_that_a_bundle_was_fitted_on_judges_it(several: Store, tmp_path: Path) -> None:
    corpora, manifest = campaigns.beside(tmp_path, corpus.build(tmp_path), ()), several.manifest("tiny/1")
    known = [stream for stream in streams(corpora) if not stream.reason]
    seed = next(seed for seed in range(100) if not trains(known[0].name, known[0].set, seed))
    free = left_out(corpora, seed, [manifest])
    assert known[0].name in {name for name, _ in free.read()}
    told = {**manifest.metrics, "members": {"rules": {RECORDINGS: [known[0].name]}}}
    less = left_out(corpora, seed, [manifest, msgspec.structs.replace(manifest, metrics=told)])
    assert {name for name, _ in less.read()} == {name for name, _ in free.read()} - {known[0].name}
    assert less.digest != free.digest, "a report on more recordings than these does not hold"


def test_few_recordings_prove_nothing(several: Store) -> None:
    said = _heard(several, "1", 3)
    assert [check.name for check in checked(said, said) if not check.passed] == ["recordings of left-out attacks"]


def test_the_gate_judges_a_bundle_of_several_members_by_texts_and_by_recordings(several: Store) -> None:
    material = msgspec.structs.replace(WHOLE, recordings=played())
    assert material.digest != WHOLE.digest
    report = judge(several, "tiny/same", "tiny/1", material)
    assert report.passed
    assert {"AUC of malice", "average precision on recordings, the whole bundle"} <= {
        check.name for check in report.checks
    }


def _heard(store: Store, version: str, count: int = 24) -> Heard:
    bundle = store.open(f"tiny/{version}", threads=1)
    try:
        return heard(bundle, played(count).read())
    finally:
        bundle.close()
