"""
The layout `classic`, 846 x 192: ring and name, three numbers, the bar and its legend.

The same file has a narrow form, which a media query shows if the picture is displayed at a width of
640 px or less. Positions here and in `templates/classic.svg` are in user units; the y of text is
its baseline.
"""

import math
from collections.abc import Sequence
from datetime import date
from functools import cache, lru_cache

import msgspec

from github_banners.drawing.headline import (
    NUMBER_KINDS,
    FittedNumbers,
    HeadlineNumber,
    HeadlineNumbers,
    MeasuredCounts,
    NumberSlot,
    OwnerNames,
    counts,
    empty_state_text,
    fit_numbers,
    has_repositories_last,
    heading,
    names_for,
    place_numbers,
    select_numbers,
)
from github_banners.drawing.language_charts import (
    LegendItem,
    PlaceItems,
    Segment,
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
from github_banners.drawing.locales import (
    MeasuredText,
    Noun,
    description,
    is_mirrored,
    load_translations,
    plural_after_short,
    stale_label,
)
from github_banners.drawing.text import Fitted, fit, fit_initial, fit_isolated, initial, width
from github_banners.drawing.themes import Canvas, Frame, Scheme, format_coordinate, frame, scheme
from github_banners.models import Snapshot, Stats
from github_banners.options import DEFAULT_LANGS_COUNT, BannerOptions, HideableField, Layout

_CANVAS = Canvas(846, 192)
_DEFAULT_SHOW = BannerOptions().show

_RING_RADIUS = 25.5
_INITIAL_SIZES, _INITIAL_ROOM = (21, 17, 13), 40

_NAME_X, _NAME_ROOM = 104, 276
_NAME_SIZES, _BYLINE_SIZES = (26, 24, 22, 20, 18, 16), (15, 14, 13)
_NAME_Y, _LONE_NAME_Y = 57, 69
_NARROW_NAME_X, _NARROW_NAME_SIZE, _NARROW_NAME_GROWTH = 112, 40, 2.3

_METRIC_X, _METRIC_ROOMS = (408, 526, 644), (108, 108, 170)
# For other numbers than the repositories in the last place, which need no room for the split.
_EVEN_X, _EVEN_ROOMS = (408, 546, 684), (128, 128, 130)
# Sizes below 24 are for numbers in full.
_VALUE_SIZES = (32, 28, 24, 21, 19, 17)
_SPLIT_SIZE, _SPLIT_GAP, _SPLIT_END = 12.5, 10, 822
# The width of a number in usual fonts, as a fraction of the estimate.
_USUAL_WIDTH = 0.88

_NARROW_METRIC_X = (34, 304, 572)
_NARROW_VALUE_SIZES, _NARROW_SHORT_SIZES, _NARROW_LABEL_SIZE = (38, 32), (38, 32, 26, 22), 25
_NARROW_VALUE_ROOM, _NARROW_TEXT_ROOM, _MIN_NARROW_LABELLED_SIZE = 196, 222, 26

_BAR_X, _BAR_Y, _BAR_WIDTH = 32, 121, 782
_LEGEND_Y, _LEGEND_SIZE = 159, 14
_STALE_SIZE, _STALE_GAP = 12.5, 40
_EMPTY_STATE_SIZES = (14, 13, 12)


class Name(msgspec.Struct, frozen=True, gc=False):
    """The name; `narrow` is the CSS transform that moves and scales it in the narrow form."""

    text: Fitted
    y: int
    narrow: str
    byline: Fitted | None


class Split(msgspec.Struct, frozen=True, gc=False):
    """The parts of the total number of repositories, in two lines beside it."""

    x: int
    original: str
    forked: str


class Narrow(msgspec.Struct, frozen=True, gc=False):
    """The numbers of the narrow form; either all of them have labels or none."""

    items: Sequence[HeadlineNumber]
    size: float
    has_labels: bool


class Classic(msgspec.Struct, frozen=True, gc=False):
    """The values of `templates/classic.svg`; empty texts and sequences are left out."""

    frame: Frame
    glow: str
    title: str
    desc: str
    ring: Sequence[Segment]
    initial: Fitted
    name: Name
    metrics: HeadlineNumbers
    split: Split | None
    narrow: Narrow
    bar: Sequence[Segment]
    legend: Sequence[LegendItem]
    empty_state: Fitted | None
    as_of: str


class _Plan(msgspec.Struct, frozen=True, gc=False):
    """
    What depends on the options alone.

    `split` are the texts of original and forked repositories, None if the total is not shown last.
    """

    colours: Scheme
    langs_count: int
    metric_rooms: tuple[int, ...]
    metric_x: tuple[int, ...]
    split: tuple[MeasuredCounts, MeasuredCounts] | None


def compute_layout(snapshot: Snapshot, options: BannerOptions, as_of: date | None) -> Classic:
    """Compute all positions and texts of the layout."""
    plan, stats, locale = _plan(options), snapshot.stats, options.locale
    names = names_for(snapshot.owner, options)
    mirrored = is_mirrored(names.name, locale)
    stale, empty_state = stale_label(as_of, locale), empty_state_text(stats, options)
    # The label of stale numbers is at the end of the legend's row.
    room = _BAR_WIDTH - (width(stale, _STALE_SIZE) + _STALE_GAP if stale else 0)
    ranking = visible_languages(snapshot, options, plan.colours, limit=plan.langs_count)
    on_ring = ring_shares(ranking, options)
    legend = fit_legend(ranking, plan.langs_count, _place_items(room, locale))
    numbers = select_numbers(snapshot, options, plan.metric_rooms)
    fitted = fit_numbers(numbers.slots, _VALUE_SIZES)
    return Classic(
        frame=frame(_CANVAS, options, is_mirrored=mirrored),
        glow=glow_colour(legend.shares, plan.colours),
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
        name=_name(names, mirrored=mirrored),
        metrics=place_numbers(numbers.slots, fitted, plan.metric_x),
        split=_split(fitted, stats, plan.split) if plan.split else None,
        narrow=_narrow(numbers.slots, options),
        bar=bar(legend.shares, x=_BAR_X, y=_BAR_Y, width=_BAR_WIDTH) if legend.shares else (),
        legend=legend.items,
        empty_state=fit(empty_state, _EMPTY_STATE_SIZES, room) if empty_state else None,
        as_of=stale,
    )


@lru_cache(1024)
def _plan(options: BannerOptions) -> _Plan:
    is_usual, split = has_repositories_last(options), None
    if is_usual and HideableField.REPOSITORIES not in options.hide:
        original, forked = (
            counts(noun, options.locale, options.number_format, _SPLIT_SIZE)
            for noun in (Noun.ORIGINAL, Noun.FORKED)
        )
        split = original, forked
    return _Plan(
        scheme(options),
        options.langs_count or DEFAULT_LANGS_COUNT[Layout.CLASSIC][options.shape],
        _METRIC_ROOMS if is_usual else _EVEN_ROOMS,
        _METRIC_X if is_usual else _EVEN_X,
        split,
    )


@lru_cache(64)
def _place_items(room: float, locale: str) -> PlaceItems:
    return flow_rows(x=_BAR_X, room=room, baselines=(_LEGEND_Y,), size=_LEGEND_SIZE, locale=locale)


def _name(names: OwnerNames, *, mirrored: bool) -> Name:
    name = fit_isolated(names.name, _NAME_SIZES, _NAME_ROOM, bold=True)
    y = _NAME_Y if names.byline else _LONE_NAME_Y
    return Name(
        text=name,
        y=y,
        narrow=_narrow_name(name.size, y, mirrored),
        byline=fit(names.byline, _BYLINE_SIZES, _NAME_ROOM) if names.byline else None,
    )


@cache
def _narrow_name(size: float, y: int, mirrored: bool) -> str:
    """
    Return the CSS transform of the name in the narrow form.

    It scales, since a larger font size has no effect on the width of a text with a `textLength`.
    """
    growth = min(_NARROW_NAME_SIZE / size, _NARROW_NAME_GROWTH)
    narrow_y = y + (13 if y == _NAME_Y else 1)
    x = _NARROW_NAME_X - growth * _NAME_X
    if mirrored:
        x = _CANVAS.width - x - growth * _CANVAS.width
    dy = narrow_y - growth * y
    return f"translate({format_coordinate(x)}px,{format_coordinate(dy)}px)scale({growth:.3g})"


def _split(
    fitted: FittedNumbers, stats: Stats, split_counts: tuple[MeasuredCounts, MeasuredCounts]
) -> Split | None:
    """Return the parts of the total, if there is room for them after it."""
    if not stats.total_repos:
        return None
    original_counts, forked_counts = split_counts
    original, original_width = original_counts[stats.original_repos]
    forked, forked_width = forked_counts[stats.forked_repos]
    # The total is the last number; hidden ones before it leave no gap.
    total, total_x = fitted.values[-1], _METRIC_X[len(fitted.values) - 1]
    total_width = total.em_width * fitted.size
    # In the widest font a long total would reach the split: limit its full width free.
    x = total_x + max(_USUAL_WIDTH * total_width + _SPLIT_GAP, total_width)
    end = x + max(original_width, forked_width)
    return Split(round(x), original, forked) if end < _SPLIT_END else None


def _narrow(numbers: Sequence[NumberSlot], options: BannerOptions) -> Narrow:
    """Use the requested number format if a large font size fits, else short numbers."""
    fitted = [number.text for number in numbers]
    size = _narrow_size(fitted, _NARROW_VALUE_SIZES)
    if size is None:
        fitted = [number.numeral.short for number in numbers]
        size = _narrow_size(fitted, _NARROW_SHORT_SIZES) or _NARROW_SHORT_SIZES[-1]
    items, text_size, labels = [], math.inf, _narrow_labels(options.locale)
    for number, value, x in zip(numbers, fitted, _NARROW_METRIC_X, strict=False):
        kind, numeral = number.kind, number.numeral
        plural = numeral.plural
        if value.text != numeral.full:
            plural = plural_after_short(number.number, numeral, options.locale)
        label, label_width = labels[kind.short][plural]
        items.append(HeadlineNumber(kind.icon, label, x, value.text))
        # The font size at which the label fits after the number.
        if (fitting_size := (_NARROW_TEXT_ROOM - label_width) / value.em_width) < text_size:
            text_size = fitting_size
    if text_size >= size:
        return Narrow(items, size, has_labels=True)
    # Icons that are less known than the star need their labels more than a large number.
    if options.show is not _DEFAULT_SHOW and text_size >= _MIN_NARROW_LABELLED_SIZE:
        return Narrow(items, int(text_size), has_labels=True)
    return Narrow(items, size, has_labels=False)


@cache
def _narrow_labels(locale: str) -> dict[Noun, dict[str, tuple[str, float]]]:
    """Return the nouns by plural category, and their widths with a space before them."""
    return {
        kind.short: {
            category: (noun, width(f" {noun}", _NARROW_LABEL_SIZE))
            for category, noun in load_translations(locale).nouns[kind.short].items()
        }
        for kind in NUMBER_KINDS
    }


def _narrow_size(values: Sequence[MeasuredText], sizes: Sequence[float]) -> float | None:
    """Return the first font size at which all numbers fit; None if there is none."""
    max_em_width = max([value.em_width for value in values]) if values else 0
    for size in sizes:
        if max_em_width * size <= _NARROW_VALUE_ROOM:
            return size
    return None


LAYOUT_SPEC = LayoutSpec(_CANVAS, "classic.svg", compute_layout)
