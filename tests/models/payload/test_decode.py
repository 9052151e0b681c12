"""Undoing what hides a payload: to any depth, never longer, never another answer the second time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from connector.models.payload.decode import LONGEST, plain

ATTACK = b"1' or <script>/../;id|"

PIECES = b"% 2 5 27 & # x u 3c ; \\ lt amp 0 A z %25 &#3 \\u00 \xc0 \xaf \xe2\x80 \x99 \xef\xbc \x85 \xf0\x80".split(
    b" "
)
PARTS = st.sampled_from([*PIECES, b" ", b"\t"])


@given(st.one_of(st.binary(max_size=200), st.lists(PARTS, max_size=60).map(b"".join)))
@settings(max_examples=200)
def test_what_was_decoded_stays_and_nothing_grows(data: bytes) -> None:
    once = plain(data)

    assert plain(once) == once
    assert len(once) <= len(data)


@pytest.mark.parametrize(
    "dressed",
    [
        b"1%27%20or%20%3Cscript%3E%2f..%2F%3bid%7c",
        b"1%2527%2520or%2520%253cscript%253e/../;id|",
        b"1%252525252527 or <script>/../;id|",
        b"1&#39; or &lt;SCRIPT&gt;/../&semi;id&vert;",
        b"1&#39 or &#x3c;script&#x0003e;&#x2f../;id|",
        b"1&amp;#39; or &amp;lt;script>/../;id|",
        b"1\\u0027 or \\x3cscript\\u003e/../;id|",
        b"1%u0027 or %u003cscript%uff1e/../;id|",
        "１＇ ｏｒ ＜ｓｃｒｉｐｔ＞／．．／；ｉｄ｜".encode(),
        "1\u2019 or \u2039script\u203a\u2215..\u2044;i\u200bd|".encode(),
        b"1' or <script>%c0%af..\xe0\x80\xaf;id|",
        b"1'\t\r\noR  <ScRiPt>/../;ID|",
        b"1%2%37 or <script>/../;id|",
    ],
)
def test_every_encoding_of_an_attack_comes_out_as_the_attack(dressed: bytes) -> None:
    assert plain(dressed) == ATTACK


@pytest.mark.parametrize(
    "data", [b"100% sure", b"a & b; c", b"\\network\\path", b"caf\xc3\xa9 &unknown;", b"%zz %u12g4", b"&#"]
)
def test_what_is_no_encoding_stays_as_it_is(data: bytes) -> None:
    assert plain(data) == data


@pytest.mark.parametrize("unit", [b"%25", b"&amp;", b"\\u0026", b"&#1", b"\xc0", b"%u"])
def test_only_so_much_is_read_of_a_value_that_is_all_encodings(unit: bytes) -> None:
    assert len(plain(unit * 100_000)) <= LONGEST
