"""
How languages are shown: ranked shares in whole percentages, the ring, the bar and the legend.

    shares   ranking, the rest as `Other`, whole percentages, colours
    charts   the ring, which is a donut if its stroke is wide, and the bar; geometry in user units.
             Every segment is a line to be stroked; templates set the stroke width
    legend   names and percentages that flow in rows under a bar. Text widths are estimates for the
             widest font: items are spaced by less, which looks even in usual fonts, but rows wrap
             by the full width, so that nothing leaves the banner in any font
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import msgspec

from github_banners.cache import Memo
from github_banners.drawing.locales import (
    MAX_DESCRIBED_LANGUAGES,
    format_percent,
    load_translations,
)
from github_banners.drawing.text import fit, isolate, width
from github_banners.drawing.themes import Scheme, language_names_and_colours
from github_banners.errors import RenderingFailed
from github_banners.models import Snapshot, sort_languages
from github_banners.options import BannerOptions, CountBy, HideableField

# Looking up a member of an enum takes 0.1 µs in Python 3.11, twenty times as long as a global.
_LANGUAGES, _BYTES = HideableField.LANGUAGES, CountBy.BYTES

_UNLISTED = ""  # stands for the languages of a repository that GitHub does not list
_MAX_RANKED = 11  # the largest `langs_count`, and one that is shown instead of Other
PERCENTS = ("<1%", *(f"{point}%" for point in range(1, 100)), ">99%")
"""The texts of percentage points of several shares: none of them is 0 % or 100 %."""

MAX_RING_LANGUAGES = 5
"""How many languages a ring shows, besides Other."""

_SEGMENT_GAP, _MIN_BAR_LENGTH, _MIN_RING_LENGTH = 2.0, 4.0, 2.5

# The legend, in multiples of the font size.
_DOT_RADIUS, _DOT_ABOVE_BASELINE, _DOT_ROOM = 0.37, 0.35, 0.77
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


class Share(msgspec.Struct, frozen=True, gc=False):
    """
    A language, or Other: its repositories or bytes, and that as a fraction of all, 0 to 1.

    `percent` is the fraction in whole percent, as an English text such as `65%` or `<1%`.
    """

    name: str
    colour: str
    amount: int
    fraction: float
    percent: str


class Ranking(msgspec.Struct, frozen=True, gc=False):
    """
    Languages by count, then name.

    `first` are those that can be shown. `points` are the percentage points of all, `number` is how
    many these are. `total` is the sum of their counts and of `unlisted`, which is counted as Other
    only. `other_label` and `neutral` are the name and the colour of Other.
    """

    first: tuple[Share, ...]
    points: Sequence[int]
    number: int
    total: int
    other_label: str
    neutral: str
    unlisted: int = 0

    def top(self, limit: int) -> tuple[Share, ...]:
        """
        Return at most `limit` languages, and the rest as Other if that is more than one language.

        A language has the same percentage for every `limit`; Other has what is left of 100.
        """
        if self.number <= limit + 1 and not self.unlisted:
            return self.first
        shares = self.first[:limit]
        rest = self.total - sum([share.amount for share in shares])
        percent = _percent(100 - sum(self.points[: len(shares)]), rest, self.total)
        return (*shares, Share(self.other_label, self.neutral, rest, rest / self.total, percent))


def rank_languages(
    languages: Mapping[str, int],
    *,
    scheme: Scheme,
    other_label: str,
    excluded: Sequence[str] = (),
    max_ranked: int = _MAX_RANKED,
    unlisted: int = 0,
) -> Ranking:
    """
    Rank languages by count, then name.

    `excluded` are names in lower case to leave out. Only the first `max_ranked` get a `Share`; the
    others are counted only, but percentages add up to 100 over all of them. `unlisted` is the count
    of languages without a name, which are part of Other.
    """
    counts = sorted(languages.values(), reverse=True)
    if excluded or (counts and counts[-1] <= 0):
        languages = {
            name: count
            for name, count in languages.items()
            if count > 0 and name.lower() not in excluded
        }
        counts = sorted(languages.values(), reverse=True)
    number = len(counts)
    if number > max_ranked:
        # Sorting hundreds of names would take half as long as drawing the picture.
        least = counts[max_ranked - 1]
        languages = {name: count for name, count in languages.items() if count >= least}
    names = sort_languages(languages)[:max_ranked]
    if unlisted:
        counts.append(unlisted)
    total, points = sum(counts), percentage_points(counts)
    names_and_colours, rank_colours = language_names_and_colours(scheme), scheme.rank_colours
    first: list[Share] = []
    for name, count, point in zip(names, counts, points, strict=False):
        clean_name, colour = names_and_colours[name]
        if rank_colours:
            colour = rank_colours[len(first) % len(rank_colours)]
        percent = _percent(point, count, total)
        first.append(Share(clean_name, colour, count, count / total, percent))
    return Ranking(tuple(first), points, number, total, other_label, scheme.neutral, unlisted)


def percentage_points(counts: Sequence[int]) -> list[int]:
    """
    Return the whole percentages of positive counts, which add up to 100.

    Rounds by largest remainder, https://en.wikipedia.org/wiki/Quota_method. Of equal remainders the
    first ones are rounded up, so that falling counts have falling percentages.
    """
    total, points, remainders = sum(counts), [], []
    for count in counts:
        point, remainder = divmod(count * 100, total)
        points.append(point)
        remainders.append(remainder)
    missing = 100 - sum(points)
    for index in sorted(range(len(counts)), key=remainders.__getitem__, reverse=True)[:missing]:
        points[index] += 1
    return points


def _percent(points: int, count: int, total: int) -> str:
    """
    Return the text of percentage points.

    Shares below 1 % are `<1%`, even if they are rounded up; so is a larger Other that is left with
    0 points. Only a single share is `100%`: what is rounded to that is `>99%`.
    """
    if count == total:
        return "100%"
    return PERCENTS[points] if count * 100 >= total else PERCENTS[0]


class Segment(msgspec.Struct, frozen=True, gc=False):
    """
    A share as a stroke.

    `line` is the path data in a bar, the `stroke-dasharray` of a full circle in a ring.
    """

    colour: str
    line: str


def glow_colour(shares: Sequence[Share], scheme: Scheme) -> str:
    """
    Return the colour of the first language, for the glow of the frame.

    It is empty if there is no language, and in themes that do not tint the glow.
    """
    return shares[0].colour if shares and scheme.tints_glow else ""


def bar(shares: Sequence[Share], *, x: float, y: int, width: float) -> list[Segment]:
    """Divide a line from (x, y) to the right among shares, with gaps between them."""
    segments, after_start = [], f" {y}h"
    total_length = width - _SEGMENT_GAP * (len(shares) - 1)
    lengths = distribute(shares, total_length, _MIN_BAR_LENGTH)
    for share, length in zip(shares, lengths, strict=True):
        start = round(x)  # whole units give sharp edges
        segments.append(Segment(share.colour, f"M{start}{after_start}{round(x + length) - start}"))
        x += length + _SEGMENT_GAP
    return segments


def ring(shares: Sequence[Share], *, radius: float, gap: float = _SEGMENT_GAP) -> list[Segment]:
    """
    Divide a circle among shares, with gaps between them.

    Each segment is a whole circle with a single dash. Its dash array starts with a dash of length
    0 and a gap up to the segment's start.
    """
    segments = []
    circumference = math.tau * radius
    rest = str(round(circumference))
    gap = gap if len(shares) > 1 else 0
    start = gap / 2
    lengths = distribute(shares, circumference, _MIN_RING_LENGTH + gap)
    for share, length in zip(shares, lengths, strict=True):
        segments.append(Segment(share.colour, f"0 {start:.1f} {length - gap:.1f} {rest}"))
        start += length
    return segments


def distribute(shares: Sequence[Share], total_length: float, min_length: float) -> list[float]:
    """Divide a length among shares; the largest gives up what brings the others to the minimum."""
    lengths = [
        length
        if (length := share.fraction * total_length) > min_length
        else min_length  # twice as fast as `max`
        for share in shares
    ]
    lengths[lengths.index(max(lengths))] -= sum(lengths) - total_length
    return lengths


def visible_languages(
    snapshot: Snapshot, options: BannerOptions, scheme: Scheme, *, limit: int
) -> Ranking:
    """
    Rank the languages that are not hidden; `limit` is how many a layout shows, besides Other.

    :raises RenderingFailed: they are counted in bytes, which are not known
    """
    languages, unlisted = snapshot.stats.languages, 0
    if _LANGUAGES in options.hide:
        languages = {}
    elif options.count_by is _BYTES:
        if snapshot.language_sizes is None:
            raise RenderingFailed("the sizes of the languages are not known")
        languages = dict(snapshot.language_sizes)
        unlisted = languages.pop(_UNLISTED, 0)
    return rank_languages(
        languages,
        scheme=scheme,
        other_label=load_translations(options.locale).labels.other,
        excluded=options.hide_langs,
        max_ranked=max(limit, MAX_RING_LANGUAGES) + 1,
        unlisted=unlisted,
    )


def ring_shares(ranking: Ranking, options: BannerOptions) -> Sequence[Share]:
    """Return the shares of the ring: at most `MAX_RING_LANGUAGES` languages and Other."""
    return ranking.top(min(options.langs_count or MAX_RING_LANGUAGES, MAX_RING_LANGUAGES))


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


def describe_shares(shares: Sequence[Share], locale: str) -> list[str]:
    """Return languages and percentages for the description."""
    return [f"{isolate(share.name)} {format_percent(share.percent, locale)}" for share in shares]


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
