import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.drawing.sanitize import (
    MAX_BYTES,
    graphemes,
    initial,
    isolate,
    sanitize,
    starts_right_to_left,
)

FAMILY = "👩‍👩‍👧‍👦"


@pytest.mark.parametrize(
    ("given_text", "cleaned"),
    [
        ("Yehuda Katz", "Yehuda Katz"),
        ("  two\tkinds\n\nof   space\u2028", "two kinds of space"),
        ("nul\x00 esc\x1b del\x7f c1\x9f", "nul esc del c1"),
        ("left\u202eright\u2066iso\u2069\u200f", "leftrightiso"),
        ("half\ud800 \udfffpair \ufffe\uffff\U0001fffe", "half pair"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("cafe\u0301", "café"),
        ("\u202e\u200f", ""),
        ("<b>&\"'", "<b>&\"'"),
        (FAMILY, FAMILY),
        ("﷽x", "x"),
    ],
)
def test_clean_keeps_what_people_see(given_text, cleaned):
    assert sanitize(given_text) == cleaned


def test_clean_cuts_by_grapheme():
    assert sanitize("x" * 70) == "x" * 64
    assert sanitize("é" * 70) == "é" * 64
    assert sanitize(FAMILY * 70) == FAMILY * (MAX_BYTES // len(FAMILY.encode()))


def test_one_grapheme_of_endless_marks_is_dropped_whole():
    # Points have places of their own and are not counted, so only the bytes bound them.
    assert sanitize("e" + "\u05b0" * 500) == ""
    assert sanitize("a e" + "\u05b0" * 500) == "a"


@given(st.text(alphabet=st.characters(), max_size=300))
def test_clean_is_idempotent_and_bounded(text):
    cleaned = sanitize(text)
    assert sanitize(cleaned) == cleaned
    assert len(cleaned.encode()) <= MAX_BYTES
    assert len(graphemes(cleaned)) <= 64
    assert not {unicodedata.category(one) for one in cleaned} & {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "clusters"),
    [
        ("", []),
        ("ab", ["a", "b"]),
        ("é́a", ["é́", "a"]),
        (FAMILY + "🏳️‍🌈", [FAMILY, "🏳️‍🌈"]),
        ("👨🏽‍💻x", ["👨🏽‍💻", "x"]),
        ("🇩🇪🇫🇷", ["🇩🇪", "🇫🇷"]),
        ("กำนิ", ["กำ", "นิ"]),
        ("각", ["각"]),
        ("नमस्ते", ["न", "म", "स्", "ते"]),
    ],
)
def test_graphemes(text, clusters):
    assert graphemes(text) == clusters


@pytest.mark.parametrize(
    ("name", "letter"),
    [
        ("yehuda", "Y"),
        ("(ben)", "B"),
        ("🚀 rocket", "R"),
        ("🚀", "🚀"),
        ("ßeta", "ß"),
        ("佐藤", "佐"),
        ("", ""),
    ],
)
def test_initial(name, letter):
    assert initial(name) == letter


def test_only_what_runs_from_right_to_left_is_isolated():
    assert isolate("Layla") == "Layla"
    assert isolate("Zoë 佐藤…") == "Zoë 佐藤…"
    assert isolate("ليلى") == "\u2068ليلى\u2069"


@pytest.mark.parametrize("name", ["ज़ें", "ที่นี่", "שָּׁלוֹם", "لَّا", "Nguyễn"])
def test_marks_that_a_script_writes_stay(name: str) -> None:
    assert sanitize(name) == unicodedata.normalize("NFC", name)


def test_marks_do_not_pile_up() -> None:
    piled = sanitize("Z" + "\u0335\u0321\u0301" * 12 + "algo")
    assert [unicodedata.category(one) for one in piled].count("Mn") == 3
    assert unicodedata.normalize("NFD", piled).startswith("Z")
    assert piled.endswith("algo")


@pytest.mark.parametrize(
    ("text", "is_from_right"),
    [
        ("", False),
        ("Yehuda", False),
        ("42 ليلى", True),
        ("נועה K", True),
        ("Layla ليلى", False),
        ("٤٢", False),
    ],
)
def test_the_first_letter_tells_the_direction(text, is_from_right):
    assert starts_right_to_left(text) == is_from_right
