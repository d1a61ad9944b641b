"""
Rules for logins and for the names of permanent banners, which begin with a login.

GitHub decides which logins exist. Accounts from before 2013 may begin or end with a hyphen or have
two in a row, and managed accounts contain an underscore, so a stricter rule would reject real users.
"""

import base64
import re

from github_banners.errors import InvalidOption
from github_banners.options.schema import BannerOptions, allowed_values, options_digest

_CHARACTERS = "A-Za-z0-9_-"
_MAX_LOGIN_CHARACTERS, _MAX_NAME_CHARACTERS = 39, 128
_MAX_QUOTED_CHARACTERS = 64

LOGIN_PATTERN = f"[{_CHARACTERS}]{{1,{_MAX_LOGIN_CHARACTERS}}}"
"""Regular expression that a whole login must match."""

_LOGIN = re.compile(LOGIN_PATTERN)
_NAME = re.compile(f"[{_CHARACTERS}]{{1,{_MAX_NAME_CHARACTERS}}}")
_ALLOWED_LOGIN = ("a GitHub login: up to 39 letters, digits, hyphens and underscores",)


def parse_login(value: object, *, field: str = "username") -> str:
    """
    Validate a login and return it unchanged, upper and lower case included.

    :raises InvalidOption: GitHub can have no such login
    """
    if isinstance(value, str) and _LOGIN.fullmatch(value):
        return value
    raise InvalidOption(field, to_display_text(value), _ALLOWED_LOGIN)


def parse_banner_name(text: str) -> str | None:
    """Return the name of a permanent banner in lower case, None if it is not a valid name."""
    return text.lower() if _NAME.fullmatch(text) else None


def candidate_banner_names(login: str, options: BannerOptions, *, owner_id: int) -> tuple[str, str]:
    """
    Return two names for a new permanent banner: the preferred one, and one for when it is taken.

    A banner with no option but its type is called `LOGIN-TYPE`, unless that could also be the name
    of a shorter login's banner: `torvalds-auto` with `nord` equals `torvalds` with `auto-nord`. All
    other names end with a digest of the options. The digest of the second name covers the owner's
    GitHub id too, so no two owners share it.
    """
    prefix = f"{login}-{options.theme}".lower()
    has_type_only = options == BannerOptions(theme=options.theme)
    if has_type_only and not _is_name_of_shorter_login(prefix, login):
        preferred = prefix
    else:
        preferred = f"{prefix}-{_to_suffix(options_digest(options))}"
    with_owner = options_digest(options, salt=b"#%d" % owner_id)
    return preferred, f"{prefix}-{_to_suffix(with_owner)}"


def to_display_text(value: object) -> str:
    """Return a value as text for a message, truncated with an ellipsis if it is long."""
    try:
        text = "" if value is None else str(value)
    except (ValueError, RecursionError):  # thousands of digits, or of nested lists
        return type(value).__name__
    is_short = len(text) <= _MAX_QUOTED_CHARACTERS
    return text if is_short else f"{text[: _MAX_QUOTED_CHARACTERS - 1]}…"


def _is_name_of_shorter_login(name: str, login: str) -> bool:
    hyphens = (index for index in range(1, len(login)) if name[index] == "-")
    return any(name[index + 1 :] in allowed_values("type") for index in hyphens)


def _to_suffix(digest: bytes) -> str:
    return base64.b32encode(digest)[:8].decode().lower()
