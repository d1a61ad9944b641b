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

from github_banners.drawing.locales.writing import (
    LOCALES,
    Numeral,
    day,
    full_day,
    is_right_to_left,
    numerals,
    plural_categories,
)
from github_banners.errors import State
from github_banners.look import CountBy, Field
from github_banners.model import Stats

_MILLION = 1_000_000
SPOKEN_LANGUAGES = 3
"""How many languages a description names, at most."""


class Kind(StrEnum):
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


class Notes(_Strict, frozen=True, gc=False):
    """Why there are no languages."""

    no_repositories: str
    only_forks: str


class Sentences(_Strict, frozen=True, gc=False):
    """How words and numbers are joined; what is in braces is filled in."""

    mark: str
    as_of: str
    top: str
    shares: str
    repositories: str = "{total} ({parts})"
    count: str = "{n} {noun}"
    comma: str = ", "
    stop: str = "."
    gap: str = " "


class Saying(_Strict, frozen=True, gc=False):
    """What an explanation says in three lines; what is in braces is filled in."""

    headline: str
    what: str
    advice: str


class OfOption(_Strict, frozen=True, gc=False):
    """The headlines about an option that is wrong, and what can be said of all of them."""

    no_such_value: str
    impossible_value: str
    no_value: str
    what: str


class Advice(_Strict, frozen=True, gc=False):
    """What there is to do about an option; or about a banner, where nobody knows our host."""

    meant: str
    values: str
    types: str
    check: str
    start_page: str


class Explanations(_Strict, frozen=True, gc=False):
    """
    What is said where there is no banner.

    `phrases` are those that describe what an option may be, by their English.
    """

    states: Mapping[State, Saying]
    no_name: Saying
    impossible_name: Saying
    option: OfOption
    advice: Advice
    phrases: Mapping[str, str] = {}


class Words(_Strict, frozen=True, gc=False):
    """
    All words of a locale.

    `nouns` are said after a number, by plural category; `counted` are whole phrases where number
    and noun don't just stand side by side. `after_units` are the categories of nouns after a
    number with a unit, below a million and from there on: "1,2 M de estrellas".
    """

    labels: Labels
    notes: Notes
    nouns: Mapping[Kind, Mapping[str, str]]
    sentences: Sentences
    explanations: Explanations
    counted: Mapping[Kind, Mapping[str, str]] = {}
    after_units: tuple[str, str] = ("other", "other")


@cache
def words(locale: str) -> Words:
    """Give all words of a locale."""
    return msgspec.toml.decode(_file(locale), type=Words)


def noun(kind: Kind, number: int, locale: str, *, is_short: bool = False) -> str:
    """
    Say what there are so many of, to stand after the number: star, stars, звёзд.

    `is_short` is for numbers written by `short`.
    """
    numeral = numerals(locale)[number]
    category = plural_after_short(number, numeral, locale) if is_short else numeral.plural
    return words(locale).nouns[kind][category]


def counted(kind: Kind, number: int, locale: str) -> str:
    """Say how many there are, exactly: 11,558 stars."""
    return _exactly(_phrases(locale)[kind], numerals(locale)[number])


def counted_short(kind: Kind, number: int, locale: str) -> str:
    """Say how many there are with the number as `short` writes it: 11.5k stars."""
    numeral = numerals(locale)[number]
    before, after = _phrases(locale)[kind][plural_after_short(number, numeral, locale)]
    return before if after is None else f"{before}{numeral.short}{after}"


def mark(as_of: date | None, locale: str) -> str:
    """Say which day the numbers are from; empty where that need not be said."""
    return words(locale).sentences.mark.format(day=day(as_of, locale)) if as_of else ""


def description(
    stats: Stats,
    languages: Sequence[str],
    as_of: date | None = None,
    *,
    locale: str,
    hide: Collection[Field] = (),
    remark: str = "",
) -> str:
    """Read a banner out: the exact numbers, the first languages, a remark, how old all that is."""
    how = words(locale).sentences
    sentences = [how.comma.join(_counts(stats, hide, locale)), remark]
    if languages:
        top = _listed(languages[:SPOKEN_LANGUAGES], locale)
        sentences.append(how.top.replace("{languages}", top))
    if as_of:
        sentences.append(_age(as_of, locale))
    return _read_out(sentences, locale)


