"""Regular expressions find what Python's find, in time linear in the text, whatever the pattern."""

from __future__ import annotations

import random
import re
import time

import pytest

from connector.models.rules.regex import UnsupportedError, compiled, literal
from connector.models.rules.views import MAX_VALUE

PATTERNS = ("a.*b", "^a|b$", "(a|b){2,3}c", "[^a]c+", "a?b?c", r"\s[a-z]+-", "(?i)AB", "a{2}", "é+", "(?:a.+){2}")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_pythons_engine_finds(pattern) -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choice("abcABé- \\\t") for _ in range(draw.randint(0, 9))) for _ in range(300)]
    wanted = [re.search(pattern, text) is not None for text in texts]
    assert [compiled(pattern).search(text) for text in texts] == wanted
    assert 0 < sum(wanted) < len(texts)
    assert all(literal(pattern) in text.casefold() for text, found in zip(texts, wanted, strict=True) if found)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a+)+$b", ".*a.*a.*a.*b", "(a|a)*b", "(.*)(.*)(.*)(.*)b"])
def test_no_pattern_makes_the_longest_value_expensive(pattern) -> None:
    search = compiled(pattern).search
    text = "a" * MAX_VALUE
    begun = time.process_time()
    assert not search(text)
    # Python's engine needs longer than the universe has existed
    assert time.process_time() - begun < 1.0


def test_a_line_break_is_a_letter_to_what_stands_around_a_pattern_and_not_to_its_dots() -> None:
    assert compiled("b").search("a\nb\nc")
    assert not compiled("a.b").search("a\nb")
    assert compiled("^b").search("b\n")
    assert not compiled("^b").search("a\nb")


@pytest.mark.parametrize(
    ("pattern", "needed"),
    [("whoami.*/all", "whoami"), ("a|b", ""), ("[ab]c", "c"), ("(whoami)?x", "x"), ("ABC", "abc")],
)
def test_the_text_that_every_match_holds_is_known(pattern, needed) -> None:
    assert literal(pattern) == needed


@pytest.mark.parametrize("pattern", ["(a)\\1", "a(?=b)", "(?<!a)b", "(?P<x>a)(?P=x)", "a{1001}", "(", "a++", "(?>a)b"])
def test_what_is_not_linear_or_no_pattern_is_refused(pattern) -> None:
    with pytest.raises(UnsupportedError):
        compiled(pattern)
