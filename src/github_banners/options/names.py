"""
Logins, and the permanent names of banners that begin with them: what both may be, in one place.

GitHub decides which logins exist. Accounts from before 2013 begin or end with a hyphen or have two
in a row, and managed accounts have an underscore, so that a stricter rule would shut people out.
"""

import base64
import hashlib
import re

from github_banners.errors import InvalidOption
from github_banners.options.schema import BannerOptions, allowed_values, to_canonical_json

_CHARACTERS = "A-Za-z0-9_-"
_MAX_LOGIN_CHARACTERS, _MAX_NAME_CHARACTERS = 39, 128
_MAX_QUOTED_CHARACTERS = 64

LOGIN_PATTERN = f"[{_CHARACTERS}]{{1,{_MAX_LOGIN_CHARACTERS}}}"
"""What can be a login, as a regular expression that has to match all of it."""

_LOGIN = re.compile(LOGIN_PATTERN)
_NAME = re.compile(f"[{_CHARACTERS}]{{1,{_MAX_NAME_CHARACTERS}}}")
_ALLOWED_LOGIN = ("a GitHub login: up to 39 letters, digits, hyphens and underscores",)


def parse_login(value: object, *, field: str = "username") -> str:
    """
    Return a login in the case it was given in.

    :raises InvalidOption: GitHub can't have such a login
    """
    if isinstance(value, str) and _LOGIN.fullmatch(value):
        return value
    raise InvalidOption(field, to_display_text(value), _ALLOWED_LOGIN)


def parse_banner_name(text: str) -> str | None:
    """Return the name of a permanent banner in lower case; None if no banner can have it."""
    return text.lower() if _NAME.fullmatch(text) else None


def candidate_banner_names(login: str, look: BannerOptions, *, owner_id: int) -> tuple[str, str]:
    """
    Name a banner for ever: the name to try first, and the one to take if that belongs to another.

    A plain look has the plain name `LOGIN-TYPE`, unless a shorter login may have that one, too:
    `torvalds-auto` with `nord` reads as `torvalds` with `auto-nord`. Every other look has a digest
    in its name. The second name has the owner's GitHub id in its digest, so no two owners share it.
    """
    stem = f"{login}-{look.theme}".lower()
    options = to_canonical_json(look)
    is_plain = look == BannerOptions(theme=look.theme) and not _is_name_of_shorter_login(
        stem, login
    )
    first = stem if is_plain else f"{stem}-{_digest(options)}"
    return first, f"{stem}-{_digest(options + b'#%d' % owner_id)}"


def to_display_text(value: object) -> str:
    """Return what was given as text that can be shown; what is cut shows that it is."""
    try:
        text = "" if value is None else str(value)
    except (ValueError, RecursionError):  # thousands of digits or of nested lists
        return type(value).__name__
    is_short = len(text) <= _MAX_QUOTED_CHARACTERS
    return text if is_short else f"{text[: _MAX_QUOTED_CHARACTERS - 1]}…"


def _is_name_of_shorter_login(name: str, login: str) -> bool:
    hyphens = (index for index in range(1, len(login)) if name[index] == "-")
    return any(name[index + 1 :] in allowed_values("type") for index in hyphens)


def _digest(options: bytes) -> str:
    return base64.b32encode(hashlib.sha256(options).digest())[:8].decode().lower()
