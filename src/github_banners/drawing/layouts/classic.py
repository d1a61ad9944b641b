"""
The layout `classic`, 846 x 192: ring and name, three numbers, the bar and its legend.

In the same file a narrow form, which a media query shows where the picture is drawn at a width of
640 px or less. Positions here and in `templates/classic.svg` are in user units, y of text is its
baseline.
"""

from collections.abc import Callable, Sequence
from datetime import date
from functools import cache, lru_cache

import msgspec

from github_banners.drawing.cleaning import initial
from github_banners.drawing.figures import Segment, bar, digits, ring
from github_banners.drawing.frame import Frame, Ground, frame, is_mirrored
from github_banners.drawing.languages import Share
from github_banners.drawing.layouts.arrangement import Arrangement
from github_banners.drawing.legend import Item, flow, listed, longest, on_ring, spoken
from github_banners.drawing.locales import Kind, description, mark, words
from github_banners.drawing.metrics import (
    KINDS,
    Counted,
    Metric,
    Metrics,
    Value,
    Values,
    counted,
    countings,
    fitting,
    placed,
    values,
)
from github_banners.drawing.text import Fitted, fit, fit_isolated, width
from github_banners.drawing.themes import scheme
from github_banners.drawing.words import Person, heading, note, person
from github_banners.look import Field, Look, NumberFormat, Shape
from github_banners.model import Snapshot, Stats

_GROUND = Ground(846, 192)

_RING_RADIUS = 25.5
_INITIAL_SIZES, _INITIAL_ROOM = (21, 17, 13), 40

_NAME_X, _NAME_ROOM = 104, 276
_NAME_SIZES, _BYLINE_SIZES = (26, 24, 22, 20, 18, 16), (15, 14, 13)
_NAME_Y, _LONE_NAME_Y = 57, 69
_NARROW_NAME_X, _NARROW_NAME_SIZE, _NARROW_NAME_GROWTH = 112, 40, 2.3

_METRIC_X, _METRIC_ROOMS = (408, 526, 644), (108, 108, 170)
# Only numbers written in full go below 24.
_VALUE_SIZES = (32, 28, 24, 21, 19, 17)
_SPLIT_SIZE, _SPLIT_GAP, _SPLIT_END = 12.5, 10, 822
_USUAL_WIDTH = 0.88

_NARROW_METRIC_X = (34, 304, 572)
_NARROW_VALUE_SIZES, _NARROW_SHORT_SIZES, _NARROW_LABEL_SIZE = (38, 32), (38, 32, 26, 22), 25
_NARROW_VALUE_ROOM, _NARROW_TEXT_ROOM = 196, 222

_BAR_X, _BAR_Y, _BAR_WIDTH = 32, 121, 782
_LEGEND_Y, _LEGEND_SIZE, _LEGEND_KEEPS = 159, 14, 6
_STALE_SIZE, _STALE_GAP = 12.5, 40
_NOTE_SIZES = (14, 13, 12)


class Name(msgspec.Struct, frozen=True, gc=False):
    """Who it is; `narrow` moves and enlarges the text for the narrow form."""

    text: Fitted
    y: int
    narrow: str
    byline: Fitted | None


class Split(msgspec.Struct, frozen=True, gc=False):
    """What the total consists of, in two lines beside it."""

    x: int
    original: str
    forked: str


class Narrow(msgspec.Struct, frozen=True, gc=False):
    """The numbers of the narrow form: labels all or none."""

    items: Sequence[Metric]
    size: float
    has_labels: bool


class Classic(msgspec.Struct, frozen=True, gc=False):
    """All that `templates/classic.svg` prints; empty texts and tuples are left out."""

    frame: Frame
    title: str
    desc: str
    ring: Sequence[Segment]
    initial: Fitted
    name: Name
    metrics: Metrics
    split: Split | None
    narrow: Narrow
    bar: Sequence[Segment]
    legend: Sequence[Item]
    note: Fitted | None
    as_of: str


def arrange(snapshot: Snapshot, look: Look, as_of: date | None) -> Classic:
    """Compute every position and every string of the layout."""
    stats, colours, locale = snapshot.stats, scheme(look), look.locale
    whose, stale, remark = person(snapshot.owner, look), mark(as_of, locale), note(stats, look)
    room = _BAR_WIDTH - (width(stale, _STALE_SIZE) + _STALE_GAP if stale else 0)
    keep = look.langs_count or _LEGEND_KEEPS
    ranking = listed(stats, look, colours, keep=keep)
    around = on_ring(ranking, look)
    legend = longest(
        ranking,
        keep=keep,
        lay=_row(room, locale),
    )
    numbers, turned = counted(stats, look, _METRIC_ROOMS), is_mirrored(whose.name, look)
    wide = fitting(numbers, _VALUE_SIZES, locale)
    return Classic(
        frame=frame(_GROUND, look, colours, shares=legend.shares, is_mirrored=turned),
        title=heading(whose),
        desc=description(stats, spoken(legend.items), as_of, locale=locale, hide=look.hide),
        ring=ring(around, radius=_RING_RADIUS) if around else (),
        initial=_initial(initial(whose.name)),
        name=_name(whose, turned=turned),
        metrics=placed(numbers, wide, _METRIC_X),
        split=_split(wide, stats, look),
        narrow=_narrow(numbers, look),
        bar=bar(legend.shares, x=_BAR_X, y=_BAR_Y, width=_BAR_WIDTH) if legend.shares else (),
        legend=legend.items,
        note=fit(remark, _NOTE_SIZES, room) if remark else None,
        as_of=stale,
    )


