"""From corpora to a member's folder in one command, on invented corpora; what training says is what serving says."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest
import torch

from connector.errors import ConfigError
from connector.learn.corpora.capture_payloads import sent, shape
from connector.learn.corpora.http_params import Parameter, parameters
from connector.learn.corpora.source import Corpora
from connector.learn.training.members import TrainedMember, read_member
from connector.learn.training.payload import train as training
from connector.learn.training.payload.__main__ import main
from connector.learn.training.payload.encodings import ENCODINGS
from connector.learn.training.payload.export import export
from connector.learn.training.payload.fit import Recipe, tensors
from connector.learn.training.payload.network import ByteNetwork, averaged
from connector.learn.training.payload.network_payloads import against_chance
from connector.learn.training.payload.report import lines
from connector.learn.training.payload.rows import near_copies, parameter_rows, split
from connector.models.graph import Graph, Reading
from connector.models.payload.decode import plain
from connector.models.payload.member import MODEL, PayloadMember
from tests.learn.payload.corpus import lay

SMALL = Recipe(networks=2, epochs=1, normal=120, injections=60, rarer=60, ordinary=30, raw=60)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def trained(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedMember:
    out = tmp_path_factory.mktemp("out")
    order = training.Order(corpora=corpora, output=out / "payload", recipe=SMALL, folds=1, keep=out / "keep")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return read_member(training.train(order))
    finally:
        torch.set_num_threads(threads)


def test_a_trained_member_serves_and_names_its_sources_and_techniques_of_text_alone(trained: TrainedMember) -> None:
    member = PayloadMember(trained.spec, trained.folder, 1)
    member.close()

    assert set(trained.spec.labels) == {"T1059", "T1189", "T1190"}
    assert {source.name for source in trained.report.sources} == {"http_params", "tldr"}
    assert all(source.licence and source.authors for source in trained.report.sources)
    assert (trained.folder / MODEL).stat().st_size < 300_000


def test_the_report_tells_every_promised_number(trained: TrainedMember) -> None:
    told = "\n".join(lines(trained.report.metrics))

    for wanted in (
        "macro ",
        "TF-IDF, linear",
        *ENCODINGS,
        "AUC of length alone",
        "tram, never trained on",
        "margin",
        "own split",
    ):
        assert wanted in told


def made_anew() -> training.Fold:
    raise LookupError("nothing is kept")


def test_what_was_measured_is_kept_and_not_measured_again(trained: TrainedMember) -> None:
    keep = trained.folder.parent / "keep"
    (raw,) = keep.glob("*-raw.json")
    (fold,) = keep.glob("*-0.json")

    assert msgspec.json.decode(raw.read_bytes()) == trained.report.metrics["raw payloads"]
    assert training._kept(keep, fold.stem, training.Fold, made_anew).plain["network"]
    with pytest.raises(LookupError, match="nothing is kept"):
        training._kept(keep, "other", training.Fold, made_anew)


def test_a_folder_that_exists_is_not_written_over(
    corpora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--corpora", str(corpora), "--output", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


def spoken(network: ByteNetwork) -> ByteNetwork:
    """The table of runs begins at zero: here every run says something."""
    torch.nn.init.normal_(network.wide.weights.weight)
    return network


def test_several_networks_as_one_say_the_mean_of_what_each_says() -> None:
    torch.manual_seed(4)
    several = [spoken(ByteNetwork(4)).eval() for _ in range(3)]
    windows = tensors([b"a", b"1' or 1=1--", b"x" * 300])

    with torch.inference_mode():
        alone = [network(*windows) for network in several]
        kinds, malicious = averaged(several)(*windows)
    np.testing.assert_allclose(kinds.numpy(), np.mean([each[0].numpy() for each in alone], axis=0), rtol=1e-4)
    np.testing.assert_allclose(malicious.numpy(), np.mean([each[1].numpy() for each in alone], axis=0), rtol=1e-4)


def test_the_graph_says_what_the_network_says_whatever_is_beside_it(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = averaged([spoken(ByteNetwork(4)) for _ in range(2)])
    graph = Graph(export(network, tmp_path), labels=4, threads=1, batch_size=8)
    data = [b"a", b"1' or 1=1--", bytes(range(256)), b"x" * 300]
    read = graph.run([Reading((np.frombuffer(each, np.uint8).astype(np.int64) + 1).tolist()) for each in data])

    for place, each in enumerate(data):
        with torch.inference_mode():
            kinds, malicious = network(*tensors([each]))
        np.testing.assert_allclose(read.techniques[place], kinds[0].numpy(), atol=1e-4)
        np.testing.assert_allclose(read.malicious[place], malicious[0].numpy(), atol=1e-4)


def test_no_group_of_near_copies_stands_on_two_sides_of_a_split(corpora: Path) -> None:
    rows = parameter_rows(Corpora(corpora))
    parts = split(rows, 2, 1)

    groups = [{row.group for row in part} for part in parts.values()]
    assert all(groups)
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert sum(map(len, parts.values())) == len(rows)


def test_values_that_differ_in_numbers_and_drawn_names_are_near_copies() -> None:
    found = [
        Parameter("1' and 5 in (select qxyz from t where 7=7 or sleep(5))#", "sqli", ""),
        Parameter("88' and 6 in (select abcd from t where 1=1 or sleep(9))#", "sqli", ""),
        Parameter("/../../../{file}", "path-traversal", ""),
        Parameter("/../../{file}", "path-traversal", ""),
        Parameter("lago verde", "norm", ""),
        Parameter("monte norte", "norm", ""),
    ]
    groups = near_copies(found)

    assert groups[0] == groups[1]
    assert groups[2] == groups[3]
    assert len(set(groups)) == 4


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_decoder_takes_back_every_encoding_that_is_reported(name: str) -> None:
    value = b"1' and <b>|id /../x={2}"

    assert plain(ENCODINGS[name](value, Random(1))) == value


def test_a_capture_gives_payloads_under_its_metadata(corpora: Path) -> None:
    found = sent(Corpora(corpora))

    assert {(each.tool, each.techniques) for each in found} == {
        ("covenant", ("T1021.002",)), ("covenant", ("T1047",)), ("empire", ("T1021.002",)), ("empire", ("T1047",))
    }  # fmt: skip
    assert shape(b"ABC 1234 def") == shape(b"abc 77 DEF")


def test_labels_that_scores_know_beat_chance_and_labels_that_they_do_not_know_do_not() -> None:
    kinds = ("a", "b", "c")
    truth = {str(number): frozenset(kinds[number % 3]) for number in range(30)}
    knows = {name: np.array([float(kind in shown) for kind in kinds]) for name, shown in truth.items()}
    same = dict.fromkeys(truth, np.array([1.0, 0.0, 0.0]))

    tools = {name: "one" if int(name) < 15 else "other" for name in truth}

    assert against_chance(knows, truth, tools, kinds)["margin"] > 0.2
    assert against_chance(same, truth, tools, kinds)["margin"] <= 0


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "Morzeux/HttpParamsDataset"
    folder.mkdir(parents=True)
    (folder / "payload_train.csv").write_text("payload,attack_type\nx,other\n")

    with pytest.raises(ConfigError, match="line 2"):
        parameters(Corpora(tmp_path))
