"""
The legend: names and percentages of languages that flow in rows under a bar.

Text widths are estimates for the widest font, so items are spaced by less than that, which looks even
in usual fonts; but rows wrap by the full width, so that nothing leaves the banner in any font.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

import msgspec

from github_banners.cache import Memo
from github_banners.drawing.language_charts import Ranking, Share
from github_banners.drawing.locales import MAX_DESCRIBED_LANGUAGES, format_percent
from github_banners.drawing.sanitize import isolate
from github_banners.drawing.text import fit, width

# In multiples of the font size.
_DOT_RADIUS = 0.37
_DOT_ABOVE_BASELINE = 0.35
_DOT_ROOM = 0.77
_NAME_ROOM = 24  # longer than any real name: a made-up one must not push all others out
_PERCENT_ROOM = 4
# In user units.
_DOT_GAP = 7
ITEM_GAP = 18
# The width of a text in usual fonts, as a fraction of the estimate.
USUAL_WIDTH = 0.88
# The estimate of a long text is too large by at least this much in any font.
_SLACK = 3
# From this width on, a text in the widest font would reach the next dot: it gets its full width.
_LONG_TEXT = (ITEM_GAP + _SLACK) / (1 - USUAL_WIDTH)


class LegendItem(msgspec.Struct, frozen=True, gc=False):
    """A language: the centre of its dot, name and percentage; the text's place follows the dot."""

    colour: str
    dot_x: int
    dot_y: int
    name: str
    percent: str


class Legend(msgspec.Struct, frozen=True, gc=False):
    """The shares that fit, and their items."""

    shares: Sequence[Share]
    items: Sequence[LegendItem]


PlaceItems: TypeAlias = Callable[[Sequence[Share]], Sequence[LegendItem] | None]
"""Places shares; returns None if they do not fit."""


def fit_legend(ranking: Ranking, limit: int, place_items: PlaceItems) -> Legend:
    """Return the longest legend that fits, of at most `limit` languages and Other."""
    while limit >= 0 and (shares := ranking.top(limit)):
        if (items := place_items(shares)) is not None:
            return Legend(shares, items)
        # Other never stands for a single language, unless others are unlisted: without those, the
        # next shorter list lacks two languages.
        limit = min(limit, ranking.number - (not ranking.unlisted)) - 1
    return Legend((), ())


def flow_rows(
    *, x: float, room: float, baselines: Sequence[int], size: int, locale: str
) -> PlaceItems:
    """
    Return a function that places shares in rows.

    `x` and `room` are the start and the width of each row, `baselines` the y of each.
    """
    lead = _DOT_ROOM * size + _DOT_GAP
    dot_x, dot_y = _DOT_RADIUS * size, round(_DOT_ABOVE_BASELINE * size)
    end = x + room - lead
    names = _names(size, min(_NAME_ROOM * size, room - lead - _PERCENT_ROOM * size))
    percents = _percents(size, locale)

    def place_items(shares: Sequence[Share]) -> list[LegendItem] | None:
        rows = iter(baselines)
        y, item_x, items = next(rows), x, []
        for share in shares:
            name, name_width = names[share.name]
            percent_text, percent_width = percents[share.percent]
            text_width = name_width + percent_width
            if item_x + text_width > end:
                if (next_y := next(rows, None)) is None:
                    return None
                y, item_x = next_y, x
            items.append(
                LegendItem(share.colour, round(item_x + dot_x), y - dot_y, name, percent_text)
            )
            item_x += lead + (
                USUAL_WIDTH * text_width + ITEM_GAP
                if text_width < _LONG_TEXT
                else text_width - _SLACK
            )
        return items

    return place_items


def describe_items(items: Sequence[LegendItem]) -> list[str]:
    """Return the first languages and percentages of a legend for the description."""
    return [f"{item.name} {item.percent}" for item in items[:MAX_DESCRIBED_LANGUAGES]]


@lru_cache(64)
def _names(size: int, room: float) -> Memo[str, tuple[str, float]]:
    """Return a cache of names that fit, and their widths."""

    def fit_name(name: str) -> tuple[str, float]:
        fitted = fit(name, (size,), room)
        return isolate(fitted.text), fitted.width

    return Memo(fit_name)


@lru_cache(64)
def _percents(size: int, locale: str) -> Memo[str, tuple[str, float]]:
    """Return a cache of localized percentages and their widths, with a space before them."""

    def measure_percent(percent: str) -> tuple[str, float]:
        text = format_percent(percent, locale)
        return text, width(f" {text}", size)

    return Memo(measure_percent)
