import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.drawing.text import (
    MAX_BYTES,
    graphemes,
    initial,
    isolate,
    sanitize,
    starts_right_to_left,
)

FAMILY = "👩‍👩‍👧‍👦"


@pytest.mark.parametrize(
    ("text", "sanitized"),
    [
        ("Yehuda Katz", "Yehuda Katz"),
        ("  two\tkinds\n\nof   space\u2028", "two kinds of space"),
        ("nul\x00 esc\x1b del\x7f c1\x9f", "nul esc del c1"),
        ("left\u202eright\u2066iso\u2069\u200f", "leftrightiso"),
        ("half\ud800 \udfffpair \ufffe\uffff\U0001fffe", "half pair"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("cafe\u0301", "café"),
        ("\u3164", ""),
        ("\u2800a\u3164\u115f\u1160b\uffa0", "a b"),
        ("\u202e\u200f", ""),
        ("<b>&\"'", "<b>&\"'"),
        (FAMILY, FAMILY),
        ("﷽x", "x"),
    ],
)
def test_sanitize_keeps_visible_characters(text, sanitized):
    assert sanitize(text) == sanitized


def test_sanitize_truncates_by_grapheme():
    assert sanitize("x" * 70) == "x" * 64
    assert sanitize("é" * 70) == "é" * 64
    assert sanitize(FAMILY * 70) == FAMILY * (MAX_BYTES // len(FAMILY.encode()))


def test_sanitize_oversized_grapheme_is_dropped():
    # Hebrew points are not counted as stacked marks, so only the limit in bytes applies.
    assert sanitize("e" + "\u05b0" * 500) == ""
    assert sanitize("a e" + "\u05b0" * 500) == "a"


@given(st.text(alphabet=st.characters(), max_size=300))
def test_sanitize_any_text_is_idempotent_and_bounded(text):
    sanitized = sanitize(text)
    assert sanitize(sanitized) == sanitized
    assert len(sanitized.encode()) <= MAX_BYTES
    assert len(graphemes(sanitized)) <= 64
    assert not {unicodedata.category(character) for character in sanitized} & {
        "Cc",
        "Cs",
        "Zl",
        "Zp",
    }


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
def test_graphemes_are_user_perceived_characters(text, clusters):
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
def test_initial_is_first_letter_or_digit(name, letter):
    assert initial(name) == letter


def test_isolate_only_right_to_left_text():
    assert isolate("Layla") == "Layla"
    assert isolate("Zoë 佐藤…") == "Zoë 佐藤…"
    assert isolate("ليلى") == "\u2068ليلى\u2069"


@pytest.mark.parametrize("name", ["ज़ें", "ที่นี่", "שָּׁלוֹם", "لَّا", "Nguyễn"])
def test_sanitize_keeps_marks_of_scripts(name: str) -> None:
    assert sanitize(name) == unicodedata.normalize("NFC", name)


def test_sanitize_limits_stacked_marks() -> None:
    sanitized = sanitize("Z" + "\u0335\u0321\u0301" * 12 + "algo")
    assert [unicodedata.category(character) for character in sanitized].count("Mn") == 3
    assert unicodedata.normalize("NFD", sanitized).startswith("Z")
    assert sanitized.endswith("algo")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("Yehuda", False),
        ("42 ليلى", True),
        ("נועה K", True),
        ("Layla ليلى", False),
        ("٤٢", False),
    ],
)
def test_starts_right_to_left_by_first_strong_character(text, expected):
    assert starts_right_to_left(text) == expected


@pytest.mark.parametrize("text", ["word " * 80, "слово " * 80, "\U0001f469\u200d\U0001f467" * 90])
def test_sanitize_longer_limit_of_descriptions(text):
    clean = sanitize(text, max_graphemes=200)
    assert text.startswith(clean)
    assert 50 <= len(graphemes(clean)) <= 200
    assert len(clean.encode()) <= 600
