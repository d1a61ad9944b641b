import pytest

from github_banners.drawing.text import width


@pytest.mark.parametrize(
    ("text", "regular", "bold"),
    [
        (" ", 32, 35),
        ("\xa0", 32, 35),
        ("~", 84, 84),
        ("m", 98, 105),
        ("W", 99, 111),
        ("é", 62, 68),
        ("Æ", 102, 111),
        ("…", 102, 111),
        ("я", 60, 65),
        ("Ω", 80, 85),
        ("ש", 80, 85),
        ("ل", 80, 95),
        ("ا", 55, 55),
        ("ر", 55, 65),
        ("و", 55, 70),
        ("٫", 55, 55),
        ("۵", 60, 70),
        ("佐", 100, 100),
        ("ｱ", 55, 55),
        ("₩", 100, 120),
        ("🚀", 130, 130),
        ("𠀋", 100, 100),
        ("❤", 140, 140),
        ("ก", 65, 65),
        ("क", 85, 85),
        ("\u0301\u200d\u2068\ufe0f", 0, 0),
        ("1\u20e3", 130, 136),
        ("𒐫", 460, 460),
    ],
)
def test_width_of_each_class(text, regular, bold):
    assert width(text, 100) == pytest.approx(1.03 * regular)
    assert width(text, 100, bold=True) == pytest.approx(1.03 * bold)


def test_width_joined_arabic_letter_is_narrower():
    assert width("س", 100) == pytest.approx(1.03 * 135)
    assert width("سس", 100) == pytest.approx(1.03 * (100 + 135))
    assert width("س\u064eس", 100) == pytest.approx(1.03 * (100 + 135))
    assert width("س س", 100) == pytest.approx(1.03 * (135 + 32 + 135))


def test_width_letter_before_non_joining_one_is_full():
    for last in ("ء", "\u0670", "\u0674"):
        assert width(f"س{last}", 100) == pytest.approx(width("س", 100) + width(last, 100))
