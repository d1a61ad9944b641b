"""
How a banner is written in each of its languages.

    writing     numbers, percentages, dates, direction: CLDR's facts, our rounding
    wording     labels, counts in the right plural, whole sentences
    words/      what they say, a TOML file for each locale; a new language is a new file

A locale is given as its code, `pt-br`. Measures nothing and knows no layout.
"""

from github_banners.drawing.locales.wording import (
    SPOKEN_LANGUAGES,
    Explanations,
    Kind,
    Words,
    counted,
    counted_short,
    description,
    foreign,
    language_description,
    mark,
    noun,
    plural_after_short,
    words,
)
from github_banners.drawing.locales.writing import (
    LOCALES,
    day,
    full_day,
    grouped,
    is_right_to_left,
    numerals,
    percent,
    plural,
    short,
    wait,
)

__all__ = [
    "LOCALES",
    "SPOKEN_LANGUAGES",
    "Explanations",
    "Kind",
    "Words",
    "counted",
    "counted_short",
    "day",
    "description",
    "foreign",
    "full_day",
    "grouped",
    "is_right_to_left",
    "language_description",
    "mark",
    "noun",
    "numerals",
    "percent",
    "plural",
    "plural_after_short",
    "short",
    "wait",
    "words",
]
