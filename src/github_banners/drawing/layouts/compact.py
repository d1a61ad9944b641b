"""
The layout `compact`, 420 x 44: a small ring, the login, three numbers.

What has no room here, why there are no languages and how old the numbers are, stands in the
description. Positions here and in `templates/compact.svg` are in user units.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from github_banners.drawing.figures import Segment, ring
from github_banners.drawing.frame import Frame, Ground, frame, is_mirrored
from github_banners.drawing.layouts.arrangement import Arrangement
from github_banners.drawing.legend import RING_KEEPS, listed, on_ring, told
from github_banners.drawing.locales import description
from github_banners.drawing.metrics import Counted, Metrics, Values, counted, fitting, placed
from github_banners.drawing.text import Fitted, fit_isolated
from github_banners.drawing.themes import scheme
from github_banners.drawing.words import Person, heading, note, person
from github_banners.look import Field, Look, Shape
from github_banners.model import Snapshot

_GROUND = Ground(420, 44, radius=10)

_RING_RADIUS = 10
_NAME_SIZES, _NAME_ROOM = (14.5, 13.5, 12.5), 146

_METRIC_X, _METRIC_ROOMS = (198, 274, 346), (52, 48, 46)
# Only numbers written in full and hundreds of units go below 14.
_VALUE_SIZES = (14, 13, 12, 11)
# Long units take what they need from the name.
_NAME_X, _LEAST_NAME_ROOM, _END, _GAP, _BEFORE_VALUE = 44, 70, 412, 8, 20
_LONG_VALUE_SIZES = (13, 12, 11, 10, 9, 8, 7)


class Compact(msgspec.Struct, frozen=True, gc=False):
    """All that `templates/compact.svg` prints."""

    frame: Frame
    title: str
    desc: str
    ring: Sequence[Segment]
    name: Fitted
    metrics: Metrics


def arrange(snapshot: Snapshot, look: Look, as_of: date | None) -> Compact:
    """Compute every position and every string of the layout."""
    stats, colours, locale = snapshot.stats, scheme(look), look.locale
    whose = person(snapshot.owner, look)
    name = _name(whose, look)
    around = on_ring(listed(stats, look, colours, keep=RING_KEEPS), look)
    metrics, name_room = _metrics(counted(stats, look, _METRIC_ROOMS), locale)
    return Compact(
        frame=frame(_GROUND, look, colours, shares=around, is_mirrored=is_mirrored(name, look)),
        title=heading(whose),
        desc=description(
            stats,
            told(around, locale),
            as_of,
            locale=locale,
            hide=look.hide,
            remark=note(stats, look),
        ),
        ring=ring(around, radius=_RING_RADIUS) if around else (),
        name=fit_isolated(name, _NAME_SIZES, name_room, bold=True),
        metrics=metrics,
    )


def _metrics(numbers: Sequence[Counted], locale: str) -> tuple[Metrics, float]:
    """Set the numbers at their places, else as close as they must be; tell the room of the name."""
    values = fitting(numbers, _VALUE_SIZES, locale)
    if values.size >= _VALUE_SIZES[-1]:
        return placed(numbers, values, _METRIC_X), _NAME_ROOM
    units = sum(value.unit for value in values.values)
    around = len(numbers) * (_BEFORE_VALUE + _GAP)
    left = _END - _NAME_X - around
    size = next(
        (size for size in _LONG_VALUE_SIZES if units * size <= left - _LEAST_NAME_ROOM),
        _LONG_VALUE_SIZES[-1],
    )
    places = [_END + _GAP - around - units * size]
    for value in values.values:
        places.append(places[-1] + _BEFORE_VALUE + value.unit * size + _GAP)
    room = min(_NAME_ROOM, left - units * size)
    return placed(numbers, Values(size, values.values), list(map(round, places))), room


def _name(whose: Person, look: Look) -> str:
    """Choose the login, unless another name is wished for or the login is not."""
    return whose.name if look.title or Field.LOGIN in look.hide else whose.login


ARRANGEMENT = Arrangement(_GROUND, "compact.svg", arrange, keeps=dict.fromkeys(Shape, RING_KEEPS))
