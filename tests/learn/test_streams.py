"""Recordings as streams: in time order, labelled by the process tree, and unclear where nothing proves a side."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError
from connector.learn.corpora.source import Corpora
from connector.learn.streams import CAMPAIGNS, Label, Stream, streams
from tests.learn import campaigns, corpus

LINE = "C:\\Windows\\System32\\cmd.exe /c steal secrets number 1 quickly"

EVENTS = (
    corpus.flat_start(30, "child.exe --of attack", guid="{b}", parent="{a}") | {"ProcessId": "40"},
    corpus.flat_start(20, LINE, guid="{a}", parent="{none}") | {"ProcessId": 39},
    corpus.flat_registry(10, "HKLM\\SOFTWARE\\Vendor", "{other}"),
    corpus.flat_registry(11, "HKLM\\SOFTWARE\\Run", "{B}"),
    {**corpus.flat_registry(12, "", "{a}"), "EventID": 8, "TargetProcessGuid": "{entered}", "SourceProcessGuid": "{a}"},
    corpus.flat_registry(13, "HKLM\\SOFTWARE\\Entered", "{entered}"),
    {
        "EventID": 4663,
        "Channel": "Security",
        "Hostname": "PC1.lab",
        "EventTime": "2021-01-01 10:02:01",
        "ProcessId": "0x27",
    },
    {
        "EventID": 4663,
        "Channel": "Security",
        "Hostname": "PC2",
        "EventTime": "2021-01-01 10:02:02",
        "ProcessId": "0x27",
    },
    {
        "EventID": 4104,
        "Channel": "Microsoft-Windows-PowerShell/Operational",
        "Hostname": "PC1",
        "EventTime": "2021-01-01 10:02:03",
    },
    {"EventID": 4624, "Channel": "Security", "Hostname": "PC1", "EventTime": "2021-01-01 10:02:04"},
)
LABELS: tuple[Label, ...] = (
    *("attack", "attack", "background", "attack", "attack"),
    *("unclear", "unclear", "background", "unclear", "background"),
)
"""In time order: the process starts of EVENTS are written in the wrong one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    place = tmp_path_factory.mktemp("streams")
    return campaigns.beside(place, corpus.build(place), EVENTS)


@pytest.fixture(scope="module")
def campaign(folder: Corpora) -> Stream:
    return list(streams(folder))[-1]


def test_a_campaign_is_a_stream_in_time_order_with_a_label_an_event(campaign: Stream) -> None:
    found = list(campaign)

    times = [str(seen.event.ecs["@timestamp"]) for seen in found]
    assert times == sorted(times)
    assert tuple(seen.label for seen in found) == LABELS
    assert {seen.host for seen in found} == {"pc1", "pc2"}
    assert (campaign.set, campaign.group, campaign.techniques) == ("campaign", "LSASS_campaign_02", ("T1003.001",))
    assert (campaign.entry, campaign.reason) == (LINE, "")


def test_a_stream_can_be_read_twice(campaign: Stream) -> None:
    assert list(campaign) == list(campaign)


def test_single_recordings_come_first_each_its_own_group(folder: Corpora) -> None:
    *single, last = streams(folder)

    assert last.set == "campaign"
    assert {stream.set for stream in single} == {"single-technique"}
    assert len({stream.group for stream in single}) == len(single) > 1
    assert all("attack" in {seen.label for seen in stream} for stream in single)


def test_without_an_entry_every_event_is_unclear_and_the_reason_is_told(folder: Corpora, tmp_path: Path) -> None:
    body = campaigns.zipped([corpus.flat_registry(1, "HKLM\\SOFTWARE\\Vendor", "{a}")])
    _tarred(tmp_path / folder.sources["otrf"].archive, {"OTRF/Security-Datasets/datasets/atomic/host/lone.zip": body})
    _tarred(tmp_path / folder.sources[CAMPAIGNS].archive, {})
    pins = {
        name: msgspec.structs.replace(
            folder.sources[name],
            root="OTRF/Security-Datasets",
            sha256=hashlib.sha256((tmp_path / folder.sources[name].archive).read_bytes()).hexdigest(),
        )
        for name in ("otrf", CAMPAIGNS)
    }

    [stream] = streams(Corpora(tmp_path, pins))

    assert stream.reason == "no Sysmon process start with a GUID was recorded"
    assert [seen.label for seen in stream] == ["unclear"]


def test_missing_campaigns_are_named(tiny: Corpora) -> None:
    with pytest.raises(ConfigError, match=CAMPAIGNS):
        list(streams(tiny))


def _tarred(path: Path, members: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
