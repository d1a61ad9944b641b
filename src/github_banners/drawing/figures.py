"""
The figures that shares are drawn as: the ring, which a wider line makes a donut, and the bar.

Pure geometry in user units. All are lines to be stroked; how thick is up to the templates.
"""

import math
from collections.abc import Sequence

import msgspec

from github_banners.drawing.languages import Share

_GAP = 2.0
_LEAST_ON_BAR = 4.0
_LEAST_ON_RING = 2.5


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A share as a stroke: its colour, and the path (bar) or the dashes (ring) that draw it."""

    colour: str
    line: str


def digits(number: float) -> str:
    """Write a position with one decimal at most: less is not seen."""
    return f"{number:.1f}".removesuffix(".0")


def bar(shares: Sequence[Share], *, x: float, y: int, width: float) -> list[Segment]:
    """Divide a line from (x, y) to the right among shares, with gaps between them."""
    segments = []
    room = width - _GAP * (len(shares) - 1)
    for share, length in zip(shares, spread(shares, room, _LEAST_ON_BAR), strict=True):
        start = round(x)  # whole units have sharp edges
        segments.append(Segment(share.colour, f"M{start} {y}h{round(x + length) - start}"))
        x += length + _GAP
    return segments


def ring(shares: Sequence[Share], *, radius: float, gap: float = _GAP) -> list[Segment]:
    """
    Divide a circle among shares, with gaps between them.

    Each is a whole circle with one dash: nothing, a gap up to where it starts, the dash, a gap.
    """
    segments = []
    room = math.tau * radius
    rest = round(room)
    gap = gap if len(shares) > 1 else 0
    start = gap / 2
    for share, length in zip(shares, spread(shares, room, _LEAST_ON_RING + gap), strict=True):
        segments.append(Segment(share.colour, f"0 {start:.1f} {length - gap:.1f} {rest}"))
        start += length
    return segments


def spread(shares: Sequence[Share], room: float, least: float) -> list[float]:
    """Divide a length among shares; what the smallest lack is taken from the largest."""
    lengths = [
        length if (length := share.part * room) > least else least  # as `max`, in half the time
        for share in shares
    ]
    lengths[lengths.index(max(lengths))] -= sum(lengths) - room
    return lengths
