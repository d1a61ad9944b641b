"""The interface of a layout: its canvas, its template and the function that computes its values."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import msgspec

from github_banners.drawing.themes import Canvas
from github_banners.models import Snapshot
from github_banners.options import BannerOptions


@dataclass(frozen=True, slots=True)
class LayoutSpec:
    """
    A layout of a banner.

    `compute_layout` takes the numbers, the options, and the day of the numbers if they are stale;
    it returns the values of the template, among them `frame` (a `Frame`), `glow`, `title` and `desc`.
    """

    canvas: Canvas
    template: str
    compute_layout: Callable[[Snapshot, BannerOptions, date | None], msgspec.Struct]
