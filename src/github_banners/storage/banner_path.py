"""What a banner's path may be, and the file, address and media type that follow from it: pure."""

from github_banners.errors import InvalidOption
from github_banners.options import parse_banner_name

_ALLOWED = ("up to 128 letters, digits, hyphens and underscores",)

MEDIA_TYPE = "image/svg+xml"
_SUFFIX = ".svg"


def parse_path(raw: str) -> str:
    """
    Take a banner's path, in lower case.

    :raises InvalidOption: no banner can have it
    """
    path = parse_banner_name(raw)
    if path is None:
        raise InvalidOption("url_path", raw[:64], _ALLOWED)
    return path


def file_name(path: str) -> str:
    """Name the file of a parsed path; its ending tells the media type."""
    return path + _SUFFIX


def url_path(path: str) -> str:
    """Name a parsed path as READMEs do."""
    return f"/banners/{path}"
