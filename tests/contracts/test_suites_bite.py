"""The contract suites catch what they are there to catch: each of these plug-ins breaks one rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pytest

from connector.ports import MemberPlugin, MemberSpec, SiemPlugin, SoarPlugin, State
from connector.testing import (
    ContractError,
    check_history,
    check_member,
    check_soar,
    check_source,
    check_writer,
    memory_siem_plugin,
    memory_soar_plugin,
)
from connector.testing.siem import MemoryHistory, MemorySource, MemoryWriter
from connector.testing.soar import MemorySoarClient
from connector.types import (
    Action,
    Batch,
    Cursor,
    Delivery,
    DispositionChange,
    Event,
    Json,
    Position,
    RawEvent,
    Record,
    RunRef,
    RunStatus,
    Scores,
    Span,
    StateChange,
)

replace = msgspec.structs.replace


def siem(**parts: Any) -> SiemPlugin:
    return replace(memory_siem_plugin, **parts)


class InclusiveStop(MemorySource):
    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        return super().read(replace(span, stop=span.stop + 1), after, limit)


class LosesATie(MemorySource):
    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        if after is not None:
            after = Cursor(token=after.token.partition(":")[0] + ":~")
        return super().read(span, after, limit)


class HeadWithoutSettle(MemorySource):
    def heads(self) -> Sequence[Position]:
        return [Position(partition="", offset=super().heads()[0].offset + 10**9)]


class RandomIds(MemorySource):
    made = 0

    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        batch = super().read(span, after, limit)
        self.made += 1
        items = tuple(replace(raw, native_id=f"{raw.native_id}-{self.made}") for raw in batch.items)
        return replace(batch, items=items)


class CountsWrong(MemorySource):
    def count(self, span: Span) -> int | None:
        return (super().count(span) or 0) + 1


class DigestOfAnObject(MemorySource):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.query_digest = str(id(self))


class CursorOfAProcess(MemorySource):
    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        mine = f"{id(self)}:"
        inner = Cursor(token=after.token.removeprefix(mine)) if after and after.token.startswith(mine) else None
        batch = super().read(span, inner, limit)
        return replace(batch, cursor=Cursor(token=mine + batch.cursor.token) if batch.cursor else None)


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        (InclusiveStop, "meet at"),
        (LosesATie, "pages of|cursor resumes"),
        (HeadWithoutSettle, "put after heads"),
        (RandomIds, "cursor resumes|pages of"),
        (CountsWrong, "count gives"),
        (DigestOfAnObject, "digest"),
        (CursorOfAProcess, "outlives"),
    ],
)
def test_a_source_that_breaks_a_rule_is_caught(source: type[MemorySource], rule: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=rule):
        check_source(siem(source=source), tmp_path)


class OneOutcomeShort(MemoryWriter):
    def write(self, records: Sequence[Record]) -> Sequence[Delivery]:
        return list(super().write(records))[1:]


class NeverStores(MemoryWriter):
    def write(self, records: Sequence[Record]) -> Sequence[Delivery]:
        return [Delivery(outcome="delivered")] * len(records)


class RejectsRepeats(MemoryWriter):
    seen: set[str] = set()  # noqa: RUF012 - one process

    def write(self, records: Sequence[Record]) -> Sequence[Delivery]:
        outcomes = super().write(records)
        fresh = [record.record_id not in self.seen for record in records]
        self.seen.update(record.record_id for record in records)
        rejected = Delivery(outcome="rejected", reason="version conflict")
        return [outcome if new else rejected for outcome, new in zip(outcomes, fresh, strict=True)]


@pytest.mark.parametrize(
    ("writer", "rule"),
    [(OneOutcomeShort, "one outcome"), (NeverStores, "exactly once"), (RejectsRepeats, "repeated one too")],
)
def test_a_writer_that_breaks_a_rule_is_caught(writer: type[MemoryWriter], rule: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=rule):
        check_writer(siem(writer=writer), tmp_path)


class NewestFirst(MemoryHistory):
    def dispositions(self, after: Cursor | None, limit: int) -> Batch[DispositionChange]:
        batch = super().dispositions(after, limit)
        return replace(batch, items=batch.items[::-1])


class FromTheStart(MemoryHistory):
    def dispositions(self, after: Cursor | None, limit: int) -> Batch[DispositionChange]:
        return super().dispositions(None, 1000)


@pytest.mark.parametrize(("history", "rule"), [(NewestFirst, "order"), (FromTheStart, "no more|after it")])
def test_a_history_that_breaks_a_rule_is_caught(history: type[MemoryHistory], rule: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=rule):
        check_history(siem(history=history), tmp_path)


class ForgetsKeys(MemorySoarClient):
    def run(self, action: Action) -> RunRef:
        return RunRef(soar=self.name, run_id=self._soar.start(action, unique=False).run_id)


class FindsNothing(MemorySoarClient):
    def find(self, key: str) -> RunRef | None:
        return None


class RunsForEver(MemorySoarClient):
    def status(self, run: RunRef, action: Action) -> RunStatus:
        return replace(super().status(run, action), state="running")


class ShowsNoKey(MemorySoarClient):
    def preview(self, action: Action) -> Json:
        return {"playbook": action.playbook}


class ShowsItOtherwise(MemorySoarClient):
    shown = 0

    def preview(self, action: Action) -> Json:
        self.shown += 1
        return {"key": action.key, "shown": self.shown}


class StartsWhatItShows(MemorySoarClient):
    def preview(self, action: Action) -> Json:
        self.run(action)
        return {"key": action.key}


@pytest.mark.parametrize(
    ("soar", "rule"),
    [
        (ForgetsKeys, "same run"),
        (FindsNothing, "found by its key"),
        (RunsForEver, "end state"),
        (ShowsNoKey, "carries the key"),
        (ShowsItOtherwise, "shown alike"),
        (StartsWhatItShows, "starts nothing"),
    ],
)
def test_a_soar_that_breaks_a_rule_is_caught(soar: type[MemorySoarClient], rule: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=rule):
        check_soar(replace(memory_soar_plugin, soar=soar), tmp_path)


class Bed:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def spec(self) -> MemberSpec:
        return MemberSpec(name="m", kind="m", directory=".", labels=("T1059", "T1003"))

    def directory(self) -> Path:
        return self._directory


Score = Callable[[Sequence[Event], Any], Iterable[float]]


def member(score: Score, **more: Any) -> MemberPlugin:
    class Made:
        needs: tuple[str, ...] = ()

        def __init__(self, spec: MemberSpec, directory: Path, threads: int) -> None:
            self.name, self.labels = spec.name, spec.labels

        def key(self, event: Event) -> str | None:
            return event.fingerprint

        def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
            return frozenset(more.get("keys", ()))

        def score(
            self, events: Sequence[Event], views: Mapping[str, Scores], state: State
        ) -> tuple[Scores, StateChange]:
            p = np.array(list(score(events, state)), np.float32).reshape(len(events))
            columns = np.repeat(p[:, None], len(self.labels), axis=1)
            if "columns" in more:
                columns[:] = more["columns"]
            return Scores(techniques=columns, p_malicious=p, notes=((),) * len(events)), more.get(
                "change", StateChange()
            )

    return MemberPlugin(member=Made, testbed=f"{__name__}:Bed")


def by_fingerprint(events: Sequence[Event], _: Any) -> list[float]:
    return [int(event.fingerprint[:4], 16) / 65535 if event.fingerprint[0] < "8" else np.nan for event in events]


def test_a_member_that_keeps_every_rule_passes(tmp_path: Path) -> None:
    check_member(member(by_fingerprint), tmp_path)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (member(lambda events, _: [1.5] * len(events)), "probabilities"),
        (member(by_fingerprint, columns=0.5), "nan in all its columns"),
        (member(lambda events, _: [len(events) / 100] * len(events)), "a batch of"),
        (member(lambda events, _: [int(event.id[:2], 16) / 255 for event in events]), "one key have one score"),
        (member(by_fingerprint, change=StateChange(rows={"other": (0, b"")})), "named by state_keys"),
        (member(by_fingerprint, keys=["k"], change=StateChange(rows={"k": (7, b"")})), "the version"),
    ],
)
def test_a_member_that_breaks_a_rule_is_caught(broken: MemberPlugin, rule: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=rule):
        check_member(broken, tmp_path)


@pytest.mark.parametrize("testbed", [None, "connector.no_such_module:Bed", "connector.testing:NoSuchBed"])
def test_a_plug_in_without_a_testbed_breaks_its_contract(testbed: str | None, tmp_path: Path) -> None:
    for check, plugin in (
        (check_source, siem(testbed=testbed)),
        (check_soar, SoarPlugin(soar=MemorySoarClient, testbed=testbed)),
        (check_member, replace(member(by_fingerprint), testbed=testbed)),
    ):
        with pytest.raises(ContractError, match="testbed"):
            check(plugin, tmp_path)
