"""
Phrases and sentences of each locale: counts with plurals, what a screen reader says of a banner.

Accessible descriptions are whole sentences with exact numbers. The patterns and words are in the
catalogs, see `translations`; plural categories and the format of numbers come from `number_format`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache

from github_banners.drawing.locales.number_format import (
    Numeral,
    format_day,
    format_full_date,
    is_right_to_left,
    numerals,
    plural_categories,
)
from github_banners.drawing.locales.translations import Noun, Sentences, load_translations
from github_banners.drawing.text import isolate
from github_banners.models import Activity, RepositoryDetails, Stats
from github_banners.options import CountBy

_SENTENCE_ENDS = ".!?…。！？।؟"
MAX_DESCRIBED_LANGUAGES = 3
"""The most languages that a description names."""

_MILLION = 1_000_000
_REPOSITORIES, _ORIGINAL, _FORKED = Noun.REPOSITORIES, Noun.ORIGINAL, Noun.FORKED


def plural_noun(noun: Noun, number: int, locale: str, *, is_short: bool = False) -> str:
    """
    Return the noun that follows a number, in the right plural: star, stars, звёзд.

    `is_short` is for numbers written by `format_short_number`.
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


def stale_label(as_of: date | None, locale: str) -> str:
    """Return the label of stale numbers, such as `as of 20 Nov`; empty without a day."""
    if as_of is None:
        return ""
    pattern = load_translations(locale).sentences.stale_label
    return pattern.format(day=format_day(as_of, locale))


def plural_after_short(number: int, numeral: Numeral, locale: str) -> str:
    """Return the plural category of a noun after a short number, which can end in a unit."""
    if numeral.unit_size > 1:
        return load_translations(locale).after_units[number >= _MILLION]
    return numeral.plural


def fill_phrase(phrases: Mapping[str, str], numeral: Numeral) -> str:
    """Put a number in full into the phrase of its plural category."""
    return phrases[numeral.plural].replace("{n}", numeral.full)


def isolate_foreign(text: str, locale: str) -> str:
    """Put text that is not translated into a directional isolate, in right-to-left locales."""
    return f"\u2068{text}\u2069" if is_right_to_left(locale) else text


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
        top = _join_languages(languages[:MAX_DESCRIBED_LANGUAGES], locale)
        sentences.append(patterns.top.replace("{languages}", top))
    sentences.append(_as_of_sentence(as_of, locale))
    return _join_sentences(sentences, patterns)


def activity_description(activity: Activity, as_of: date | None = None, *, locale: str) -> str:
    """Return the accessible description of an owner's contributions in the last year."""
    translations, numbers = load_translations(locale), numerals(locale)
    texts = translations.activity
    in_last_year, days = _activity_phrases(locale)
    statements = [
        (texts.current_streak, fill_phrase(days, numbers[activity.current_streak])),
        (texts.longest_streak, fill_phrase(days, numbers[activity.longest_streak])),
    ]
    if activity.best_day:
        best_count = numbers[activity.best_count].full
        day = format_full_date(activity.best_day, locale)
        statements.append((texts.best_day, f"{day} ({best_count})"))
    sentences = [
        fill_phrase(in_last_year, numbers[activity.last_year]),
        *[texts.sentence.format(label=label, value=value) for label, value in statements],
        _as_of_sentence(as_of, locale),
    ]
    return _join_sentences(sentences, translations.sentences)


def language_description(
    number: int,
    languages: Sequence[str],
    as_of: date | None = None,
    *,
    locale: str,
    count_by: CountBy = CountBy.REPOSITORIES,
    empty_state: str = "",
) -> str:
    """
    Return the accessible description of language shares.

    It has the number of languages and those that are shown, or the reason if there are none, and
    the day of stale numbers. `languages` are names with counts.
    """
    translations = load_translations(locale)
    labels = translations.labels
    if languages:
        by_repositories = count_by == CountBy.REPOSITORIES
        sentence = translations.sentences.shares.format(
            count=format_count(Noun.LANGUAGES, number, locale),
            by=labels.by_repositories if by_repositories else labels.by_size,
            languages=_join_languages(languages, locale),
        )
    else:
        sentence = empty_state or format_count(Noun.LANGUAGES, number, locale)
    sentences = [sentence, _as_of_sentence(as_of, locale)]
    return _join_sentences(sentences, translations.sentences)


def repository_description(
    repository: RepositoryDetails,
    as_of: date | None = None,
    *,
    locale: str,
    description: str,
    language: str,
    licence: str,
) -> str:
    """
    Return the accessible description of one repository.

    It has the repository's own description, its language, the exact numbers, the licence, whether
    it is a fork or archived, and the day of stale numbers; texts that are empty are left out.
    """
    translations = load_translations(locale)
    texts, patterns = translations.repository, translations.sentences
    phrases, numbers = noun_phrases(locale), numerals(locale)
    stars = fill_phrase(phrases[Noun.STARS], numbers[repository.stars])
    forks = fill_phrase(phrases[Noun.FORKS], numbers[repository.forks])
    if description and description[-1] not in _SENTENCE_ENDS:
        description += "."
    sentences = [
        texts.language.format(language=_foreign(language, locale)) if language else "",
        f"{stars}{patterns.comma}{forks}",
        texts.licence.format(licence=_foreign(licence, locale)) if licence else "",
        texts.fork if repository.is_fork else "",
        texts.archived if repository.is_archived else "",
        _as_of_sentence(as_of, locale),
    ]
    facts = _join_sentences(sentences, patterns)
    return f"{_foreign(description, locale)} {facts}" if description else facts


def _foreign(text: str, locale: str) -> str:
    """Put foreign text into a directional isolate if its direction can differ from the locale's."""
    return isolate_foreign(text, locale) if is_right_to_left(locale) else isolate(text)


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


def _join_languages(languages: Sequence[str], locale: str) -> str:
    opening, separator, closing = _language_separators(locale)
    return f"{opening}{separator.join(languages)}{closing}"


@cache
def _language_separators(locale: str) -> tuple[str, str, str]:
    """Return what is before, between and after languages, with the isolates around each."""
    opening, closing = isolate_foreign("{}", locale).split("{}")
    return opening, f"{closing}{load_translations(locale).sentences.comma}{opening}", closing


def _join_sentences(sentences: Sequence[str], patterns: Sentences) -> str:
    """Join the sentences that are not empty, and end each with a full stop."""
    return patterns.gap.join(
        [
            # A sentence that ends in an abbreviation has its stop already.
            sentence if sentence.endswith(patterns.stop) else f"{sentence}{patterns.stop}"
            for sentence in sentences
            if sentence
        ]
    )


def _as_of_sentence(as_of: date | None, locale: str) -> str:
    if as_of is None:
        return ""
    pattern = load_translations(locale).sentences.as_of
    return pattern.format(day=format_full_date(as_of, locale))


@cache
def _activity_phrases(locale: str) -> tuple[Mapping[str, str], ...]:
    """Return the phrases of contributions in the last year, and of days."""
    texts = load_translations(locale).activity
    return (
        plural_phrases(texts.in_last_year, texts.counted_in_last_year, locale),
        plural_phrases(texts.days, texts.counted_days, locale),
    )
