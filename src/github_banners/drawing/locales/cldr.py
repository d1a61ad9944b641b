"""
What the CLDR says of each locale: number format, plural categories, dates, reading direction.

The data is read from Babel and cached, once per locale or value. `phrases` formats the numbers.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache, lru_cache
from typing import Any, Literal

import msgspec
from babel import Locale
from babel.core import get_global
from babel.dates import (
    format_date,
    format_skeleton,
    format_timedelta,
    get_day_names,
    get_month_names,
)

from github_banners import options
from github_banners.drawing.text import width

LOCALES = tuple(map(str, options.Locale))
"""The codes of all locales: BCP 47 in lower case."""

SHORT_FROM = 10_000
"""Numbers below have no unit, and numbers of a unit are grouped from here on at the earliest."""

# In all of our locales the plural category depends on the last two digits, and on whether the number
# is a multiple of a million.
PLURALS_REPEAT_AFTER, MILLION = 100, 1_000_000
_CACHE_SIZE = 4096
_MAX_SECONDS = 90
# More than GitHub can count, so larger units (trillions) are never used.
_MAX_UNIT = 10**12

# Babel lacks CLDR's minimumGroupingDigits, which is 2 in these locales and 1 in the others: 9412.
# https://www.unicode.org/reports/tr35/tr35-numbers.html#Examples_of_minimumGroupingDigits
_GROUPED_FROM_10_000 = {"es", "it", "pl"}
# Our English has British dates, and GitHub's lower-case k.
_DAYS, _FULL_DAYS, _THOUSANDS = {"en": "d MMM"}, {"en": "d MMM y"}, {("en", "K"): "k"}
# CLDR writes the first of a month as 1 in these locales.
_FIRST_DAYS = {"fr": "1er", "pt-br": "1º"}
# Names that stand alone differ from those beside a day in these locales only. Not asked for in others,
# since Babel 2.18 mixes up the locales that have none of their own.
_STAND_ALONE_MONTHS = {"de", "ru"}
# Many fonts, ours included, lack the narrow no-break space; direction marks are up to layouts.
_NORMALISED_CHARACTERS = str.maketrans(
    {"\u202f": "\xa0", "\u200e": None, "\u200f": None, "\u061c": None}
)
_DIGIT_ZEROS = {"latn": "0", "arabext": "\u06f0"}


class Unit(msgspec.Struct, frozen=True, gc=False):
    """
    A unit of short numbers: used from `start` on, worth `size`, with texts around the number.

    `em_width` is the bold width of these texts at a font size of 1.
    """

    start: int
    size: int
    before: str
    after: str
    em_width: float
    is_ungrouped: bool  # up to 9999: 1234万


class Conventions(msgspec.Struct, frozen=True, gc=False):
    """
    The number format of a locale, its plural categories and its direction.

    `tenths` are the decimal sign and a digit for 0 to 9 tenths, empty for 0. The largest unit comes
    first; numbers below `units_from` have no unit. `plurals` are the plural categories of 0 to 199.
    """

    separator: str
    tenths: Sequence[str]
    percent: tuple[str, str]
    grouped_from: int
    is_indian: bool
    is_right_to_left: bool
    digits: Mapping[int, str]
    units: tuple[Unit, ...]
    units_from: int
    plurals: tuple[str, ...]
    plural_of_millions: str


@cache
def conventions(locale: str) -> Conventions:
    """
    Return the number format of a locale.

    :raises ValueError: it is not one of the locales
    """
    data = _babel_locale(locale)
    system = data.default_numbering_system
    symbols = data.number_symbols[system]
    before, _, after = data.percent_formats[None].pattern.partition("#")
    sign = symbols["percentSign"].translate(_NORMALISED_CHARACTERS)
    digits = _digits(system)
    units = _units(data.compact_decimal_formats["short"]["other"], locale)
    before, after = before.replace("%", sign), after.lstrip("#,0").replace("%", sign)
    return Conventions(
        separator=symbols["group"].translate(_NORMALISED_CHARACTERS),
        tenths=["", *(symbols["decimal"] + str(n).translate(digits) for n in range(1, 10))],
        percent=(before.translate(_NORMALISED_CHARACTERS), after.translate(_NORMALISED_CHARACTERS)),
        grouped_from=SHORT_FROM if locale in _GROUPED_FROM_10_000 else 1000,
        is_indian=data.decimal_formats[None].grouping == (3, 2),
        is_right_to_left=data.text_direction == "rtl",
        digits=digits,
        units=units,
        units_from=max(units[-1].start, SHORT_FROM),
        plurals=tuple(map(data.plural_form, range(2 * PLURALS_REPEAT_AFTER))),
        plural_of_millions=data.plural_form(MILLION),
    )


def plural_categories(locale: str) -> set[str]:
    """Return all plural categories of a locale."""
    return {*_babel_locale(locale).plural_form.tags, "other"}


@cache
def is_right_to_left(locale: str) -> bool:
    """Return True if a locale is written from right to left."""
    return conventions(locale).is_right_to_left


def native_name(locale: str) -> str:
    """Return the name of a locale's language in that language, such as `Deutsch`."""
    name = _babel_locale(locale).get_display_name() or locale
    return name[:1].upper() + name[1:]


