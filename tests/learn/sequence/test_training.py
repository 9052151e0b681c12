"""The sequence member's training: left out by site, from scores out of fold, to a folder that serves what it was trained to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from connector.errors import ConfigError
from connector.learn.corpora.source import Corpora, pinned
from connector.learn.streams import trains
from connector.learn.training.members import RECORDINGS, TrainedMember, read_member
from connector.learn.training.sequence import fit, measure, recorded, windows
from connector.learn.training.sequence.fit import Recipe
from connector.learn.training.sequence.recorded import ATTACK, BACKGROUND, UNCLEAR, Mark, Part, Recorded
from connector.learn.training.sequence.train import Texts, dealt, trained
from connector.learn.training.sequence.windows import Said
from connector.models.sequence.member import SequenceMember
from connector.models.sequence.vocabulary import CLASSES
from connector.models.sequence.window import LENGTH
from tests.learn import campaigns, corpus
from tests.learn.test_streams import EVENTS, LABELS
from tests.models.sequence.streams import event, said

TEXT = ("T1003", "T1003.001", "T1059")
EACH, PARTS = 24, 4
SPLIT_SEED = 5
"""With it the last recording is left to judge promotions by."""


@pytest.fixture(scope="module")
def read() -> Recorded:
    """Four recordings of two sites: an attack's process loads what every process loads, after a start that looks bad."""
    marks = [
        Mark("f0", "sysmon-1", "c:\\users\\<user>\\evil.exe", "c:\\windows\\explorer.exe", "start evil"),
        Mark("f1", "sysmon-7", "c:\\windows\\system32\\cmd.exe", "", "load library"),
        Mark("f2", "sysmon-1", "c:\\windows\\system32\\cmd.exe", "c:\\windows\\explorer.exe", "start cmd"),
    ]
    mark, label, process, parts = [], [], [], []
    for number in range(PARTS):
        parts.append(
            Part(
                f"r{number}",
                f"r{number}",
                "single-technique",
                f"s{number % 2}",
                ("T1003.001",),
                number * EACH,
                (number + 1) * EACH,
            )
        )
        for place in range(EACH):
            bad = place >= EACH // 2
            mark.append((0 if bad else 2) if place in {0, EACH // 2} else 1)
            label.append(UNCLEAR if place == EACH - 1 else ATTACK if bad else BACKGROUND)
            process.append(2 if bad else 1)
    count = PARTS * EACH
    return Recorded(
        marks,
        parts,
        {"lost": "no entry"},
        {part.name: part.site for part in parts},
        {},
        np.array(mark, np.int32),
        np.repeat(np.arange(PARTS), EACH).astype(np.int32),
        np.array(label, np.uint8),
        np.arange(count) * 1000,
        np.array(process, np.uint32),
        np.zeros(count, np.uint32),
    )


def speak(texts: Sequence[str]) -> Said:
    bad = np.array(["evil" in text for text in texts])
    return np.tile(np.array([0.9, 0.8, 0.0], np.float32), (len(texts), 1)) * bad[:, None], np.where(
        bad, 0.97, 0.03
    ).astype("f4")


@pytest.fixture(scope="module")
def asked() -> list[int]:
    return []


@pytest.fixture(scope="module")
def member(read: Recorded, asked: list[int], tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedMember, str]:
    output = tmp_path_factory.mktemp("trained") / "sequence"

    def of(number: int) -> windows.Speak:
        asked.append(number)
        return speak

    texts = Texts(TEXT, frozenset(TEXT), of, [frozenset({f"s{number}"}) for number in range(2)])
    told = trained(
        read,
        texts,
        output,
        pins=pinned(),
        recipe=Recipe(epochs=8, batch_size=24, rate=0.02, hidden=8, seed=3),
        split_seed=SPLIT_SEED,
    )
    return read_member(output), told


def test_the_folder_serves_what_was_trained(member: tuple[TrainedMember, str]) -> None:
    made, _ = member
    serving = SequenceMember(made.spec, made.folder, 1)
    start = event(0, executable="C:\\Users\\ann\\evil.exe", entity_id="a")
    later = [event(number, executable="C:\\Windows\\System32\\cmd.exe", entity_id="a") for number in range(1, 4)]

    view = said([0.97, 0.03, 0.03, 0.03])["text"]
    view = msgspec.structs.replace(view, techniques=np.zeros((4, len(TEXT)), np.float32))
    after = serving.score([start, *later], {"text": view}, {})[0].p_malicious[-1]
    alone = serving.score(
        later[:1],
        {"text": msgspec.structs.replace(view, techniques=view.techniques[:1], p_malicious=view.p_malicious[1:2])},
        {},
    )[0].p_malicious[0]

    assert made.spec.labels == ("T1003",)
    assert after > alone


def test_every_fold_is_asked_by_the_text_network_that_left_its_site_out(
    member: tuple[TrainedMember, str], asked: list[int]
) -> None:
    assert asked == [0, 1]


def test_the_report_compares_each_network_with_the_text_member_on_the_same_events(
    member: tuple[TrainedMember, str],
) -> None:
    made, told = member
    rows = msgspec.convert(made.report.metrics["measured"], list[measure.Measured])
    every = {row.model: row for row in rows if row.part == "everything"}

    assert set(every) == {"text alone", "lstm", "gru", "transformer"}
    assert {(row.attack, row.background) for row in every.values()} == {(PARTS * (EACH // 2 - 1), PARTS * EACH // 2)}
    assert every["lstm"].average_precision.value > every["text alone"].average_precision.value
    assert made.report.metrics["unknown"] == {"lost": "no entry"}
    assert f"| everything | lstm | {PARTS} |" in told


def test_a_site_that_no_fold_names_is_left_out_by_the_first(read: Recorded) -> None:
    sites = [frozenset({"s1"}), frozenset({"s2"})]

    assert dealt(read.parts, sites) == [[0, 1, 2, 3], []]


def test_the_vocabulary_names_what_is_ordinary_in_several_recordings_and_no_tool_of_an_attack(read: Recorded) -> None:
    found = windows.vocabulary(read, TEXT, TEXT, range(PARTS))

    assert found.images == ("cmd.exe", "explorer.exe")
    assert found.techniques == ("T1003", "T1059")
    assert not set(CLASSES) & set(found.images)


def test_a_fold_is_read_by_a_vocabulary_that_says_nothing_of_its_own_recordings(read: Recorded) -> None:
    first, second = windows.vocabularies(read, TEXT, TEXT, [[0], [1, 2, 3]])

    assert first.images == ("cmd.exe", "explorer.exe")
    assert second.images == ()
    assert second.kinds == ()
    assert first.techniques == second.techniques


def test_the_same_texts_are_asked_once() -> None:
    asked: list[Sequence[str]] = []

    def told(texts: Sequence[str]) -> Said:
        asked.append(texts)
        return speak(texts)

    again = windows.once(told)
    first, second = again(["evil"]), again(["evil"])

    assert len(asked) == 1
    assert np.array_equal(first[1], second[1])


def test_what_ships_is_fitted_without_the_recordings_by_which_a_promotion_is_judged(
    read: Recorded, member: tuple[TrainedMember, str]
) -> None:
    made, _ = member
    told = [name for name, part in ((part.name, part) for part in read.parts) if trains(name, part.set, SPLIT_SEED)]

    assert made.report.metrics[RECORDINGS] == told == ["r0", "r1", "r2"]
    assert made.report.rows["windows"] == 3 * (EACH - 1)


def test_either_side_weighs_the_same_and_long_recordings_less() -> None:
    attack = np.array([True] * 4 + [False] * 12)
    part = np.array([0] * 4 + [0] * 3 + [1] * 9, np.int32)

    weight = fit.weights(attack, part)

    assert weight.mean() == pytest.approx(1.0)
    assert weight[attack].sum() == pytest.approx(weight[~attack].sum())
    assert weight[7:].sum() / weight[4:7].sum() == pytest.approx(3**0.5)


def test_sampled_windows_stand_for_all_events_of_their_side(read: Recorded) -> None:
    words = windows.vocabulary(read, TEXT, TEXT, range(PARTS))
    labels = windows.labels(read, words.techniques, range(PARTS))
    maker = windows.Maker(read, words, labels, windows.Most(attack=7, background=5))

    found = maker.rows([0], speak)

    assert (int(found.attack.sum()), len(found)) == (7, 12)
    assert found.share[found.attack].sum() == pytest.approx(EACH // 2 - 1)
    assert found.share[~found.attack].sum() == pytest.approx(EACH // 2)
    assert found.windows.names.shape[1] == LENGTH


def test_what_names_no_host_is_neither_trained_on_nor_stands_in_a_window(read: Recorded) -> None:
    window = read.window.copy()
    window[:4] = recorded.NOWHERE
    without = msgspec.structs.replace(read, window=window)
    words = windows.vocabulary(read, TEXT, TEXT, range(PARTS))
    labels = windows.labels(read, words.techniques, range(PARTS))

    found = windows.Maker(without, words, labels, windows.Most()).rows([0], speak)

    assert len(found) == EACH - 1 - 4
    assert (found.windows.names[0, :, 0] > 0).sum() == 1


def test_one_site_alone_cannot_be_left_out(read: Recorded, tmp_path: Path) -> None:
    lone = msgspec.structs.replace(read, parts=[msgspec.structs.replace(read.parts[0], site="s0")])
    texts = Texts(TEXT, frozenset(TEXT), lambda _: speak, [frozenset({"s0"}), frozenset({"s1"})])

    with pytest.raises(ConfigError, match="one site"):
        trained(lone, texts, tmp_path, pins=pinned(), recipe=Recipe(), split_seed=SPLIT_SEED)


def test_recordings_are_read_once_and_kept(tmp_path: Path) -> None:
    nowhere = {name: value for name, value in EVENTS[-1].items() if name != "Hostname"}
    corpora = campaigns.beside(tmp_path, corpus.build(tmp_path), (*EVENTS[:-1], nowhere))

    first = recorded.kept(corpora, tmp_path / "keep" / "recorded.npz")
    (tmp_path / "compound.tar").unlink()
    again = recorded.kept(corpora, tmp_path / "keep" / "recorded.npz")
    other = msgspec.structs.replace(corpora.sources["otrf"], sha256="0" * 64)
    with pytest.raises(ConfigError):
        recorded.kept(Corpora(tmp_path, {**corpora.sources, "otrf": other}), tmp_path / "keep" / "recorded.npz")

    campaign = first.parts[-1]
    names = {"attack": ATTACK, "background": BACKGROUND, "unclear": UNCLEAR}
    assert first.label[campaign.start : campaign.stop].tolist() == [names[label] for label in LABELS]
    assert first.window[campaign.start : campaign.stop].tolist().index(recorded.NOWHERE) == len(EVENTS) - 1
    assert set(first.verified) == {"otrf", "otrf_compound"}
    assert again.parts == first.parts
    assert again.marks == first.marks
    assert np.array_equal(again.process, first.process)
