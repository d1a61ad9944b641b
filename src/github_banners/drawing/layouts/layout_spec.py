"""The form of a layout: its ground, its template, and the function that fills it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import msgspec

from github_banners.drawing.frame import Canvas
from github_banners.models import Snapshot
from github_banners.options import BannerOptions, ChartType


@dataclass(frozen=True, slots=True)
class LayoutSpec:
    """
    A way to arrange a banner.

    `arrange` gets the numbers, the look, and the day the numbers are from where that shall be said;
    `keeps` is how many languages are shown where nobody says, at most.
    """

    canvas: Canvas
    template: str
    compute_layout: Callable[[Snapshot, BannerOptions, date | None], msgspec.Struct]
    default_counts: Mapping[ChartType, int]
