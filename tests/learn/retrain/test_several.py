"""The full path of a bundle of several members: what reads text is trained anew, the rest is carried over."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError
from connector.learn import dataset, dataset_file
from connector.learn.corpora.source import Corpora, Source
from connector.learn.dataset import Dataset
from connector.learn.training.ensemble import __main__ as ensemble
from connector.learn.training.ensemble.assemble import Bundled, assemble, carried
from connector.learn.training.ensemble.operate import BUNDLE
from connector.learn.training.ensemble.renew import Incumbent, others
from connector.learn.training.fit import Recipe
from connector.learn.training.members import Report, TrainedMember, write_member
from connector.learn.training.provenance import source_of
from connector.learn.training.retrain import full
from connector.learn.training.retrain.order import Order
from connector.learn.training.retrain.renewed import workplace
from connector.learn.training.text import Order as TextOrder, train_text
from connector.models import Store
from connector.models.ensemble import META
from connector.models.payload.testbed import lay_payload_member, payload_spec
from connector.models.sequence.testbed import lay_sequence_member, sequence_spec
from connector.ports import MemberSpec
from tests.learn import campaigns, corpus
from tests.learn.retrain.test_full import NONE, closure
from tests.models.events import process_start

SMALL = Recipe(
    letter_epochs=0, wide_epochs=2, wide_evaluations=2, max_length=64, sub_groups=3, layers=None, vocabulary=300
)
SITES = 6
NETWORK = {"network": "gru", "epochs": 1, "seed": 7}


def recording(number: int) -> bytes:
    """One of the tiny corpus's recordings, made at a site of its own."""
    with zipfile.ZipFile(io.BytesIO(corpus.recording(number))) as packed:
        (name,) = packed.namelist()
        content = packed.read(name).replace(b'"PC1"', f'"PC{number}"'.encode())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def laid(folder: Path) -> Corpora:
    """The tiny corpora with recordings of several sites, and one campaign."""
    pins = corpus.build(folder)
    files: Mapping[str, bytes] = {
        **{f"datasets/atomic/windows/x/host/rec{n}.zip": recording(n) for n in range(SITES)},
        **{f"datasets/atomic/_metadata/M{n}.yaml": corpus.metadata(n).encode() for n in range(SITES)},
    }
    path = folder / pins["otrf"].archive
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{pins['otrf'].root}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    pins["otrf"] = msgspec.structs.replace(pins["otrf"], sha256=sha256)
    start = corpus.flat_start(
        2, "C:\\Windows\\System32\\cmd.exe /c steal secrets number 1 quickly", guid="{a}", parent="{n}"
    )
    child = corpus.flat_start(3, "child.exe --of attack", guid="{b}", parent="{a}", image="C:\\Temp\\childb.exe")
    calm = corpus.flat_registry(4, "HKLM\\SOFTWARE\\Vendor\\Shared", "{bg}")
    return campaigns.beside(folder, pins, [{**event, "Hostname": "CAMPAIGN"} for event in (start, child, calm)])


def written(corpora: Corpora) -> Path:
    """The table of sources as a file."""
    fields = ("upstream", "commit", "archive", "sha256", "root", "licence", "credit")
    lines = []
    for name, source in corpora.sources.items():
        lines += [f"[{name}]", *(f'{field} = "{getattr(source, field)}"' for field in fields), "may_train = true", ""]
    path = corpora.folder / "sources.toml"
    path.write_text("\n".join(lines))
    return path


class House(msgspec.Struct):
    """Corpora, a dataset of them, and a store whose bundle in production has several members."""

    corpora: Corpora
    pins: Path
    rows: Dataset
    place: Path

    @property
    def store(self) -> Store:
        return Store(self.place)

    def order(self) -> Order:
        return Order(
            store=self.place, bundle="tiny/2", export=Path(), version="2-r1", newest=0.2, full=True,
            corpora=self.corpora.folder, pins=self.pins,
        )  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("house")
    (folder / "corpora").mkdir()
    corpora = laid(folder / "corpora")
    pins, rows = written(corpora), dataset.build(corpora)
    dataset_file.write(rows, folder / "rows")
    train_text(
        TextOrder(output=folder / "store", rows=folder / "rows", pins=pins, recipe=SMALL, name="tiny", version="1")
    )
    store = Store(folder / "store")
    labels = store.manifest("tiny/1").members[0].labels
    lay_sequence_member(folder / "sequence", labels)
    lay_payload_member(folder / "payload")
    members = [
        member(folder / "sequence", sequence_spec(labels=labels), corpora.sources["otrf"], NETWORK),
        member(folder / "payload", payload_spec(), corpora.sources["atomic"], {"seed": 3}),
    ]
    bundled = Bundled(
        name="tiny",
        version="2",
        calibration=BUNDLE,
        thresholds=store.manifest("tiny/1").thresholds,
        metrics={"folds": ["fold 1", "fold 2"]},
    )
    assemble(folder / "store", "tiny/1", members, bundled, output=folder / "store", pins=corpora.sources)
    return House(corpora, pins, rows, folder / "store")


