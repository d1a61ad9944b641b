"""
Banner options: what they are called, what values they take, and how requests are parsed.

    schema     every option, declared once, and the canonical JSON form
    names      logins and names of permanent banners
    aliases    alternative spellings of values and option names
    parsing    parse queries, request bodies and command lines into `BannerOptions`
"""

from github_banners.options.names import (
    LOGIN_PATTERN,
    candidate_banner_names,
    parse_banner_name,
    parse_login,
)
from github_banners.options.parsing import (
    OPTION_NAMES,
    find_misspelt_options,
    fold_name,
    parse_options,
    parse_options_leniently,
    parse_query,
)
from github_banners.options.schema import (
    LIST_OPTIONS,
    OPTIONS,
    BannerOptions,
    ChartType,
    CountBy,
    HideableField,
    Layout,
    Locale,
    NumberFormat,
    Theme,
    allowed_values,
    options_digest,
    to_canonical_json,
)

__all__ = [
    "LIST_OPTIONS",
    "LOGIN_PATTERN",
    "OPTIONS",
    "OPTION_NAMES",
    "BannerOptions",
    "ChartType",
    "CountBy",
    "HideableField",
    "Layout",
    "Locale",
    "NumberFormat",
    "Theme",
    "allowed_values",
    "candidate_banner_names",
    "find_misspelt_options",
    "fold_name",
    "options_digest",
    "parse_banner_name",
    "parse_login",
    "parse_options",
    "parse_options_leniently",
    "parse_query",
    "to_canonical_json",
]
