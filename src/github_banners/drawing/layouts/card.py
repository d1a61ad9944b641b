"""
The layout `card`, 420 x 220: ring and name, three numbers, the bar and a legend of two rows.

Two of them fit side by side in a README. With more than three numbers it is 54 higher, for a second
row of them. Positions here and in `templates/card.svg` are in user units; the y of text is its
baseline.
"""

from collections.abc import Sequence
from datetime import date
from functools import cache, partial

import msgspec

from github_banners.drawing.headline import (
    FittedNumbers,
    HeadlineNumber,
    HeadlineNumbers,
    NumberSlot,
    counts,
    empty_state_text,
    fit_numbers,
    has_repositories_last,
    heading,
    names_for,
    place_numbers,
    select_numbers,
    stale_day_beside,
)
from github_banners.drawing.language_charts import (
    LegendItem,
    PlaceItems,
    Segment,
    Share,
    bar,
    describe_items,
    fit_legend,
    flow_rows,
    glow_colour,
    ring,
    ring_shares,
    visible_languages,
)
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.drawing.locales import Noun, description, is_mirrored, stale_label
from github_banners.drawing.text import Fitted, fit, fit_initial, fit_isolated, initial, width, wrap
from github_banners.drawing.themes import Canvas, Frame, frame, scheme
from github_banners.models import Snapshot, Stats
from github_banners.options import DEFAULT_LANGS_COUNT, BannerOptions, HideableField, Layout

_CANVAS = Canvas(420, 220)
_SECOND_ROW_HEIGHT = 54
_TALL_CANVAS = Canvas(420, 220 + _SECOND_ROW_HEIGHT)

_RING_RADIUS = 20
_INITIAL_SIZES, _INITIAL_ROOM = (17, 14, 11), 32

_NAME_X, _NAME_ROOM = 82, 314
_NAME_SIZES, _BYLINE_SIZES = (19, 18, 17, 16, 15), (13.5, 12.5, 11.5)


_METRIC_X, _METRIC_ROOMS = (24, 140, 256), (108, 108, 140)
# For more numbers, or others than the repositories in the last place.
_EVEN_X, _EVEN_ROOMS, _MAX_IN_ROW = (24, 152, 280), (116,) * 6, 3
_TWO_IN_ROW_X = (24, 210)
# Sizes below 17 are for numbers in full.
_VALUE_SIZES = (25, 21, 17, 15, 14)
_FORKED_SIZE, _FORKED_END = 12.5, 136
_SPACE = width(" ", 1, bold=True)

_BAR_X, _BAR_Y, _BAR_WIDTH = 24, 150, 372
_ROW, _ROWS = (186,), (178, 199)
_LEGEND_SIZE = 13
_EMPTY_STATE_SIZES = (13, 12)


class StaleMark(msgspec.Struct, frozen=True, gc=False):
    """The mark of stale numbers: a clock, and the day if there is room beside the name."""

    text: str


class Card(msgspec.Struct, frozen=True, gc=False):
    """The values of `templates/card.svg`; empty texts and sequences are left out."""

    frame: Frame
    glow: str
    title: str
    desc: str
    ring: Sequence[Segment]
    initial: Fitted
    name: Fitted
    byline: Fitted | None
    metrics: HeadlineNumbers
    second_row: Sequence[HeadlineNumber]
    forked: str
    bar: Sequence[Segment]
    legend: Sequence[LegendItem]
    empty_state: Sequence[tuple[int, Fitted]]
    stale: StaleMark | None


