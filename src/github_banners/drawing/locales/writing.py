"""
Numbers, percentages and dates as each locale writes them, and which way it is read.

The facts are CLDR's, read from Babel once per locale. The rounding is ours: always cut, never
rounded up. What is said about a number is `wording`'s business.
"""

import math
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache, lru_cache, partial
from typing import Any

import msgspec
from babel import Locale
from babel.dates import format_date, format_skeleton, format_timedelta

from github_banners.drawing.memo import Memo

LOCALES = (
    *("en", "de", "fr", "es", "pt-br", "it", "nl", "pl", "ru", "uk", "tr"),
    *("ja", "ko", "zh-cn", "zh-tw", "ar", "he", "fa", "hi"),
)
"""The codes of every locale; BCP 47 in lower case."""

_KEPT = 4096
_MAX_NUMERALS = 1024  # for each locale
_SHORT_FROM = 10_000
# Beyond what GitHub can count; English goes on with B as it always did.
_NO_UNITS_FROM = 10**12
_PLURALS_REPEAT_AFTER = 100
_MILLION = 1_000_000

# Babel lacks CLDR's minimumGroupingDigits, which is 2 here and 1 in our other locales: 9412.
# https://www.unicode.org/reports/tr35/tr35-numbers.html#Examples_of_minimumGroupingDigits
_GROUPED_FROM_10_000 = {"es", "it", "pl"}
# Our English is British in its dates and has GitHub's lower-case k.
_DAYS, _FULL_DAYS, _THOUSANDS = {"en": "d MMM"}, {"en": "d MMM y"}, {("en", "K"): "k"}
# CLDR writes 1 there.
_FIRST_DAYS = {"fr": "1er", "pt-br": "1º"}
_MOST_SECONDS = 90
# The narrow no-break space is missing in fonts, ours among them; direction is for layouts to set.
_TIDIED = str.maketrans({"\u202f": "\xa0", "\u200e": None, "\u200f": None, "\u061c": None})
_DIGIT_ZEROS = {"latn": "0", "arabext": "\u06f0"}


class Numeral(msgspec.Struct, frozen=True, gc=False):
    """
    A number as a locale writes it, in full and short.

    `unit_size` is how much the unit of `short` is, 1 where it has none; `plural` is the category of
    the number itself.
    """

    full: str
    short: str
    unit_size: int
    plural: str


class _Unit(msgspec.Struct, frozen=True, gc=False):
    """From which number on a unit is used, how much it is, what stands around the number."""

    start: int
    size: int
    before: str
    after: str
    is_plain: bool  # no grouping up to 9999: 1234万


class _Conventions(msgspec.Struct, frozen=True, gc=False):
    """
    What numbers need to know of a locale.

    The largest unit comes first; numbers below `units_from` have none.
    """

    separator: str
    decimal: str
    percent: tuple[str, str]
    grouped_from: int
    is_indian: bool
    is_right_to_left: bool
    digits: Mapping[int, str]
    units: tuple[_Unit, ...]
    units_from: int
    plurals: tuple[str, ...]
    plural_of_millions: str


def grouped(number: int, locale: str) -> str:
    """Write a number in full, with the locale's own digits: 2.147.483.647."""
    return numerals(locale)[number].full


def short(number: int, locale: str) -> str:
    """
    Write a number in full below 10,000, else with the locale's unit: 12,4 тыс.

    One decimal below 100 units, none from there on. Where CLDR has no unit, as German has none
    for thousands, the number stays in full.
    """
    return numerals(locale)[number].short


def unit_size(number: int, locale: str) -> int:
    """Tell in units of how much `short` writes a number; 1 if in full."""
    return numerals(locale)[number].unit_size


@lru_cache(_KEPT)
def percent(text: str, locale: str) -> str:
    """Turn a percentage as English writes it, `65%` or `<1%`, into the locale's: 65 %, %65, ۶۵٪."""
    rules = _conventions(locale)
    number = text.removesuffix("%").lstrip("<>")
    sign = text[: len(text) - len(number) - 1]
    before, after = rules.percent
    return f"{sign}{before}{number.translate(rules.digits)}{after}"


@lru_cache(_KEPT)
def day(moment: date, locale: str) -> str:
    """Write a date without its year: 20. Nov."""
    if pattern := _DAYS.get(locale):
        return format_date(moment, pattern, locale=_babel(locale))
    text = format_skeleton("MMMd", moment, locale=_babel(locale))
    return _with_first(_tidied(text, locale), moment, locale)


@lru_cache(_KEPT)
def full_day(moment: date, locale: str) -> str:
    """Write a date as it is read out: 20. November 2026; of the Gregorian calendar everywhere."""
    pattern = _FULL_DAYS.get(locale, "long")
    text = format_date(moment, pattern, locale=_babel(locale))
    return _with_first(_tidied(text, locale), moment, locale)


