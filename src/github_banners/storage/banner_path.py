"""Validate the path of a banner, and derive its file name and URL path. Pure."""

from github_banners.errors import InvalidOption
from github_banners.options import parse_banner_name

_ALLOWED = ("up to 128 letters, digits, hyphens and underscores",)

_SUFFIX = ".svg"


def parse_path(raw: str) -> str:
    """
    Return the path of a banner in lower case.

    :raises InvalidOption: it is not a valid path
    """
    path = parse_banner_name(raw)
    if path is None:
        raise InvalidOption("url_path", raw[:64], _ALLOWED)
    return path


def find_file_name(raw: str) -> str | None:
    """Return the file name of a banner; None if the path is not valid."""
    path = parse_banner_name(raw)
    return file_name(path) if path is not None else None


def file_name(path: str) -> str:
    """Return the file name for a parsed path; its suffix stands for the media type."""
    return path + _SUFFIX


def path_from_file_name(name: str) -> str | None:
    """Return the path of the banner in a file; None if it is another file."""
    path = name.removesuffix(_SUFFIX)
    return path if name.endswith(_SUFFIX) and parse_banner_name(path) == path else None


def url_path(path: str) -> str:
    """Return the URL path under which the API serves the banner of a parsed path."""
    return f"/banners/{path}"
