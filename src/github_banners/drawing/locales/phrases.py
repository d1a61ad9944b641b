"""
Numbers, counts and sentences of each locale, and the description of most layouts.

The format of numbers and the plural categories come from `cldr`, patterns and words from the
catalogs, see `translations`. Numbers are rounded down, so that a banner never claims more than
there is. Accessible descriptions are whole sentences with exact numbers.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache, lru_cache

import msgspec

from github_banners.drawing.locales.cldr import (
    MILLION,
    PLURALS_REPEAT_AFTER,
    SHORT_FROM,
    Conventions,
    Unit,
    conventions,
    format_day,
    format_full_date,
    is_right_to_left,
    plural_categories,
)
from github_banners.drawing.locales.translations import Noun, Sentences, load_translations
from github_banners.drawing.text import starts_right_to_left, width
from github_banners.models import Stats

MAX_DESCRIBED_LANGUAGES = 3
"""The most languages that a description names."""

_CACHE_SIZE, _CACHED_BELOW = 4096, 1000
_REPOSITORIES, _ORIGINAL, _FORKED = Noun.REPOSITORIES, Noun.ORIGINAL, Noun.FORKED


class MeasuredText(msgspec.Struct, frozen=True, gc=False):
    """A formatted number, and its bold width at a font size of 1."""

    text: str
    em_width: float


class Numeral(msgspec.Struct, frozen=True, gc=False):
    """
    A number in full and short; only the short form is measured, which most banners show.

    `short` equals `full` if it has no unit. `unit_size` is the value of the unit, 1 without a unit;
    `plural` is the plural category of the number in full.
    """

    full: str
    short: MeasuredText
    unit_size: int
    plural: str


class Numerals(dict[int, Numeral]):
    """
    The formatted numbers of a locale.

    Those below 1,000 are cached, as the numbers of most owners' repositories are; larger ones seldom
    repeat.
    """

    def __init__(self, locale: str) -> None:
        """Use the number format of a locale."""
        super().__init__()
        self._rules = conventions(locale)

    def __missing__(self, number: int) -> Numeral:
        """Format a new number."""
        numeral = _numeral(number, self._rules)
        if number < _CACHED_BELOW:
            self[number] = numeral
        return numeral


@cache
def numerals(locale: str) -> Numerals:
    """Return the formatted numbers of a locale."""
    return Numerals(locale)


def format_number(number: int, locale: str) -> str:
    """Format a number in full, with the locale's digits and grouping: 2.147.483.647."""
    return numerals(locale)[number].full


@lru_cache(_CACHE_SIZE)
def format_percent(text: str, locale: str) -> str:
    """Localize an English percentage such as `65%` or `<1%`: 65 %, %65, ۶۵٪."""
    rules = conventions(locale)
    number = text.removesuffix("%").lstrip("<>")
    sign = text[: len(text) - len(number) - 1]
    before, after = rules.percent
    return f"{sign}{before}{number.translate(rules.digits)}{after}"


def measure_number(text: str) -> MeasuredText:
    """Measure a formatted number."""
    return MeasuredText(text, width(text, 1, bold=True))


def _numeral(number: int, rules: Conventions) -> Numeral:
    full = _group_digits(number, rules)
    if number < PLURALS_REPEAT_AFTER:
        category = rules.plurals[number]
    elif number % MILLION:
        category = rules.plurals[PLURALS_REPEAT_AFTER + number % PLURALS_REPEAT_AFTER]
    else:
        category = rules.plural_of_millions
    if number < rules.units_from:
        return Numeral(full, measure_number(full), 1, category)
    for unit in rules.units:
        if number >= unit.start:
            break
    return Numeral(full, _in_units(number, unit, rules), unit.size, category)


