"""
The layout `activity`, 846 x 236: contributions in the last year, streaks, and a heatmap of the days.

The narrow form of the same file, which a media query shows if the picture is displayed at a width
of 640 px or less, has the last 26 weeks, the total and the streaks. The name is in the title only.
Positions here and in `templates/activity.svg` are in user units; the y of text is its baseline.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache, lru_cache

import msgspec

from github_banners.cache import Memo
from github_banners.drawing.headline import heading, names_for
from github_banners.drawing.heatmap import (
    Heatmap,
    Label,
    heat_colours,
    heatmap,
    month_labels,
    weekday_labels,
)
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.drawing.locales import (
    MeasuredText,
    activity_description,
    format_day,
    is_right_to_left,
    load_translations,
    measure_number,
    numerals,
    plural_after_short,
    stale_label,
)
from github_banners.drawing.text import Fitted, fit, width
from github_banners.drawing.themes import Canvas, Frame, frame, scheme
from github_banners.errors import RenderingFailed
from github_banners.models import Activity, Snapshot
from github_banners.options import BannerOptions, NumberFormat

_CANVAS = Canvas(846, 236)

_CAPTION_SIZES, _CAPTION_ROOM = (13.5, 13, 12.5, 12), 360
_METRIC_X, _METRIC_ROOM, _ICON_WIDTH = (408, 548, 690), 134, 21
_LABEL_SIZES = (13, 12, 11)
# Sizes of a value, and of the unit after it.
_VALUE_SIZES = ((28, 13), (28, 12), (28, 11), (24, 12), (24, 11), (21, 11), (17, 11))

_CELLS_X, _PITCH = 66, 14
_MONTHS_END = 822
_AXIS_SIZE, _WEEKDAY_ROOM = 11.5, 30

_NARROW_TOTAL_SIZES, _NARROW_TOTAL_ROOM = ((42, 25), (36, 24), (30, 23)), 782
_NARROW_LABEL_SIZES, _NARROW_LABEL_ROOM = (25, 24, 23), 276
_NARROW_VALUE_SIZES, _NARROW_VALUE_ROOM = ((36, 25), (32, 24), (26, 23)), 240
# The baselines of the labels of the streaks.
_NARROW_Y = (100, 176)


_NO_LABEL, _NO_UNIT = Fitted("", 0, 0), MeasuredText("", 0)
_SPACE = width(" ", 1, bold=True)


class Metric(msgspec.Struct, frozen=True, gc=False):
    """
    A number with its icon, its label, and a unit after it.

    `icon` is `f` for the flame, `c` for the clock. `position` is the x of the icon in the wide form,
    and the y of the label in the narrow one.
    """

    icon: str
    label: str
    position: int
    value: str
    unit: str


class ActivityMetrics(msgspec.Struct, frozen=True, gc=False):
    """Numbers in one form of the picture: one font size for all labels, values and units."""

    items: Sequence[Metric]
    label_size: float
    size: float
    unit_size: float


class ActivityPicture(msgspec.Struct, frozen=True, gc=False):
    """The values of `templates/activity.svg`."""

    frame: Frame
    glow: str
    title: str
    desc: str
    total: str
    caption: Fitted
    metrics: ActivityMetrics
    heatmap: Heatmap
    heat_colours: Sequence[Sequence[str]]
    months: Sequence[Label]
    weekdays: Sequence[Label]
    narrow_total: ActivityMetrics
    narrow: ActivityMetrics


class _Number(msgspec.Struct, frozen=True, gc=False):
    """A number and the unit after it; the width of the unit is that at a font size of 1."""

    icon: str
    value: MeasuredText
    short: MeasuredText
    unit: MeasuredText


def compute_layout(
    snapshot: Snapshot, options: BannerOptions, as_of: date | None
) -> ActivityPicture:
    """
    Compute all positions and texts of the layout.

    :raises RenderingFailed: the snapshot has no activity
    """
    activity = snapshot.activity
    if activity is None:
        raise RenderingFailed("there is no activity to draw")
    colours, locale = scheme(options), options.locale
    total = _total(activity, options)
    streaks = numbers = _streaks(activity, options)
    if activity.best_day:
        numbers = [*streaks, _best_day(activity.best_day, activity.best_count, options)]
    labels, narrow_labels = _labels(locale)
    return ActivityPicture(
        frame=frame(_CANVAS, options, is_mirrored=is_right_to_left(locale)),
        glow="",
        title=heading(names_for(snapshot.owner, options)),
        desc=activity_description(activity, as_of, locale=locale),
        total=total.value.text,
        caption=_caption(total.unit.text, stale_label(as_of, locale)),
        metrics=_metrics(numbers, labels, _METRIC_X, _VALUE_SIZES, _METRIC_ROOM),
        heatmap=heatmap(activity.days, activity.last_day, locale),
        heat_colours=heat_colours(colours),
        months=_months(activity.last_day, locale),
        weekdays=weekday_labels(locale, _AXIS_SIZE, _WEEKDAY_ROOM),
        narrow_total=_metrics([total], [_NO_LABEL], (0,), _NARROW_TOTAL_SIZES, _NARROW_TOTAL_ROOM),
        narrow=_metrics(streaks, narrow_labels, _NARROW_Y, _NARROW_VALUE_SIZES, _NARROW_VALUE_ROOM),
    )


def _total(activity: Activity, options: BannerOptions) -> _Number:
    """Return the contributions in the last year, with their caption as the unit."""
    captions, _ = _units(options.locale)
    return _number("", activity.last_year, captions, options)


def _streaks(activity: Activity, options: BannerOptions) -> list[_Number]:
    _, days = _units(options.locale)
    return [
        _number("f", streak, days, options)
        for streak in (activity.current_streak, activity.longest_streak)
    ]


def _number(
    icon: str, number: int, units: Mapping[str, MeasuredText], options: BannerOptions
) -> _Number:
    numeral = numerals(options.locale)[number]
    if options.number_format is NumberFormat.LONG:
        return _Number(icon, measure_number(numeral.full), numeral.short, units[numeral.plural])
    plural = plural_after_short(number, numeral, options.locale)
    return _Number(icon, numeral.short, numeral.short, units[plural])


def _best_day(day: date, count: int, options: BannerOptions) -> _Number:
    numeral = numerals(options.locale)[count]
    is_long = options.number_format is NumberFormat.LONG
    value = measure_number(numeral.full) if is_long else numeral.short
    return _Number("c", value, numeral.short, _on_days(options.locale)[day])


@cache
def _units(locale: str) -> tuple[Mapping[str, MeasuredText], Mapping[str, MeasuredText]]:
    """Return the captions of the total, and the words for days, by plural category."""
    texts = load_translations(locale).activity
    captions, days = (
        {category: MeasuredText(text, width(text, 1)) for category, text in forms.items()}
        for forms in (texts.in_last_year, texts.days)
    )
    return captions, days


@cache
def _on_days(locale: str) -> Memo[date, MeasuredText]:
    """Return a cache of the texts after the number of the best day: on 14 Mar."""

    def measure_day(day: date) -> MeasuredText:
        text = load_translations(locale).activity.on_day.format(day=format_day(day, locale))
        return MeasuredText(text, width(text, 1))

    return Memo(measure_day)


@lru_cache(1024)
def _caption(text: str, stale: str) -> Fitted:
    """Fit the caption of the total, followed by the label of stale numbers, if any."""
    return fit(f"{text} · {stale}" if stale else text, _CAPTION_SIZES, _CAPTION_ROOM)


@cache
def _labels(locale: str) -> tuple[list[Fitted], list[Fitted]]:
    """Fit the labels of the numbers beside their icons: those of the wide form, and of the narrow."""
    texts = load_translations(locale).activity
    streaks = (texts.current_streak, texts.longest_streak)
    return (
        _fit_all((*streaks, texts.best_day), _LABEL_SIZES, _METRIC_ROOM - _ICON_WIDTH),
        _fit_all(streaks, _NARROW_LABEL_SIZES, _NARROW_LABEL_ROOM),
    )


def _fit_all(texts: Sequence[str], sizes: Sequence[float], room: float) -> list[Fitted]:
    """Fit texts in one font size."""
    size = min(fit(text, sizes, room).size for text in texts)
    return [fit(text, (size,), room) for text in texts]


def _metrics(
    numbers: Sequence[_Number],
    labels: Sequence[Fitted],
    positions: Sequence[int],
    sizes: Sequence[tuple[float, float]],
    room: float,
) -> ActivityMetrics:
    """
    Choose the first sizes of value and unit at which all numbers fit, and place the numbers.

    If there are none, the numbers are written short, and units that do not fit are left out.
    """
    for size, unit_size in sizes:
        fits = [
            (number.value.em_width + _SPACE) * size + number.unit.em_width * unit_size <= room
            for number in numbers
        ]
        if all(fits):
            values = [number.value for number in numbers]
            units = [number.unit for number in numbers]
            break
    else:
        values = [number.short for number in numbers]
        units = [
            number.unit
            if (number.short.em_width + _SPACE) * size + number.unit.em_width * unit_size <= room
            else _NO_UNIT
            for number in numbers
        ]
    items = [
        Metric(number.icon, label.text, position, value.text, unit.text)
        for number, label, position, value, unit in zip(
            numbers, labels, positions, values, units, strict=False
        )
    ]
    return ActivityMetrics(items, labels[0].size, size, unit_size)


@lru_cache(1024)
def _months(last_day: date | None, locale: str) -> list[Label]:
    """Return the names of the months at their x; the last one is left out if there is no room."""
    labels = [
        Label(_CELLS_X + _PITCH * label.position, label.text)
        for label in month_labels(last_day, locale)
    ]
    return [
        label for label in labels if label.position + width(label.text, _AXIS_SIZE) <= _MONTHS_END
    ]


LAYOUT_SPEC = LayoutSpec(_CANVAS, "activity.svg", compute_layout)