@lru_cache(_CACHE_SIZE)
def format_day(moment: date, locale: str) -> str:
    """Format a date without its year: 20. Nov."""
    if pattern := _DAYS.get(locale):
        return format_date(moment, pattern, locale=_babel_locale(locale))
    text = format_skeleton("MMMd", moment, locale=_babel_locale(locale))
    return _with_first(_normalise(text, locale), moment, locale)


@lru_cache(_CACHE_SIZE)
def format_full_date(moment: date, locale: str) -> str:
    """Format a date with its year, in the Gregorian calendar: 20. November 2026."""
    pattern = _FULL_DAYS.get(locale, "long")
    text = format_date(moment, pattern, locale=_babel_locale(locale))
    return _with_first(_normalise(text, locale), moment, locale)


@cache
def month_names(locale: str) -> tuple[str, ...]:
    """Return the abbreviated names of the months, January first."""
    context: Literal["format", "stand-alone"] = (
        "stand-alone" if locale in _STAND_ALONE_MONTHS else "format"
    )
    names = get_month_names("abbreviated", context, _babel_locale(locale))
    return tuple(_normalise(names[month], locale) for month in range(1, 13))


@cache
def weekday_names(locale: str) -> tuple[tuple[str, ...], ...]:
    """Return the names of the weekdays, Monday first: abbreviated, short and narrow ones."""
    forms: tuple[Literal["abbreviated", "short", "narrow"], ...] = (
        "abbreviated",
        "short",
        "narrow",
    )
    return tuple(
        tuple(_normalise(names[weekday], locale) for weekday in range(7))
        for names in (get_day_names(form, "format", _babel_locale(locale)) for form in forms)
    )


@cache
def first_weekday(locale: str) -> int:
    """Return the day that weeks begin with, where the locale is mostly used; 0 is Monday."""
    data = _babel_locale(locale)
    if data.territory is None:
        # Babel falls back to the whole world, where weeks begin on Monday.
        data = Locale.parse(get_global("likely_subtags")[str(data)])
    return data.first_week_day


@lru_cache(_CACHE_SIZE)
def format_wait(seconds: int, locale: str) -> tuple[str, str]:
    """
    Format a duration, and the moment when it is over: 40 Sekunden, in 40 Sekunden.

    Up to 90 in seconds, beyond that in minutes, rounded up.
    """
    in_seconds = seconds <= _MAX_SECONDS
    wait = timedelta(seconds=seconds) if in_seconds else timedelta(minutes=-(-seconds // 60))
    duration, moment = (
        format_timedelta(
            wait,
            granularity="second" if in_seconds else "minute",
            threshold=math.inf,
            add_direction=has_direction,
            locale=_babel_locale(locale),
        )
        for has_direction in (False, True)
    )
    return _normalise(duration, locale), _normalise(moment, locale)


@cache
def _babel_locale(locale: str) -> Locale:
    if locale not in LOCALES:
        raise ValueError(f"{locale!r} is not one of the locales")
    return Locale.parse(locale, sep="-")


def _digits(system: str) -> dict[int, str]:
    zero = ord(_DIGIT_ZEROS[system])
    return {} if zero == ord("0") else {ord("0") + n: chr(zero + n) for n in range(10)}


def _units(patterns: Mapping[str, Any], locale: str) -> tuple[Unit, ...]:
    """
    Parse compact patterns such as `00 тыс'.'`, by the number they apply from.

    From 10,000 on no plural category differs from `other`.
    https://www.unicode.org/reports/tr35/tr35-numbers.html#Compact_Number_Formats
    """
    units: list[Unit] = []
    for start in sorted(map(int, patterns)):
        if start >= _MAX_UNIT:
            break
        unit = _parse_unit(start, patterns[str(start)].pattern, locale)
        if unit is None:
            continue
        # CLDR has a pattern for each power of ten: skip those that repeat the unit before.
        if not units or msgspec.structs.replace(unit, start=units[-1].start) != units[-1]:
            units.append(unit)
    return tuple(reversed(units))


def _parse_unit(start: int, pattern: str, locale: str) -> Unit | None:
    """Parse one pattern; None if it has no unit. Its zeros are the digits before the decimal."""
    zeros = pattern.count("0")
    before, after = pattern.replace("'", "").translate(_NORMALISED_CHARACTERS).split("0" * zeros)
    if not before and not after:
        return None
    after = _THOUSANDS.get((locale, after), after)
    em_width = width(before, 1, bold=True) + width(after, 1, bold=True)
    size = start // 10 ** (zeros - 1)
    return Unit(start, size, before, after, em_width, is_ungrouped=zeros > 3)


def _with_first(text: str, moment: date, locale: str) -> str:
    """Write the first of a month as an ordinal in locales that do so: 1er janvier."""
    first = _FIRST_DAYS.get(locale)
    return f"{first}{text.removeprefix('1')}" if first and moment.day == 1 else text


def _normalise(text: str, locale: str) -> str:
    return text.translate(_NORMALISED_CHARACTERS).translate(conventions(locale).digits)
