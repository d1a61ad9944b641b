"""
How a banner is written in each of its languages.

    writing     numbers, percentages, dates, direction: CLDR's facts, our rounding
    wording     labels, counts in the right plural, whole sentences
    words/      what they say, a TOML file for each locale; a new language is a new file

A locale is given as its code, `pt-br`. Measures nothing and knows no layout.
"""

from github_banners.drawing.locales.wording import (
    MAX_DESCRIBED_LANGUAGES,
    Explanations,
    Noun,
    Translations,
    format_count,
    format_short_count,
    description,
    isolate_foreign,
    language_description,
    stale_label,
    plural_noun,
    plural_after_short,
    load_translations,
)
from github_banners.drawing.locales.writing import (
    LOCALES,
    format_day,
    format_full_date,
    format_number,
    is_right_to_left,
    numerals,
    format_percent,
    plural_category,
    format_short_number,
    format_wait,
)

__all__ = [
    "LOCALES",
    "MAX_DESCRIBED_LANGUAGES",
    "Explanations",
    "Noun",
    "Translations",
    "format_count",
    "format_short_count",
    "format_day",
    "description",
    "isolate_foreign",
    "format_full_date",
    "format_number",
    "is_right_to_left",
    "language_description",
    "stale_label",
    "plural_noun",
    "numerals",
    "format_percent",
    "plural_category",
    "plural_after_short",
    "format_short_number",
    "format_wait",
    "load_translations",
]
