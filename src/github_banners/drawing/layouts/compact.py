"""
The layout `compact`, 420 x 44: a small ring, the login, three numbers.

What has no room here, why there are no languages and how old the numbers are, stands in the
description. Positions here and in `templates/compact.svg` are in user units.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from github_banners.drawing.captions import OwnerNames, empty_state_text, heading, names_for
from github_banners.drawing.charts import Segment, ring
from github_banners.drawing.frame import Canvas, Frame, frame, is_mirrored
from github_banners.drawing.headline_numbers import (
    FittedNumbers,
    HeadlineNumbers,
    NumberSlot,
    fit_numbers,
    place_numbers,
    select_numbers,
)
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.drawing.legend import (
    MAX_RING_LANGUAGES,
    describe_shares,
    ring_shares,
    visible_languages,
)
from github_banners.drawing.locales import description
from github_banners.drawing.text import Fitted, fit_isolated
from github_banners.drawing.themes import scheme
from github_banners.models import Snapshot
from github_banners.options import BannerOptions, ChartType, HideableField

_CANVAS = Canvas(420, 44, radius=10)

_RING_RADIUS = 10
_NAME_SIZES, _NAME_ROOM = (14.5, 13.5, 12.5), 146

_METRIC_X, _METRIC_ROOMS = (198, 274, 346), (52, 48, 46)
# Only numbers written in full and hundreds of units go below 14.
_VALUE_SIZES = (14, 13, 12, 11)
# Long units take what they need from the name.
_NAME_X, _MIN_NAME_ROOM, _END, _GAP, _BEFORE_VALUE = 44, 70, 412, 8, 20
_LONG_VALUE_SIZES = (13, 12, 11, 10, 9, 8, 7)


class Compact(msgspec.Struct, frozen=True, gc=False):
    """All that `templates/compact.svg` prints."""

    frame: Frame
    title: str
    desc: str
    ring: Sequence[Segment]
    name: Fitted
    metrics: HeadlineNumbers


def compute_layout(snapshot: Snapshot, look: BannerOptions, as_of: date | None) -> Compact:
    """Compute every position and every string of the layout."""
    stats, colours, locale = snapshot.stats, scheme(look), look.locale
    whose = names_for(snapshot.owner, look)
    name = _name(whose, look)
    around = ring_shares(visible_languages(stats, look, colours, keep=MAX_RING_LANGUAGES), look)
    metrics, name_room = _metrics(select_numbers(stats, look, _METRIC_ROOMS), locale)
    return Compact(
        frame=frame(_CANVAS, look, colours, shares=around, is_mirrored=is_mirrored(name, look)),
        title=heading(whose),
        desc=description(
            stats,
            describe_shares(around, locale),
            as_of,
            locale=locale,
            hide=look.hide,
            empty_state=empty_state_text(stats, look),
        ),
        ring=ring(around, radius=_RING_RADIUS) if around else (),
        name=fit_isolated(name, _NAME_SIZES, name_room, bold=True),
        metrics=metrics,
    )


def _metrics(numbers: Sequence[NumberSlot], locale: str) -> tuple[HeadlineNumbers, float]:
    """Set the numbers at their places, else as close as they must be; tell the room of the name."""
    values = fit_numbers(numbers, _VALUE_SIZES, locale)
    if values.size >= _VALUE_SIZES[-1]:
        return place_numbers(numbers, values, _METRIC_X), _NAME_ROOM
    units = sum(value.em_width for value in values.values)
    around = len(numbers) * (_BEFORE_VALUE + _GAP)
    left = _END - _NAME_X - around
    size = next(
        (size for size in _LONG_VALUE_SIZES if units * size <= left - _MIN_NAME_ROOM),
        _LONG_VALUE_SIZES[-1],
    )
    places = [_END + _GAP - around - units * size]
    for value in values.values:
        places.append(places[-1] + _BEFORE_VALUE + value.em_width * size + _GAP)
    room = min(_NAME_ROOM, left - units * size)
    return place_numbers(
        numbers, FittedNumbers(size, values.values), list(map(round, places))
    ), room


def _name(names: OwnerNames, options: BannerOptions) -> str:
    """Choose the login, unless another name is wished for or the login is not."""
    return names.name if options.title or HideableField.LOGIN in options.hide else names.login


LAYOUT_SPEC = LayoutSpec(
    _CANVAS,
    "compact.svg",
    compute_layout,
    default_counts=dict.fromkeys(ChartType, MAX_RING_LANGUAGES),
)
