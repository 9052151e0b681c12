from connector.learn.corpora import atomic, otrf, routine, scripts, tldr, wrap
from connector.learn.corpora.process_tree import attack, is_entry
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
