"""
The layout `classic`, 846 x 192: ring and name, three numbers, the bar and its legend.

In the same file a narrow form, which a media query shows where the picture is drawn at a width of
640 px or less. Positions here and in `templates/classic.svg` are in user units, y of text is its
baseline.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import msgspec

from github_banners.drawing.card import Card, card
from github_banners.drawing.cleaning import initial, isolate
from github_banners.drawing.figures import Segment, bar, digits, ring
from github_banners.drawing.languages import Share, ranked, shares
from github_banners.drawing.layouts.arrangement import Arrangement
from github_banners.drawing.legend import Item, flow
from github_banners.drawing.numbers import day, grouped, short
from github_banners.drawing.text import Fitted, fit, width
from github_banners.drawing.themes import Scheme, scheme
from github_banners.drawing.words import Person, description, heading, note, person
from github_banners.look import Field, Look, NumberFormat
from github_banners.model import Snapshot, Stats

_WIDTH, _HEIGHT = 846, 192

_RING_RADIUS, _RING_KEEPS = 25.5, 5
_INITIAL_SIZES, _INITIAL_ROOM = (21, 17, 13), 40

_NAME_X, _NAME_ROOM = 104, 276
_NAME_SIZES, _BYLINE_SIZES = (26, 24, 22, 20, 18, 16), (15, 14, 13)
_NAME_Y, _LONE_NAME_Y = 57, 69
_NARROW_NAME_X, _NARROW_NAME_SIZE, _NARROW_NAME_GROWTH = 112, 40, 2.3

_METRIC_X = (408, 526, 644)
# Only numbers written in full go below 24.
_VALUE_SIZES = (32, 28, 24, 21, 19, 17)
_SPLIT_SIZE, _SPLIT_GAP, _SPLIT_END = 12.5, 10, 822
_USUAL_WIDTH = 0.88

_NARROW_METRIC_X = (34, 304, 572)
_NARROW_VALUE_SIZES, _NARROW_LABEL_SIZE = (38, 32), 25
_NARROW_VALUE_ROOM, _NARROW_TEXT_ROOM = 196, 222

_BAR_X, _BAR_Y, _BAR_WIDTH = 32, 121, 782
_LEGEND_Y, _LEGEND_SIZE, _LEGEND_KEEPS = 159, 14, 6
_STALE_SIZE, _STALE_GAP = 12.5, 40


class Name(msgspec.Struct, frozen=True, gc=False):
    """Who it is; `narrow` moves and enlarges the text for the narrow form."""

    text: Fitted
    y: int
    narrow: str
    byline: Fitted | None


class Metric(msgspec.Struct, frozen=True, gc=False):
    """A number with its icon and label, at its place in the wide and in the narrow form."""

    icon: str
    label: str
    short_label: str
    x: int
    value: str
    narrow_x: int
    narrow_value: str


class Split(msgspec.Struct, frozen=True, gc=False):
    """What the total consists of, in two lines beside it."""

    x: str
    original: str
    forked: str


class Metrics(msgspec.Struct, frozen=True, gc=False):
    """The numbers: all of one size in the wide and of one in the narrow form."""

    items: Sequence[Metric]
    size: float
    split: Split | None
    narrow_size: float
    has_narrow_labels: bool


class Classic(msgspec.Struct, frozen=True, gc=False):
    """All that `templates/classic.svg` prints; empty texts and tuples are left out."""

    card: Card
    title: str
    desc: str
    ring: Sequence[Segment]
    initial: Fitted
    name: Name
    metrics: Metrics
    bar: Sequence[Segment]
    legend: Sequence[Item]
    note: str
    as_of: str


class _Languages(NamedTuple):
    shown: Sequence[Share]
    legend: Sequence[Item]
    on_ring: Sequence[Share]


class _Kind(NamedTuple):
    field: Field
    icon: str
    label: str
    short_label: str
    short_label_width: float
    room: int


class _Value(NamedTuple):
    """A number as text, and how wide that is at a font size of 1."""

    text: str
    unit: float


class _Counted(NamedTuple):
    kind: _Kind
    full: _Value
    number: int


class _Values(NamedTuple):
    size: float
    values: Sequence[_Value]


def _kind(field: Field, icon: str, label: str, short_label: str, *, room: int) -> _Kind:
    wide = width(f" {short_label}", _NARROW_LABEL_SIZE)
    return _Kind(field, icon, label, short_label, wide, room)


_KINDS = (
    _kind(Field.STARS, "s", "Stars", "stars", room=108),
    _kind(Field.FORKS, "f", "Forks", "forks", room=108),
    _kind(Field.REPOSITORIES, "p", "Repositories", "repos", room=170),
)


def arrange(snapshot: Snapshot, look: Look, as_of: date | None) -> Classic:
    """Compute every position and every string of the layout."""
    stats, colours = snapshot.stats, scheme(look)
    whose = person(snapshot.owner, look)
    stale = f"as of {day(as_of)}" if as_of else ""
    shown, legend, on_ring = _languages(stats, look, colours, stale)
    glow = shown[0].colour if shown and colours.is_personal else None
    return Classic(
        card=card(_WIDTH, _HEIGHT, look, colours, glow=glow),
        title=heading(whose),
        desc=description(stats, look, legend, as_of),
        ring=ring(on_ring, radius=_RING_RADIUS) if on_ring else (),
        initial=fit(initial(whose.name), _INITIAL_SIZES, _INITIAL_ROOM, bold=True),
        name=_name(whose),
        metrics=_metrics(stats, look),
        bar=bar(shown, x=_BAR_X, y=_BAR_Y, width=_BAR_WIDTH) if shown else (),
        legend=legend,
        note=note(stats, look),
        as_of=stale,
    )


def _name(whose: Person) -> Name:
    name = fit(whose.name, _NAME_SIZES, _NAME_ROOM, bold=True)
    y = _NAME_Y if whose.byline else _LONE_NAME_Y
    return Name(
        text=msgspec.structs.replace(name, text=isolate(name.text)),
        y=y,
        narrow=_narrow_name(name.size, y),
        byline=fit(whose.byline, _BYLINE_SIZES, _NAME_ROOM) if whose.byline else None,
    )


def _narrow_name(size: float, y: int) -> str:
    """Scale rather than choose a font size, which would not reach a text with a `textLength`."""
    growth = min(_NARROW_NAME_SIZE / size, _NARROW_NAME_GROWTH)
    narrow_y = y + (13 if y == _NAME_Y else 1)
    x = digits(_NARROW_NAME_X - growth * _NAME_X)
    return f"translate({x}px,{digits(narrow_y - growth * y)}px)scale({growth:.3g})"


def _languages(stats: Stats, look: Look, colours: Scheme, stale: str) -> _Languages:
    """Choose as many languages as the legend has room for; bar and legend show the same ones."""
    ranking = ranked(stats.languages, without=look.hide_langs)
    if not ranking or Field.LANGUAGES in look.hide:
        return _Languages((), (), ())
    room = _BAR_WIDTH - (width(stale, _STALE_SIZE) + _STALE_GAP if stale else 0)
    keep = look.langs_count or _LEGEND_KEEPS
    on_ring = shares(ranking, keep=min(keep, _RING_KEEPS), scheme=colours)
    shown = on_ring if keep <= _RING_KEEPS else shares(ranking, keep=keep, scheme=colours)
    while True:
        legend = flow(shown, x=_BAR_X, room=room, baselines=(_LEGEND_Y,), size=_LEGEND_SIZE)
        if legend is not None:
            return _Languages(shown, legend, on_ring)
        keep = min(keep, len(shown)) - 1
        shown = shares(ranking, keep=keep, scheme=colours)


def _metrics(stats: Stats, look: Look) -> Metrics:
    counted = _counted(stats, look)
    wide, narrow = _wide(counted), _narrow(counted)
    # Hidden ones close up: places are left over.
    places = zip(counted, _METRIC_X, wide.values, _NARROW_METRIC_X, narrow.values, strict=False)
    items = [
        Metric(
            one.kind.icon, one.kind.label, one.kind.short_label, x, value.text, narrow_x, it.text
        )
        for one, x, value, narrow_x, it in places
    ]
    is_split = stats.total_repos and Field.REPOSITORIES not in look.hide
    x_of_split = items[-1].x + _USUAL_WIDTH * wide.values[-1].unit * wide.size if is_split else 0
    return Metrics(
        items,
        size=wide.size,
        split=_split(x_of_split + _SPLIT_GAP, stats, look) if is_split else None,
        narrow_size=narrow.size,
        has_narrow_labels=_has_narrow_labels(counted, narrow),
    )


def _counted(stats: Stats, look: Look) -> list[_Counted]:
    numbers = (stats.total_stars, stats.total_forks, stats.total_repos)
    return [
        _Counted(kind, _value(_written(number, look)), number)
        for kind, number in zip(_KINDS, numbers, strict=True)
        if kind.field not in look.hide
    ]


def _wide(counted: Sequence[_Counted]) -> _Values:
    """Choose one size; a number too long in full is written short, since a cut one would lie."""
    values, at = [], 0
    for one in counted:
        value, room = one.full, one.kind.room
        if value.unit * _VALUE_SIZES[-1] > room:
            value = _value(short(one.number))
        while value.unit * _VALUE_SIZES[at] > room:
            at += 1
        values.append(value)
    return _Values(_VALUE_SIZES[at], values)


def _narrow(counted: Sequence[_Counted]) -> _Values:
    values = [one.full for one in counted]
    widest = max([value.unit for value in values], default=0)
    for size in _NARROW_VALUE_SIZES:
        if widest * size <= _NARROW_VALUE_ROOM:
            return _Values(size, values)
    return _Values(_NARROW_VALUE_SIZES[0], [_value(short(one.number)) for one in counted])


def _has_narrow_labels(counted: Sequence[_Counted], narrow: _Values) -> bool:
    return all(
        value.unit * narrow.size + one.kind.short_label_width <= _NARROW_TEXT_ROOM
        for one, value in zip(counted, narrow.values, strict=True)
    )


def _split(x: float, stats: Stats, look: Look) -> Split | None:
    original = f"{_written(stats.original_repos, look)} original"
    forked = f"{_written(stats.forked_repos, look)} forked"
    wide = max(width(original, _SPLIT_SIZE), width(forked, _SPLIT_SIZE))
    return Split(digits(x), original, forked) if x + wide < _SPLIT_END else None


def _value(text: str) -> _Value:
    return _Value(text, width(text, 1, bold=True))


def _written(number: int, look: Look) -> str:
    return grouped(number) if look.number_format is NumberFormat.LONG else short(number)


ARRANGEMENT = Arrangement(_WIDTH, _HEIGHT, "classic.svg", arrange)
