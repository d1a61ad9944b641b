"""
The texts of each locale: labels, counts with plurals, whole sentences.

They are in the TOML files of `catalogs/`, each read once. Plural categories and the format of
numbers come from `number_format`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files

import msgspec

from github_banners.drawing.locales.number_format import (
    LOCALES,
    Numeral,
    format_day,
    format_full_date,
    is_right_to_left,
    numerals,
    plural_categories,
)
from github_banners.drawing.sanitize import isolate
from github_banners.errors import ExplanationKind
from github_banners.models import Activity, RepositoryDetails, Stats
from github_banners.options import CountBy

_MILLION = 1_000_000
_SENTENCE_ENDS = ".!?…。！？।؟"
MAX_DESCRIBED_LANGUAGES = 3
"""The most languages that a description names."""


class Noun(StrEnum):
    """The nouns that follow a number; `repos`, `prs` and `contribs` are short forms."""

    __hash__ = str.__hash__  # the hash of an enum is several times slower

    STARS = "stars"
    FORKS = "forks"
    REPOSITORIES = "repositories"
    REPOS = "repos"
    ORIGINAL = "original"
    FORKED = "forked"
    LANGUAGES = "languages"
    COMMITS = "commits"
    PULL_REQUESTS = "pull_requests"
    PRS = "prs"
    ISSUES = "issues"
    REVIEWS = "reviews"
    CONTRIBUTIONS = "contributions"
    CONTRIBS = "contribs"
    FOLLOWERS = "followers"


_REPOSITORIES, _ORIGINAL, _FORKED = Noun.REPOSITORIES, Noun.ORIGINAL, Noun.FORKED


class _Strict(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A table of a catalog: missing and unknown keys are errors."""


class Labels(_Strict, frozen=True, gc=False):
    """Texts that stand alone on a picture, without a number."""

    stars: str
    forks: str
    repositories: str
    commits: str
    pull_requests: str
    issues: str
    reviews: str
    contributions: str
    followers: str
    languages: str
    other: str
    by_repositories: str
    by_size: str


class ActivityTexts(_Strict, frozen=True, gc=False):
    """
    The texts about contributions and streaks.

    `in_last_year` and `days` follow a number, by plural category; `counted_in_last_year` and
    `counted_days` are whole phrases, as `counted` is for nouns. `on_day` follows the number of
    contributions of the best day.
    """

    current_streak: str
    longest_streak: str
    best_day: str
    on_day: str
    in_last_year: Mapping[str, str]
    days: Mapping[str, str]
    counted_in_last_year: Mapping[str, str] = {}
    counted_days: Mapping[str, str] = {}
    sentence: str = "{label}: {value}"


class EmptyStateMessages(_Strict, frozen=True, gc=False):
    """The reasons why there are no languages."""

    no_repositories: str
    only_forks: str


class MissingMessages(_Strict, frozen=True, gc=False):
    """The reasons why a banner lacks numbers; `{numbers}` are their labels."""

    needs_token: str
    hidden: str
    organisation: str
    unknown: str


class Sentences(_Strict, frozen=True, gc=False):
    """Sentence patterns with placeholders in braces, and the punctuation between sentences."""

    stale_label: str
    as_of: str
    top: str
    shares: str
    repositories: str = "{total} ({parts})"
    count: str = "{n} {noun}"
    comma: str = ", "
    stop: str = "."
    gap: str = " "


class RepositoryTexts(_Strict, frozen=True, gc=False):
    """The texts of the layout of one repository; `archived` stands alone on the picture too."""

    archived: str
    fork: str
    language: str
    licence: str


class MessageTemplate(_Strict, frozen=True, gc=False):
    """The three lines of an explanation, with placeholders in braces."""

    headline: str
    what: str
    advice: str


class OptionMessages(_Strict, frozen=True, gc=False):
    """The headlines for an invalid option, and the second line that all of them share."""

    no_such_value: str
    impossible_value: str
    no_value: str
    what: str


class HintTemplates(_Strict, frozen=True, gc=False):
    """
    The hints for an invalid option.

    `start_page` is the hint for an unknown banner if the host of the service is not known.
    """

    suggestion: str
    values: str
    types: str
    check: str
    start_page: str


class Explanations(_Strict, frozen=True, gc=False):
    """
    All texts of explanation cards.

    `phrases` translate the descriptions of an option's allowed values; the keys are English.
    """

    states: Mapping[ExplanationKind, MessageTemplate]
    no_name: MessageTemplate
    no_repository: MessageTemplate
    impossible_name: MessageTemplate
    option: OptionMessages
    advice: HintTemplates
    phrases: Mapping[str, str] = {}


class Translations(_Strict, frozen=True, gc=False):
    """
    All texts of a locale.

    `nouns` follow a number, by plural category. `counted` are whole phrases by plural category,
    where a number and a noun side by side would be wrong. `after_units` are the plural categories
    of a noun after a number with a unit, below a million and from there on: "1,2 M de estrellas".
    """

    labels: Labels
    activity: ActivityTexts
    empty_state: EmptyStateMessages
    missing: MissingMessages
    nouns: Mapping[Noun, Mapping[str, str]]
    sentences: Sentences
    repository: RepositoryTexts
    explanations: Explanations
    counted: Mapping[Noun, Mapping[str, str]] = {}
    after_units: tuple[str, str] = ("other", "other")


