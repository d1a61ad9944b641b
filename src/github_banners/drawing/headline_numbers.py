"""
The numbers of a banner: which are shown, how they are written, at which size they fit.

Knows no places: where a number stands is up to the layouts.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from github_banners.drawing.locales import (
    Noun,
    format_short_count,
    load_translations,
    numerals,
    plural_after_short,
)
from github_banners.drawing.locales import format_count as counted_exactly
from github_banners.drawing.memo import Memo
from github_banners.drawing.text import Fitted, fit, width
from github_banners.models import Stats
from github_banners.options import BannerOptions, HideableField, NumberFormat


class NumberKind(msgspec.Struct, frozen=True, gc=False):
    """What is counted; `icon` names it to `templates/icon.svg`, `short` is its shortest noun."""

    field: HideableField
    icon: str
    short: Noun


class MeasuredText(msgspec.Struct, frozen=True, gc=False):
    """
    A number as text, and how wide that is at a font size of 1.

    `plural` is the category of a noun that follows it.
    """

    text: str
    em_width: float
    plural: str


class NumberSlot(msgspec.Struct, frozen=True, gc=False):
    """A number as it was wished to be written, and the room that it has."""

    kind: NumberKind
    label: Fitted
    full: MeasuredText
    number: int
    room: int


class FittedNumbers(msgspec.Struct, frozen=True, gc=False):
    """Numbers as they fit, all of one size."""

    size: float
    values: Sequence[MeasuredText]


class HeadlineNumber(msgspec.Struct, frozen=True, gc=False):
    """A number with its icon and its label, at its place."""

    icon: str
    label: str
    x: int
    value: str


class HeadlineNumbers(msgspec.Struct, frozen=True, gc=False):
    """The numbers side by side, all of one size, and so are their labels."""

    items: Sequence[HeadlineNumber]
    size: float
    label_size: float


NUMBER_KINDS = (
    NumberKind(HideableField.STARS, "s", Noun.STARS),
    NumberKind(HideableField.FORKS, "f", Noun.FORKS),
    NumberKind(HideableField.REPOSITORIES, "p", Noun.REPOS),
)

_LABEL_SIZES, _BEFORE_LABEL = (13, 12, 11), 21


def select_numbers(stats: Stats, look: BannerOptions, rooms: tuple[int, ...]) -> list[NumberSlot]:
    """Choose the numbers to show; `rooms` are the widths for stars, forks and repositories."""
    numbers = (stats.total_stars, stats.total_forks, stats.total_repos)
    written, labels = values(look.locale, look.number_format), _labels(rooms, look.locale)
    return [
        NumberSlot(kind, label, written[number], number, room)
        for kind, label, number, room in zip(NUMBER_KINDS, labels, numbers, rooms, strict=True)
        if kind.field not in look.hide
    ]


def fit_numbers(
    numbers: Sequence[NumberSlot], sizes: Sequence[float], locale: str
) -> FittedNumbers:
    """
    Choose one size; a number too long in full is written short, since a cut one would lie.

    Only what is too long even then, in a locale of long units, goes below the last size.
    """
    fitted, at, most, last = [], 0, sizes[0], sizes[-1]
    for number in numbers:
        value, room = number.full, number.room
        if value.em_width * last > room:
            value = values(locale, NumberFormat.SHORT)[number.number]
            if value.em_width * last > room:
                most = min(most, int(2 * room / value.em_width) / 2)
        while value.em_width * sizes[at] > room and at + 1 < len(sizes):
            at += 1
        fitted.append(value)
    return FittedNumbers(min(most, sizes[at]), fitted)


def place_numbers(
    numbers: Sequence[NumberSlot], fitted: FittedNumbers, positions: Sequence[int]
) -> HeadlineNumbers:
    """Set numbers side by side; hidden ones close up, so that places may be left over."""
    items = [
        HeadlineNumber(number.kind.icon, number.label.text, x, value.text)
        for number, value, x in zip(numbers, fitted.values, positions, strict=False)
    ]
    return HeadlineNumbers(items, fitted.size, numbers[0].label.size if numbers else 0)


@lru_cache(64)
def values(locale: str, number_format: NumberFormat) -> Memo[int, MeasuredText]:
    """Write numbers and measure them."""
    is_short, numbers = number_format is NumberFormat.SHORT, numerals(locale)

    def write_number(number: int) -> MeasuredText:
        numeral = numbers[number]
        text = numeral.short if is_short else numeral.full
        plural = plural_after_short(number, numeral, locale) if is_short else numeral.plural
        return MeasuredText(text, width(text, 1, bold=True), plural)

    return Memo(write_number)


@lru_cache(64)
def countings(
    kind: Noun, locale: str, number_format: NumberFormat, size: float
) -> Memo[int, tuple[str, float]]:
    """Write numbers with what there are so many of, `57 forked`, and tell the widths."""
    say = counted_exactly if number_format is NumberFormat.LONG else format_short_count

    def write_counting(number: int) -> tuple[str, float]:
        text = say(kind, number, locale)
        return text, width(text, size)

    return Memo(write_counting)


@lru_cache(512)
def _labels(rooms: tuple[int, ...], locale: str) -> list[Fitted]:
    """Fit the labels of all numbers beside their icons, at one size."""
    said = load_translations(locale).labels
    texts = (said.stars, said.forks, said.repositories)
    lefts = [room - _BEFORE_LABEL for room in rooms]
    for size in _LABEL_SIZES:
        if all(width(text, size) <= left for text, left in zip(texts, lefts, strict=True)):
            break
    return [fit(text, (size,), left) for text, left in zip(texts, lefts, strict=True)]
