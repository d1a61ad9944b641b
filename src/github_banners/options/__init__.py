"""
Banner options: what they are called, what values they take, and how requests are parsed.

    schema         every option, declared once; the canonical form; which data a banner shows
    values         the allowed values of each option
    palettes       the colours of the themes
    aliases        alternative spellings of themes and locales; suggestions for option names
    parsing        parse queries, request bodies and command lines into `BannerOptions`; logins, names
    compatibility  translate the URLs of github-readme-stats and streak-stats
    css_colours    colours as hex digits, and as other services write them
"""

from github_banners.options.compatibility import (
    CARDS,
    STREAK_LOGIN,
    STREAK_PATH,
    CompatibleCard,
    Effect,
    Parameter,
    translate_url,
)
from github_banners.options.css_colours import expand_hex
from github_banners.options.palettes import COLOURS, PALETTES, Palette
from github_banners.options.parsing import (
    OPTION_NAMES,
    candidate_banner_names,
    canonical_option_name,
    find_misspelt_options,
    fold_name,
    normalise_names,
    parse_banner_name,
    parse_login,
    parse_options,
    parse_options_leniently,
    parse_query,
)
from github_banners.options.schema import (
    CONTRIBUTION_NUMBERS,
    DEFAULT_LANGS_COUNT,
    DEFAULT_RADIUS,
    MAX_SHOWN_NUMBERS,
    BannerOptions,
    ChartType,
    CountBy,
    DataKind,
    HideableField,
    Inclusion,
    Layout,
    Locale,
    NumberFormat,
    ShownNumber,
    Theme,
    banner_needs,
    data_needs,
    drop_redundant_options,
    ignored_options,
    options_digest,
    parse_need,
    repository_need,
    shows_only_totals,
    to_canonical_json,
)
from github_banners.options.values import LIST_OPTIONS, MAY_BE_EMPTY, OPTIONS, allowed_values

__all__ = [
    "CARDS",
    "COLOURS",
    "CONTRIBUTION_NUMBERS",
    "DEFAULT_LANGS_COUNT",
    "DEFAULT_RADIUS",
    "LIST_OPTIONS",
    "MAX_SHOWN_NUMBERS",
    "MAY_BE_EMPTY",
    "OPTIONS",
    "OPTION_NAMES",
    "PALETTES",
    "STREAK_LOGIN",
    "STREAK_PATH",
    "BannerOptions",
    "ChartType",
    "CompatibleCard",
    "CountBy",
    "DataKind",
    "Effect",
    "HideableField",
    "Inclusion",
    "Layout",
    "Locale",
    "NumberFormat",
    "Palette",
    "Parameter",
    "ShownNumber",
    "Theme",
    "allowed_values",
    "banner_needs",
    "candidate_banner_names",
    "canonical_option_name",
    "data_needs",
    "drop_redundant_options",
    "expand_hex",
    "find_misspelt_options",
    "fold_name",
    "ignored_options",
    "normalise_names",
    "options_digest",
    "parse_banner_name",
    "parse_login",
    "parse_need",
    "parse_options",
    "parse_options_leniently",
    "parse_query",
    "repository_need",
    "shows_only_totals",
    "to_canonical_json",
    "translate_url",
]