def _in_units(number: int, unit: Unit, rules: Conventions) -> MeasuredText:
    whole, rest = divmod(number, unit.size)
    is_ungrouped = unit.is_ungrouped and whole < SHORT_FROM
    text = str(whole) if is_ungrouped else _group_digits(whole, rules)
    if whole < 100:
        text += rules.tenths[rest * 10 // unit.size]
    em_width = unit.em_width + width(text, 1, bold=True)
    return MeasuredText(f"{unit.before}{text}{unit.after}", em_width)


def _group_digits(number: int, rules: Conventions) -> str:
    if number < rules.grouped_from:
        text = str(number)
    else:
        text = _group_indian(number) if rules.is_indian else f"{number:,}"
        text = text.replace(",", rules.separator)
    return text.translate(rules.digits) if rules.digits else text


def _group_indian(number: int) -> str:
    """Group digits in pairs above the last three: 2,14,74,83,647."""
    lakhs, rest = divmod(number, 100_000)
    if not lakhs:
        return f"{number:,}"
    digits = str(lakhs)
    pairs = [digits[max(0, end - 2) : end] for end in range(len(digits), 0, -2)]
    return f"{','.join(reversed(pairs))},{rest // 1000:02},{rest % 1000:03}"


def plural_noun(noun: Noun, number: int, locale: str, *, is_short: bool = False) -> str:
    """
    Return the noun that follows a number, in the right plural: star, stars, звёзд.

    `is_short` is for numbers in the short form, `Numeral.short`.
    """
    numeral = numerals(locale)[number]
    category = plural_after_short(number, numeral, locale) if is_short else numeral.plural
    return load_translations(locale).nouns[noun][category]


def format_count(noun: Noun, number: int, locale: str) -> str:
    """Return the number in full with its noun: 11,558 stars."""
    return fill_phrase(noun_phrases(locale)[noun], numerals(locale)[number])


def format_short_count(noun: Noun, number: int, locale: str) -> str:
    """Return the short number with its noun: 11.5k stars."""
    numeral = numerals(locale)[number]
    plural = plural_after_short(number, numeral, locale)
    return noun_phrases(locale)[noun][plural].replace("{n}", numeral.short.text)


def plural_after_short(number: int, numeral: Numeral, locale: str) -> str:
    """Return the plural category of a noun after a short number, which can end in a unit."""
    if numeral.unit_size > 1:
        return load_translations(locale).after_units[number >= MILLION]
    return numeral.plural


def fill_phrase(phrases: Mapping[str, str], numeral: Numeral) -> str:
    """Put a number in full into the phrase of its plural category."""
    return phrases[numeral.plural].replace("{n}", numeral.full)


@cache
def noun_phrases(locale: str) -> Mapping[Noun, Mapping[str, str]]:
    """
    Return the phrase of each noun and plural category, with `{n}` in place of the number.

    Some have no number, since Arabic and Hebrew say "one" in words.
    """
    translations = load_translations(locale)
    return {
        noun: plural_phrases(translations.nouns[noun], translations.counted.get(noun, {}), locale)
        for noun in Noun
    }


def plural_phrases(
    nouns: Mapping[str, str], counted: Mapping[str, str], locale: str
) -> dict[str, str]:
    """Return the phrase of each plural category, with `{n}` in place of the number."""
    count = load_translations(locale).sentences.count
    return {
        category: counted.get(category) or count.replace("{noun}", nouns[category])
        for category in plural_categories(locale)
    }


def is_mirrored(text: str, locale: str) -> bool:
    """Return True if a picture starts at the right: because of its locale, or of the name it shows."""
    return is_right_to_left(locale) or starts_right_to_left(text)


def isolate_foreign(text: str, locale: str) -> str:
    """Put text that is not translated into a directional isolate, in right-to-left locales."""
    return f"\u2068{text}\u2069" if is_right_to_left(locale) else text


def stale_label(as_of: date | None, locale: str) -> str:
    """Return the label of stale numbers, such as `as of 20 Nov`; empty without a day."""
    if as_of is None:
        return ""
    pattern = load_translations(locale).sentences.stale_label
    return pattern.format(day=format_day(as_of, locale))


def description(
    numbers: Sequence[tuple[Noun, Numeral]],
    stats: Stats,
    languages: Sequence[str],
    as_of: date | None = None,
    *,
    locale: str,
    missing: Sequence[str] = (),
    empty_state: str = "",
) -> str:
    """
    Return the accessible description of a banner.

    It has the exact numbers, the reason if there are no languages, or else the first ones, and the
    day of stale numbers. `languages` are names with percentages; `missing` are sentences about
    numbers that are left out.
    """
    patterns = load_translations(locale).sentences
    sentences = [_join_counts(numbers, stats, patterns, locale), *missing, empty_state]
    if languages:
        top = join_languages(languages[:MAX_DESCRIBED_LANGUAGES], locale)
        sentences.append(patterns.top.replace("{languages}", top))
    sentences.append(as_of_sentence(as_of, locale))
    return join_sentences(sentences, patterns)


def _join_counts(
    numbers: Sequence[tuple[Noun, Numeral]], stats: Stats, patterns: Sentences, locale: str
) -> str:
    """Join numbers with their nouns; the repositories are followed by the parts of their total."""
    phrases, cached_numerals = noun_phrases(locale), numerals(locale)
    counts = []
    for noun, numeral in numbers:
        count = fill_phrase(phrases[noun], numeral)
        if noun is _REPOSITORIES and stats.total_repos:
            original = fill_phrase(phrases[_ORIGINAL], cached_numerals[stats.original_repos])
            forked = fill_phrase(phrases[_FORKED], cached_numerals[stats.forked_repos])
            parts = f"{original}{patterns.comma}{forked}"
            count = patterns.repositories.replace("{total}", count).replace("{parts}", parts)
        counts.append(count)
    return patterns.comma.join(counts)


def join_languages(languages: Sequence[str], locale: str) -> str:
    """Join languages by commas, each in an isolate in right-to-left locales."""
    opening, separator, closing = _language_separators(locale)
    return f"{opening}{separator.join(languages)}{closing}"


@cache
def _language_separators(locale: str) -> tuple[str, str, str]:
    """Return what is before, between and after languages, with the isolates around each."""
    opening, closing = isolate_foreign("{}", locale).split("{}")
    return opening, f"{closing}{load_translations(locale).sentences.comma}{opening}", closing


def join_sentences(sentences: Sequence[str], patterns: Sentences) -> str:
    """Join the sentences that are not empty, and end each with a full stop."""
    return patterns.gap.join(
        [
            # A sentence that ends in an abbreviation has its stop already.
            sentence if sentence.endswith(patterns.stop) else f"{sentence}{patterns.stop}"
            for sentence in sentences
            if sentence
        ]
    )


def as_of_sentence(as_of: date | None, locale: str) -> str:
    """Return the sentence that names the day of stale numbers; empty without a day."""
    if as_of is None:
        return ""
    pattern = load_translations(locale).sentences.as_of
    return pattern.format(day=format_full_date(as_of, locale))
