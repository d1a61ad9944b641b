"""
The layout `compact`, 420 x 44: a small ring, the login, three numbers.

There is no room for the reason why there are no languages, nor for the age of the numbers: both are
in the description only. Positions here and in `templates/compact.svg` are in user units.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from github_banners.drawing.headline import (
    FittedNumbers,
    HeadlineNumbers,
    NumberSlot,
    empty_state_text,
    fit_numbers,
    heading,
    names_for,
    place_numbers,
    select_numbers,
)
from github_banners.drawing.language_charts import (
    MAX_RING_LANGUAGES,
    Segment,
    describe_shares,
    glow_colour,
    ring,
    ring_shares,
    visible_languages,
)
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.drawing.locales import MAX_DESCRIBED_LANGUAGES, description, is_mirrored
from github_banners.drawing.text import Fitted, fit_isolated
from github_banners.drawing.themes import Canvas, Frame, frame, scheme
from github_banners.models import Snapshot
from github_banners.options import BannerOptions, HideableField

_CANVAS = Canvas(420, 44)

_RING_RADIUS = 10
_NAME_SIZES, _NAME_ROOM = (14.5, 13.5, 12.5), 146

_METRIC_X, _METRIC_ROOMS = (198, 274, 346), (52, 48, 46)
# Sizes below 14 are for numbers in full, and for hundreds of a unit.
_VALUE_SIZES = (14, 13, 12, 11)
# For locales with long units, whose numbers take room from the name.
_NAME_X, _MIN_NAME_ROOM, _END, _GAP, _ICON_WIDTH = 44, 70, 412, 8, 20
_LONG_VALUE_SIZES = (13, 12, 11, 10, 9, 8, 7)


class Compact(msgspec.Struct, frozen=True, gc=False):
    """The values of `templates/compact.svg`."""

    frame: Frame
    glow: str
    title: str
    desc: str
    ring: Sequence[Segment]
    name: Fitted
    metrics: HeadlineNumbers


def compute_layout(snapshot: Snapshot, options: BannerOptions, as_of: date | None) -> Compact:
    """Compute all positions and texts of the layout."""
    stats, colours, locale = snapshot.stats, scheme(options), options.locale
    names = names_for(snapshot.owner, options)
    # The login is shorter than most names; another name appears only on request.
    shows_name = options.title or HideableField.LOGIN in options.hide
    name = names.name if shows_name else names.login
    ranking = visible_languages(snapshot, options, colours, limit=MAX_RING_LANGUAGES)
    shares = ring_shares(ranking, options)
    numbers = select_numbers(snapshot, options, _METRIC_ROOMS)
    metrics, name_room = _metrics(numbers.slots)
    return Compact(
        frame=frame(_CANVAS, options, is_mirrored=is_mirrored(name, locale)),
        glow=glow_colour(shares, colours),
        title=heading(names),
        desc=description(
            numbers.counts,
            stats,
            describe_shares(shares[:MAX_DESCRIBED_LANGUAGES], locale),
            as_of,
            locale=locale,
            missing=numbers.missing,
            empty_state=empty_state_text(stats, options),
        ),
        ring=ring(shares, radius=_RING_RADIUS) if shares else (),
        name=fit_isolated(name, _NAME_SIZES, name_room, bold=True),
        metrics=metrics,
    )


def _metrics(numbers: Sequence[NumberSlot]) -> tuple[HeadlineNumbers, float]:
    """
    Place the numbers, and return them with the width that is left for the name.

    They have fixed positions if they fit there; else they are packed against the right edge.
    """
    fitted = fit_numbers(numbers, _VALUE_SIZES)
    if fitted.size >= _VALUE_SIZES[-1]:
        return place_numbers(numbers, fitted, _METRIC_X), _NAME_ROOM
    em_width = sum(value.em_width for value in fitted.values)
    icons_and_gaps = len(numbers) * (_ICON_WIDTH + _GAP)
    text_room = _END - _NAME_X - icons_and_gaps
    size = next(
        (size for size in _LONG_VALUE_SIZES if em_width * size <= text_room - _MIN_NAME_ROOM),
        _LONG_VALUE_SIZES[-1],
    )
    positions = [_END + _GAP - icons_and_gaps - em_width * size]
    for value in fitted.values:
        positions.append(positions[-1] + _ICON_WIDTH + value.em_width * size + _GAP)
    name_room = min(_NAME_ROOM, text_room - em_width * size)
    packed = FittedNumbers(size, fitted.values)
    return place_numbers(numbers, packed, list(map(round, positions))), name_room


LAYOUT_SPEC = LayoutSpec(_CANVAS, "compact.svg", compute_layout)
