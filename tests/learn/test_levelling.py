from collections import Counter
from random import Random

from connector.learn.levelling import LEAST, Shape, levelled


def shapes(kind: str, malicious: bool, patterns: dict[tuple[str, ...], int]) -> list[Shape]:
    return [
        Shape(f"{kind}{malicious}{'.'.join(fields)}{n}", kind, malicious, fields)
        for fields, count in patterns.items()
        for n in range(count)
    ]


def shares(found: list[Shape], lost: dict[str, frozenset[str]], malicious: bool) -> dict[tuple[str, ...], float]:
    side = [shape for shape in found if shape.malicious is malicious]
    held = Counter(tuple(f for f in shape.fields if f not in lost.get(shape.key, ())) for shape in side)
    return {fields: count / len(side) for fields, count in held.items()}


def test_after_levelling_both_classes_hold_each_combination_of_fields_equally_often() -> None:
    draw = Random(7)
    found = []
    for malicious, odds in ((True, (0.9, 0.2, 0.7)), (False, (0.4, 0.8, 0.7))):
        for n in range(1000):
            fields = tuple(name for name, odd in zip("abc", odds, strict=True) if draw.random() < odd)
            found.append(Shape(f"{malicious}{n}", "k", malicious, fields))

    lost = levelled(found)

    attack, benign = shares(found, lost, True), shares(found, lost, False)
    assert max(abs(attack.get(fields, 0) - benign.get(fields, 0)) for fields in {*attack, *benign}) < 0.02


def test_no_field_is_taken_where_the_classes_hold_the_same() -> None:
    patterns = {("a", "b"): 30, ("a",): 20}

    assert levelled(shapes("k", True, patterns) + shapes("k", False, patterns)) == {}


def test_each_kind_is_levelled_by_itself_and_a_kind_of_few_rows_not_at_all() -> None:
    few = shapes("few", True, {("a",): LEAST - 1}) + shapes("few", False, {(): 50})
    many = shapes("many", True, {("a",): LEAST}) + shapes("many", False, {(): LEAST})

    assert set(levelled(few + many)) == {shape.key for shape in many if shape.malicious}


def test_which_rows_lose_a_field_does_not_depend_on_their_order() -> None:
    found = shapes("k", True, {("a",): 40}) + shapes("k", False, {("a",): 20, (): 20})

    assert levelled(found) == levelled(found[::-1])
