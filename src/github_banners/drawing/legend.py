"""
The legend under a bar: names and percentages flowing in rows.

Positions only, and how many languages there is room for. The flow spaces by less than the estimated
widths, so that on usual fonts the gaps look even, and wraps by the full ones, so that on the widest
nothing leaves the card.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from github_banners.drawing.cleaning import isolate
from github_banners.drawing.languages import PERCENTS, Ranking, Share, percentages, ranked
from github_banners.drawing.locales import SPOKEN_LANGUAGES, percent, words
from github_banners.drawing.memo import Memo
from github_banners.drawing.text import fit, width
from github_banners.drawing.themes import Scheme
from github_banners.look import Field, Look
from github_banners.model import Stats

RING_KEEPS = 5
"""How many languages a ring shows, beside Other."""

# In font sizes.
_DOT_RADIUS = 0.37
_DOT_ABOVE_BASELINE = 0.35
_DOT_ROOM = 0.77
_NAME_ROOM = 24  # a longer name than any language has would push all others out
_PERCENT_ROOM = 4
_DOT_GAP = 7
_USUAL_WIDTH = 0.88
_ITEM_GAP = 18
# What the estimate of a long name can do without on any font.
_SLACK = 3
# On the widest fonts a text from this width on would reach the next dot: its full width is kept.
_LONG = (_ITEM_GAP + _SLACK) / (1 - _USUAL_WIDTH)


class Item(msgspec.Struct, frozen=True, gc=False):
    """A dot with its centre, a name, a percentage; templates place the text from the dot."""

    colour: str
    dot_x: int
    dot_y: int
    name: str
    percent: str


class _Name(msgspec.Struct, frozen=True, gc=False):
    """A name as it fits; the next item starts `least_step` further at least."""

    text: str
    width: float
    least_step: float


class Legend(msgspec.Struct, frozen=True, gc=False):
    """The shares that have room, and how they are set."""

    shares: Sequence[Share]
    items: Sequence[Item]


def listed(stats: Stats, look: Look, scheme: Scheme, *, keep: int) -> Ranking:
    """Order the languages that a look wishes to see; at most `keep` and Other will be shown."""
    return ranked(
        {} if Field.LANGUAGES in look.hide else stats.languages,
        scheme=scheme,
        other=words(look.locale).labels.other,
        without=look.hide_langs,
        most=max(keep, RING_KEEPS) + 1,
    )


def on_ring(ranking: Ranking, look: Look) -> Sequence[Share]:
    """Choose what the ring shows: what a smaller one would lose is in Other."""
    return ranking.top(min(look.langs_count or RING_KEEPS, RING_KEEPS))


def longest(
    ranking: Ranking, keep: int, lay: Callable[[Sequence[Share]], Sequence[Item] | None]
) -> Legend:
    """Show as many languages as can be laid out, at most `keep` and Other."""
    while keep >= 0 and (shown := ranking.top(keep)):
        if (items := lay(shown)) is not None:
            return Legend(shown, items)
        # Other never stands for one: after all that there are come all but two.
        keep = min(keep, ranking.number - 1) - 1
    return Legend((), ())


def flow(
    shares: Sequence[Share],
    *,
    x: float,
    room: float,
    baselines: Sequence[int],
    size: int,
    locale: str,
) -> list[Item] | None:
    """Set shares into rows; None where the rows don't suffice. `x` and `room` hold for each row."""
    lead = _DOT_ROOM * size + _DOT_GAP
    known = _names(size, min(_NAME_ROOM * size, room - lead - _PERCENT_ROOM * size), locale)
    names = [known[share.name] for share in shares]
    # Most of what has no room is recognised without its percentages.
    if sum([name.least_step for name in names]) > len(baselines) * (room + _ITEM_GAP):
        return None
    rows = iter(baselines)
    y, at, end = next(rows), x, x + room - lead
    dot_x, dot_y = _DOT_RADIUS * size, round(_DOT_ABOVE_BASELINE * size)
    percents, parts = _percents(size, locale), percentages([share.amount for share in shares])
    items = []
    for share, name, part in zip(shares, names, parts, strict=True):
        said, said_width = percents[part]
        wide = name.width + said_width
        if at + wide > end:
            if (following := next(rows, None)) is None:
                return None
            y, at = following, x
        items.append(Item(share.colour, round(at + dot_x), y - dot_y, name.text, said))
        at += lead + (_USUAL_WIDTH * wide + _ITEM_GAP if wide < _LONG else wide - _SLACK)
    return items


def told(shown: Sequence[Share], locale: str) -> list[str]:
    """Say the first shares where no legend does."""
    percents = percentages([share.amount for share in shown])
    return [
        f"{isolate(share.name)} {percent(part, locale)}"
        for share, part in zip(shown[:SPOKEN_LANGUAGES], percents, strict=False)
    ]


def spoken(items: Sequence[Item]) -> list[str]:
    """Say the first languages with their shares."""
    return [f"{item.name} {item.percent}" for item in items[:SPOKEN_LANGUAGES]]


@lru_cache(64)
def _names(size: int, room: float, locale: str) -> Memo[str, _Name]:
    """Fit and measure names."""
    lead, percents = _DOT_ROOM * size + _DOT_GAP, _percents(size, locale)
    least_percent = min(percents[percent][1] for percent in PERCENTS)

    def fit_name(name: str) -> _Name:
        fitted = fit(name, (size,), room)
        least_step = lead + _USUAL_WIDTH * (fitted.width + least_percent) + _ITEM_GAP
        return _Name(isolate(fitted.text), fitted.width, least_step)

    return Memo(fit_name)


@lru_cache(64)
def _percents(size: int, locale: str) -> Memo[str, tuple[str, float]]:
    """Say percentages, and tell their widths with the space before them."""

    def say(part: str) -> tuple[str, float]:
        said = percent(part, locale)
        return said, width(f" {said}", size)

    return Memo(say)
