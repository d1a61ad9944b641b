"""
The texts of each locale: labels, nouns in all plurals, patterns of sentences.

They are in the TOML files of `catalogs/`, each read once.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

import msgspec

from github_banners.drawing.locales.cldr import LOCALES
from github_banners.errors import ExplanationKind


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
