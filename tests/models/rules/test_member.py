"""The rules member: what a match is worth, what it says, when it has no view, and how its rules are renewed."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from connector.errors import ConfigError
from connector.models import Store
from connector.models.rules.member import RulesMember, plugin
from connector.models.rules.nouns import Match
from connector.models.rules.packs import files_of, licence_of, packed
from connector.models.rules.testbed import PACK, lay_rules_member, rules_spec
from connector.models.rules.watched import EVERY_S, Watched
from connector.models.rules.weights import Count, Prior, Weights, read
from connector.models.testbed import lay_bundle
from connector.testing import check_member
from tests.models.rules.made import event, rule, sysmon

WHOAMI, POWERSHELL = sysmon(CommandLine="whoami"), sysmon(CommandLine="powershell /enc aaaa")
ORDINARY, ELSEWHERE = sysmon(CommandLine="notepad"), event({"message": "a line"})


@pytest.fixture
def member(tmp_path) -> RulesMember:
    lay_rules_member(tmp_path)
    return RulesMember(rules_spec(), tmp_path, 1)


def test_the_member_keeps_the_contract_of_members(tmp_path) -> None:
    check_member(plugin, tmp_path)


def test_a_match_gives_its_techniques_and_malice_what_its_rule_was_worth(member) -> None:
    scores, change = member.score([WHOAMI, POWERSHELL, ORDINARY, ELSEWHERE], {}, {})
    assert change.rows == {}
    # (right + a) / (seen + a + b): the rule's own counts, its level's prior, and an even chance where nothing is known
    assert scores.p_malicious[:3] == pytest.approx([2 / 11, 3 / 4, 1 / 10])
    assert scores.techniques[0] == pytest.approx([0.9, 0.0, 0.0])
    assert scores.techniques[1] == pytest.approx([0.0, 0.5, 0.5])
    assert scores.techniques[2] == pytest.approx([0.0, 0.0, 0.0])
    assert np.isnan(scores.techniques[3]).all()
    assert math.isnan(scores.p_malicious[3])


def test_an_explanation_names_the_rule_its_author_and_its_id(member) -> None:
    scores, _ = member.score([POWERSHELL, ORDINARY], {}, {})
    said = "rules: Encoded PowerShell (high, by The Triaged authors) [8c2e1d6c-0000-4000-8000-000000000002]"
    assert scores.notes == ((said,), ())


def test_rules_below_the_level_take_no_part(tmp_path) -> None:
    lay_rules_member(tmp_path)
    strict = RulesMember(rules_spec(level="high"), tmp_path, 1)
    scores, _ = strict.score([WHOAMI, POWERSHELL], {}, {})
    assert [len(notes) for notes in scores.notes] == [0, 1]


def test_a_bundles_prevalence_moves_the_odds_of_what_rules_say(tmp_path) -> None:
    lay_rules_member(tmp_path)
    rare = RulesMember(rules_spec(prevalence=0.1), tmp_path, 1)
    scores, _ = rare.score([POWERSHELL], {}, {})
    # odds 3 at an even prevalence are odds 3 · (0.1 / 0.9) at one in ten
    assert scores.p_malicious[0] == pytest.approx((3 / 9) / (1 + 3 / 9))


def test_the_key_changes_with_what_rules_read_and_with_nothing_else(member) -> None:
    same = sysmon(CommandLine="whoami", UtcTime="2026-01-01", ProcessGuid="{1}", RuleName="x")
    assert member.key(same) == member.key(WHOAMI)
    assert member.key(sysmon(CommandLine="whoami ")) != member.key(WHOAMI)
    assert member.key(sysmon(5, CommandLine="whoami")) != member.key(WHOAMI)
    # masks hide users from the fingerprint, and from no rule
    users = [sysmon(CommandLine=f"whoami {name}") for name in ("C:\\Users\\ann", "C:\\Users\\bob")]
    assert users[0].fingerprint == users[1].fingerprint
    assert member.key(users[0]) != member.key(users[1])


def test_texts_that_are_no_unicode_have_keys_of_their_own_too(member) -> None:
    # the one door mends such text; an event that came by another way is no reason to stop
    halves = [
        msgspec.structs.replace(WHOAMI, ecs={**WHOAMI.ecs, "winlog": {**WHOAMI.ecs["winlog"], "event_data": data}})
        for data in ({"CommandLine": "a\ud800"}, {"CommandLine": "a\ud801"}, {"CommandLine": "a"})
    ]
    assert len({member.key(one) for one in halves}) == len(halves)


def test_no_event_is_kept_once_its_key_is_told_and_it_is_scored(member) -> None:
    one = sysmon(CommandLine="whoami /priv")
    holders = sys.getrefcount(one)
    member.key(one)
    member.score([one], {}, {})
    assert sys.getrefcount(one) == holders


def test_the_key_tells_apart_the_log_sources_whose_rules_read_the_same_fields(tmp_path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for product in ("linux", "macos"):
        source = {"category": "process_creation", "product": product}
        _, made = rule({"CommandLine|contains": "osascript"}, title=product, level="low", logsource=source)
        put(folder, product, made)
    member = RulesMember(rules_spec(packs=[], folders=[str(folder)], weights=None), tmp_path, 1)
    started = {
        "event": {"kind": "event", "category": ["process"], "type": ["start"]},
        "process": {"command_line": "osascript -e x"},
    }
    linux, macos = (
        event({"@timestamp": "2026-01-01T00:00:00Z", "host": {"os": {"type": each}}, **started})
        for each in ("linux", "macos")
    )
    scores, _ = member.score([linux, macos], {}, {})
    assert [[title in notes[0] for title in ("linux", "macos")] for notes in scores.notes] == [
        [True, False],
        [False, True],
    ]
    assert member.key(linux) != member.key(macos)


def test_a_bundle_with_rules_names_them_in_its_predictions(tmp_path) -> None:
    lay_rules_member(tmp_path / "tiny" / "1" / "rules")
    lay_bundle(tmp_path, members=[rules_spec()])
    bundle = Store(tmp_path).open("tiny/1")
    try:
        (prediction,) = bundle.predict([POWERSHELL], {})[0]
        assert prediction.members["rules"] is not None
        assert any(note.startswith("rules: Encoded PowerShell") for note in prediction.explanation)
    finally:
        bundle.close()


def test_a_bundle_that_ships_weights_alone_has_no_view_until_a_site_names_its_rules(tmp_path) -> None:
    lay_rules_member(tmp_path)
    silent = RulesMember(rules_spec(packs=[]), tmp_path, 1)
    scores, _ = silent.score([POWERSHELL], {}, {})
    assert np.isnan(scores.p_malicious).all()
    assert np.isnan(scores.techniques).all()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.yml").write_bytes(files_of(tmp_path / PACK)[0][1])
    spoken = RulesMember(rules_spec(packs=[], folders=[str(tmp_path / "mine")]), tmp_path, 1)
    assert np.isfinite(spoken.score([POWERSHELL], {}, {})[0].p_malicious).all()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"level": "loud"}, "loud"),
        ({"prevalence": 1.0}, "prevalence"),
        ({"packs": ["nowhere"]}, "nowhere"),
        ({"weights": "rules.json"}, "no rule weights"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_member_that_cannot_work_is_refused(tmp_path, options, reason) -> None:
    lay_rules_member(tmp_path)
    with pytest.raises(ConfigError, match=reason):
        RulesMember(rules_spec(**options), tmp_path, 1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def later(self) -> None:
        self.now += EVERY_S


def titles(watched: Watched) -> list[str]:
    return [each.match.title for each in watched.current().rules.rules]


def put(folder: Path, title: str, content: bytes | None = None) -> None:
    made = rule({"Image": title}, title=title)[1] if content is None else content
    (folder / f"{title}.yml").write_bytes(made)


def test_a_folder_that_changes_is_read_again_and_a_slip_takes_no_rule_out_of_service(tmp_path) -> None:
    clock, folder = Clock(), tmp_path / "mine"
    folder.mkdir()
    put(folder, "a")
    watched = Watched([folder], [], clock)
    before = watched.current()
    put(folder, "b")
    assert watched.current() is before
    clock.later()
    assert titles(watched) == ["a", "b"]
    assert watched.current().digest != before.digest

    put(folder, "a", b"title: [")
    clock.later()
    assert titles(watched) == ["a", "b"]
    assert [path for path, _ in watched.current().rules.left_out] == [str(folder / "a.yml")]

    (folder / "b.yml").unlink()
    clock.later()
    assert titles(watched) == ["a"]

    folder.rename(tmp_path / "gone")
    clock.later()
    assert titles(watched) == ["a"]


def test_a_rule_that_its_owner_retires_goes_out_of_service(tmp_path) -> None:
    clock = Clock()
    put(tmp_path, "a")
    watched = Watched([tmp_path], [], clock)
    put(tmp_path, "a", rule({"Image": "a"}, title="a", status="deprecated")[1])
    clock.later()
    assert titles(watched) == []


def test_in_a_file_of_several_rules_a_slip_keeps_the_rule_that_it_broke_and_no_other(tmp_path) -> None:
    def whole(**selections: str) -> bytes:
        made = [
            rule({field: "x"}, title=name, id=f"0b5b2a6e-0000-4000-8000-00000000000{name}")
            for name, field in selections.items()
        ]
        return b"---\n".join(content for _, content in made)

    clock = Clock()
    put(tmp_path, "all", whole(a="Image", b="Image", c="Image"))
    watched = Watched([tmp_path], [], clock)
    put(tmp_path, "all", whole(a="Image|upside-down", b="CommandLine"))
    clock.later()
    assert sorted(titles(watched)) == ["a", "b"]
    rules = watched.current().rules
    assert [
        [match.title for match in found] for found in rules.match([sysmon(Image="x"), sysmon(CommandLine="x")])
    ] == [["a"], ["b"]]
    assert len(rules.left_out) == 1


def test_a_rule_that_changes_deep_in_a_folder_is_read_again(tmp_path) -> None:
    clock, deep = Clock(), tmp_path / "mine" / "windows"
    deep.mkdir(parents=True)
    put(deep, "a")
    watched = Watched([tmp_path / "mine"], [], clock)
    put(deep, "b")
    clock.later()
    assert titles(watched) == ["a", "b"]


def test_folders_of_one_name_both_take_part(tmp_path) -> None:
    folders = [tmp_path / name / "rules" for name in "ab"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "x.yml").write_bytes(rule({"Image": "x"}, title=folder.parent.name)[1])
    assert titles(Watched(folders, [], Clock())) == ["a", "b"]


def test_the_owners_rule_goes_before_a_packs_with_the_same_id(tmp_path) -> None:
    ident = "0b5b2a6e-0000-4000-8000-000000000001"
    for name in ("mine", "pack"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yml").write_bytes(rule({"Image": "a"}, title=name, id=ident)[1])
    watched = Watched([tmp_path / "mine"], [tmp_path / "pack"], Clock())
    assert titles(watched) == ["mine"]
    assert len(watched.current().rules.left_out) == 1


def test_a_pack_holds_rules_licence_and_authors_and_is_the_same_for_the_same_rules(tmp_path) -> None:
    folder, pack = tmp_path / "rules", tmp_path / "pack.json"
    (folder / "deep").mkdir(parents=True)
    put(folder, "b")
    put(folder / "deep", "a")
    pack.write_bytes(packed(files_of(folder), "terms", ["Bob", "Ann", "Bob"]))
    assert files_of(pack) == files_of(folder)
    assert packed(files_of(folder)[::-1], "terms", ["Ann", "Bob"]) == pack.read_bytes()
    assert msgspec.json.decode(pack.read_bytes())["authors"] == ["Ann", "Bob"]
    (folder / "LICENSE").write_text("terms")
    assert licence_of(folder / "deep") == "terms"
    with pytest.raises(ConfigError, match="no folder of rules, and no pack"):
        files_of(tmp_path / "nowhere")
    pack.write_text("[]")
    with pytest.raises(ConfigError, match="cannot be read"):
        files_of(pack)


def test_weights_survive_their_file_and_a_foreign_file_is_refused(tmp_path) -> None:
    match = Match("x", "X", "high", (), "")
    weights = Weights(malicious={"x": Count(2.5, 3.0)}, malicious_prior={"high": Prior(1.0, 1.0)})
    path = tmp_path / "weights.json"
    path.write_bytes(msgspec.json.encode(weights))
    assert read(path) == weights
    assert read(path).p_malicious(match) == pytest.approx(3.5 / 5)
    path.write_text('{"rules": 1}')
    with pytest.raises(ConfigError, match="no rule weights"):
        read(path)
