"""The form of a layout: its size, its template, and the function that fills it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import msgspec

from github_banners.look import Look
from github_banners.model import Snapshot


@dataclass(frozen=True, slots=True)
class Arrangement:
    """
    A way to arrange a banner; lengths in user units.

    `arrange` gets the numbers, the look, and the day the numbers are from where that shall be said.
    """

    width: int
    height: int
    template: str
    arrange: Callable[[Snapshot, Look, date | None], msgspec.Struct]
