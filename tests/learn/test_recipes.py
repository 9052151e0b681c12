import json
import re

import msgspec
import pytest

from connector.learn.corpora import administration, atomic, otrf, routine, rule_matches, scripts, texts, tldr, wrap
from connector.learn.corpora.process_tree import attack, is_entry, no_entry
from connector.learn.corpora.source import Corpora


def test_atomic_tests_are_filled_in_and_lose_the_words_of_their_collection(tiny: Corpora) -> None:
    samples = list(atomic.samples(tiny))

    lines = [sample.data["Event"]["EventData"]["CommandLine"] for sample in samples]
    assert len(samples) == 3 * 12 * atomic.COPIES
    assert all("C:\\data" in line for line in lines)
    assert not any("#{" in line or "Atomics" in line or "T1003" in line for line in lines)
    assert {sample.techniques for sample in samples} == {("T1003.001",), ("T1053.005",), ("T1070.004",)}


def test_manual_pages_have_no_placeholder_left(tiny: Corpora) -> None:
    samples = list(tldr.samples(tiny))

    lines = [sample.data["Event"]["EventData"]["CommandLine"] for sample in samples]
    assert len({sample.group for sample in samples}) == 60
    assert all(sample.malicious is False for sample in samples)
    assert not any("{{" in line or "|" in line or "[" in line for line in lines)


def test_a_script_gives_its_block_and_its_commands_but_no_assignment(tiny: Corpora) -> None:
    samples = list(scripts.chocolatey(tiny))

    text = str([sample.data for sample in samples])
    assert "ScriptBlockText" in text
    assert "Install-Package -Name pkg3 -Silent" in text
    assert len({sample.group for sample in samples}) == 20


def test_recordings_give_the_attacks_tree_and_the_background_they_share(tiny: Corpora) -> None:
    samples = list(otrf.samples(tiny))

    attacks = [sample for sample in samples if sample.malicious]
    benign = [sample for sample in samples if sample.malicious is False]
    assert {sample.techniques for sample in attacks} == {("T1003.001",)}
    assert {str(sample.data.get("TargetObject")) for sample in attacks if sample.data["EventID"] == 13} == {
        f"HKLM\\SOFTWARE\\Attack{letter}\\Run" for letter in "xyz"
    }
    assert all("ordinary" in str(sample.data) or "Shared" in str(sample.data) for sample in benign)
    assert benign


def test_the_tree_holds_the_operators_process_and_all_its_descendants_only() -> None:
    starts = [
        {"ProcessGuid": "{1}", "ParentProcessGuid": "{0}", "CommandLine": "svc.exe -k ordinary things"},
        {"ProcessGuid": "{2}", "ParentProcessGuid": "{0}", "CommandLine": 'reg.exe save HKLM\\SAM "C:\\x y"'},
        {"ProcessGuid": "{3}", "ParentProcessGuid": "{2}", "CommandLine": "child.exe"},
        {"ProcessGuid": "{4}", "ParentProcessGuid": "{1}", "CommandLine": "other.exe"},
    ]

    tree = attack(starts, "> shell reg save HKLM\\SAM  C:\\x y")

    assert tree.guids == {"{2}", "{3}"}
    assert tree.holds({"SourceProcessGUID": "{3}"})
    assert not tree.holds({"ProcessGuid": "{4}"})


def test_a_tell_makes_an_entry_without_a_view() -> None:
    assert is_entry("powershell -noP -sta -w 1 -enc AAAA", "")
    assert not is_entry("powershell -File C:\\x.ps1", "")


def test_routine_events_fill_every_value(tiny: Corpora) -> None:
    samples = list(routine.samples(tiny))

    assert len({sample.group for sample in samples}) * routine.COPIES == len(samples)
    assert not any("{user}" in str(sample.data) or "{n}" in str(sample.data) for sample in samples)


def test_a_seed_is_the_place_alone() -> None:
    assert wrap.seeded("a", "b").random() == wrap.seeded("a", "b").random()
    assert wrap.seeded("ab").random() != wrap.seeded("a", "b").random()


