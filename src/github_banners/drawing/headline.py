"""
The head of a banner: the names of the owner, and the numbers of stars, forks and repositories.

Numbers are selected, formatted and get a font size here. Positions are up to the layouts.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import msgspec

from github_banners.cache import Memo
from github_banners.drawing.locales import (
    MeasuredText,
    Noun,
    Numeral,
    format_count,
    format_short_count,
    load_translations,
    numerals,
)
from github_banners.drawing.sanitize import isolate, sanitize
from github_banners.drawing.text import Fitted, fit, width
from github_banners.models import Owner, Stats
from github_banners.options import BannerOptions, HideableField, NumberFormat


class OwnerNames(msgspec.Struct, frozen=True, gc=False):
    """The owner's names; `byline` is `@login` if the banner shows it below the name, or empty."""

    name: str
    login: str
    byline: str


def names_for(owner: Owner, options: BannerOptions) -> OwnerNames:
    """Choose the name: the title option, else the display name, else the login alone."""
    login = sanitize(owner.login)
    name = (options.title and sanitize(options.title)) or sanitize(owner.display_name or "")
    # A name of combining marks alone has no width and would be invisible.
    if not name or name == login or not (name.isascii() or width(name, 1)):
        return OwnerNames(login, login, byline="")
    return OwnerNames(
        name, login, byline="" if HideableField.LOGIN in options.hide else f"@{login}"
    )


def heading(names: OwnerNames) -> str:
    """Return the accessible title: the name, and the login unless they are equal."""
    if names.name == names.login:
        return names.login
    return f"{isolate(names.name)} (@{names.login})"


def empty_state_text(stats: Stats, options: BannerOptions) -> str:
    """Explain why there are no languages; empty if there are some, or if the options leave them out."""
    if HideableField.LANGUAGES in options.hide or options.has_selection:
        return ""
    if stats.original_repos or stats.languages:
        return ""
    messages = load_translations(options.locale).empty_state
    return messages.only_forks if stats.total_repos else messages.no_repositories


class NumberKind(msgspec.Struct, frozen=True, gc=False):
    """A kind of number; `icon` is its id in `templates/icon.svg`, `short` its shortest noun."""

    field: HideableField
    icon: str
    short: Noun


class NumberSlot(msgspec.Struct, frozen=True, gc=False):
    """A number, its text in the requested format, and the width available for it."""

    kind: NumberKind
    label: Fitted
    number: int
    numeral: Numeral
    text: MeasuredText
    room: int


class FittedNumbers(msgspec.Struct, frozen=True, gc=False):
    """Formatted numbers that fit, all in one font size."""

    size: float
    values: Sequence[MeasuredText]


class HeadlineNumber(msgspec.Struct, frozen=True, gc=False):
    """A number with its icon, label and position."""

    icon: str
    label: str
    x: int
    value: str


class HeadlineNumbers(msgspec.Struct, frozen=True, gc=False):
    """The numbers side by side: one font size for all numbers, one for all labels."""

    items: Sequence[HeadlineNumber]
    size: float
    label_size: float


NUMBER_KINDS = (
    NumberKind(HideableField.STARS, "s", Noun.STARS),
    NumberKind(HideableField.FORKS, "f", Noun.FORKS),
    NumberKind(HideableField.REPOSITORIES, "p", Noun.REPOS),
)

_LABEL_SIZES, _ICON_WIDTH = (13, 12, 11), 21


def select_numbers(
    stats: Stats, options: BannerOptions, rooms: tuple[int, ...]
) -> list[NumberSlot]:
    """
    Return the numbers that are not hidden.

    `rooms` are the widths available for stars, forks and repositories.
    """
    hide, is_short = options.hide, options.number_format is NumberFormat.SHORT
    numbers = (stats.total_stars, stats.total_forks, stats.total_repos)
    labels, cached_numerals = _labels(rooms, options.locale), numerals(options.locale)
    slots = []
    for kind, label, number, room in zip(NUMBER_KINDS, labels, numbers, rooms, strict=True):
        if kind.field not in hide:
            numeral = cached_numerals[number]
            text = numeral.short if is_short else numeral.full
            slots.append(NumberSlot(kind, label, number, numeral, text, room))
    return slots


def fit_numbers(numbers: Sequence[NumberSlot], sizes: Sequence[float]) -> FittedNumbers:
    """
    Choose one font size for all numbers; a number that does not fit in full is written short.

    Digits are never cut, since a truncated number would be wrong. Locales with long units can need
    less than the last size even for short numbers: then the size is what fits, in steps of 0.5.
    """
    fitted, index, max_size, last_size = [], 0, sizes[0], sizes[-1]
    for number in numbers:
        value, room = number.text, number.room
        if value.em_width * last_size > room:
            value = number.numeral.short
            if value.em_width * last_size > room:
                max_size = min(max_size, int(2 * room / value.em_width) / 2)
        while value.em_width * sizes[index] > room and index + 1 < len(sizes):
            index += 1
        fitted.append(value)
    return FittedNumbers(min(max_size, sizes[index]), fitted)


def place_numbers(
    numbers: Sequence[NumberSlot], fitted: FittedNumbers, positions: Sequence[int]
) -> HeadlineNumbers:
    """Place numbers side by side from the first position on; hidden ones leave no gap."""
    items = [
        HeadlineNumber(number.kind.icon, number.label.text, x, value.text)
        for number, value, x in zip(numbers, fitted.values, positions, strict=False)
    ]
    return HeadlineNumbers(items, fitted.size, numbers[0].label.size if numbers else 0)


MeasuredCounts: TypeAlias = Memo[int, tuple[str, float]]


@lru_cache(64)
def counts(noun: Noun, locale: str, number_format: NumberFormat, size: float) -> MeasuredCounts:
    """Return a cache of numbers with their noun, such as `57 forked`, and the text's width."""
    format_number = format_count if number_format is NumberFormat.LONG else format_short_count

    def measure_count(number: int) -> tuple[str, float]:
        text = format_number(noun, number, locale)
        return text, width(text, size)

    return Memo(measure_count)


@lru_cache(512)
def _labels(rooms: tuple[int, ...], locale: str) -> list[Fitted]:
    """Fit all labels beside their icons, in one font size."""
    labels = load_translations(locale).labels
    texts = (labels.stars, labels.forks, labels.repositories)
    text_rooms = [room - _ICON_WIDTH for room in rooms]
    for size in _LABEL_SIZES:
        if all(width(text, size) <= room for text, room in zip(texts, text_rooms, strict=True)):
            break
    return [fit(text, (size,), room) for text, room in zip(texts, text_rooms, strict=True)]
