"""
How a banner shall look.

    options    every option, declared once, and the canonical form of a look
    wishes     what a query, a body or a command says, read: a look, or what is wrong with it

Nothing here draws.
"""

from github_banners.look.options import (
    LISTS,
    OPTIONS,
    CountBy,
    Field,
    Layout,
    Locale,
    Look,
    NumberFormat,
    Shape,
    Theme,
    allowed_values,
    canonical,
    permanent_names,
)
from github_banners.look.wishes import (
    OPTION_NAMES,
    parse_login,
    parse_look,
    read_query,
    salvage_look,
)

__all__ = [
    "LISTS",
    "OPTIONS",
    "OPTION_NAMES",
    "CountBy",
    "Field",
    "Layout",
    "Locale",
    "Look",
    "NumberFormat",
    "Shape",
    "Theme",
    "allowed_values",
    "canonical",
    "parse_login",
    "parse_look",
    "permanent_names",
    "read_query",
    "salvage_look",
]