@lru_cache(_KEPT)
def wait(seconds: int, locale: str) -> tuple[str, str]:
    """
    Say how long something takes, and when it is over: 40 Sekunden, in 40 Sekunden.

    In seconds up to 90, from there on in minutes, rounded up.
    """
    is_short = seconds <= _MOST_SECONDS
    span = timedelta(seconds=seconds) if is_short else timedelta(minutes=-(-seconds // 60))
    length, coming = (
        format_timedelta(
            span,
            granularity="second" if is_short else "minute",
            threshold=math.inf,
            add_direction=is_coming,
            locale=_babel(locale),
        )
        for is_coming in (False, True)
    )
    return _tidied(length, locale), _tidied(coming, locale)


def plural(number: int, locale: str) -> str:
    """
    Name the plural category of a whole number: zero, one, two, few, many or other.

    https://www.unicode.org/cldr/charts/47/supplemental/language_plural_rules.html
    """
    return numerals(locale)[number].plural


def plural_categories(locale: str) -> set[str]:
    """Name all the plural categories that a locale has."""
    return {*_babel(locale).plural_form.tags, "other"}


@cache
def is_right_to_left(locale: str) -> bool:
    """Tell whether a banner in this locale is mirrored."""
    return _conventions(locale).is_right_to_left


@cache
def numerals(locale: str) -> Memo[int, Numeral]:
    """Write numbers; a banner has the same one in up to four places."""
    return Memo(partial(_numeral, _conventions(locale)), max_size=_MAX_NUMERALS)


def _numeral(rules: _Conventions, number: int) -> Numeral:
    full = _grouped(number, rules)
    if number < _PLURALS_REPEAT_AFTER:
        category = rules.plurals[number]
    elif number % _MILLION:
        category = rules.plurals[_PLURALS_REPEAT_AFTER + number % _PLURALS_REPEAT_AFTER]
    else:
        category = rules.plural_of_millions
    if number < rules.units_from:
        return Numeral(full, full, 1, category)
    for unit in rules.units:
        if number >= unit.start:
            break
    return Numeral(full, _in_units(number, unit, rules), unit.size, category)


def _in_units(number: int, unit: _Unit, rules: _Conventions) -> str:
    whole, rest = divmod(number, unit.size)
    text = str(whole) if unit.is_plain and whole < _SHORT_FROM else _grouped(whole, rules)
    if whole < 100 and (tenths := rest * 10 // unit.size):
        text = f"{text}{rules.decimal}{str(tenths).translate(rules.digits)}"
    return f"{unit.before}{text}{unit.after}"


def _grouped(number: int, rules: _Conventions) -> str:
    if number < rules.grouped_from:
        text = str(number)
    else:
        text = _indian(number) if rules.is_indian else f"{number:,}"
        if rules.separator != ",":
            text = text.replace(",", rules.separator)
    return text.translate(rules.digits) if rules.digits else text


def _indian(number: int) -> str:
    """Group by twos above the last three digits: 2,14,74,83,647."""
    lakhs, rest = divmod(number, 100_000)
    if not lakhs:
        return f"{number:,}"
    digits = str(lakhs)
    pairs = [digits[max(0, end - 2) : end] for end in range(len(digits), 0, -2)]
    return f"{','.join(reversed(pairs))},{rest // 1000:02},{rest % 1000:03}"


@cache
def _babel(locale: str) -> Locale:
    if locale not in LOCALES:
        raise ValueError(f"{locale} is none of our locales")
    return Locale.parse(locale, sep="-")


@cache
def _conventions(locale: str) -> _Conventions:
    facts = _babel(locale)
    system = facts.default_numbering_system
    symbols = facts.number_symbols[system]
    before, _, after = facts.percent_formats[None].pattern.partition("#")
    sign = symbols["percentSign"].translate(_TIDIED)
    units = _units(facts.compact_decimal_formats["short"]["other"], locale)
    before, after = before.replace("%", sign), after.lstrip("#,0").replace("%", sign)
    return _Conventions(
        separator=symbols["group"].translate(_TIDIED),
        decimal=symbols["decimal"],
        percent=(before.translate(_TIDIED), after.translate(_TIDIED)),
        grouped_from=_SHORT_FROM if locale in _GROUPED_FROM_10_000 else 1000,
        is_indian=facts.decimal_formats[None].grouping == (3, 2),
        is_right_to_left=facts.text_direction == "rtl",
        digits=_digits(system),
        units=units,
        units_from=max(units[-1].start, _SHORT_FROM),
        plurals=tuple(map(facts.plural_form, range(2 * _PLURALS_REPEAT_AFTER))),
        plural_of_millions=facts.plural_form(_MILLION),
    )


def _digits(system: str) -> dict[int, str]:
    zero = ord(_DIGIT_ZEROS[system])
    return {} if zero == ord("0") else {ord("0") + n: chr(zero + n) for n in range(10)}


def _units(patterns: Mapping[str, Any], locale: str) -> tuple[_Unit, ...]:
    """
    Read compact patterns, `00 тыс'.'`, of which from 10,000 on no plural differs from `other`.

    https://www.unicode.org/reports/tr35/tr35-numbers.html#Compact_Number_Formats
    """
    found: list[_Unit] = []
    for start in sorted(map(int, patterns)):
        if start >= _NO_UNITS_FROM:
            break
        unit = _read(start, patterns[str(start)].pattern, locale)
        if unit and not (found and _is_same(unit, found[-1])):
            found.append(unit)
    return tuple(reversed(found))


def _is_same(unit: _Unit, less: _Unit) -> bool:
    """Tell whether a unit is written just as the one that is used from a lower number on."""
    return msgspec.structs.replace(unit, start=less.start) == less


def _read(start: int, pattern: str, locale: str) -> _Unit | None:
    zeros = pattern.count("0")
    before, after = pattern.replace("'", "").translate(_TIDIED).split("0" * zeros)
    if not before and not after:
        return None
    after = _THOUSANDS.get((locale, after), after)
    return _Unit(start, start // 10 ** (zeros - 1), before, after, is_plain=zeros > 3)


def _with_first(text: str, moment: date, locale: str) -> str:
    """Write the first of a month as an ordinal, where that is the custom: 1er janvier."""
    first = _FIRST_DAYS.get(locale)
    return f"{first}{text.removeprefix('1')}" if first and moment.day == 1 else text


def _tidied(text: str, locale: str) -> str:
    return text.translate(_TIDIED).translate(_conventions(locale).digits)
