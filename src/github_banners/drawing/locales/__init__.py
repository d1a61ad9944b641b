"""
Localization: everything a banner says or writes differently in each locale.

    cldr            number format, plural categories, dates, reading direction: data of the CLDR
    translations    labels, nouns, patterns of sentences, texts of explanation cards
    phrases         numbers, rounded down; counts with plurals; the description of most layouts
    descriptions    the descriptions of activity, languages and one repository
    catalogs/       the translated texts, one TOML file per locale
    page/           the words of the builder page, one TOML file per language of the page

A locale is passed as its code, such as `pt-br`. `CONTRIBUTING.md` lists how to add one.
"""

from github_banners.drawing.locales.cldr import (
    LOCALES,
    first_weekday,
    format_day,
    format_full_date,
    format_wait,
    is_right_to_left,
    month_names,
    native_name,
    weekday_names,
)
from github_banners.drawing.locales.descriptions import (
    activity_description,
    language_description,
    repository_description,
)
from github_banners.drawing.locales.phrases import (
    MAX_DESCRIBED_LANGUAGES,
    MeasuredText,
    Numeral,
    description,
    format_count,
    format_number,
    format_percent,
    format_short_count,
    is_mirrored,
    isolate_foreign,
    measure_number,
    numerals,
    plural_after_short,
    plural_noun,
    stale_label,
)
from github_banners.drawing.locales.translations import Explanations, Noun, load_translations

__all__ = [
    "LOCALES",
    "MAX_DESCRIBED_LANGUAGES",
    "Explanations",
    "MeasuredText",
    "Noun",
    "Numeral",
    "activity_description",
    "description",
    "first_weekday",
    "format_count",
    "format_day",
    "format_full_date",
    "format_number",
    "format_percent",
    "format_short_count",
    "format_wait",
    "is_mirrored",
    "is_right_to_left",
    "isolate_foreign",
    "language_description",
    "load_translations",
    "measure_number",
    "month_names",
    "native_name",
    "numerals",
    "plural_after_short",
    "plural_noun",
    "repository_description",
    "stale_label",
    "weekday_names",
]
