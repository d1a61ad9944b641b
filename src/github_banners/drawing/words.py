"""
What a banner says of whom: its names, its heading, the remark where there are no languages.

How all that fits is decided elsewhere, the words of each locale are in `locales`.
"""

import msgspec

from github_banners.drawing.cleaning import clean, isolate
from github_banners.drawing.locales import words
from github_banners.drawing.text import width
from github_banners.look import Field, Look
from github_banners.model import Owner, Stats


class Person(msgspec.Struct, frozen=True, gc=False):
    """Whose banner it is; `byline` is the login where a line of its own shall show it."""

    name: str
    login: str
    byline: str


def person(owner: Owner, look: Look) -> Person:
    """Choose the names: the wished title or the display name over the login, else the login."""
    login = clean(owner.login)
    name = (look.title and clean(look.title)) or clean(owner.display_name or "")
    if not name or name == login or not (name.isascii() or width(name, 1)):
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
    said = words(look.locale).notes
    if stats.total_repos:
        return said.only_forks
    return said.no_repositories