def test_administration_is_of_many_kinds_and_every_noun_is_filled_in(tiny: Corpora) -> None:
    samples = list(administration.samples(tiny))

    assert len({sample.group for sample in samples}) > 50
    assert {(sample.malicious, sample.basis) for sample in samples} == {(False, "generated-administration")}
    texts_of = {str(sample.data) for sample in samples}
    assert len(texts_of) > 2_000
    assert not [text for text in texts_of if re.search(r"\{(?:server|folder|user|package|n|host|site)\}", text)]


def test_a_recordings_entry_is_named_and_one_without_says_why(tiny: Corpora) -> None:
    survey = otrf.surveyed(tiny)

    assert all("steal secrets" in line for line in survey.entries.values())
    assert set(survey.entries) == survey.known
    start = {"ProcessGuid": "{1}", "CommandLine": "svc.exe"}
    assert "process start" in no_entry([], "> x")
    assert "no adversary view" in no_entry([start], " ")
    assert "stands in" in no_entry([start], "> other.exe")


def test_rules_that_fire_give_their_techniques_and_lower_levels_none() -> None:
    rule = """
title: {level}
id: {id}
tags: [attack.t1053.005]
logsource: {{category: process_creation, product: windows}}
detection: {{selection: {{CommandLine|contains: '{word}'}}, condition: selection}}
level: {level}
"""
    found = rule_matches.rules.load(
        (
            f"rules/{word}.yml",
            rule.format(level=level, word=word, id=f"00000000-0000-4000-8000-00000000000{n}").encode(),
        )
        for n, (level, word) in enumerate((("high", "steal"), ("low", "look")))
    )

    def start(line: str) -> dict[str, object]:
        channel = "Microsoft-Windows-Sysmon/Operational"
        return {"EventID": 1, "Channel": channel, "Image": "C:\\a.exe", "CommandLine": line, "Hostname": "PC1"}

    events = [("a", start("x steal")), ("b", start("x look")), ("c", start("x")), ("d", {"EventID": {}})]
    assert rule_matches.fired(found, events) == {"a": ("T1053.005",)}
    assert rule_matches.fired(None, events) == {}


def test_report_sentences_and_procedures_train_techniques_and_say_nothing_of_malice(
    tiny: Corpora, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("reports")
    stix = folder / "cti/enterprise-attack"
    pattern = {
        "type": "attack-pattern",
        "id": "attack-pattern--1",
        "external_references": [{"source_name": "mitre-attack", "external_id": "T1053"}],
    }
    uses = {
        "type": "relationship",
        "relationship_type": "uses",
        "source_ref": "malware--1",
        "target_ref": "attack-pattern--1",
    }
    told = "[Tool](https://example.org) runs <code>at</code>.(Citation: A 2020)"
    revoked = {**uses, "id": "relationship--2", "description": "x", "revoked": True}
    sentence = [{"text": "It  runs at.", "label": "T1053.002", "doc_title": "A report"}]
    for path, content in (
        (stix / "attack-pattern/a.json", {"objects": [pattern]}),
        (stix / "relationship/r.json", {"objects": [{**uses, "id": "relationship--1", "description": told}, revoked]}),
        (folder / "tram/data/training/tram2_data/single_label.json", sentence),
        (folder / "tram/data/training/other.json", sentence),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    source = next(iter(tiny.sources.values()))
    roots = {texts.TRAM: "tram", texts.PROCEDURES: "cti"}
    pins = {name: msgspec.structs.replace(source, name=name, archive="-", root=root) for name, root in roots.items()}
    corpora = Corpora(folder, pins)

    found = [*texts.tram(corpora), *texts.procedures(corpora)]

    assert [(sample.data, sample.group, sample.techniques, sample.malicious) for sample in found] == [
        ({"message": "It runs at."}, "A report", ("T1053.002",), None),
        ({"message": "Tool runs at."}, "malware--1", ("T1053",), None),
    ]
