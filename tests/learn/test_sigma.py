import pytest

from connector.learn.corpora import sigma, wrap
from connector.learn.corpora.sigma_pattern import Piece, assembled, fill
from connector.learn.corpora.source import Corpora

DRAW = wrap.seeded("test")


def test_every_positive_selection_of_an_and_is_filled_and_no_negated_one() -> None:
    detection = {
        "one": {"CommandLine|contains|all": ["-enc ", "hidden"]},
        "two": {"Image|endswith": "\\powershell.exe"},
        "other": {"User": "NOBODY"},
        "condition": "one and two and not other",
    }

    values = fill(detection, DRAW)

    assert values is not None
    assert set(values) == {"CommandLine", "Image"}
    assert "-enc" in values["CommandLine"]
    assert "hidden" in values["CommandLine"]
    assert values["Image"] == "\\powershell.exe"


def test_one_side_of_an_or_is_enough() -> None:
    detection = {"a": {"A": "1"}, "b": {"B": "2"}, "condition": "a or b"}

    assert {tuple(fill(detection, wrap.seeded(str(n))) or ()) for n in range(20)} == {("A",), ("B",)}


def test_quantifiers_choose_among_the_names_that_match() -> None:
    detection = {"s_a": {"A": "1"}, "s_b": {"B": "2"}, "x": {"C": "3"}, "condition": "all of s_* and 1 of x*"}

    assert fill(detection, DRAW) == {"A": "1", "B": "2", "C": "3"}


@pytest.mark.parametrize("key", ["CommandLine|re", "Address|cidr", "CommandLine|base64offset|contains"])
def test_what_cannot_be_filled_by_example_yields_nothing(key: str) -> None:
    assert fill({"s": {key: "a.*b"}, "condition": "s"}, DRAW) is None


def test_wildcards_become_words_and_separators_are_not_doubled() -> None:
    pieces = [Piece("\\Run\\", "contains"), Piece("\\a*b", "endswith")]

    text = assembled(pieces, DRAW)

    assert "*" not in text
    assert "\\\\" not in text


def test_a_rule_becomes_process_starts_that_name_its_technique_and_author(tiny: Corpora) -> None:
    samples = list(sigma.samples(tiny))

    assert len(samples) == sigma.COPIES
    for sample in samples:
        data = sample.data["Event"]["EventData"]
        assert sample.techniques == ("T1059.001",)
        assert sample.author == "Ann Author"
        assert "-enc" in data["CommandLine"]
        assert "powershell" in data["CommandLine"].lower()
