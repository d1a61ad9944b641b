"""
What share each language has: order, the rest as `Other`, percentages, colours.

Pure arithmetic over names and counts; where and how wide a share is drawn is decided elsewhere.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from github_banners.drawing.cleaning import clean
from github_banners.drawing.colours import readable
from github_banners.drawing.themes import Scheme

_NAMELESS = "?"
_MOST_SHOWN = 11  # the most that can be wished for, and one instead of Other
_PERCENT = tuple(f"{point}%" for point in range(101))


class Share(msgspec.Struct, frozen=True, gc=False):
    """A language, or Other: how many repositories, and which part of all, 0 to 1."""

    name: str
    colour: str
    amount: int
    part: float


class Ranking(msgspec.Struct, frozen=True, gc=False):
    """
    Languages by count, then name.

    `first` are those that may be shown, `number` and `whole` are of all; the rest is `other` in the
    colour `neutral`.
    """

    first: tuple[Share, ...]
    number: int
    whole: int
    other: str
    neutral: str

    def top(self, keep: int) -> tuple[Share, ...]:
        """Show at most so many and the rest as Other, which never stands for a single one."""
        if self.number <= keep + 1:
            return self.first[: self.number]
        shown = self.first[:keep]
        rest = self.whole - sum([share.amount for share in shown])
        return (*shown, Share(self.other, self.neutral, rest, rest / self.whole))


def ranked(
    languages: Mapping[str, int], *, scheme: Scheme, other: str, without: Sequence[str] = ()
) -> Ranking:
    """Order languages; `without` are names in lower case to leave out."""
    counts = [
        (-count, name)
        for name, count in languages.items()
        if count > 0 and not (without and name.lower() in without)
    ]
    counts.sort()
    whole = -sum([count for count, _ in counts])
    known = (scheme.grounds, scheme.least_contrast, scheme.neutral)
    first = [
        Share(*_language(name, _rung(rank, scheme), *known), -count, -count / whole)
        for rank, (count, name) in enumerate(counts[:_MOST_SHOWN])
    ]
    return Ranking(tuple(first), len(counts), whole, other, scheme.neutral)


def percentages(counts: Sequence[int]) -> list[str]:
    """
    Write counts as whole percentages that add up to 100.

    By largest remainder, https://en.wikipedia.org/wiki/Quota_method. What is below 1 is `<1%`, and
    100 is written only for what is alone.
    """
    whole = sum(counts)
    points = [count * 100 // whole for count in counts]
    remainders = [-(count * 100 % whole) for count in counts]
    for at in sorted(range(len(counts)), key=remainders.__getitem__)[: 100 - sum(points)]:
        points[at] += 1
    return [_written(count, whole, point) for count, point in zip(counts, points, strict=True)]


def _written(count: int, whole: int, point: int) -> str:
    if count * 100 < whole:
        return "<1%"
    return ">99%" if point >= 100 and count < whole else _PERCENT[point]


def _rung(rank: int, scheme: Scheme) -> str | None:
    """Find the colour of a rank, where colours go by rank."""
    return scheme.ladder[rank % len(scheme.ladder)] if scheme.ladder else None


@lru_cache(4096)
def _language(
    name: str, rung: str | None, grounds: tuple[str, ...], least_contrast: float, neutral: str
) -> tuple[str, str]:
    """Find how a language is written, and its colour moved until every ground shows it."""
    own = _known_colours().get(name.lower())
    shown = clean(name) or _NAMELESS if own is None else name
    colour = rung or own
    if colour is None:
        return shown, neutral
    for ground in grounds:
        colour = readable(colour, ground, least_contrast)
    return shown, colour


@cache
def _known_colours() -> dict[str, str]:
    data = (files(__package__) / "language_colours.json").read_text(encoding="utf-8")
    known: dict[str, str] = json.loads(data)
    # GitHub has changed the case of names before (Vim script), and old ones are still answered.
    return {name.lower(): colour for name, colour in known.items()}
