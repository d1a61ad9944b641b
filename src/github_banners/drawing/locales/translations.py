"""
The texts of each locale: labels, counts with plurals, patterns of sentences.

They are in the TOML files of `catalogs/`, each read once. Plural categories and the format of
numbers come from `number_format`.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files

import msgspec

from github_banners.drawing.locales.number_format import (
    LOCALES,
    Numeral,
    format_day,
    is_right_to_left,
    numerals,
    plural_categories,
)
from github_banners.errors import ExplanationKind

_MILLION = 1_000_000


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
