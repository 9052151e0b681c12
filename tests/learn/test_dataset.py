from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError
from connector.events import CANONICAL_VERSIONS
from connector.learn import dataset, dataset_file
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Dataset, agreed, split_of
from connector.learn.scrub import leaks, scrub

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


def test_sources_that_may_not_train_are_left_out(tiny: Corpora) -> None:
    closed = {"tldr": msgspec.structs.replace(tiny.sources["tldr"], may_train=False)}

    with pytest.raises(ConfigError, match="holds none of the sources tldr"):
        dataset.build(Corpora(tiny.folder, closed), only=["tldr"])


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


@pytest.mark.parametrize(
    "text",
    ["C:\\x\\T1003.001\\a.exe", "t1562_linux", "C:\\AtomicRedTeam\\a", "/tmp/t1059.004.sh"],
)
def test_scrubbing_removes_ids_and_collection_names_at_any_depth(text: str) -> None:
    cleaned = scrub({"a": [{"b": text}], "n": 1})

    assert not leaks(str(cleaned))
    assert "atomic" not in str(cleaned).lower()
    assert cleaned["n"] == 1


@pytest.mark.parametrize("text", ["T12345678", "wit1003x", "HKLM\\T10034"])
def test_scrubbing_leaves_what_only_resembles_an_id(text: str) -> None:
    assert scrub(text) == text
