"""What is left out is left out whole: files, sites and near copies; and who breaks that is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connector.errors import ConfigError
from connector.learn.dataset import Row
from connector.learn.evaluation import folds, recordings


def row(number: int, source: str, group: str, **parts: Any) -> Row:
    fields: dict[str, Any] = {
        "text": f"event {number}",
        "kind": "sysmon-1",
        "fingerprint": f"{number:064x}",
        "techniques": ("T1003",),
        "malicious": True,
        "basis": "file-name",
        "source": source,
        "group": group,
        "record": str(number),
        "licence": "MIT",
        "split": ("train", "train", "dev", "calibration")[number % 4],
    }
    return Row(**{**fields, **parts})


BENIGN = {"techniques": (), "malicious": False}


def rows() -> list[Row]:
    found = [row(n, "evtx_to_mitre", f"file {n % 7}") for n in range(40)]
    found += [row(100 + n, "otrf", f"recording {n % 6}", basis="process-tree") for n in range(30)]
    found += [row(200 + n, "atomic", f"test {n % 9}", basis="executed-test") for n in range(30)]
    return found + [row(300 + n, "tldr", f"page {n}", basis="manual-page", **BENIGN) for n in range(30)]


SITES = {f"recording {n}": "big.example" if n < 4 else f"host{n}" for n in range(6)}


def test_every_group_is_left_out_once_and_sites_go_together() -> None:
    fits = folds.by_group(rows(), SITES, 3)

    tested = [one.fingerprint for fit in fits for one in fit.test]
    assert sorted(tested) == sorted(one.fingerprint for one in rows() if one.source != "atomic")
    for fit in fits:
        assert folds.leaks(fit) == []
        assert {one.group for one in fit.test if one.source == "otrf"} == {
            name for name, site in SITES.items() if site in fit.sites
        }
        assert len(fit.train) + len(fit.dev) + len(fit.calibration) + len(fit.test) == len(rows())
    assert sum("big.example" in fit.sites for fit in fits) == 1


def test_sources_of_techniques_stay_in_training_but_for_near_copies_of_what_is_left_out() -> None:
    copied = [
        msgspec.structs.replace(one, cluster="same") if one.fingerprint in {f"{0:064x}", f"{200:064x}"} else one
        for one in rows()
    ]
    fits = folds.by_group(copied, SITES, 2)

    (without,) = (fit for fit in fits if any(one.cluster for one in fit.test))
    seen = [*without.train, *without.dev, *without.calibration]
    assert not any(one.cluster for one in seen)
    assert sum(one.source == "atomic" for one in seen) == 29


def test_a_source_left_out_is_all_that_the_fit_is_tried_on() -> None:
    fit = folds.without(rows(), "atomic")

    assert {one.source for one in fit.test} == {"atomic"}
    assert "atomic" not in {one.source for one in (*fit.train, *fit.dev, *fit.calibration)}


def test_a_random_split_shares_groups_and_is_said_to() -> None:
    assert any("is in two splits" in leak for leak in folds.leaks(folds.at_random(rows())))


def test_one_fold_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave nothing to train on"):
        folds.by_group(rows(), SITES, 1)


def test_a_site_is_a_hosts_domain_and_a_bare_name_is_the_host_that_has_one_elsewhere() -> None:
    hosts = {
        "a": {"pc1.corp.example": 90, "dc.corp.example": 5},
        "b": {"pc1": 20},
        "c": {"alone": 3, "pc1": 1},
        "d": {},
    }

    assert recordings.sites_of(hosts) == {"a": "corp.example", "b": "corp.example", "c": "alone"}
