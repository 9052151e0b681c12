"""What the sequence member says out of fold: of which events, and by whom."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from connector.errors import ConfigError
from connector.learn.training.ensemble.material import Order
from connector.learn.training.ensemble.opinions import SEQUENCE, TEXT, Fold, context
from connector.learn.training.ensemble.recorded import ATTACK, BACKGROUND, UNCLEAR, Mark, Part, Recorded
from connector.learn.training.ensemble.sequence_folds import remembered
from connector.learn.training.ensemble.train import Output, train
from connector.learn.training.members import Report, write_member
from connector.learn.training.sequence.recorded import NOWHERE, Recorded as Windowed
from connector.models.commons import table
from connector.ports import MemberSpec
from connector.types import Scores
from tests.learn.sequence import test_training as windowed

read = windowed.read


def recorded(read: Windowed) -> Recorded:
    """The same recordings as members without a memory are asked about."""
    parts = [
        Part(part.name, part.group, part.set, part.site, part.techniques, "evil", "", part.start, part.stop)
        for part in read.parts
    ]
    marks = [Mark(mark.fingerprint, mark.kind, mark.text, None) for mark in read.marks]
    return Recorded(marks, parts, [], [()], {}, read.mark, np.zeros_like(read.mark), read.label, read.at * 1000)


def folds(found: Recorded) -> list[Fold]:
    """One fold a site, with a text member that tells the attack's first event."""
    made = []
    for site in ("s0", "s1"):
        parts = tuple(number for number, part in enumerate(found.parts) if part.site == site)
        events = np.concatenate([np.arange(found.parts[part].start, found.parts[part].stop) for part in parts])
        marks, of = np.unique(found.mark[events], return_inverse=True)
        techniques, votes = windowed.speak([found.marks[mark].text for mark in marks])
        none = Scores(np.empty((0, len(windowed.TEXT)), np.float32), np.empty(0, np.float32), ())
        made.append(
            Fold(
                name=site,
                parts=parts,
                events=events,
                marks=marks,
                of=of,
                labels={TEXT: windowed.TEXT},
                views={TEXT: Scores(techniques, votes, ())},
                remembered={},
                context=context(found, marks, table({})),
                administration=none,
                administrators=(),
            )
        )
    return made


def test_every_event_whose_side_is_known_has_a_score_and_no_other(read: Windowed) -> None:
    found = recorded(read)
    for fold in remembered(found, folds(found), read, "lstm"):
        votes, unclear = fold.p_malicious(SEQUENCE), found.label[fold.events] == UNCLEAR
        assert unclear.any()
        assert np.isnan(votes[unclear]).all()
        assert ((votes[~unclear] > 0) & (votes[~unclear] < 1)).all()
        assert np.isnan(fold.features((TEXT, SEQUENCE))[unclear, 3]).all()


def test_an_event_that_names_no_host_has_no_score_and_moves_no_other(read: Windowed) -> None:
    window = read.window.copy()
    window[2] = NOWHERE
    found, without = recorded(read), msgspec.structs.replace(read, window=window)
    fold = remembered(found, folds(found), without, "lstm")[0]
    unclear = found.label[fold.events] == UNCLEAR
    assert np.flatnonzero(np.isnan(fold.p_malicious(SEQUENCE)) & ~unclear).tolist() == [2]


def test_no_network_is_taught_by_the_labels_of_the_site_that_it_is_asked_about(read: Windowed) -> None:
    found = recorded(read)
    first = folds(found)[0]
    turned = read.label.copy()
    turned[first.events] = np.array([ATTACK, BACKGROUND, UNCLEAR])[read.label[first.events]]
    other = msgspec.structs.replace(read, label=turned)
    before = remembered(found, folds(found), read, "transformer")
    after = remembered(recorded(other), folds(found), other, "transformer")
    order = [np.argsort(np.argsort(made[0].p_malicious(SEQUENCE).round(4))) for made in (before, after)]
    assert (order[0] == order[1]).all()
    assert not np.allclose(before[1].p_malicious(SEQUENCE), after[1].p_malicious(SEQUENCE), equal_nan=True)


def test_a_member_of_another_network_than_the_one_asked_out_of_fold_is_refused(tmp_path: Path) -> None:
    spec = MemberSpec(name=SEQUENCE, kind=SEQUENCE, directory=SEQUENCE, labels=("T1003",))
    report = Report(recipe={"network": "transformer"}, dataset="d" * 64, sources=(), rows={}, metrics={})
    member = write_member(tmp_path / SEQUENCE, spec, report)
    order = Order(corpora=tmp_path, rows=tmp_path, store=tmp_path, base="tiny/1", work=tmp_path, network="lstm")
    with pytest.raises(ConfigError, match="needs --network transformer"):
        train(order, [member], Output(store=tmp_path, name="tiny", version="2"))
