"""
The legend under a bar: names and percentages flowing in rows.

Positions only. The flow spaces by less than the estimated widths, so that on usual fonts the gaps
look even, and wraps by the full ones, so that on the widest nothing leaves the card.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from github_banners.drawing.cleaning import isolate
from github_banners.drawing.languages import Share, percentages
from github_banners.drawing.text import fit, width

# In font sizes.
_DOT_RADIUS = 0.37
_DOT_ABOVE_BASELINE = 0.35
_DOT_ROOM = 0.77
_NAME_ROOM = 24  # a longer name than any language has would push all others out
_DOT_GAP = 7
_USUAL_WIDTH = 0.88
_ITEM_GAP = 18


class Item(msgspec.Struct, frozen=True, gc=False):
    """A dot with its centre, a name, a percentage; templates place the text from the dot."""

    colour: str
    dot_x: int
    dot_y: int
    name: str
    percent: str


def flow(
    shares: Sequence[Share], *, x: float, room: float, baselines: Sequence[int], size: int
) -> list[Item] | None:
    """Set shares into rows; None where the rows don't suffice. `x` and `room` hold for each row."""
    rows = iter(baselines)
    y, at = next(rows), x
    lead = _DOT_ROOM * size + _DOT_GAP
    dot_x, dot_y = _DOT_RADIUS * size, round(_DOT_ABOVE_BASELINE * size)
    items = []
    for share, percent in zip(shares, percentages([share.amount for share in shares]), strict=True):
        name, wide = _measured(share.name, size)
        wide += _percent_width(percent, size)
        if at + lead + wide > x + room:
            if (following := next(rows, None)) is None:
                return None
            y, at = following, x
        items.append(Item(share.colour, round(at + dot_x), y - dot_y, name, percent))
        at += lead + _USUAL_WIDTH * wide + _ITEM_GAP
    return items


@lru_cache(4096)
def _measured(name: str, size: int) -> tuple[str, float]:
    fitted = fit(name, (size,), _NAME_ROOM * size)
    return isolate(fitted.text), fitted.width


@lru_cache(512)
def _percent_width(percent: str, size: int) -> float:
    return width(f" {percent}", size)
