"""
The heatmap of daily contributions: a column for each week, a row for each weekday.

The days of one level are one path of horizontal runs, a row high. A mask with a pattern of rounded
cells cuts the runs into cells: a rectangle for each day would take more than twice the bytes.
Coordinates are columns and rows; the template scales them. The edges of runs lie in the middle of
the gaps between cells, so that none shows at any size.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache, lru_cache

import msgspec

from github_banners.cache import Memo
from github_banners.drawing.colours import contrast, mix
from github_banners.drawing.locales import first_weekday, month_names, weekday_names
from github_banners.drawing.text import width
from github_banners.drawing.themes import Scheme

WEEKS = 53
_DAYS_PER_WEEK = 7
# Level 4 is the accent itself.
_ACCENT_SHARES = (0.32, 0.54, 0.77)
# Where the theme's track is too close to level 1, level 0 is a trace of the text's colour instead.
_MIN_STEP, _TEXT_SHARE = 1.2, 0.1
# A run of a level can pass beneath days of higher levels, which are drawn over it.
_FIND_RUNS = [
    re.compile(b"%c(?:[%c-\4]*%c)?" % (level, level, level)).finditer for level in (1, 2, 3, 4)
]
_SPAN = re.Match.span
_MONDAY, _WEDNESDAY, _FRIDAY = 0, 2, 4


class Heatmap(msgspec.Struct, frozen=True, gc=False):
    """
    The path data of a heatmap.

    `track` covers every day until the last one. `levels` are drawn over it in their order, 1 to 4, so
    that each covers what the ones before have there; a level without days is empty.
    """

    track: str
    levels: Sequence[str]


class Label(msgspec.Struct, frozen=True, gc=False):
    """The name of a month at its first column, or of a weekday at its row."""

    position: int
    text: str


def heatmap(days: Sequence[int], last_day: date | None, locale: str) -> Heatmap:
    """
    Draw the counts of the last days, oldest first; those before the first one count as zero.

    Columns begin with the locale's first weekday. Days after the last one are not drawn.
    """
    in_last_week = _row(last_day.weekday(), locale) + 1 if last_day else _DAYS_PER_WEEK
    shown = (WEEKS - 1) * _DAYS_PER_WEEK + in_last_week
    levels = _levels(days[-shown:]).rjust(shown, b"\0")
    # One text for all rows, with a gap between them, is searched several times faster than each row.
    rows = b"\0".join(
        [levels[row::_DAYS_PER_WEEK].ljust(WEEKS, b"\0") for row in range(_DAYS_PER_WEEK)]
    )
    return Heatmap(
        _track(in_last_week),
        ["".join(map(_RUN_TEXTS.__getitem__, map(_SPAN, runs(rows)))) for runs in _FIND_RUNS],
    )


def _levels(days: Sequence[int]) -> bytes:
    """
    Return the level of each day, 0 to 4, as a byte.

    Level 0 is no contribution. The others are the quarters of the days that have some, ranked by
    count; days with equal counts have the rank of the first of them. GitHub has such levels too:
    https://docs.github.com/en/graphql/reference/enums#contributionlevel
    """
    active = sorted(filter(None, days))
    level_of = {
        count: -(-4 * (bisect_left(active, count) + 1) // len(active)) if count else 0
        for count in set(days)
    }
    return bytes(map(level_of.__getitem__, days))


def _run_text(span: tuple[int, int]) -> str:
    """Return the path commands that draw a run, from its first place to the one after it."""
    start, end = span
    row, column = divmod(start, WEEKS + 1)
    return f"M{column} {row}h{end - start}"


_RUN_TEXTS = Memo(_run_text, max_size=16_384)


@cache
def _track(in_last_week: int) -> str:
    return "".join(
        f"M0 {row}h{WEEKS if row < in_last_week else WEEKS - 1}" for row in range(_DAYS_PER_WEEK)
    )


@lru_cache(1024)
def heat_colours(scheme: Scheme) -> list[list[str]]:
    """Return the colours of the levels 0 to 4, for each palette of a scheme."""
    return [
        _colours(palette.track, palette.text, palette.accent, background)
        for palette, background in zip(scheme.palettes, scheme.backgrounds, strict=True)
    ]


def _colours(track: str, text: str, accent: str, background: str) -> list[str]:
    *low, highest = [mix(background, accent, share) for share in (*_ACCENT_SHARES, 1)]
    if contrast(low[0], background) < _MIN_STEP * contrast(track, background):
        track = mix(background, text, _TEXT_SHARE)
    return [track, *low, highest]


@lru_cache(1024)
def month_labels(last_day: date | None, locale: str) -> list[Label]:
    """Return the months that begin in the heatmap, at the column of their first day."""
    if last_day is None:
        return []
    names = month_names(locale)
    first_day = last_day - timedelta(
        days=(WEEKS - 1) * _DAYS_PER_WEEK + _row(last_day.weekday(), locale)
    )
    labels = []
    day = first_day if first_day.day == 1 else _next_month(first_day)
    while day <= last_day:
        labels.append(Label((day - first_day).days // _DAYS_PER_WEEK, names[day.month - 1]))
        day = _next_month(day)
    return labels


def _next_month(day: date) -> date:
    """Return the first day of the month after a day."""
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


@cache
def weekday_labels(locale: str, size: float, room: float) -> list[Label]:
    """Return the names of Monday, Wednesday and Friday at their rows, in the widest form that fits."""
    labelled = (_MONDAY, _WEDNESDAY, _FRIDAY)
    for names in weekday_names(locale):
        if all(width(names[weekday], size) <= room for weekday in labelled):
            break
    return [Label(_row(weekday, locale), names[weekday]) for weekday in labelled]


def _row(weekday: int, locale: str) -> int:
    return (weekday - first_weekday(locale)) % _DAYS_PER_WEEK
