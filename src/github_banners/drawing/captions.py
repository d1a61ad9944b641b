"""
What a banner says of whom: its names, its heading, the remark where there are no languages.

How all that fits is decided elsewhere, the words of each locale are in `locales`.
"""

import msgspec

from github_banners.drawing.locales import load_translations
from github_banners.drawing.sanitize import isolate, sanitize
from github_banners.drawing.text import width
from github_banners.models import Owner, Stats
from github_banners.options import BannerOptions, HideableField


class OwnerNames(msgspec.Struct, frozen=True, gc=False):
    """Whose banner it is; `byline` is the login where a line of its own shall show it."""

    name: str
    login: str
    byline: str


def names_for(owner: Owner, look: BannerOptions) -> OwnerNames:
    """Choose the names: the wished title or the display name over the login, else the login."""
    login = sanitize(owner.login)
    name = (look.title and sanitize(look.title)) or sanitize(owner.display_name or "")
    if not name or name == login or not (name.isascii() or width(name, 1)):
        return OwnerNames(login, login, byline="")
    return OwnerNames(name, login, byline="" if HideableField.LOGIN in look.hide else f"@{login}")


def heading(names: OwnerNames) -> str:
    """Name a picture: the full name, and the login where that is another."""
    is_alone = names.name == names.login
    return names.login if is_alone else f"{isolate(names.name)} (@{names.login})"


def empty_state_text(stats: Stats, look: BannerOptions) -> str:
    """Say why there are no languages; empty where there are some, or none are wanted."""
    if HideableField.LANGUAGES in look.hide or stats.original_repos or stats.languages:
        return ""
    said = load_translations(look.locale).empty_state
    if stats.total_repos:
        return said.only_forks
    return said.no_repositories