def member(folder: Path, spec: MemberSpec, pin: Source, recipe: Mapping[str, object]) -> TrainedMember:
    told = Report(
        recipe=recipe, dataset="d" * 64, sources=(source_of(pin, 3, {}),), rows={"train": 3}, metrics={"f1": 0.5}
    )
    return write_member(folder, spec, told)


def test_a_member_is_carried_with_all_that_its_bundle_tells_of_it(house: House) -> None:
    found = carried(house.store, "tiny/2", "payload")

    assert found.report == Report(
        recipe={"seed": 3},
        dataset="d" * 64,
        sources=(
            source_of(house.corpora.sources["atomic"], 3, {}),
        ),  # the text member read it too, and other rows of it
        rows={"train": 3},
        metrics={"f1": 0.5},
    )
    assert found.files() == carried(house.store, "tiny/2", "payload").files() != ()
    assert found.spec.evidence == "found"


def test_options_that_the_incumbent_decides_are_refused_beside_it(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--base", "tiny/1", "--corpora", str(tmp_path), "--rows", str(tmp_path), "--version", "3"]

    assert ensemble.main([*given, "--output", str(house.place), "--again", "tiny/2", "--network", "gru"]) == 2
    assert "leave --network" in capsys.readouterr().err


def test_what_may_not_train_is_found_before_anything_is_trained(house: House) -> None:
    pins = {**house.corpora.sources}
    pins["atomic"] = msgspec.structs.replace(pins["atomic"], may_train=False)

    with pytest.raises(ConfigError, match="atomic, which may not train"):
        others(Incumbent(house.store, "tiny/2"), pins)
    assert [one.spec.name for one in others(Incumbent(house.store, "tiny/2"), pins, {"payload"})] == ["sequence"]


def test_nobody_else_reads_what_lies_in_the_workplace(tmp_path: Path) -> None:
    with workplace(Store(tmp_path), "tiny", "1") as place:
        assert place.stat().st_mode & 0o077 == place.parent.stat().st_mode & 0o077 == 0
        (place / "tiny" / "1").mkdir(parents=True)
    assert (tmp_path / "tiny" / "1").is_dir()


def test_what_reads_text_is_trained_anew_and_the_rest_stays_byte_for_byte(house: House) -> None:
    row = next(row for row in house.rows.of("train") if row.malicious is False)
    shown = [closure(row, text=f"{row.text} mender {n}", fingerprint=f"{n:064d}") for n in range(3)]

    found = msgspec.structs.replace(NONE, learnt=tuple(shown))

    made = full.train(house.order(), house.rows, found, {"export": "here"})

    before, after = house.store.manifest("tiny/2"), house.store.manifest(made)
    assert made == "tiny/2-r1"
    assert house.store.verify(made) == ()
    assert not (house.place / ".work" / "tiny-2-r1").exists()
    assert {spec.name for spec in after.members} - {META} == {"text", "rules", "sequence", "payload"}
    assert files(before.files, "payload/") == files(after.files, "payload/")
    assert files(before.files, "text/") != files(after.files, "text/")
    assert after.metrics["members"]["payload"] == before.metrics["members"]["payload"]
    assert after.metrics["members"]["sequence"]["recipe"].items() >= NETWORK.items()
    assert after.metrics["retrained"]["path"] == "full"
    assert {source.name: source.rows for source in after.dataset.sources}["closed-alerts"] == 3
    bundle = house.store.open(made, threads=1)
    try:
        (prediction,) = bundle.predict(
            [process_start("powershell -enc aaaa", host="pc1", at="2026-03-01T10:00:00Z")], {}
        )[0]
    finally:
        bundle.close()
    assert prediction.members["text"] is not None
    assert prediction.members["sequence"] is not None


def files(found: Mapping[str, str], under: str) -> dict[str, str]:
    return {name: digest for name, digest in found.items() if name.startswith(under)}
