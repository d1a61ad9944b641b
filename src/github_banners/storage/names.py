"""What a banner's path may be, and the file, address and media type that follow from it: pure."""

import re

from github_banners.errors import InvalidOption

# Folds no letter from beyond ASCII, as `lower` alone does with the Kelvin sign.
_PATH = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}", re.ASCII | re.IGNORECASE)
_ALLOWED = ("up to 128 letters, digits, hyphens and underscores, the first a letter or digit",)

MEDIA_TYPE = "image/svg+xml"
_SUFFIX = ".svg"


def parse_path(given: str) -> str:
    """
    Take a banner's path, in lower case.

    :raises InvalidOption: no banner can have it
    """
    if _PATH.fullmatch(given) is None:
        raise InvalidOption("url_path", given[:64], _ALLOWED)
    return given.lower()


def file_name(path: str) -> str:
    """Name the file of a parsed path; its ending tells the media type."""
    return path + _SUFFIX


def address(path: str) -> str:
    """Name a parsed path as READMEs do."""
    return f"/banners/{path}"
