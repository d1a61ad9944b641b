"""
The layout `languages`, 420 x 220: what share each language has, as a bar or as a donut.

Positions here and in `templates/languages.svg` are in user units, y of text is its baseline.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import msgspec

from github_banners.drawing.cleaning import clean, isolate
from github_banners.drawing.figures import Segment, bar, ring
from github_banners.drawing.frame import Frame, Ground, frame, is_mirrored
from github_banners.drawing.languages import Share, percentages
from github_banners.drawing.layouts.arrangement import Arrangement
from github_banners.drawing.legend import listed
from github_banners.drawing.locales import (
    Kind,
    grouped,
    language_description,
    mark,
    noun,
    percent,
    words,
)
from github_banners.drawing.text import Fitted, fit, fit_isolated, width, wrap
from github_banners.drawing.themes import scheme
from github_banners.drawing.words import heading, note, person
from github_banners.look import Field, Look, Shape
from github_banners.model import Snapshot

_GROUND = Ground(420, 220)

_X, _WIDTH, _BAR_Y = 24, 372, 67
_TITLE_SIZES, _CAPTION_SIZE, _CAPTION_GAP = (17, 16, 15, 14), 13, 16

_RING_RADIUS, _RING_GAP = 66, 2.5
_WORD_SIZES, _WORD_ROOM = (12.5, 11.5), 96
_STALE_SIZES, _STALE_ROOM = (12.5, 11.5, 10.5), 192

_KEEPS = {Shape.BAR: 7, Shape.DONUT: 5}
_MOST_IN_ONE_COLUMN, _MOST_OPEN_IN_TWO = 4, 8
_PITCH, _LEAST_OPEN_PITCH = 28, 20
_NAME_SIZES, _DENSE_NAME_SIZES = (14, 13, 12), (12,)
_AROUND_NAME = 23  # the dot before it, a gap after it
_NOTE_SIZES, _NOTE_PITCH = (14, 13, 12), 20


class Grid(NamedTuple):
    """
    Where rows stand: the x of each column, how wide it is, and how high.

    `middle` is the baseline of a single row; rows spread around it, `extent` from the first to the
    last at most.
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
    """What stands over the bar: a title, and what the shares are shares of, and since when."""

    text: Fitted
    caption: str


class Centre(msgspec.Struct, frozen=True, gc=False):
    """What stands in the donut: how many languages there are."""

    count: str
    word: Fitted


class Row(msgspec.Struct, frozen=True, gc=False):
    """A language with its share; (x, y) is where its dot starts and its baseline."""

    x: int
    y: int
    colour: str
    name: Fitted
    percent: str


class Rows(msgspec.Struct, frozen=True, gc=False):
    """The languages below each other; `end` is where percentages end, seen from a row's x."""

    items: Sequence[Row]
    end: int
    size: float


class NoteLine(msgspec.Struct, frozen=True, gc=False):
    """A line of what stands in place of the languages."""

    y: int
    text: Fitted


class Note(msgspec.Struct, frozen=True, gc=False):
    """What stands in place of the languages."""

    x: int
    lines: Sequence[NoteLine]


class Languages(msgspec.Struct, frozen=True, gc=False):
    """
    All that `templates/languages.svg` prints; empty texts and tuples are left out.

    Only a bar has a heading; only a donut has a centre, and `as_of` below it.
    """

    frame: Frame
    title: str
    desc: str
    heading: Heading | None
    bar: Sequence[Segment]
    ring: Sequence[Segment]
    centre: Centre | None
    rows: Rows | None
    note: Note | None
    as_of: Fitted | None


