"""What is asked about: the uncertain, the disputed and the rare, each once, whatever the order."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from connector.learn.sampling import Candidate, apart, boundary_margin, choose, class_margin


def candidates(*margins: float, disagreement: float = math.nan) -> list[Candidate]:
    return [
        Candidate(key=f"{place:03d}", margin=margin, disagreement=disagreement) for place, margin in enumerate(margins)
    ]


def reasons(chosen) -> Counter[str]:
    return Counter(one.reason for one in chosen)


def test_the_margin_is_the_distance_to_the_nearest_threshold_on_either_side() -> None:
    found = boundary_margin(np.array([0.5, 0.9, 0.1, math.nan]), [0.5, 0.9])

    assert found[:2] == pytest.approx([0.0, 0.0])
    assert found[2] == pytest.approx(math.log(9))
    assert math.isnan(found[3])


def test_the_margin_between_classes_is_the_lead_of_the_likeliest() -> None:
    assert class_margin(np.array([[0.1, 0.6, 0.3], [0.5, 0.0, 0.5]])) == pytest.approx([0.3, 0.0])


def test_one_view_is_no_disagreement() -> None:
    votes = np.array([[0.1, 0.2, math.nan], [0.9, math.nan, math.nan]])

    found = apart(votes)

    assert found[0] == pytest.approx(0.8)
    assert np.isnan(found[1:]).all()


def test_the_reasons_take_turns_and_each_takes_what_it_is_for() -> None:
    pool = [
        Candidate(key="sure", margin=9.0, disagreement=0.0, cluster="many"),
        Candidate(key="sure too", margin=9.0, disagreement=0.0, cluster="many"),
        Candidate(key="near", margin=0.1, disagreement=0.0, cluster="many as well"),
        Candidate(key="near copy", margin=0.2, disagreement=0.0, cluster="many as well"),
        Candidate(key="disputed", margin=5.0, disagreement=0.7, cluster="some"),
        Candidate(key="disputed less", margin=5.0, disagreement=0.2, cluster="some"),
        Candidate(key="alone", margin=9.0, disagreement=0.0),
    ]

    found = choose(pool, 3)

    assert [(one.key, one.reason) for one in found] == [
        ("near", "margin"),
        ("disputed", "disagreement"),
        ("alone", "rare"),
    ]
    assert [pool[one.place].key for one in found] == [one.key for one in found]


def test_near_copies_are_asked_about_once_even_where_budget_is_left() -> None:
    flood = [Candidate(key=str(number), margin=0.0, disagreement=1.0, cluster="flood") for number in range(50)]

    assert len(choose(flood, 10)) == 1
    assert len(choose([*flood, *candidates(5.0, 6.0)], 10)) == 3


def test_one_member_cannot_disagree_and_the_budget_is_spent_on_the_other_reasons() -> None:
    found = choose(candidates(*range(20)), 8)

    assert reasons(found) == {"margin": 5, "rare": 3}
    assert {one.key for one in found if one.reason == "margin"} >= {"000"}


def test_members_that_agree_about_everything_leave_no_question_of_disagreement() -> None:
    assert "disagreement" not in reasons(choose(candidates(*range(20), disagreement=0.0), 8))


def test_an_event_that_no_member_has_a_view_of_is_rare_and_never_uncertain() -> None:
    found = choose(candidates(*[math.nan] * 5), 5)

    assert reasons(found) == {"rare": 5}


def test_a_flood_of_strange_events_takes_a_third_of_the_budget_while_anything_is_in_doubt() -> None:
    draw = np.random.default_rng(0)
    vectors = np.concatenate([draw.normal(0, 1, (50, 8)), draw.normal(0, 30, (50, 8))])
    pool = candidates(*np.linspace(1, 2, 50), *[math.nan] * 50)

    assert sum(one.place >= 50 for one in choose(pool, 30, vectors=vectors)) == 10
    assert len(choose(pool[45:], 30, vectors=vectors[45:])) == 30  # nothing else is left to ask about


def test_the_uncertain_are_spread_over_what_they_look_like() -> None:
    vectors = np.concatenate([np.zeros((20, 2)), np.full((2, 2), 3.0), np.full((5, 2), -9.0)])
    pool = candidates(*[0.2] * 20, *[0.1] * 2, *[9.0] * 5)

    margins = [one for one in choose(pool, 12, vectors=vectors) if one.reason == "margin"]

    assert {tuple(vectors[one.place].tolist()) for one in margins[:2]} == {(0.0, 0.0), (3.0, 3.0)}
    assert all(pool[one.place].margin < 1.0 for one in margins)


def test_what_is_like_an_answered_event_is_asked_about_last() -> None:
    vectors = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0]])
    pool = candidates(*[math.nan] * 3)

    found = choose(pool, 3, vectors=vectors, known=np.array([[0.0, 0.0]]))

    assert [one.key for one in found] == ["002", "001", "000"]


def test_the_answer_depends_on_the_candidates_and_not_on_their_order() -> None:
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(60, 4))
    pool = [
        Candidate(key=f"{n:02d}", margin=round(float(draw.random()), 1), disagreement=float(n % 3), cluster=str(n % 25))
        for n in range(60)
    ]
    order = list(range(60))
    random.Random(1).shuffle(order)

    first = choose(pool, 15, vectors=vectors)
    again = choose([pool[place] for place in order], 15, vectors=vectors[order])

    assert [(one.key, one.reason) for one in again] == [(one.key, one.reason) for one in first]
    assert len({pool[one.place].cluster for one in first}) == 15


@pytest.mark.parametrize("vectors", [None, np.empty((0, 3))])
def test_nothing_to_ask_about_gives_no_questions(vectors) -> None:
    assert choose([], 5, vectors=vectors) == ()
    assert choose(candidates(0.1), 0) == ()


def test_vectors_of_other_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="2 vectors for 1 candidates"):
        choose(candidates(0.1), 1, vectors=np.zeros((2, 3)))
