"""The manifest and the list of training fingerprints."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from connector.errors import ConfigError
from connector.models import fingerprints, manifest as manifests
from connector.models.rules.testbed import rules_spec
from connector.models.testbed import TEXT_THRESHOLDS, lay_bundle


@pytest.fixture
def manifest(tmp_path):
    return lay_bundle(tmp_path)


def changed(manifest, **parts):
    return msgspec.structs.replace(manifest, **parts)


def test_what_is_written_is_read_back_equal(tmp_path, manifest):
    assert manifests.read(tmp_path / "tiny" / "1") == manifest


def test_an_unknown_key_is_refused(tmp_path, manifest):
    path = tmp_path / "tiny" / "1" / "manifest.json"
    path.write_text(path.read_text().replace('"seed"', '"sed"'))
    with pytest.raises(ConfigError, match="sed"):
        manifests.read(path.parent)


def test_thresholds_must_rise(manifest):
    limits = msgspec.structs.replace(manifest.thresholds, suspicious=0.95)
    assert any("rise" in problem for problem in manifests.check(changed(manifest, thresholds=limits)))


def test_a_threshold_is_a_probability(manifest):
    limits = msgspec.structs.replace(manifest.thresholds, trigger=1.5)
    assert manifests.check(changed(manifest, thresholds=limits)) == ["a threshold is not a probability"]


def test_a_member_directory_cannot_climb_out_of_the_bundle(manifest):
    member = msgspec.structs.replace(manifest.members[0], directory="../../etc")
    assert any("../../etc" in problem for problem in manifests.check(changed(manifest, members=(member,))))


def test_member_labels_must_be_the_bundles(manifest):
    assert any("T1003" in problem for problem in manifests.check(changed(manifest, labels=("T1059",))))


def test_two_members_cannot_share_a_name(manifest):
    assert manifests.check(changed(manifest, members=manifest.members * 2)) == ["member 'text' is listed twice"]


def test_several_members_need_levels_of_what_the_text_member_says_alone_and_a_lone_one_has_none(tmp_path, manifest):
    several = lay_bundle(tmp_path, version="2", members=[rules_spec()])
    assert several.thresholds_alone == TEXT_THRESHOLDS != several.thresholds
    (problem,) = manifests.check(changed(several, text_thresholds=msgspec.UNSET))
    assert "no text_thresholds" in problem
    (problem,) = manifests.check(changed(manifest, text_thresholds=TEXT_THRESHOLDS))
    assert "a lone one's are its thresholds" in problem
    falling = msgspec.structs.replace(TEXT_THRESHOLDS, trigger=0.0)
    assert any("rise" in problem for problem in manifests.check(changed(several, text_thresholds=falling)))


def test_a_lone_members_manifest_tells_neither_levels_of_texts_nor_evidence(manifest):
    assert manifest.thresholds_alone == manifest.thresholds
    written = msgspec.json.encode(manifest)
    assert b"text_thresholds" not in written, "site layers are bound to what is written"
    assert b"evidence" not in written


def test_a_manifest_of_a_later_format_is_refused(tmp_path, manifest):
    path = tmp_path / "tiny" / "1" / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ConfigError, match="format 2"):
        manifests.read(path.parent)


def test_exactly_the_fingerprints_of_training_are_known(tmp_path):
    seen = [hashlib.sha256(bytes([n])).hexdigest() for n in range(200)]
    new = [hashlib.sha256(bytes([n, n])).hexdigest() for n in range(200)]
    assert fingerprints.write(tmp_path / fingerprints.FILE, seen * 2) == 200
    known = fingerprints.read(tmp_path / fingerprints.FILE)
    assert len(known) == 200
    assert all(f in known for f in seen)
    assert not any(f in known for f in new)


def test_a_bundle_that_was_trained_on_nothing_knows_no_fingerprint(tmp_path):
    fingerprints.write(tmp_path / fingerprints.FILE, [])
    assert hashlib.sha256(b"").hexdigest() not in fingerprints.read(tmp_path / fingerprints.FILE)


@pytest.mark.parametrize("data", [b"1234567", b"\2" * 8 + b"\1" * 8], ids=["not whole", "not sorted"])
def test_a_broken_list_of_fingerprints_is_refused(tmp_path, data):
    path = tmp_path / fingerprints.FILE
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        fingerprints.read(path)
