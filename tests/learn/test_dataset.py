from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError
from connector.events import CANONICAL_VERSIONS
from connector.learn import dataset, dataset_file
from connector.learn.corpora import otrf
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Dataset, agreed, split_of
from connector.learn.scrub import leaks, scrub, unnamed

NAMES = ("atomic", "tldr", "chocolatey", "otrf", "sigma")


@pytest.fixture(scope="module")
def built(tiny: Corpora) -> Dataset:
    return dataset.build(tiny, only=NAMES)


def start(line: str) -> dict[str, object]:
    return {"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Image": "C:\\a.exe", "CommandLine": line}


def of(*samples: Sample) -> dict[str, object]:
    return {"recipes": {"tldr": lambda _: iter(samples)}}


def test_the_same_corpora_and_seed_give_the_same_rows_and_digest(tiny: Corpora, built: Dataset) -> None:
    again = dataset.build(Corpora(tiny.folder, tiny.sources), only=NAMES)

    assert again.rows == built.rows
    assert again.facts.digest == built.facts.digest


def test_a_group_never_crosses_a_split(built: Dataset) -> None:
    splits = defaultdict(set)
    for row in built.rows:
        splits[row.source, row.group].add(row.split)

    assert all(len(found) == 1 for found in splits.values())
    assert {row.split for row in built.rows} == {"train", "dev", "calibration"}


def test_a_fingerprint_is_one_row(built: Dataset) -> None:
    assert len({row.fingerprint for row in built.rows}) == len(built.rows)


def test_no_row_names_a_technique(built: Dataset) -> None:
    assert not [row.text for row in built.rows if leaks(row.text)]


def test_labels_are_ids_of_the_catalogues_version(tiny: Corpora) -> None:
    sample = Sample(
        data=start("x /y"),
        group="g",
        record="1",
        basis="rule-pattern",
        techniques=("T1685.001", "T9999"),
        malicious=True,
    )

    found = dataset.build(tiny, only=["tldr"], **of(sample))

    assert found.rows[0].techniques == ("T1562.002",)
    assert found.facts.dropped == {"unknown technique T9999": 1}


def test_what_cannot_be_read_is_counted_and_left_out(tiny: Corpora) -> None:
    sample = Sample(data="{no json", group="g", record="1", basis="manual-page", malicious=False)

    assert dataset.build(tiny, only=["tldr"], **of(sample)).facts.dropped == {"unreadable": 1}


def test_held_out_fingerprints_never_become_rows(tiny: Corpora, built: Dataset) -> None:
    held = built.rows[0].fingerprint

    found = dataset.build(tiny, only=NAMES, held_out={held})

    assert held not in {row.fingerprint for row in found.rows}
    assert found.facts.dropped["held out"] >= 1


def test_one_long_file_gives_no_more_rows_of_a_kind_than_the_limit(tiny: Corpora) -> None:
    samples = [
        Sample(
            data=start(f"tool{'x' * n} go"),
            group="g",
            record=str(n),
            basis="file-name",
            techniques=("T1003",),
            malicious=True,
        )
        for n in range(1, 60)
    ]

    assert len(dataset.build(tiny, only=["tldr"], **of(*samples)).rows) == dataset.PER_GROUP_AND_KIND


def test_sources_that_may_not_train_are_left_out_and_refused_by_name(tiny: Corpora) -> None:
    closed = {**tiny.sources, "tldr": msgspec.structs.replace(tiny.sources["tldr"], may_train=False)}

    assert "tldr" not in dataset.build(Corpora(tiny.folder, closed)).facts.sources
    with pytest.raises(ConfigError, match="tldr may not train"):
        dataset.build(Corpora(tiny.folder, closed), only=["tldr"])


def test_a_missing_source_is_an_error_and_never_skipped(tiny: Corpora) -> None:
    gone = msgspec.structs.replace(tiny.sources["tldr"], archive="gone.tar", root="gone")

    with pytest.raises(ConfigError, match=r"lacks tldr; .* --only\n  tldr: clone https://example\.org/tldr"):
        dataset.build(Corpora(tiny.folder, {**tiny.sources, "tldr": gone}))


