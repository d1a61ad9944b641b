"""Size of a benchmark run: BENCH=short as a test, BENCH=medium for estimates, full by default."""

import os
from enum import StrEnum


class Size(StrEnum):
    """The sizes of a run; only the full one gives figures to be quoted."""

    SHORT = "short"
    MEDIUM = "medium"
    FULL = "full"


SIZE = Size(os.environ.get("BENCH", Size.FULL))


def sized(short: int, medium: int, full: int) -> int:
    """Return the number for the form of this run."""
    return {Size.SHORT: short, Size.MEDIUM: medium, Size.FULL: full}[SIZE]
