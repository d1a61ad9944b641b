"""
Charts of language shares: the ring, which is a donut if its stroke is wide, and the bar.

Pure geometry in user units. Every segment is a line to be stroked; templates set the stroke width.
"""

import math
from collections.abc import Sequence

import msgspec

from github_banners.drawing.language_shares import Share

_GAP = 2.0
_MIN_BAR_LENGTH = 4.0
_MIN_RING_LENGTH = 2.5


class Segment(msgspec.Struct, frozen=True, gc=False):
    """
    A share as a stroke.

    `line` is the path data in a bar, the `stroke-dasharray` of a full circle in a ring.
    """

    colour: str
    line: str


def format_coordinate(number: float) -> str:
    """Format a coordinate with at most one decimal; smaller differences are not visible."""
    return f"{number:.1f}".removesuffix(".0")


def bar(shares: Sequence[Share], *, x: float, y: int, width: float) -> list[Segment]:
    """Divide a line from (x, y) to the right among shares, with gaps between them."""
    segments = []
    total_length = width - _GAP * (len(shares) - 1)
    lengths = distribute(shares, total_length, _MIN_BAR_LENGTH)
    for share, length in zip(shares, lengths, strict=True):
        start = round(x)  # whole units give sharp edges
        segments.append(Segment(share.colour, f"M{start} {y}h{round(x + length) - start}"))
        x += length + _GAP
    return segments


def ring(shares: Sequence[Share], *, radius: float, gap: float = _GAP) -> list[Segment]:
    """
    Divide a circle among shares, with gaps between them.

    Each segment is a whole circle with a single dash. Its dash array starts with a dash of length
    0 and a gap up to the segment's start.
    """
    segments = []
    circumference = math.tau * radius
    rest = round(circumference)
    gap = gap if len(shares) > 1 else 0
    start = gap / 2
    lengths = distribute(shares, circumference, _MIN_RING_LENGTH + gap)
    for share, length in zip(shares, lengths, strict=True):
        segments.append(Segment(share.colour, f"0 {start:.1f} {length - gap:.1f} {rest}"))
        start += length
    return segments


def distribute(shares: Sequence[Share], total_length: float, min_length: float) -> list[float]:
    """Divide a length among shares; the largest gives up what brings the others to the minimum."""
    lengths = [
        length
        if (length := share.fraction * total_length) > min_length
        else min_length  # twice as fast as `max`
        for share in shares
    ]
    lengths[lengths.index(max(lengths))] -= sum(lengths) - total_length
    return lengths
