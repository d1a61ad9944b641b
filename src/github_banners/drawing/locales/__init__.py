"""
How a banner is written in each of its languages.

    writing     numbers, percentages, dates, direction: CLDR's facts, our rounding
    wording     labels, counts in the right plural, whole sentences
    words/      what they say, a TOML file for each locale; a new language is a new file

A locale is given as its code, `pt-br`. Measures nothing and knows no layout.
"""

from github_banners.drawing.locales.number_format import (
    LOCALES,
    format_day,
    format_full_date,
    format_number,
    format_percent,
    format_short_number,
    format_wait,
    is_right_to_left,
    numerals,
    plural_category,
)
from github_banners.drawing.locales.translations import (
    MAX_DESCRIBED_LANGUAGES,
    Explanations,
    Noun,
    Translations,
    description,
    format_count,
    format_short_count,
    isolate_foreign,
    language_description,
    load_translations,
    plural_after_short,
    plural_noun,
    stale_label,
)

__all__ = [
    "LOCALES",
    "MAX_DESCRIBED_LANGUAGES",
    "Explanations",
    "Noun",
    "Translations",
    "description",
    "format_count",
    "format_day",
    "format_full_date",
    "format_number",
    "format_percent",
    "format_short_count",
    "format_short_number",
    "format_wait",
    "is_right_to_left",
    "isolate_foreign",
    "language_description",
    "load_translations",
    "numerals",
    "plural_after_short",
    "plural_category",
    "plural_noun",
    "stale_label",
]
