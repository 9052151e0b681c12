"""Nothing of a bundle is used that its manifest does not vouch for."""

from __future__ import annotations

import pickle
import shutil

import msgspec
import pytest

from connector.errors import ConfigError
from connector.models import Store, manifest as manifests
from connector.models.testbed import lay_bundle
from tests.models.events import process_start
from tests.models.tiny import add_member


def test_an_untouched_bundle_verifies_and_opens(store):
    assert store.list() == ["tiny/1"]
    assert store.verify("tiny/1") == ()
    bundle = store.open()
    assert (bundle.model.name, bundle.model.version, bundle.model.attack_version) == ("tiny", "1", "18.1")
    bundle.close()


@pytest.mark.parametrize("name", ["text/model.onnx", "text/tokenizer.json", "README.md", "train_fingerprints.bin"])
def test_one_changed_byte_in_any_file_is_refused(store, bundle_dir, name):
    path = bundle_dir / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ConfigError, match=f"{name} differs"):
        store.open()


def test_a_missing_file_is_refused(store, bundle_dir):
    (bundle_dir / "text" / "model.onnx").unlink()
    with pytest.raises(ConfigError, match=r"model\.onnx is listed in the manifest but missing"):
        store.open()


def test_a_file_that_is_not_listed_is_refused(store, bundle_dir):
    (bundle_dir / "text" / "extra.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"extra\.json is not listed"):
        store.open()


@pytest.mark.parametrize("name", ["head.pkl", "head.pt", "head.joblib", "code.py"])
def test_a_type_that_can_run_code_is_refused_even_where_the_manifest_lists_it(store, bundle_dir, name):
    (bundle_dir / name).write_bytes(pickle.dumps({"weights": [1.0]}))
    manifests.seal(bundle_dir, manifests.read(bundle_dir))
    with pytest.raises(ConfigError, match="never loaded"):
        store.open()


def test_a_link_is_refused_because_its_target_may_change(store, bundle_dir, tmp_path):
    model = bundle_dir / "text" / "model.onnx"
    shutil.move(model, tmp_path / "elsewhere.onnx")
    model.symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(ConfigError, match="not a plain file"):
        store.open()


def test_an_unknown_member_kind_names_the_known_ones(store, tmp_path):
    add_member(tmp_path / "store", name="other", kind="oracle", labels=("T1059",))
    with pytest.raises(ConfigError, match=r"'oracle'; known kinds are: .*text"):
        store.open()


def test_a_kind_of_event_with_another_canonical_form_is_refused(tmp_path):
    lay_bundle(tmp_path, canonical_versions={"sysmon-1": "0" * 64})
    with pytest.raises(ConfigError, match="sysmon-1 are read in another canonical form"):
        Store(tmp_path).open("tiny/1")


def test_a_bundle_in_the_wrong_folder_is_refused(store, tmp_path):
    shutil.copytree(tmp_path / "store" / "tiny" / "1", tmp_path / "store" / "tiny" / "2")
    with pytest.raises(ConfigError, match="manifest of tiny/1"):
        store.open("tiny/2")


@pytest.mark.parametrize("ref", ["../tiny/1", "tiny", "tiny/..", "tiny/1/text", "/tmp/x", ""])
def test_a_reference_cannot_leave_the_store(store, ref):
    with pytest.raises(ConfigError, match="name/version"):
        store.verify(ref)


def test_promotion_swaps_what_opens_and_remembers_what_was_there(store, tmp_path):
    lay_bundle(tmp_path / "store", version="2", weights={"calc": {"T1204": 9.0, "malicious": 9.0}})
    event = process_start("calc")
    before = store.open()
    store.promote("tiny/2")
    after = store.open()
    assert (before.ref, after.ref, store.production()) == ("tiny/1", "tiny/2", "tiny/2")
    assert before.predict([event], {})[0][0].passed == ()
    assert after.predict([event], {})[0][0].passed == ("T1204",)
    state = msgspec.json.decode((tmp_path / "store" / "production.json").read_bytes())
    assert (state["bundle"], state["previous"]) == ("tiny/2", "tiny/1")


def test_a_bundle_that_does_not_verify_is_never_promoted(store, tmp_path):
    lay_bundle(tmp_path / "store", version="2")
    (tmp_path / "store" / "tiny" / "2" / "README.md").write_text("changed")
    with pytest.raises(ConfigError, match="not promoted"):
        store.promote("tiny/2")
    assert store.production() == "tiny/1"


def test_a_store_with_nothing_in_production_says_what_it_has(tmp_path):
    lay_bundle(tmp_path)
    with pytest.raises(ConfigError, match=r"no bundle is in production .*tiny/1"):
        Store(tmp_path).open()


def test_a_broken_production_file_is_a_configuration_error(store, tmp_path):
    (tmp_path / "store" / "production.json").write_text("tiny/1")
    with pytest.raises(ConfigError, match=r"production\.json"):
        store.open()
