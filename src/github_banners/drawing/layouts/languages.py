"""
The layout `languages`, 420 x 220: the share of each language, as a bar or as a donut.

Positions here and in `templates/languages.svg` are in user units; the y of text is its baseline.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import msgspec

from github_banners.drawing.headline import empty_state_text, heading, names_for
from github_banners.drawing.language_charts import (
    Segment,
    Share,
    bar,
    describe_shares,
    glow_colour,
    ring,
    visible_languages,
)
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.drawing.locales import (
    Noun,
    format_number,
    format_percent,
    is_mirrored,
    language_description,
    load_translations,
    plural_noun,
    stale_label,
)
from github_banners.drawing.text import Fitted, fit, fit_isolated, isolate, sanitize, width, wrap
from github_banners.drawing.themes import Canvas, Frame, frame, scheme
from github_banners.models import Snapshot
from github_banners.options import (
    DEFAULT_LANGS_COUNT,
    BannerOptions,
    ChartType,
    CountBy,
    HideableField,
    Layout,
)

_CANVAS = Canvas(420, 220)

_X, _WIDTH, _BAR_Y = 24, 372, 67
_TITLE_SIZES, _CAPTION_SIZE, _CAPTION_GAP = (17, 16, 15, 14), 13, 16

_RING_RADIUS, _RING_GAP = 66, 2.5
_WORD_SIZES, _WORD_ROOM = (12.5, 11.5), 96
_STALE_SIZES, _STALE_ROOM = (12.5, 11.5, 10.5), 192

_MAX_IN_ONE_COLUMN, _MAX_SPACED_IN_TWO = 4, 8
_PITCH, _MIN_SPACED_PITCH = 28, 20
_NAME_SIZES, _DENSE_NAME_SIZES = (14, 13, 12), (12,)
_NAME_PADDING = 23  # the dot before a name, and the gap after it
_EMPTY_STATE_SIZES, _EMPTY_STATE_PITCH = (14, 13, 12), 20


class Grid(NamedTuple):
    """
    The positions of rows: the x of each column, and the width of a column.

    `middle` is the baseline of a single row; several are centred around it. `extent` is the largest
    distance from the first to the last baseline.
    """

    columns: tuple[int, ...]
    width: int
    middle: int
    extent: int


_ONE_COLUMN = Grid((24,), 372, 145, 112)
_TWO_COLUMNS = Grid((24, 220), 176, 145, 112)
_TWO_DENSE_COLUMNS = Grid((24, 220), 176, 150, 104)
_BESIDE_DONUT = Grid((218,), 178, 115, 160)


class Heading(msgspec.Struct, frozen=True, gc=False):
    """The texts above the bar: the title, and what is counted, with the day of stale numbers."""

    text: Fitted
    caption: str


class Centre(msgspec.Struct, frozen=True, gc=False):
    """The text in the donut: the number of languages."""

    count: str
    word: Fitted


class Row(msgspec.Struct, frozen=True, gc=False):
    """A language with its share; (x, y) is the left edge of its dot, and its baseline."""

    x: int
    y: int
    colour: str
    name: Fitted
    percent: str


class Rows(msgspec.Struct, frozen=True, gc=False):
    """The rows of languages; percentages end at `end`, relative to the x of their row."""

    items: Sequence[Row]
    end: int
    size: float


class EmptyStateLine(msgspec.Struct, frozen=True, gc=False):
    """A line of the empty state."""

    y: int
    text: Fitted


class EmptyState(msgspec.Struct, frozen=True, gc=False):
    """The explanation that replaces the languages if there are none."""

    x: int
    lines: Sequence[EmptyStateLine]


class Languages(msgspec.Struct, frozen=True, gc=False):
    """
    The values of `templates/languages.svg`; empty texts and sequences are left out.

    Only a bar has a heading; only a donut has a centre, and `as_of` below it.
    """

    frame: Frame
    glow: str
    title: str
    desc: str
    heading: Heading | None
    bar: Sequence[Segment]
    ring: Sequence[Segment]
    centre: Centre | None
    rows: Rows | None
    empty_state: EmptyState | None
    as_of: Fitted | None


def compute_layout(snapshot: Snapshot, options: BannerOptions, as_of: date | None) -> Languages:
    """Compute all positions and texts of the layout."""
    stats, colours, locale = snapshot.stats, scheme(options), options.locale
    is_donut, empty_state = options.shape is ChartType.DONUT, empty_state_text(stats, options)
    limit = options.langs_count or DEFAULT_LANGS_COUNT[Layout.LANGUAGES][options.shape]
    is_hidden = HideableField.LANGUAGES in options.hide
    ranking = visible_languages(snapshot, options, colours, limit=limit)
    shares = ranking.top(limit)
    grid = _grid(len(shares), is_donut=is_donut)
    stale = stale_label(as_of, locale)
    title = heading(names_for(snapshot.owner, options))
    # A donut shows no title, so only the locale can mirror it.
    mirrored = is_mirrored("" if is_donut else options.title or "", locale)
    return Languages(
        frame=frame(_CANVAS, options, is_mirrored=mirrored),
        glow=glow_colour(shares, colours),
        title=f"{title}: {load_translations(locale).labels.languages}",
        desc=""
        if is_hidden
        else language_description(
            ranking.number,
            _describe_shares(shares, options),
            as_of,
            locale=locale,
            count_by=options.count_by,
            empty_state=empty_state,
        ),
        heading=None if is_donut else _heading(options, stale),
        bar=bar(shares, x=_X, y=_BAR_Y, width=_WIDTH) if shares and not is_donut else (),
        ring=ring(shares, radius=_RING_RADIUS, gap=_RING_GAP) if shares and is_donut else (),
        centre=_centre(ranking.number, locale) if is_donut and not is_hidden else None,
        rows=_rows(shares, grid, locale) if shares else None,
        empty_state=_empty_state(empty_state, grid) if empty_state else None,
        as_of=fit(stale, _STALE_SIZES, _STALE_ROOM) if stale and is_donut else None,
    )


def _heading(options: BannerOptions, stale: str) -> Heading:
    """Fit the title beside the caption; if both don't fit, only the day of stale numbers stays."""
    labels = load_translations(options.locale).labels
    title = sanitize(options.title or "") or labels.languages
    unit = labels.by_size if options.count_by is CountBy.BYTES else labels.by_repositories
    caption = f"{unit} · {stale}" if stale else unit
    if stale and width(title, _TITLE_SIZES[0], bold=True) > _title_room(caption):
        caption = stale
    return Heading(fit_isolated(title, _TITLE_SIZES, _title_room(caption), bold=True), caption)


