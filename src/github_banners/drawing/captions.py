"""The texts about an owner: names, the accessible title, the message if there are no languages."""

import msgspec

from github_banners.drawing.locales import load_translations
from github_banners.drawing.sanitize import isolate, sanitize
from github_banners.drawing.text import width
from github_banners.models import Owner, Stats
from github_banners.options import BannerOptions, HideableField


class OwnerNames(msgspec.Struct, frozen=True, gc=False):
    """The owner's names; `byline` is `@login` if the banner shows it below the name, or empty."""

    name: str
    login: str
    byline: str


def names_for(owner: Owner, options: BannerOptions) -> OwnerNames:
    """Choose the name: the title option, else the display name, else the login alone."""
    login = sanitize(owner.login)
    name = (options.title and sanitize(options.title)) or sanitize(owner.display_name or "")
    # A name of combining marks alone has no width and would be invisible.
    if not name or name == login or not (name.isascii() or width(name, 1)):
        return OwnerNames(login, login, byline="")
    return OwnerNames(
        name, login, byline="" if HideableField.LOGIN in options.hide else f"@{login}"
    )


def heading(names: OwnerNames) -> str:
    """Return the accessible title: the name, and the login unless they are equal."""
    if names.name == names.login:
        return names.login
    return f"{isolate(names.name)} (@{names.login})"


def empty_state_text(stats: Stats, options: BannerOptions) -> str:
    """Explain why there are no languages; empty if there are some, or if they are hidden."""
    if HideableField.LANGUAGES in options.hide or stats.original_repos or stats.languages:
        return ""
    messages = load_translations(options.locale).empty_state
    return messages.only_forks if stats.total_repos else messages.no_repositories
