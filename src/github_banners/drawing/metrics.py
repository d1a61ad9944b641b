"""
The numbers of a banner: which are shown, how they are written, at which size they fit.

Knows no places: where a number stands is up to the layouts.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from github_banners.drawing.locales import Kind as Noun
from github_banners.drawing.locales import counted as counted_exactly
from github_banners.drawing.locales import counted_short, numerals, plural_after_short, words
from github_banners.drawing.memo import Memo
from github_banners.drawing.text import Fitted, fit, width
from github_banners.look import Field, Look, NumberFormat
from github_banners.model import Stats


class Kind(msgspec.Struct, frozen=True, gc=False):
    """What is counted; `icon` names it to `templates/icon.svg`, `short` is its shortest noun."""

    field: Field
    icon: str
    short: Noun


class Value(msgspec.Struct, frozen=True, gc=False):
    """
    A number as text, and how wide that is at a font size of 1.

    `plural` is the category of a noun that follows it.
    """

    text: str
    unit: float
    plural: str


class Counted(msgspec.Struct, frozen=True, gc=False):
    """A number as it was wished to be written, and the room that it has."""

    kind: Kind
    label: Fitted
    full: Value
    number: int
    room: int


class Values(msgspec.Struct, frozen=True, gc=False):
    """Numbers as they fit, all of one size."""

    size: float
    values: Sequence[Value]


class Metric(msgspec.Struct, frozen=True, gc=False):
    """A number with its icon and its label, at its place."""

    icon: str
    label: str
    x: int
    value: str


class Metrics(msgspec.Struct, frozen=True, gc=False):
    """The numbers side by side, all of one size, and so are their labels."""

    items: Sequence[Metric]
    size: float
    label_size: float


KINDS = (
    Kind(Field.STARS, "s", Noun.STARS),
    Kind(Field.FORKS, "f", Noun.FORKS),
    Kind(Field.REPOSITORIES, "p", Noun.REPOS),
)

_LABEL_SIZES, _BEFORE_LABEL = (13, 12, 11), 21


def counted(stats: Stats, look: Look, rooms: tuple[int, ...]) -> list[Counted]:
    """Choose the numbers to show; `rooms` are the widths for stars, forks and repositories."""
    numbers = (stats.total_stars, stats.total_forks, stats.total_repos)
    written, labels = values(look.locale, look.number_format), _labels(rooms, look.locale)
    return [
        Counted(kind, label, written[number], number, room)
        for kind, label, number, room in zip(KINDS, labels, numbers, rooms, strict=True)
        if kind.field not in look.hide
    ]


def fitting(numbers: Sequence[Counted], sizes: Sequence[float], locale: str) -> Values:
    """
    Choose one size; a number too long in full is written short, since a cut one would lie.

    Only what is too long even then, in a locale of long units, goes below the last size.
    """
    fitted, at, most, last = [], 0, sizes[0], sizes[-1]
    for number in numbers:
        value, room = number.full, number.room
        if value.unit * last > room:
            value = values(locale, NumberFormat.SHORT)[number.number]
            if value.unit * last > room:
                most = min(most, int(2 * room / value.unit) / 2)
        while value.unit * sizes[at] > room and at + 1 < len(sizes):
            at += 1
        fitted.append(value)
    return Values(min(most, sizes[at]), fitted)


def placed(numbers: Sequence[Counted], fitted: Values, places: Sequence[int]) -> Metrics:
    """Set numbers side by side; hidden ones close up, so that places may be left over."""
    items = [
        Metric(number.kind.icon, number.label.text, x, value.text)
        for number, value, x in zip(numbers, fitted.values, places, strict=False)
    ]
    return Metrics(items, fitted.size, numbers[0].label.size if numbers else 0)


@lru_cache(64)
def values(locale: str, number_format: NumberFormat) -> Memo[int, Value]:
    """Write numbers and measure them."""
    is_short, numbers = number_format is NumberFormat.SHORT, numerals(locale)

    def write_number(number: int) -> Value:
        numeral = numbers[number]
        text = numeral.short if is_short else numeral.full
        plural = plural_after_short(number, numeral, locale) if is_short else numeral.plural
        return Value(text, width(text, 1, bold=True), plural)

    return Memo(write_number)


@lru_cache(64)
def countings(
    kind: Noun, locale: str, number_format: NumberFormat, size: float
) -> Memo[int, tuple[str, float]]:
    """Write numbers with what there are so many of, `57 forked`, and tell the widths."""
    say = counted_exactly if number_format is NumberFormat.LONG else counted_short

    def write_counting(number: int) -> tuple[str, float]:
        text = say(kind, number, locale)
        return text, width(text, size)

    return Memo(write_counting)


@lru_cache(512)
def _labels(rooms: tuple[int, ...], locale: str) -> list[Fitted]:
    """Fit the labels of all numbers beside their icons, at one size."""
    said = words(locale).labels
    texts = (said.stars, said.forks, said.repositories)
    lefts = [room - _BEFORE_LABEL for room in rooms]
    for size in _LABEL_SIZES:
        if all(width(text, size) <= left for text, left in zip(texts, lefts, strict=True)):
            break
    return [fit(text, (size,), left) for text, left in zip(texts, lefts, strict=True)]