@lru_cache(512)
def _title_room(caption: str) -> float:
    return _WIDTH - _CAPTION_GAP - width(caption, _CAPTION_SIZE)


def _centre(number: int, locale: str) -> Centre:
    word = plural_noun(Noun.LANGUAGES, number, locale)
    return Centre(format_number(number, locale), fit(word, _WORD_SIZES, _WORD_ROOM))


def _describe_shares(shares: Sequence[Share], options: BannerOptions) -> list[str]:
    """Name the languages with their numbers of repositories, or with their shares of all bytes."""
    locale = options.locale
    if options.count_by is CountBy.BYTES:
        return describe_shares(shares, locale)
    return [f"{isolate(share.name)} {format_number(share.amount, locale)}" for share in shares]


def _grid(number: int, *, is_donut: bool) -> Grid:
    if is_donut:
        return _BESIDE_DONUT
    if number <= _MAX_IN_ONE_COLUMN:
        return _ONE_COLUMN
    return _TWO_COLUMNS if number <= _MAX_SPACED_IN_TWO else _TWO_DENSE_COLUMNS


def _rows(shares: Sequence[Share], grid: Grid, locale: str) -> Rows:
    """Fill a grid column by column, with smaller distances if there are many rows."""
    height = -(-len(shares) // len(grid.columns))
    pitch = min(_PITCH, grid.extent // max(height - 1, 1))
    sizes = _NAME_SIZES if pitch >= _MIN_SPACED_PITCH else _DENSE_NAME_SIZES
    top = grid.middle - pitch * (height - 1) // 2
    percents = [format_percent(share.percent, locale) for share in shares]
    items = [
        Row(
            x=grid.columns[index // height],
            y=top + pitch * (index % height),
            colour=share.colour,
            name=_name(share.name, sizes, grid.width - _percent_width(percent, sizes[0])),
            percent=percent,
        )
        for index, (share, percent) in enumerate(zip(shares, percents, strict=True))
    ]
    return Rows(items, grid.width, sizes[0])


@lru_cache(4096)
def _name(name: str, sizes: Sequence[float], room: float) -> Fitted:
    return fit_isolated(name, sizes, room - _NAME_PADDING)


@lru_cache(512)
def _percent_width(percent: str, size: float) -> float:
    return width(percent, size)


def _empty_state(text: str, grid: Grid) -> EmptyState:
    lines = wrap(text, _EMPTY_STATE_SIZES, grid.width)
    top = grid.middle - _EMPTY_STATE_PITCH * (len(lines) - 1) // 2
    return EmptyState(
        grid.columns[0],
        [
            EmptyStateLine(top + _EMPTY_STATE_PITCH * index, line)
            for index, line in enumerate(lines)
        ],
    )


LAYOUT_SPEC = LayoutSpec(_CANVAS, "languages.svg", compute_layout)