@cache
def load_translations(locale: str) -> Translations:
    """
    Return all texts of a locale.

    :raises ValueError: there is no such locale
    """
    if locale not in LOCALES:
        raise ValueError(f"{locale!r} is not one of the locales")
    catalog = files(__package__) / "catalogs" / f"{locale}.toml"
    return msgspec.toml.decode(catalog.read_bytes(), type=Translations)


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
    return _fill_phrase(_phrases(locale)[noun], numerals(locale)[number])


def format_short_count(noun: Noun, number: int, locale: str) -> str:
    """Return the short number with its noun: 11.5k stars."""
    numeral = numerals(locale)[number]
    before, after = _phrases(locale)[noun][plural_after_short(number, numeral, locale)]
    return before if after is None else f"{before}{numeral.short.text}{after}"


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
        (texts.current_streak, _fill_phrase(days, numbers[activity.current_streak])),
        (texts.longest_streak, _fill_phrase(days, numbers[activity.longest_streak])),
    ]
    if activity.best_day:
        best_count = numbers[activity.best_count].full.text
        day = format_full_date(activity.best_day, locale)
        statements.append((texts.best_day, f"{day} ({best_count})"))
    sentences = [
        _fill_phrase(in_last_year, numbers[activity.last_year]),
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
    phrases, numbers = _phrases(locale), numerals(locale)
    stars = _fill_phrase(phrases[Noun.STARS], numbers[repository.stars])
    forks = _fill_phrase(phrases[Noun.FORKS], numbers[repository.forks])
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


def plural_after_short(number: int, numeral: Numeral, locale: str) -> str:
    """Return the plural category of a noun after a short number, which can end in a unit."""
    if numeral.unit_size > 1:
        return load_translations(locale).after_units[number >= _MILLION]
    return numeral.plural


def _join_counts(
    numbers: Sequence[tuple[Noun, Numeral]], stats: Stats, patterns: Sentences, locale: str
) -> str:
    """Join numbers with their nouns; the repositories are followed by the parts of their total."""
    phrases = _phrases(locale)
    counts = []
    for noun, numeral in numbers:
        count = _fill_phrase(phrases[noun], numeral)
        if noun is _REPOSITORIES and stats.total_repos:
            numerals_by_number = numerals(locale)
            original = _fill_phrase(phrases[_ORIGINAL], numerals_by_number[stats.original_repos])
            forked = _fill_phrase(phrases[_FORKED], numerals_by_number[stats.forked_repos])
            parts = f"{original}{patterns.comma}{forked}"
            count = patterns.repositories.replace("{total}", count).replace("{parts}", parts)
        counts.append(count)
    return patterns.comma.join(counts)


def _fill_phrase(phrases: Mapping[str, tuple[str, str | None]], numeral: Numeral) -> str:
    before, after = phrases[numeral.plural]
    return before if after is None else f"{before}{numeral.full.text}{after}"


def isolate_foreign(text: str, locale: str) -> str:
    """Put text that is not translated into a directional isolate, in right-to-left locales."""
    return f"\u2068{text}\u2069" if is_right_to_left(locale) else text


def _join_languages(languages: Sequence[str], locale: str) -> str:
    if is_right_to_left(locale):
        languages = [isolate_foreign(language, locale) for language in languages]
    return load_translations(locale).sentences.comma.join(languages)


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
def _phrases(locale: str) -> Mapping[Noun, Mapping[str, tuple[str, str | None]]]:
    """
    Return the phrase of each noun and plural category, split at the number: (before, after).

    `after` is None if the phrase has no number, since Arabic and Hebrew say "one" in words.
    """
    translations = load_translations(locale)
    return {
        noun: _split_phrases(translations.nouns[noun], translations.counted.get(noun, {}), locale)
        for noun in Noun
    }


@cache
def _activity_phrases(locale: str) -> tuple[Mapping[str, tuple[str, str | None]], ...]:
    """Return the phrases of contributions in the last year, and of days."""
    texts = load_translations(locale).activity
    return (
        _split_phrases(texts.in_last_year, texts.counted_in_last_year, locale),
        _split_phrases(texts.days, texts.counted_days, locale),
    )


def _split_phrases(
    nouns: Mapping[str, str], counted: Mapping[str, str], locale: str
) -> dict[str, tuple[str, str | None]]:
    """Split the phrase of each plural category at the number."""
    count = load_translations(locale).sentences.count
    phrases: dict[str, tuple[str, str | None]] = {}
    for category in plural_categories(locale):
        phrase = counted.get(category) or count.replace("{noun}", nouns[category])
        before, number, after = phrase.partition("{n}")
        phrases[category] = before, after if number else None
    return phrases
