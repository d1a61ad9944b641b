"""
Numbers and dates as they are written on a picture, in English.

Always cut, never rounded up: 999,950 is 999k. Knows nothing of where they stand.
"""

from datetime import date

_SHORT_FROM = 10_000
_UNITS = ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def grouped(number: int) -> str:
    """Write a number in full: 2,147,483,647."""
    return f"{number:,}"


def short(number: int) -> str:
    """Write a number in full below 10,000, else with a unit: one decimal below 100 units."""
    if number < _SHORT_FROM:
        return f"{number:,}"
    unit, letter = next(one for one in _UNITS if number >= one[0])
    whole, rest = divmod(number, unit)
    tenths = rest * 10 // unit
    return f"{whole:,}.{tenths}{letter}" if whole < 100 and tenths else f"{whole:,}{letter}"


def day(moment: date) -> str:
    """Write a date without its year: 20 Nov."""
    return f"{moment.day} {_MONTHS[moment.month - 1]}"
