"""
The layout `card`, 420 x 220: ring and name, three numbers, the bar and a legend of two rows.

Two fit side by side in a README. Positions here and in `templates/card.svg` are in user units, y of
text is its baseline.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache, partial

import msgspec

from github_banners.drawing.cleaning import initial
from github_banners.drawing.figures import Segment, bar, ring
from github_banners.drawing.frame import Frame, Ground, frame, is_mirrored
from github_banners.drawing.languages import Share
from github_banners.drawing.layouts.arrangement import Arrangement
from github_banners.drawing.legend import Item, flow, listed, longest, on_ring, spoken
from github_banners.drawing.locales import Kind, description, mark
from github_banners.drawing.metrics import Metrics, Values, counted, countings, fitting, placed
from github_banners.drawing.text import Fitted, fit, fit_isolated, width, wrap
from github_banners.drawing.themes import scheme
from github_banners.drawing.words import heading, note, person
from github_banners.look import Field, Look, Shape
from github_banners.model import Snapshot, Stats

_GROUND = Ground(420, 220)

_RING_RADIUS = 20
_INITIAL_SIZES, _INITIAL_ROOM = (17, 14, 11), 32

_NAME_X, _NAME_ROOM = 82, 314
_NAME_SIZES, _BYLINE_SIZES = (19, 18, 17, 16, 15), (13.5, 12.5, 11.5)

_STALE_SIZE, _STALE_END, _STALE_GAP = 12, 378, 10

_METRIC_X, _METRIC_ROOMS = (24, 140, 256), (108, 108, 140)
# Only numbers written in full go below 17.
_VALUE_SIZES = (25, 21, 17, 15, 14)
_FORKED_SIZE, _FORKED_END = 12.5, 136
_SPACE = width(" ", 1, bold=True)

_BAR_X, _BAR_Y, _BAR_WIDTH = 24, 150, 372
_ROW, _ROWS = (186,), (178, 199)
_LEGEND_SIZE, _LEGEND_KEEPS = 13, 5
_NOTE_SIZES = (13, 12)


class Stale(msgspec.Struct, frozen=True, gc=False):
    """The mark of old numbers: a clock, and the day where that has room beside the name."""

    text: str


class Card(msgspec.Struct, frozen=True, gc=False):
    """All that `templates/card.svg` prints; empty texts and tuples are left out."""

    frame: Frame
    title: str
    desc: str
    ring: Sequence[Segment]
    initial: Fitted
    name: Fitted
    byline: Fitted | None
    metrics: Metrics
    forked: str
    bar: Sequence[Segment]
    legend: Sequence[Item]
    note: Sequence[tuple[int, Fitted]]
    stale: Stale | None


def arrange(snapshot: Snapshot, look: Look, as_of: date | None) -> Card:
    """Compute every position and every string of the layout."""
    stats, colours, locale = snapshot.stats, scheme(look), look.locale
    whose, remark = person(snapshot.owner, look), note(stats, look)
    keep = look.langs_count or _LEGEND_KEEPS
    ranking = listed(stats, look, colours, keep=keep)
    around = on_ring(ranking, look)
    legend = longest(
        ranking,
        keep=keep,
        lay=lambda shown: _rows(shown, locale),
    )
    numbers = counted(stats, look, _METRIC_ROOMS)
    values = fitting(numbers, _VALUE_SIZES, locale)
    name = fit_isolated(whose.name, _NAME_SIZES, _NAME_ROOM, bold=True)
    return Card(
        frame=frame(
            _GROUND, look, colours, shares=legend.shares, is_mirrored=is_mirrored(whose.name, look)
        ),
        title=heading(whose),
        desc=description(stats, spoken(legend.items), as_of, locale=locale, hide=look.hide),
        ring=ring(around, radius=_RING_RADIUS) if around else (),
        initial=_initial(initial(whose.name)),
        name=name,
        byline=fit(whose.byline, _BYLINE_SIZES, _NAME_ROOM) if whose.byline else None,
        metrics=placed(numbers, values, _METRIC_X),
        forked=_forked(values, stats, look),
        bar=bar(legend.shares, x=_BAR_X, y=_BAR_Y, width=_BAR_WIDTH) if legend.shares else (),
        legend=legend.items,
        note=_note(remark) if remark else (),
        stale=_stale(mark(as_of, locale), name) if as_of else None,
    )


@lru_cache(1024)
def _initial(letter: str) -> Fitted:
    return fit(letter, _INITIAL_SIZES, _INITIAL_ROOM, bold=True)


def _rows(shown: Sequence[Share], locale: str) -> list[Item] | None:
    """Set the legend into two rows, or into one in the middle if that is all it needs."""
    rows = partial(flow, shown, x=_BAR_X, room=_BAR_WIDTH, size=_LEGEND_SIZE, locale=locale)
    items = rows(baselines=_ROWS)
    if items and items[0].dot_y == items[-1].dot_y:
        return rows(baselines=_ROW)
    return items


def _note(remark: str) -> list[tuple[int, Fitted]]:
    """Set a remark where the legend would be."""
    lines = wrap(remark, _NOTE_SIZES, _BAR_WIDTH)
    return list(zip(_ROW if len(lines) == 1 else _ROWS, lines, strict=False))


def _forked(values: Values, stats: Stats, look: Look) -> str:
    """Say how many are forks, where that has room after the total."""
    if not stats.forked_repos or Field.REPOSITORIES in look.hide:
        return ""
    countings_of_forks = countings(Kind.FORKED, look.locale, look.number_format, _FORKED_SIZE)
    forked, forked_width = countings_of_forks[stats.forked_repos]
    end = values.size * (values.values[-1].unit + _SPACE) + forked_width
    return forked if end <= _FORKED_END else ""


def _stale(day: str, name: Fitted) -> Stale:
    start = _STALE_END - width(day, _STALE_SIZE)
    return Stale(day if _NAME_X + name.width + _STALE_GAP <= start else "")


ARRANGEMENT = Arrangement(_GROUND, "card.svg", arrange, keeps=dict.fromkeys(Shape, _LEGEND_KEEPS))
