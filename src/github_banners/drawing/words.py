"""
What a banner says of whom, and what it says to those who don't see it.

The words of titles, descriptions and remarks, in English; how they fit is decided elsewhere.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from github_banners.drawing.cleaning import clean, isolate
from github_banners.drawing.numbers import day, grouped
from github_banners.drawing.text import width
from github_banners.look import Field, Look
from github_banners.model import Owner, Stats

LANGUAGES = "Languages"
FORKED = "forked"
BY_REPOSITORIES = "by repositories"

_SPOKEN_LANGUAGES = 3


class Person(NamedTuple):
    """Whose banner it is; `byline` is the login where a line of its own shall show it."""

    name: str
    login: str
    byline: str


def person(owner: Owner, look: Look) -> Person:
    """Choose the names: the wished title or the display name over the login, else the login."""
    login = clean(owner.login)
    name = clean(look.title or "") or clean(owner.display_name or "")
    if not name or not width(name, 1) or name == login:
        return Person(login, login, byline="")
    return Person(name, login, byline="" if Field.LOGIN in look.hide else f"@{login}")


def heading(whose: Person) -> str:
    """Name a picture: the full name, and the login where that is another."""
    is_alone = whose.name == whose.login
    return whose.login if is_alone else f"{isolate(whose.name)} (@{whose.login})"


def note(stats: Stats, look: Look) -> str:
    """Say why there are no languages; empty where there are some, or none are wanted."""
    if Field.LANGUAGES in look.hide or stats.original_repos or stats.languages:
        return ""
    if stats.total_repos:
        return "Only forks so far; languages count original repositories"
    return "No public repositories yet"


def mark(as_of: date | None) -> str:
    """Say which day the numbers are from; empty where that need not be said."""
    return f"as of {day(as_of)}" if as_of else ""


def description(
    stats: Stats,
    look: Look,
    languages: Sequence[str],
    as_of: date | None = None,
    *,
    remark: str = "",
) -> str:
    """Read a banner out: the exact numbers, the first languages, a remark, how old all that is."""
    sentences = [", ".join(_counts(stats, look.hide)), remark]
    if languages:
        sentences.append(f"Top languages: {', '.join(languages[:_SPOKEN_LANGUAGES])}")
    return _read(*sentences, _age(as_of))


def language_description(
    number: int, languages: Sequence[str], as_of: date | None = None, *, remark: str = ""
) -> str:
    """Read shares out: how many languages there are, those that are shown, how old all that is."""
    how_many = f"{number} {languages_word(number)} {BY_REPOSITORIES}"
    return _read(f"{how_many}: {', '.join(languages)}" if languages else remark, _age(as_of))


def languages_word(number: int) -> str:
    """Say what there are so many of."""
    return "language" if number == 1 else "languages"


def _read(*sentences: str) -> str:
    return " ".join([f"{sentence}." for sentence in sentences if sentence])


def _age(as_of: date | None) -> str:
    return f"As of {day(as_of)} {as_of.year}" if as_of else ""


def _counts(stats: Stats, hidden: Sequence[Field]) -> Iterator[str]:
    if Field.STARS not in hidden:
        yield _counted(stats.total_stars, "star", "stars")
    if Field.FORKS not in hidden:
        yield _counted(stats.total_forks, "fork", "forks")
    if Field.REPOSITORIES not in hidden:
        total = _counted(stats.total_repos, "repository", "repositories")
        parts = f"{grouped(stats.original_repos)} original, {grouped(stats.forked_repos)} forked"
        yield f"{total} ({parts})" if stats.total_repos else total


def _counted(number: int, one: str, many: str) -> str:
    return f"{grouped(number)} {one if number == 1 else many}"
