"""
How a banner shall look.

    options    every option, declared once, and the canonical form of a look
    names      logins and permanent names
    aliases    other spellings of values and names
    wishes     what a query, a body or a command says, read: a look, or what is wrong with it

Nothing here draws.
"""

from github_banners.look.names import (
    LOGIN_PATTERN,
    parse_banner_name,
    parse_login,
    permanent_names,
)
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
)
from github_banners.look.wishes import (
    OPTION_NAMES,
    fold_name,
    misspelt_options,
    parse_look,
    read_query,
    salvage_look,
)

__all__ = [
    "LISTS",
    "LOGIN_PATTERN",
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
    "fold_name",
    "misspelt_options",
    "parse_banner_name",
    "parse_login",
    "parse_look",
    "permanent_names",
    "read_query",
    "salvage_look",
]
