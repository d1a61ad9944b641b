"""
The numbers of a banner: which are shown, how they are written, at which size they fit.

Knows no places: where a number stands is up to the layouts.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from github_banners.drawing.numbers import grouped, short
from github_banners.drawing.text import width
from github_banners.look import Field, Look, NumberFormat
from github_banners.model import Stats


class Kind(NamedTuple):
    """What is counted; `icon` names it to `templates/icon.svg`."""

    field: Field
    icon: str
    label: str


class Value(NamedTuple):
    """A number as text, and how wide that is at a font size of 1."""

    text: str
    unit: float


class Counted(NamedTuple):
    """A number as it was wished to be written, and the room that it has."""

    kind: Kind
    full: Value
    number: int
    room: int


class Values(NamedTuple):
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
    """The numbers side by side, all of one size."""

    items: Sequence[Metric]
    size: float


KINDS = (
    Kind(Field.STARS, "s", "Stars"),
    Kind(Field.FORKS, "f", "Forks"),
    Kind(Field.REPOSITORIES, "p", "Repositories"),
)


def counted(stats: Stats, look: Look, rooms: Sequence[int]) -> list[Counted]:
    """Choose the numbers to show; `rooms` are the widths for stars, forks and repositories."""
    numbers = (stats.total_stars, stats.total_forks, stats.total_repos)
    return [
        Counted(kind, value_of(written(number, look)), number, room)
        for kind, number, room in zip(KINDS, numbers, rooms, strict=True)
        if kind.field not in look.hide
    ]


def fitting(numbers: Sequence[Counted], sizes: Sequence[float]) -> Values:
    """Choose one size; a number too long in full is written short, since a cut one would lie."""
    values, at = [], 0
    for one in numbers:
        value, room = one.full, one.room
        if value.unit * sizes[-1] > room:
            value = value_of(short(one.number))
        while value.unit * sizes[at] > room:
            at += 1
        values.append(value)
    return Values(sizes[at], values)


def placed(numbers: Sequence[Counted], fitted: Values, places: Sequence[int]) -> Metrics:
    """Set numbers side by side; hidden ones close up, so that places may be left over."""
    items = [
        Metric(one.kind.icon, one.kind.label, x, value.text)
        for one, value, x in zip(numbers, fitted.values, places, strict=False)
    ]
    return Metrics(items, fitted.size)


@lru_cache(4096)
def value_of(text: str) -> Value:
    """Measure a number as it is written."""
    return Value(text, width(text, 1, bold=True))


def written(number: int, look: Look) -> str:
    """Write a number as a look wishes it: in full, or short."""
    return grouped(number) if look.number_format is NumberFormat.LONG else short(number)
