"""
Translate the URLs of github-readme-stats and github-readme-streak-stats into those of our previews.

A README that shows their pictures has to change only the host of its URLs. Each of their cards
becomes the most similar layout, and each parameter the most similar option; `docs/moving.md` lists
them all. The result is the query of a preview, so translated URLs are parsed, charged and cached like
any other. Invalid values of theirs become the default, as there.

Parameters: https://github.com/anuraghazra/github-readme-stats/blob/master/readme.md and
https://github.com/DenverCoder1/github-readme-streak-stats/blob/main/README.md.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias
from urllib.parse import urlencode

import msgspec

from github_banners.options.css_colours import parse_css_colour
from github_banners.options.parsing import parse_options_leniently, parse_query, split_list
from github_banners.options.schema import (
    MAX_LIST_LENGTH,
    ChartType,
    CountBy,
    Layout,
    NumberFormat,
    ShownNumber,
    drop_redundant_options,
)

Query: TypeAlias = Mapping[str, str]
"""The parameters of a URL, by name in lower case."""


class Effect(StrEnum):
    """What becomes of a parameter: all of its values mean the same here, nearly, or nothing."""

    SAME = "same"
    NEAREST = "nearest"
    IGNORED = "ignored"


class Parameter(NamedTuple):
    """A parameter of another service, and the options that it sets here."""

    name: str
    effect: Effect
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompatibleCard:
    """
    A kind of picture of another service.

    `choose` returns the options that follow from the kind or from several parameters at once. Each
    other parameter is converted by itself; of several that set the same option, the first counts.
    """

    name: str
    service: str
    path: str
    parameters: tuple[Parameter, ...]
    choose: Callable[[Query], dict[str, str]]

    @property
    def is_served(self) -> bool:
        """Whether there is a layout for it; else the picture explains that there is none."""
        return "layout" in self.choose({})


STREAK_PATH = "/"
"""The path of the streak card, which is that of our page, too."""

STREAK_LOGIN = "user"
"""The parameter that tells the streak card from the page."""

_TRUE = {"true", "1"}
_MAX_TITLE_CHARACTERS, _MAX_RADIUS, _MAX_LANGUAGES = 64, 20, 10
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", re.ASCII)

# Each row: a parameter, what becomes of it, and the options that it sets.
_COMMON = """
theme          nearest  type
title_color    nearest  title_color
text_color     nearest  text_color muted_color
icon_color     nearest  accent_color
border_color   same     border_color
bg_color       nearest  bg_color
hide_border    same     border
border_radius  nearest  radius
locale         nearest  locale
cache_seconds  ignored
"""
_WITHOUT_ICONS = _COMMON.replace("icon_color     nearest  accent_color\n", "")
_STATS = """
username             same     username
hide                 nearest  show
show                 nearest  show
exclude_repo         same     exclude_repos
custom_title         nearest  title
disable_animations   same     animate
number_format        same     number_format
hide_title           ignored
hide_rank            ignored
rank_icon            ignored
ring_color           ignored
show_icons           ignored
include_all_commits  ignored
commits_year         ignored
count_private        ignored
card_width           ignored
line_height          ignored
text_bold            ignored
number_precision     ignored
"""
_TOP_LANGUAGES = """
username            same     username
hide                same     hide_langs
layout              nearest  shape
langs_count         nearest  langs_count
size_weight         nearest  count_by
count_weight        nearest  count_by
exclude_repo        same     exclude_repos
custom_title        nearest  title
disable_animations  same     animate
hide_title          ignored
hide_progress       ignored
stats_format        ignored
card_width          ignored
"""
_PIN = """
username                 same     username
repo                     same     repo
show_owner               ignored
description_lines_count  ignored
"""
_GIST = """
id          ignored
show_owner  ignored
"""
_WAKATIME = """
username            ignored
api_domain          ignored
hide                ignored
layout              ignored
langs_count         ignored
display_format      ignored
custom_title        ignored
disable_animations  ignored
hide_title          ignored
hide_progress       ignored
line_height         ignored
card_width          ignored
"""
_STREAK = """
user                      same     username
theme                     nearest  type
background                nearest  bg_color
border                    same     border_color
fire                      nearest  accent_color
ring                      nearest  accent_color
currStreakNum             nearest  title_color
sideNums                  nearest  title_color
sideLabels                nearest  muted_color
dates                     nearest  muted_color
hide_border               same     border
border_radius             nearest  radius
locale                    nearest  locale
short_numbers             same     number_format
disable_animations        same     animate
type                      nearest  format
stroke                    ignored
currStreakLabel           ignored
excludeDaysLabel          ignored
date_format               ignored
mode                      ignored
exclude_days              ignored
starting_year             ignored
card_width                ignored
card_height               ignored
hide_total_contributions  ignored
hide_current_streak       ignored
hide_longest_streak       ignored
"""

# Their numbers in the order of their card. They count the repositories that a user contributed to,
# and merged pull requests apart.
_SHOWN_NUMBERS = {
    "stars": ShownNumber.STARS,
    "commits": ShownNumber.COMMITS,
    "prs": ShownNumber.PULL_REQUESTS,
    "prs_merged": ShownNumber.PULL_REQUESTS,
    "reviews": ShownNumber.REVIEWS,
    "issues": ShownNumber.ISSUES,
    "contribs": ShownNumber.CONTRIBUTIONS,
}
_SHOWN_ON_REQUEST = {"prs_merged", "reviews"}
_DONUTS = {"donut", "donut-vertical", "pie"}


def _choose_for_stats(query: Query) -> dict[str, str]:
    hidden, added = set(split_list(query.get("hide", ""))), split_list(query.get("show", ""))
    shown = [
        number.value
        for name, number in _SHOWN_NUMBERS.items()
        if name not in hidden and (name not in _SHOWN_ON_REQUEST or name in added)
    ]
    options = {"layout": Layout.CARD.value}
    if shown:
        return {**options, "show": ",".join(dict.fromkeys(shown))}
    # An empty `show` would mean the default numbers.
    return {**options, "show": "", "hide": "stars,forks,repositories"}


def _choose_for_top_languages(query: Query) -> dict[str, str]:
    is_donut = query.get("layout", "").strip().lower() in _DONUTS
    size_weight = _read_number(query.get("size_weight", ""), default=1)
    count_weight = _read_number(query.get("count_weight", ""), default=0)
    return {
        "layout": Layout.LANGUAGES.value,
        "shape": (ChartType.DONUT if is_donut else ChartType.BAR).value,
        "count_by": (CountBy.REPOSITORIES if count_weight > size_weight else CountBy.BYTES).value,
    }


def _choose_for_streak(query: Query) -> dict[str, str]:
    is_short = _is_true(query.get("short_numbers", ""))
    return {
        "layout": Layout.ACTIVITY.value,
        "number_format": (NumberFormat.SHORT if is_short else NumberFormat.LONG).value,
    }


def _choose_nothing(_: Query) -> dict[str, str]:
    """Choose no layout, since there is none for the card."""
    return {}


def _parse_rows(rows: str) -> tuple[Parameter, ...]:
    words = map(str.split, filter(None, rows.splitlines()))
    return tuple(Parameter(name, Effect(effect), (*options,)) for name, effect, *options in words)


_README_STATS, _STREAK_STATS = "github-readme-stats", "github-readme-streak-stats"

CARDS = (
    CompatibleCard(
        "stats", _README_STATS, "/api", _parse_rows(_STATS + _COMMON), _choose_for_stats
    ),
    CompatibleCard(
        "top languages",
        _README_STATS,
        "/api/top-langs",
        _parse_rows(_TOP_LANGUAGES + _WITHOUT_ICONS),
        _choose_for_top_languages,
    ),
    CompatibleCard(
        "pinned repository",
        _README_STATS,
        "/api/pin",
        _parse_rows(_PIN + _COMMON),
        lambda _: {"layout": Layout.REPOSITORY.value},
    ),
    CompatibleCard(
        "Gist", _README_STATS, "/api/gist", _parse_rows(_GIST + _COMMON), _choose_nothing
    ),
    CompatibleCard(
        "WakaTime",
        _README_STATS,
        "/api/wakatime",
        _parse_rows(_WAKATIME + _COMMON),
        _choose_nothing,
    ),
    CompatibleCard("streak", _STREAK_STATS, STREAK_PATH, _parse_rows(_STREAK), _choose_for_streak),
)
"""All kinds of pictures of both services."""

_CARDS_BY_PATH = {card.path: card for card in CARDS}


def translate_url(path: str, query_string: str) -> str | None:
    """
    Return the query of the preview that a URL of another service stands for, None for other URLs.

    `path` is decoded; a trailing slash makes no difference. A query with too many parameters is
    returned unchanged, so that the preview rejects it.
    """
    card = _CARDS_BY_PATH.get(path.rstrip("/") or STREAK_PATH)
    is_streak = card is not None and card.path == STREAK_PATH
    if card is None or (is_streak and STREAK_LOGIN not in query_string.lower()):
        return None
    try:
        query = parse_query(query_string)
    except ValueError:
        return None if is_streak else query_string
    if is_streak and STREAK_LOGIN not in query:
        return None
    return urlencode(translate(card, query), errors="replace")


def translate(card: CompatibleCard, query: Query) -> dict[str, str]:
    """Return the query of the preview that is most similar to a card: only what is no default."""
    raw = card.choose(query)
    for parameter in card.parameters:
        value = query.get(parameter.name.lower(), "").strip()
        for option in parameter.options if value else ():
            if (converted := _CONVERTERS.get(option, str)(value)) is not None:
                raw.setdefault(option, converted)
    options = drop_redundant_options(parse_options_leniently(raw))
    translated = {
        name: _to_query_value(value) for name, value in msgspec.to_builtins(options).items()
    }
    # Options without which nothing is drawn are passed on even if invalid: the preview explains them.
    required = {name: raw[name] for name in ("username", "layout", "repo", "format") if name in raw}
    return {**required, **translated}


def _to_query_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list | tuple) else str(value)


def _is_true(value: str) -> bool:
    return value.strip().lower() in _TRUE


def _negate(value: str) -> str:
    """Convert a switch that hides something to one that shows it."""
    return "false" if _is_true(value) else "true"


def _read_number(value: str, *, default: float) -> float:
    return float(value) if _NUMBER.fullmatch(value.strip()) else default


def _to_radius(value: str) -> str | None:
    """Round a number half up, as their radii have fractions and ours have not."""
    if not _NUMBER.fullmatch(value):
        return None
    return str(min(int(float(value) + 0.5), _MAX_RADIUS))


def _to_langs_count(value: str) -> str | None:
    is_whole = _NUMBER.fullmatch(value) and "." not in value
    return str(min(max(int(value), 1), _MAX_LANGUAGES)) if is_whole else None


def _to_format(value: str) -> str | None:
    return value.lower() if value.lower() in {"svg", "png", "json"} else None


def _cut_list(value: str) -> str:
    return ",".join(value.split(",")[:MAX_LIST_LENGTH])


_CONVERTERS: Mapping[str, Callable[[str], str | None]] = {
    "border": _negate,
    "animate": _negate,
    "radius": _to_radius,
    "langs_count": _to_langs_count,
    "title": lambda value: value[:_MAX_TITLE_CHARACTERS],
    "hide_langs": _cut_list,
    "exclude_repos": _cut_list,
    "format": _to_format,
    **dict.fromkeys(
        ("bg_color", "title_color", "text_color", "muted_color", "accent_color", "border_color"),
        parse_css_colour,
    ),
}
"""How the value of a parameter becomes that of an option, for those that don't have the same."""
