from datetime import date

import pytest

from github_banners.drawing.numbers import day, grouped, short


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (9_412, "9,412"),
        (9_999, "9,999"),
        (10_000, "10k"),
        (12_480, "12.4k"),
        (99_999, "99.9k"),
        (100_000, "100k"),
        (213_999, "213k"),
        (999_950, "999k"),
        (1_000_000, "1M"),
        (1_299_999, "1.2M"),
        (999_999_999, "999M"),
        (2_147_483_647, "2.1B"),
    ],
)
def test_short_is_cut_never_rounded_up(number, text):
    assert short(number) == text


def test_grouped():
    assert grouped(2_147_483_647) == "2,147,483,647"


def test_day():
    assert day(date(2026, 11, 20)) == "20 Nov"
    assert day(date(2026, 1, 5)) == "5 Jan"