def language_description(
    number: int,
    languages: Sequence[str],
    as_of: date | None = None,
    *,
    locale: str,
    count_by: CountBy = CountBy.REPOSITORIES,
    remark: str = "",
) -> str:
    """Read shares out: how many languages there are, those that are shown, how old all that is."""
    said = words(locale)
    if not languages:
        remark = remark or counted(Kind.LANGUAGES, number, locale)
    else:
        is_plain = count_by == CountBy.REPOSITORIES
        remark = said.sentences.shares.format(
            count=counted(Kind.LANGUAGES, number, locale),
            by=said.labels.by_repositories if is_plain else said.labels.by_size,
            languages=_listed(languages, locale),
        )
    return _read_out([remark, _age(as_of, locale)], locale)


def plural_after_short(number: int, numeral: Numeral, locale: str) -> str:
    """Name the plural that follows a number as `short` writes it, which may end in a unit."""
    if numeral.unit_size > 1:
        return words(locale).after_units[number >= _MILLION]
    return numeral.plural


def _counts(stats: Stats, hidden: Collection[Field], locale: str) -> list[str]:
    phrases, numbers, counts = _phrases(locale), numerals(locale), []
    if Field.STARS not in hidden:
        counts.append(_exactly(phrases[Kind.STARS], numbers[stats.total_stars]))
    if Field.FORKS not in hidden:
        counts.append(_exactly(phrases[Kind.FORKS], numbers[stats.total_forks]))
    if Field.REPOSITORIES not in hidden:
        total = _exactly(phrases[Kind.REPOSITORIES], numbers[stats.total_repos])
        if stats.total_repos:
            how = words(locale).sentences
            original = _exactly(phrases[Kind.ORIGINAL], numbers[stats.original_repos])
            forked = _exactly(phrases[Kind.FORKED], numbers[stats.forked_repos])
            parts = f"{original}{how.comma}{forked}"
            total = how.repositories.replace("{total}", total).replace("{parts}", parts)
        counts.append(total)
    return counts


def _exactly(phrases: Mapping[str, tuple[str, str | None]], numeral: Numeral) -> str:
    before, after = phrases[numeral.plural]
    return before if after is None else f"{before}{numeral.full}{after}"


def foreign(text: str, locale: str) -> str:
    """Give what is no word of the locale a direction of its own among words from right to left."""
    return f"\u2068{text}\u2069" if is_right_to_left(locale) else text


def _listed(languages: Sequence[str], locale: str) -> str:
    if is_right_to_left(locale):
        languages = [foreign(language, locale) for language in languages]
    return words(locale).sentences.comma.join(languages)


def _read_out(sentences: Sequence[str], locale: str) -> str:
    """Join sentences; one that ends in an abbreviation has its stop already."""
    how = words(locale).sentences
    return how.gap.join(
        [
            sentence if sentence.endswith(how.stop) else f"{sentence}{how.stop}"
            for sentence in sentences
            if sentence
        ]
    )


def _age(as_of: date | None, locale: str) -> str:
    return words(locale).sentences.as_of.format(day=full_day(as_of, locale)) if as_of else ""


@cache
def _phrases(locale: str) -> Mapping[Kind, Mapping[str, tuple[str, str | None]]]:
    """Divide what is said of a count into before and after the number, None where it has none."""
    said = words(locale)
    return {
        kind: {
            category: _divided(said, kind, category, said.nouns[kind][category])
            for category in plural_categories(locale)
        }
        for kind in Kind
    }


def _divided(said: Words, kind: Kind, category: str, noun: str) -> tuple[str, str | None]:
    phrase = said.counted.get(kind, {}).get(category)
    if phrase is None:
        phrase = said.sentences.count.replace("{noun}", noun)
    before, number, after = phrase.partition("{n}")
    return before, after if number else None


def _file(locale: str) -> bytes:
    if locale not in LOCALES:
        raise ValueError(f"{locale} is none of our locales")
    return (files(__package__) / "words" / f"{locale}.toml").read_bytes()
