import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.drawing.text import fit, fit_between, fit_paragraph, sanitize, width, wrap


def test_fit_truncates_joined_letters_by_joined_width():
    text = "بيت" * 20
    cut = fit(text, (10,), 100)
    assert cut.text.endswith("…")
    assert cut.width <= 100
    longer = text[: len(cut.text)] + "…"
    assert width(longer, 10) > 100


def test_fit_uses_first_size_that_fits():
    assert fit("mm", (20, 10), 1000).size == 20
    assert fit("mm", (20, 10), 21).size == 10


def test_fit_truncates_at_last_size():
    fitted = fit("m" * 50, (20, 10), 100)
    assert fitted.text == "m" * 8 + "…"
    assert fitted.size == 10
    assert fitted.width <= 100


def test_fit_truncates_between_graphemes_and_not_after_a_space():
    assert fit("🏳️‍🌈🏳️‍🌈🏳️‍🌈", (10,), 45).text == "🏳️‍🌈…"
    assert fit("ab cd", (10,), 28).text == "ab…"


@pytest.mark.parametrize(
    ("text", "is_forced"), [("m" * 9, False), ("佐" * 9, False), ("क" * 11, True), ("क" * 5, False)]
)
def test_fit_forces_only_guessed_widths_near_the_room(text, is_forced):
    assert bool(fit(text, (10,), 96).length) == is_forced


@given(st.text(max_size=80), st.floats(min_value=30, max_value=400))
def test_fit_any_text_stays_in_its_room(text, room):
    fitted = fit(sanitize(text), (26, 20, 16), room, bold=True)
    assert fitted.width <= room
    assert width(fitted.text, fitted.size, bold=True) == pytest.approx(fitted.width)


def test_fit_between_truncates_foreign_text_only():
    fitted = fit_between("No user “", "m" * 60, "”", (20, 15), 300)
    assert fitted.text.startswith("No user “m")
    assert fitted.text.endswith("m…”")
    assert fitted.width <= 300
    assert fit_between("No user “", "bo", "”", (20, 15), 300).text == "No user “bo”"


def test_fit_between_truncated_right_to_left_text_stays_isolated():
    fitted = fit_between("“", "ש" * 60, "”", (20, 15), 300)
    assert fitted.text.startswith("“\u2068ש")
    assert fitted.text.endswith("…\u2069”")


def test_wrap_breaks_what_does_not_fit_in_one_line():
    assert [line.text for line in wrap("one two", (20, 10), 200)] == ["one two"]
    assert [(line.text, line.size) for line in wrap("one two three", (20, 19), 100)] == [
        ("one two", 20),
        ("three", 20),
    ]
    assert [line.text for line in wrap("mmmmmmmmm i", (20,), 100)] == ["mmm…", "i"]


def test_wrap_breaks_after_chinese_punctuation():
    lines = wrap("只有 Fork；语言", (20,), 130)
    assert [line.text for line in lines] == ["只有 Fork；", "语言"]


def _paragraph(text: str, room: float = 100, sizes: tuple[float, ...] = (12, 10)) -> list[str]:
    lines = fit_paragraph(text, sizes, room, max_lines=2)
    assert all(line.width <= room for line in lines)
    assert len({line.size for line in lines}) <= 1
    return [line.text for line in lines]


def test_fit_paragraph_uses_first_size_that_fits():
    first_line, second_line, small = (
        fit_paragraph(text, (12, 10), 100, max_lines=2)
        for text in ("one line", "this breaks between words", "these seven words are too many now")
    )
    assert [(line.text, line.size) for line in first_line] == [("one line", 12)]
    assert [line.text for line in second_line] == ["this breaks", "between words"]
    assert {line.size for line in second_line} == {12}
    assert {line.size for line in small} == {10}
    assert fit_paragraph("", (12, 10), 100, max_lines=2) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three four five six seven eight nine", ["one two three four", "five six seven…"]),
        ("one two three four seven eight, extraordinary", ["one two three four", "seven eight…"]),
        (
            "one two three four no, extraordinarily long",
            ["one two three four", "no, extraordinari…"],
        ),
        ("see https://example.org/a/long/address", ["see https://exampl", "e.org/a/long/add…"]),
        ("m" * 12, ["mmmmmmmmm", "mmm"]),
        ("m" * 40, ["mmmmmmmmm", "mmmmmmmm…"]),
    ],
)
def test_fit_paragraph_is_cut_after_a_word_unless_it_is_long(text, lines):
    assert _paragraph(text, sizes=(10,)) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("\u65e5\u672c\u8a9e\u306e\u5f62\u614b\u7d20\u89e3\u6790\u5668\u3067\u3059", None),
        (
            "\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u3002\u5341",
            ["\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b", "\u4e5d\u3002\u5341"],
        ),
        (
            "\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u300c\u4e5d\u300d",
            ["\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b", "\u300c\u4e5d\u300d"],
        ),
        ("\u7528 Python \u548c Rust \u5199\u7684", None),
    ],
)
def test_fit_paragraph_breaks_between_ideographs(text, lines):
    shown = _paragraph(text, sizes=(10,))
    assert len(shown) == 2
    assert "".join(shown).replace(" ", "") == text.replace(" ", "")
    assert lines is None or shown == lines


@given(st.text(alphabet=st.characters(), max_size=200), st.integers(60, 400))
def test_fit_paragraph_of_any_text_stays_in_its_room(text, room):
    clean = sanitize(text, max_graphemes=200)
    lines = _paragraph(clean, room)
    assert len(lines) <= 2
    letters = "".join(lines).replace(" ", "")
    if not letters.endswith("…") or clean.endswith("…"):
        assert letters.removesuffix("…") == clean.replace(" ", "").removesuffix("…")
    else:
        assert clean.replace(" ", "").startswith(letters[:-1])