def test_a_corpora_folder_that_is_not_there_is_an_error(tiny: Corpora, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        dataset.build(Corpora(tmp_path / "no", tiny.sources))


def test_a_recipe_reads_no_source_but_those_that_were_named(tiny: Corpora) -> None:
    """Sigma lays its patterns over OTRF's ordinary events, where those may be read."""
    seen: list[bool] = []

    def asks(corpora: Corpora) -> Iterator[Sample]:
        seen.append(corpora.holds("otrf") or bool(otrf.ordinary(corpora)))
        yield Sample(data=start("x /y"), group="g", record="1", basis="rule-pattern", malicious=True)

    recipes = {"otrf": otrf.samples, "sigma": asks}
    closed = {**tiny.sources, "otrf": msgspec.structs.replace(tiny.sources["otrf"], may_train=False)}
    dataset.build(tiny, only=["sigma"], recipes=recipes)
    dataset.build(Corpora(tiny.folder, closed), recipes=recipes)
    dataset.build(tiny, recipes=recipes)

    assert seen == [False, False, True]


def test_an_unknown_source_names_the_known_ones(tiny: Corpora) -> None:
    with pytest.raises(ConfigError, match=r"no recipe for nope; there are otrf"):
        dataset.build(tiny, only=["nope"])


def test_the_stronger_label_stands_and_equals_leave_the_question_open(built: Dataset) -> None:
    strong = next(row for row in built.rows if row.basis == "executed-test")
    weak = msgspec.structs.replace(strong, basis="file-name", malicious=False, techniques=())
    equal = msgspec.structs.replace(strong, basis="admin-script", malicious=False, techniques=())

    assert agreed(weak, strong).malicious is True
    assert agreed(strong, weak).techniques == strong.techniques
    assert agreed(strong, equal).malicious is None


def test_adding_a_source_moves_no_group() -> None:
    assert split_of("tldr", "pages/a.md", 1) == split_of("tldr", "pages/a.md", 1)
    assert len({split_of("tldr", f"p{n}", 1) for n in range(99)}) == 3


def test_facts_name_the_canonical_form_and_the_authors(built: Dataset) -> None:
    assert built.facts.canonical_versions == dict(CANONICAL_VERSIONS)
    assert built.facts.authors == {"sigma": ("Ann Author",)}


def test_a_dataset_comes_back_from_disk_and_a_changed_one_is_refused(built: Dataset, tmp_path: Path) -> None:
    dataset_file.write(built, tmp_path)
    assert dataset_file.read(tmp_path) == built

    dataset_file.write(Dataset(built.rows[1:], built.facts), tmp_path)
    with pytest.raises(ConfigError, match="not the dataset"):
        dataset_file.read(tmp_path)


def test_near_copies_stand_in_one_split_only(tiny: Corpora) -> None:
    words = " ".join(f"argument{n}" for n in range(30))
    samples = [
        Sample(data=start(f"tool {words} {n:x}"), group=str(n), record="1", basis="manual-page", malicious=False)
        for n in range(40)
    ]

    found = dataset.build(tiny, only=["tldr"], **of(*samples))

    assert {row.split for row in found.rows} == {"train"}
    assert len({row.cluster for row in found.rows}) == 1
    assert found.facts.dropped["near copy in another split"] == 40 - len(found.rows)


def test_a_row_that_lost_the_field_that_shows_its_behaviour_names_no_technique(tiny: Corpora) -> None:
    attacks = [
        Sample(
            data=start(f"tool{n} /steal"),
            group=str(n),
            record="1",
            basis="file-name",
            techniques=("T1003",),
            malicious=True,
        )
        for n in range(40)
    ]
    bare = [
        Sample(
            data={
                "EventID": 1,
                "Channel": "Microsoft-Windows-Sysmon/Operational",
                "Image": f"C:\\x{n:o}\\a{'b' * n}.exe",
            },
            group=f"b{n}",
            record="1",
            basis="manual-page",
            malicious=False,
        )
        for n in range(40)
    ]

    rows = dataset.build(tiny, only=["tldr"], **of(*attacks, *bare)).rows

    assert all("process.command_line" not in row.fields and not row.techniques for row in rows)
    assert not any("steal" in row.text for row in rows)


def test_a_recorded_hosts_domains_and_users_names_never_reach_a_text(built: Dataset, tiny: Corpora) -> None:
    line = "net use x /user:shire\\bilbo.b fileserver7 /x"
    data = start(line) | {"Hostname": "FILESERVER7.shire.local", "User": "SHIRE\\bilbo"}
    recorded = Sample(data=data, group="g", record="1", basis="process-tree", malicious=True)

    found = dataset.build(tiny, only=["tldr"], **of(recorded))

    (row,) = found.rows
    assert not [name for name in ("bilbo", "fileserver7", "shire") if name in row.text]
    assert (found.facts.renamed, found.facts.names) == (1, 0)
    assert len(row.host) == 12
    assert {row.host for row in built.rows if row.basis == "manual-page"} == {""}


def test_a_name_is_replaced_as_a_whole_word_only() -> None:
    assert unnamed("net user anna annalise c:\\anna.txt", {"anna": "user"}) == "net user user annalise c:\\user.txt"


def test_each_row_says_where_it_comes_from(built: Dataset) -> None:
    assert all(row.upstream and row.commit and row.group and row.record and row.licence for row in built.rows)
    assert all(row.fields for row in built.rows)


@pytest.mark.parametrize(
    "text",
    [
        "C:\\x\\T1003.001\\a.exe",
        "t1562_linux",
        "runT1059.ps1",
        "artT1003.001",
        "mytestt1003_001.exe",
        "C:\\AtomicRedTeam\\a",
        "/tmp/t1059.004.sh",
    ],
)
def test_scrubbing_removes_ids_and_collection_names_at_any_depth(text: str) -> None:
    cleaned = scrub({"a": [{"b": text}], "n": 1})

    assert not leaks(str(cleaned))
    assert "atomic" not in str(cleaned).lower()
    assert cleaned["n"] == 1


@pytest.mark.parametrize("text", ["T12345678", "wit1003x", "HKLM\\T10034", "port1080", "PORT1080"])
def test_scrubbing_leaves_what_only_resembles_an_id(text: str) -> None:
    assert scrub(text) == text
