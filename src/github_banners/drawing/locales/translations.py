"""
What a banner says in each locale: labels, counts in the right plural, whole sentences.

The words are in the TOML files beside this module and are read once; which plural a number takes
and how it is written is `writing`'s business.
"""

from collections.abc import Collection, Mapping, Sequence
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
from github_banners.errors import ExplanationKind
from github_banners.models import Stats
from github_banners.options import CountBy, HideableField

_MILLION = 1_000_000
MAX_DESCRIBED_LANGUAGES = 3
"""How many languages a description names, at most."""


class Noun(StrEnum):
    """What is counted; `repos` is short for `repositories`."""

    __hash__ = str.__hash__  # an enum's own is several times slower

    STARS = "stars"
    FORKS = "forks"
    REPOSITORIES = "repositories"
    REPOS = "repos"
    ORIGINAL = "original"
    FORKED = "forked"
    LANGUAGES = "languages"


class _Strict(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What is read from a file: nothing missing, nothing unknown."""


class Labels(_Strict, frozen=True, gc=False):
    """What stands alone on a picture, without a number."""

    stars: str
    forks: str
    repositories: str
    languages: str
    other: str
    by_repositories: str
    by_size: str


class EmptyStateMessages(_Strict, frozen=True, gc=False):
    """Why there are no languages."""

    no_repositories: str
    only_forks: str


class Sentences(_Strict, frozen=True, gc=False):
    """How words and numbers are joined; what is in braces is filled in."""

    stale_label: str
    as_of: str
    top: str
    shares: str
    repositories: str = "{total} ({parts})"
    count: str = "{n} {noun}"
    comma: str = ", "
    stop: str = "."
    gap: str = " "


class MessageTemplate(_Strict, frozen=True, gc=False):
    """What an explanation says in three lines; what is in braces is filled in."""

    headline: str
    what: str
    advice: str


class OptionMessages(_Strict, frozen=True, gc=False):
    """The headlines about an option that is wrong, and what can be said of all of them."""

    no_such_value: str
    impossible_value: str
    no_value: str
    what: str


class HintTemplates(_Strict, frozen=True, gc=False):
    """What there is to do about an option; or about a banner, where nobody knows our host."""

    suggestion: str
    values: str
    types: str
    check: str
    start_page: str


class Explanations(_Strict, frozen=True, gc=False):
    """
    What is said where there is no banner.

    `phrases` are those that describe what an option may be, by their English.
    """

    states: Mapping[ExplanationKind, MessageTemplate]
    no_name: MessageTemplate
    impossible_name: MessageTemplate
    option: OptionMessages
    advice: HintTemplates
    phrases: Mapping[str, str] = {}


class Translations(_Strict, frozen=True, gc=False):
    """
    All words of a locale.

    `nouns` are said after a number, by plural category; `counted` are whole phrases where number
    and noun don't just stand side by side. `after_units` are the categories of nouns after a
    number with a unit, below a million and from there on: "1,2 M de estrellas".
    """

    labels: Labels
    empty_state: EmptyStateMessages
    nouns: Mapping[Noun, Mapping[str, str]]
    sentences: Sentences
    explanations: Explanations
    counted: Mapping[Noun, Mapping[str, str]] = {}
    after_units: tuple[str, str] = ("other", "other")


@cache
def load_translations(locale: str) -> Translations:
    """Give all words of a locale."""
    return msgspec.toml.decode(_read_file(locale), type=Translations)


def plural_noun(noun: Noun, number: int, locale: str, *, is_short: bool = False) -> str:
    """
    Say what there are so many of, to stand after the number: star, stars, звёзд.

    `is_short` is for numbers written by `short`.
    """
    numeral = numerals(locale)[number]
    category = plural_after_short(number, numeral, locale) if is_short else numeral.plural
    return load_translations(locale).nouns[noun][category]


def format_count(noun: Noun, number: int, locale: str) -> str:
    """Say how many there are, exactly: 11,558 stars."""
    return _exactly(_phrases(locale)[noun], numerals(locale)[number])


def format_short_count(noun: Noun, number: int, locale: str) -> str:
    """Say how many there are with the number as `short` writes it: 11.5k stars."""
    numeral = numerals(locale)[number]
    before, after = _phrases(locale)[noun][plural_after_short(number, numeral, locale)]
    return before if after is None else f"{before}{numeral.short}{after}"


def stale_label(as_of: date | None, locale: str) -> str:
    """Say which day the numbers are from; empty where that need not be said."""
    return (
        load_translations(locale).sentences.stale_label.format(day=format_day(as_of, locale))
        if as_of
        else ""
    )


def description(
    stats: Stats,
    languages: Sequence[str],
    as_of: date | None = None,
    *,
    locale: str,
    hide: Collection[HideableField] = (),
    empty_state: str = "",
) -> str:
    """Read a banner out: the exact numbers, the first languages, a remark, how old all that is."""
    how = load_translations(locale).sentences
    sentences = [how.comma.join(_counts(stats, hide, locale)), empty_state]
    if languages:
        top = _join_languages(languages[:MAX_DESCRIBED_LANGUAGES], locale)
        sentences.append(how.top.replace("{languages}", top))
    if as_of:
        sentences.append(_as_of_sentence(as_of, locale))
    return _join_sentences(sentences, locale)


def language_description(
    number: int,
    languages: Sequence[str],
    as_of: date | None = None,
    *,
    locale: str,
    count_by: CountBy = CountBy.REPOSITORIES,
    empty_state: str = "",
) -> str:
    """Read shares out: how many languages there are, those that are shown, how old all that is."""
    said = load_translations(locale)
    if not languages:
        empty_state = empty_state or format_count(Noun.LANGUAGES, number, locale)
    else:
        is_plain = count_by == CountBy.REPOSITORIES
        empty_state = said.sentences.shares.format(
            count=format_count(Noun.LANGUAGES, number, locale),
            by=said.labels.by_repositories if is_plain else said.labels.by_size,
            languages=_join_languages(languages, locale),
        )
    return _join_sentences([empty_state, _as_of_sentence(as_of, locale)], locale)


def plural_after_short(number: int, numeral: Numeral, locale: str) -> str:
    """Name the plural that follows a number as `short` writes it, which may end in a unit."""
    if numeral.unit_size > 1:
        return load_translations(locale).after_units[number >= _MILLION]
    return numeral.plural


def _counts(stats: Stats, hidden: Collection[HideableField], locale: str) -> list[str]:
    phrases, numbers, counts = _phrases(locale), numerals(locale), []
    if HideableField.STARS not in hidden:
        counts.append(_exactly(phrases[Noun.STARS], numbers[stats.total_stars]))
    if HideableField.FORKS not in hidden:
        counts.append(_exactly(phrases[Noun.FORKS], numbers[stats.total_forks]))
    if HideableField.REPOSITORIES not in hidden:
        total = _exactly(phrases[Noun.REPOSITORIES], numbers[stats.total_repos])
        if stats.total_repos:
            how = load_translations(locale).sentences
            original = _exactly(phrases[Noun.ORIGINAL], numbers[stats.original_repos])
            forked = _exactly(phrases[Noun.FORKED], numbers[stats.forked_repos])
            parts = f"{original}{how.comma}{forked}"
            total = how.repositories.replace("{total}", total).replace("{parts}", parts)
        counts.append(total)
    return counts


def _exactly(phrases: Mapping[str, tuple[str, str | None]], numeral: Numeral) -> str:
    before, after = phrases[numeral.plural]
    return before if after is None else f"{before}{numeral.full}{after}"


def isolate_foreign(text: str, locale: str) -> str:
    """Give what is no word of the locale a direction of its own among words from right to left."""
    return f"\u2068{text}\u2069" if is_right_to_left(locale) else text


def _join_languages(languages: Sequence[str], locale: str) -> str:
    if is_right_to_left(locale):
        languages = [isolate_foreign(language, locale) for language in languages]
    return load_translations(locale).sentences.comma.join(languages)


def _join_sentences(sentences: Sequence[str], locale: str) -> str:
    """Join sentences; one that ends in an abbreviation has its stop already."""
    how = load_translations(locale).sentences
    return how.gap.join(
        [
            sentence if sentence.endswith(how.stop) else f"{sentence}{how.stop}"
            for sentence in sentences
            if sentence
        ]
    )


def _as_of_sentence(as_of: date | None, locale: str) -> str:
    return (
        load_translations(locale).sentences.as_of.format(day=format_full_date(as_of, locale))
        if as_of
        else ""
    )


@cache
def _phrases(locale: str) -> Mapping[Noun, Mapping[str, tuple[str, str | None]]]:
    """Divide what is said of a count into before and after the number, None where it has none."""
    said = load_translations(locale)
    return {
        kind: {
            category: _split_at_number(said, kind, category, said.nouns[kind][category])
            for category in plural_categories(locale)
        }
        for kind in Noun
    }


def _split_at_number(
    translations: Translations, kind: Noun, category: str, noun: str
) -> tuple[str, str | None]:
    phrase = translations.counted.get(kind, {}).get(category)
    if phrase is None:
        phrase = translations.sentences.count.replace("{noun}", noun)
    before, number, after = phrase.partition("{n}")
    return before, after if number else None


def _read_file(locale: str) -> bytes:
    if locale not in LOCALES:
        raise ValueError(f"{locale} is none of our locales")
    return (files(__package__) / "catalogs" / f"{locale}.toml").read_bytes()