def compute_layout(snapshot: Snapshot, options: BannerOptions, as_of: date | None) -> Card:
    """Compute all positions and texts of the layout."""
    stats, colours, locale = snapshot.stats, scheme(options), options.locale
    names, empty_state = names_for(snapshot.owner, options), empty_state_text(stats, options)
    limit = options.langs_count or DEFAULT_LANGS_COUNT[Layout.CARD][options.shape]
    ranking = visible_languages(snapshot, options, colours, limit=limit)
    on_ring = ring_shares(ranking, options)
    usual = has_repositories_last(options)
    numbers = select_numbers(snapshot, options, _METRIC_ROOMS if usual else _EVEN_ROOMS)
    fitted = fit_numbers(numbers.slots, _VALUE_SIZES)
    metrics, second_row = _place_in_rows(numbers.slots, fitted, _METRIC_X if usual else _EVEN_X)
    dy = _SECOND_ROW_HEIGHT if second_row else 0
    legend = fit_legend(ranking, limit, _place_items(locale, dy))
    name = fit_isolated(names.name, _NAME_SIZES, _NAME_ROOM, bold=True)
    return Card(
        frame=frame(
            _TALL_CANVAS if second_row else _CANVAS,
            options,
            is_mirrored=is_mirrored(names.name, locale),
        ),
        glow=glow_colour(legend.shares, colours),
        title=heading(names),
        desc=description(
            numbers.counts,
            stats,
            describe_items(legend.items),
            as_of,
            locale=locale,
            missing=numbers.missing,
        ),
        ring=ring(on_ring, radius=_RING_RADIUS) if on_ring else (),
        initial=fit_initial(initial(names.name), _INITIAL_SIZES, _INITIAL_ROOM),
        name=name,
        byline=fit(names.byline, _BYLINE_SIZES, _NAME_ROOM) if names.byline else None,
        metrics=metrics,
        second_row=second_row,
        forked=_forked(fitted, stats, options) if usual else "",
        bar=bar(legend.shares, x=_BAR_X, y=_BAR_Y + dy, width=_BAR_WIDTH) if legend.shares else (),
        legend=legend.items,
        empty_state=_empty_state(empty_state, dy) if empty_state else (),
        stale=StaleMark(stale_day_beside(name, name_x=_NAME_X, day=stale_label(as_of, locale)))
        if as_of
        else None,
    )


def _place_in_rows(
    slots: Sequence[NumberSlot], fitted: FittedNumbers, positions: tuple[int, ...]
) -> tuple[HeadlineNumbers, Sequence[HeadlineNumber]]:
    """Place up to three numbers in a row; return the first row, and the numbers of the second."""
    if len(slots) <= _MAX_IN_ROW:
        return place_numbers(slots, fitted, positions), ()
    # Four look better in two rows of two than with the last one alone.
    columns = _TWO_IN_ROW_X if len(slots) == 2 * len(_TWO_IN_ROW_X) else positions
    placed = place_numbers(slots, fitted, columns * 2)
    length = len(columns)
    first_row = HeadlineNumbers(placed.items[:length], placed.size, placed.label_size)
    return first_row, placed.items[length:]


@cache
def _place_items(locale: str, dy: int) -> PlaceItems:
    """Place the legend in two rows, or in a single one between them if one is enough."""
    rows = partial(flow_rows, x=_BAR_X, room=_BAR_WIDTH, size=_LEGEND_SIZE, locale=locale)
    in_one, in_two = rows(baselines=_shift(_ROW, dy)), rows(baselines=_shift(_ROWS, dy))

    def place_items(shares: Sequence[Share]) -> Sequence[LegendItem] | None:
        return in_one(shares) or in_two(shares)

    return place_items


def _empty_state(text: str, dy: int) -> list[tuple[int, Fitted]]:
    """Place the text in the rows of the legend."""
    lines = wrap(text, _EMPTY_STATE_SIZES, _BAR_WIDTH)
    return list(zip(_shift(_ROW if len(lines) == 1 else _ROWS, dy), lines, strict=False))


def _shift(baselines: Sequence[int], dy: int) -> list[int]:
    return [y + dy for y in baselines]


def _forked(fitted: FittedNumbers, stats: Stats, options: BannerOptions) -> str:
    """Return the number of forks, if there is room for it after the total."""
    if not stats.forked_repos or HideableField.REPOSITORIES in options.hide:
        return ""
    forked_counts = counts(Noun.FORKED, options.locale, options.number_format, _FORKED_SIZE)
    forked, forked_width = forked_counts[stats.forked_repos]
    total = fitted.values[-1]
    end = fitted.size * (total.em_width + _SPACE) + forked_width
    return forked if end <= _FORKED_END else ""


LAYOUT_SPEC = LayoutSpec(_CANVAS, "card.svg", compute_layout)