def arrange(snapshot: Snapshot, look: Look, as_of: date | None) -> Languages:
    """Compute every position and every string of the layout."""
    stats, colours, locale = snapshot.stats, scheme(look), look.locale
    is_donut, remark = look.shape is Shape.DONUT, note(stats, look)
    keep, is_hidden = look.langs_count or _KEEPS[look.shape], Field.LANGUAGES in look.hide
    ranking = listed(stats, look, colours, keep=keep)
    shown = ranking.top(keep)
    grid = _grid(len(shown), is_donut=is_donut)
    stale = mark(as_of, locale)
    over = None if is_donut else _heading(look, stale)
    return Languages(
        frame=frame(
            _GROUND,
            look,
            colours,
            shares=shown,
            is_mirrored=is_mirrored("" if is_donut else look.title or "", look),
        ),
        title=f"{heading(person(snapshot.owner, look))}: {words(locale).labels.languages}",
        desc=""
        if is_hidden
        else language_description(
            ranking.number, _told(shown, locale), as_of, locale=locale, remark=remark
        ),
        heading=over,
        bar=bar(shown, x=_X, y=_BAR_Y, width=_WIDTH) if shown and over else (),
        ring=ring(shown, radius=_RING_RADIUS, gap=_RING_GAP) if shown and is_donut else (),
        centre=_centre(ranking.number, locale) if is_donut and not is_hidden else None,
        rows=_rows(shown, grid, locale) if shown else None,
        note=_note(remark, grid) if remark else None,
        as_of=fit(stale, _STALE_SIZES, _STALE_ROOM) if stale and is_donut else None,
    )


def _heading(look: Look, stale: str) -> Heading:
    """Set a title and a caption side by side; on old numbers their day is what stays."""
    labels = words(look.locale).labels
    title = clean(look.title or "") or labels.languages
    caption = f"{labels.by_repositories} · {stale}" if stale else labels.by_repositories
    if stale and width(title, _TITLE_SIZES[0], bold=True) > _beside(caption):
        caption = stale
    return Heading(fit_isolated(title, _TITLE_SIZES, _beside(caption), bold=True), caption)


@lru_cache(512)
def _beside(caption: str) -> float:
    return _WIDTH - _CAPTION_GAP - width(caption, _CAPTION_SIZE)


def _centre(number: int, locale: str) -> Centre:
    word = noun(Kind.LANGUAGES, number, locale)
    return Centre(grouped(number, locale), fit(word, _WORD_SIZES, _WORD_ROOM))


def _told(shown: Sequence[Share], locale: str) -> list[str]:
    return [f"{isolate(share.name)} {grouped(share.amount, locale)}" for share in shown]


def _grid(number: int, *, is_donut: bool) -> Grid:
    if is_donut:
        return _BESIDE_DONUT
    if number <= _MOST_IN_ONE_COLUMN:
        return _ONE_COLUMN
    return _TWO_COLUMNS if number <= _MOST_OPEN_IN_TWO else _TWO_DENSE_COLUMNS


def _rows(shown: Sequence[Share], grid: Grid, locale: str) -> Rows:
    """Fill a grid column by column; what would be too high moves closer together."""
    height = -(-len(shown) // len(grid.columns))
    pitch = min(_PITCH, grid.extent // max(height - 1, 1))
    sizes = _NAME_SIZES if pitch >= _LEAST_OPEN_PITCH else _DENSE_NAME_SIZES
    top = grid.middle - pitch * (height - 1) // 2
    parts = percentages([share.amount for share in shown])
    percents = [percent(part, locale) for part in parts]
    items = [
        Row(
            x=grid.columns[at // height],
            y=top + pitch * (at % height),
            colour=share.colour,
            name=_name(share.name, sizes, grid.width - _percent_width(said, sizes[0])),
            percent=said,
        )
        for at, (share, said) in enumerate(zip(shown, percents, strict=True))
    ]
    return Rows(items, grid.width, sizes[0])


@lru_cache(4096)
def _name(name: str, sizes: Sequence[float], room: float) -> Fitted:
    return fit_isolated(name, sizes, room - _AROUND_NAME)


@lru_cache(512)
def _percent_width(percent: str, size: float) -> float:
    return width(percent, size)


def _note(remark: str, grid: Grid) -> Note:
    lines = wrap(remark, _NOTE_SIZES, grid.width)
    top = grid.middle - _NOTE_PITCH * (len(lines) - 1) // 2
    return Note(
        grid.columns[0],
        [NoteLine(top + _NOTE_PITCH * at, line) for at, line in enumerate(lines)],
    )


ARRANGEMENT = Arrangement(_GROUND, "languages.svg", arrange, keeps=_KEEPS)