def _row(room: float, locale: str) -> Callable[[Sequence[Share]], list[Item] | None]:
    """Set the legend into one row, which the mark of old numbers shortens."""
    return lambda shown: flow(
        shown, x=_BAR_X, room=room, baselines=(_LEGEND_Y,), size=_LEGEND_SIZE, locale=locale
    )


@lru_cache(1024)
def _initial(letter: str) -> Fitted:
    return fit(letter, _INITIAL_SIZES, _INITIAL_ROOM, bold=True)


def _name(whose: Person, *, turned: bool) -> Name:
    name = fit_isolated(whose.name, _NAME_SIZES, _NAME_ROOM, bold=True)
    y = _NAME_Y if whose.byline else _LONE_NAME_Y
    return Name(
        text=name,
        y=y,
        narrow=_narrow_name(name.size, y, turned=turned),
        byline=fit(whose.byline, _BYLINE_SIZES, _NAME_ROOM) if whose.byline else None,
    )


@cache
def _narrow_name(size: float, y: int, *, turned: bool) -> str:
    """Scale rather than choose a font size, which would not reach a text with a `textLength`."""
    growth = min(_NARROW_NAME_SIZE / size, _NARROW_NAME_GROWTH)
    narrow_y = y + (13 if y == _NAME_Y else 1)
    x = _NARROW_NAME_X - growth * _NAME_X
    if turned:
        x = _GROUND.width - x - growth * _GROUND.width
    return f"translate({digits(x)}px,{digits(narrow_y - growth * y)}px)scale({growth:.3g})"


def _split(wide: Values, stats: Stats, look: Look) -> Split | None:
    """Say what the total consists of, where that has room after it."""
    if not stats.total_repos or Field.REPOSITORIES in look.hide:
        return None
    locale, number_format = look.locale, look.number_format
    originals = countings(Kind.ORIGINAL, locale, number_format, _SPLIT_SIZE)
    forks = countings(Kind.FORKED, locale, number_format, _SPLIT_SIZE)
    original, original_width = originals[stats.original_repos]
    forked, forked_width = forks[stats.forked_repos]
    # The total is the last number; hidden ones before it have closed up.
    total, left = wide.values[-1], _METRIC_X[len(wide.values) - 1]
    length = total.unit * wide.size
    # On the widest fonts a long total would reach the split: its full width is kept.
    x = left + max(_USUAL_WIDTH * length + _SPLIT_GAP, length)
    end = x + max(original_width, forked_width)
    return Split(round(x), original, forked) if end < _SPLIT_END else None


def _narrow(numbers: Sequence[Counted], look: Look) -> Narrow:
    """Choose one size, of few for numbers as wished, of more for short ones."""
    fitted = [number.full for number in numbers]
    size = _narrow_size(fitted, _NARROW_VALUE_SIZES)
    if size is None:
        written = values(look.locale, NumberFormat.SHORT)
        fitted = [written[number.number] for number in numbers]
        size = _narrow_size(fitted, _NARROW_SHORT_SIZES) or _NARROW_SHORT_SIZES[-1]
    items, has_labels, labels = [], True, _narrow_labels(look.locale)
    for number, value, x in zip(numbers, fitted, _NARROW_METRIC_X, strict=False):
        label, label_width = labels[number.kind.short][value.plural]
        items.append(Metric(number.kind.icon, label, x, value.text))
        if value.unit * size + label_width > _NARROW_TEXT_ROOM:
            has_labels = False
    return Narrow(items, size, has_labels)


@cache
def _narrow_labels(locale: str) -> dict[Kind, dict[str, tuple[str, float]]]:
    """Return the nouns by plural category, and their widths with the space before them."""
    return {
        kind.short: {
            category: (noun, width(f" {noun}", _NARROW_LABEL_SIZE))
            for category, noun in words(locale).nouns[kind.short].items()
        }
        for kind in KINDS
    }


def _narrow_size(values: Sequence[Value], sizes: Sequence[float]) -> float | None:
    widest = max([value.unit for value in values]) if values else 0
    for size in sizes:
        if widest * size <= _NARROW_VALUE_ROOM:
            return size
    return None


ARRANGEMENT = Arrangement(
    _GROUND, "classic.svg", arrange, keeps=dict.fromkeys(Shape, _LEGEND_KEEPS)
)
